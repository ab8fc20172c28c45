/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The delays of one handshake, R, D1, D2 and D*, from a script of its packets. Every
 * expected number is worked out by hand in the table. Faults 29, 37, 40.
 */
#include <stdlib.h>
#include <string.h>

#include "lib_bench.h"

#define NONE US_UNKNOWN

enum what {
	END,
	SYN_,
	SYN_DATA,
	SYNACK,
	ACKS,
	HELLO,
	PART,
	AGAIN,
	HELLO2,
	FIRST2,
	REST2,
	EARLY,
	CCS,
	CCS_AGAIN,
	FINISHED,
	CCS_FINISHED,
	FIN_,
	RST_,
};

/* Time in us since the SYN. n: server bytes acknowledged in all (PART: which half). */
struct step {
	uint32_t at;
	enum what what;
	uint32_t n;
};

struct script {
	const char *name;
	uint32_t s0_us;
	bool psk;
	struct step step[12];
	uint32_t rtt, d1, d2, dstar, flight;
	uint32_t set, clear; /* enum handshake_flag */
};

/* clang-format off */
#define OPENED { 0, SYN_, 0 }, { 10, SYNACK, 0 }, { 20000, ACKS, 0 }

static const struct script scripts[] = {
	/* D2 = 42500 - 41000, D* = 42500 - 41300: the ACK that covers the flight */
	{ "two ACKs, the second covers", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 41000, ACKS, 1460 }, { 41300, ACKS, 3000 },
	    { 42500, CCS_FINISHED, 3000 } },
	  20000, 1000, 1500, 1200, 3000, HS_FIRST_ACK, HS_PIGGY | HS_RETX | HS_CCS_ALONE },
	{ "one ACK covers all", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 41300, ACKS, 3000 }, { 42500, CCS_FINISHED, 3000 } },
	  20000, 1000, 1200, 1200, 3000, 0, HS_PIGGY },
	/* a duplicate of the same number does not move it: 46000 - 41300 */
	{ "the covering ACK twice", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 41000, ACKS, 1460 }, { 41300, ACKS, 3000 },
	    { 45000, ACKS, 3000 }, { 46000, CCS_FINISHED, 3000 } },
	  20000, 1000, 5000, 4700, 3000, 0, 0 },
	/* not covered: D3 = 42500 - 21000 - 20000 - S0 */
	{ "the last pure ACK covers less", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 41000, ACKS, 1460 }, { 42500, CCS_FINISHED, 3000 } },
	  20000, 1000, 1500, 1500, 3000, 0, 0 },
	{ "the same with S0 = 1 ms", 1000, false,
	  { OPENED, { 21000, HELLO, 0 }, { 41000, ACKS, 1460 }, { 42500, CCS_FINISHED, 3000 } },
	  20000, 1000, 1500, 500, 3000, 0, 0 },
	{ "S0 makes no D* negative", 2000, false,
	  { OPENED, { 21000, HELLO, 0 }, { 41000, ACKS, 1460 }, { 42500, CCS_FINISHED, 3000 } },
	  20000, 1000, 1500, 0, 3000, 0, 0 },
	{ "S0 of resumed handshakes is another (here 0)", 2000, true,
	  { OPENED, { 21000, HELLO, 0 }, { 41000, ACKS, 241 }, { 42500, CCS_FINISHED, 241 } },
	  20000, 1000, 1500, 1500, 241, HS_RESUMED, 0 },
	{ "piggybacked: no D2, and D3", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 62500, CCS_FINISHED, 3000 } },
	  20000, 1000, NONE, 21500, 3000, HS_PIGGY, 0 },
	/* one segment: an ACK covers it, D3 all the same = 82500 - 21000 - 20000 */
	{ "a flight of one segment", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 82000, ACKS, 1460 }, { 82500, CCS_FINISHED, 1460 } },
	  20000, 1000, 500, 41500, 1460, 0, HS_PIGGY },
	{ "a flight of one segment and a byte", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 82000, ACKS, 1461 }, { 82500, CCS_FINISHED, 1461 } },
	  20000, 1000, 500, 500, 1461, 0, 0 },

	/* 41400 - 41000, 41400 - 41300 */
	{ "a lone ChangeCipherSpec is the second flight", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 41000, ACKS, 1460 }, { 41300, ACKS, 3000 },
	    { 41400, CCS, 3000 }, { 84000, FINISHED, 3000 } },
	  20000, 1000, 400, 100, 3000, HS_CCS_ALONE, HS_CCS_TWICE },
	/* ACKs behind it move nothing: 84000 - 41000, 84000 - 41300 */
	{ "twice: looked through", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 41000, ACKS, 1460 }, { 41300, ACKS, 3000 },
	    { 41400, CCS, 3000 }, { 60000, ACKS, 3100 }, { 84000, CCS_FINISHED, 3100 } },
	  20000, 1000, 43000, 42700, 3000, HS_CCS_ALONE | HS_CCS_TWICE, 0 },
	{ "the lone one sent again is not twice", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 41000, ACKS, 1460 }, { 41300, ACKS, 3000 },
	    { 41400, CCS, 3000 }, { 61400, CCS_AGAIN, 3000 }, { 84000, FINISHED, 3000 } },
	  20000, 1000, 400, 100, 3000, HS_CCS_ALONE | HS_RETX, HS_CCS_TWICE },

	/* after the second hello ack0 = 99: 63000 - 62000; the flight is 3099 - 99 */
	{ "HelloRetryRequest restarts, D1 is the first's", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 41000, ACKS, 99 }, { 42000, HELLO2, 99 },
	    { 62000, ACKS, 3099 }, { 63000, CCS_FINISHED, 3099 } },
	  20000, 1000, 1000, 1000, 3000, HS_HRR, HS_CCS_ALONE | HS_PIGGY },
	/* 63500 - 42000 - 20000 */
	{ "HelloRetryRequest and a short flight", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 42000, HELLO2, 99 }, { 62000, ACKS, 300 },
	    { 63500, CCS_FINISHED, 300 } },
	  20000, 1000, 1500, 1500, 201, HS_HRR, HS_PIGGY },
	{ "HelloRetryRequest, ChangeCipherSpec by itself", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 41000, ACKS, 99 }, { 41900, CCS, 99 },
	    { 42000, HELLO2, 99 }, { 62000, ACKS, 3099 }, { 63000, FINISHED, 3099 } },
	  20000, 1000, 1000, 1000, 3000, HS_HRR, HS_CCS_ALONE | HS_CCS_TWICE },
	{ "HelloRetryRequest, the first hello sent again between halves of the second", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 42000, FIRST2, 99 }, { 42050, AGAIN, 99 },
	    { 42100, REST2, 99 }, { 62000, ACKS, 3099 }, { 63000, CCS_FINISHED, 3099 } },
	  20000, 1000, 1000, 1000, 3000, HS_HRR | HS_RETX, 0 },

	{ "early data is not the second flight", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 21100, EARLY, 0 }, { 41000, ACKS, 1460 },
	    { 41300, ACKS, 3000 }, { 42500, CCS_FINISHED, 3000 } },
	  20000, 1000, 1500, 1200, 3000, HS_EARLY, HS_PIGGY },
	{ "SYN twice: R, D1 unknown", 0, false,
	  { { 0, SYN_, 0 }, { 1000000, SYN_, 0 }, { 1000010, SYNACK, 0 }, { 1020000, ACKS, 0 },
	    { 1021000, HELLO, 0 }, { 1041300, ACKS, 3000 }, { 1042500, CCS_FINISHED, 3000 } },
	  NONE, NONE, 1200, 1200, 3000, HS_SYN_RETX, 0 },
	{ "SYN twice, a short flight: no D3 either", 0, false,
	  { { 0, SYN_, 0 }, { 1000000, SYN_, 0 }, { 1000010, SYNACK, 0 }, { 1020000, ACKS, 0 },
	    { 1021000, HELLO, 0 }, { 1041300, ACKS, 900 }, { 1042500, CCS_FINISHED, 900 } },
	  NONE, NONE, 1200, NONE, 900, HS_SYN_RETX, 0 },
	{ "the hello carries the handshake ACK: R, D1 unknown, not 0", 0, false,
	  { { 0, SYN_, 0 }, { 10, SYNACK, 0 }, { 21000, HELLO, 0 }, { 41300, ACKS, 3000 },
	    { 42500, CCS_FINISHED, 3000 } },
	  NONE, NONE, 1200, 1200, 3000, 0, HS_FIRST_ACK },
	{ "the same, a short flight", 0, false,
	  { { 0, SYN_, 0 }, { 10, SYNACK, 0 }, { 21000, HELLO, 0 }, { 41300, ACKS, 900 },
	    { 42500, CCS_FINISHED, 900 } },
	  NONE, NONE, 1200, NONE, 900, 0, HS_FIRST_ACK },
	{ "a hello in the SYN: R, D1 unknown", 0, false,
	  { { 0, SYN_DATA, 0 }, { 10, SYNACK, 0 }, { 20000, ACKS, 0 }, { 41300, ACKS, 3000 },
	    { 42500, CCS_FINISHED, 3000 } },
	  NONE, NONE, 1200, 1200, 3000, HS_SYN_DATA, 0 },

	/* D1 to the first segment, D3 from the completing one: 67500 - 26000 - 20000 */
	{ "a hello of two segments", 0, false,
	  { OPENED, { 21000, PART, 0 }, { 26000, PART, 1 }, { 67000, ACKS, 900 },
	    { 67500, CCS_FINISHED, 900 } },
	  20000, 1000, 500, 21500, 900, 0, HS_OOO | HS_RETX },
	{ "its second segment first: no D1", 0, false,
	  { OPENED, { 21000, PART, 1 }, { 26000, PART, 0 }, { 41300, ACKS, 3000 },
	    { 42500, CCS_FINISHED, 3000 } },
	  20000, NONE, 1200, 1200, 3000, HS_OOO, 0 },
	{ "its first segment twice: no D1, no D3", 0, false,
	  { OPENED, { 21000, PART, 0 }, { 22000, PART, 0 }, { 26000, PART, 1 },
	    { 41300, ACKS, 900 }, { 42500, CCS_FINISHED, 900 } },
	  20000, NONE, 1200, NONE, 900, HS_RETX, HS_OOO },
	{ "the hello sent again: D1 stays, D3 goes", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 30000, AGAIN, 0 }, { 41300, ACKS, 900 },
	    { 42500, CCS_FINISHED, 900 } },
	  20000, 1000, 1200, NONE, 900, HS_RETX, 0 },

	{ "RST before the second flight", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 41300, ACKS, 3000 }, { 42500, RST_, 3000 } },
	  20000, 1000, NONE, NONE, 0, HS_NOF2, 0 },
	{ "FIN before the second flight", 0, false,
	  { OPENED, { 21000, HELLO, 0 }, { 41300, ACKS, 3000 }, { 42500, FIN_, 3000 } },
	  20000, 1000, NONE, NONE, 0, HS_NOF2, 0 },
	{ "FIN before the hello", 0, false,
	  { OPENED, { 42500, FIN_, 0 } },
	  20000, NONE, NONE, NONE, 0, HS_NOF2, 0 },
	{ "R of a third of a second, D1 of a preconnect", 0, false,
	  { { 0, SYN_, 0 }, { 10, SYNACK, 0 }, { 333333, ACKS, 0 }, { 1333333, HELLO, 0 },
	    { 1700000, ACKS, 3000 }, { 1700001, CCS_FINISHED, 3000 } },
	  333333, 1000000, 1, 1, 3000, 0, 0 },
};
/* clang-format on */

static struct bytes msg, wire, msg2, wire2;

static void played(struct conn *c, const struct step *s)
{
	size_t half = wire.len / 2;
	struct frame *f;

	if (s->what == PART) /* its n is no acknowledgement */
		c->rcv = c->isn_s + 1;
	else if (s->what != SYN_ && s->what != SYN_DATA && s->what != SYNACK)
		c->rcv = c->isn_s + 1 + s->n;
	switch (s->what) {
	case SYN_:
		conn_syn(c);
		break;
	case SYN_DATA:
		conn_segment(c, &(struct segment){ .seq = c->isn_c,
						   .flags = SYN,
						   .options = "\2\4\5\264",
						   .options_len = 4,
						   .data = wire.b,
						   .len = wire.len });
		c->snd += wire.len;
		break;
	case SYNACK:
		f = calloc(1, sizeof(*f));
		frame_tcp(f, &c->p, true,
			  &(struct segment){ .seq = c->isn_s, .ack = c->snd, .flags = SYN | ACK });
		if (c->snd == c->isn_c + 1)
			conn_synack(c);
		else
			bench_out(c->b, f);
		free(f);
		break;
	case ACKS:
		conn_ack(c);
		break;
	case HELLO:
		conn_send(c, wire.b, wire.len);
		break;
	case AGAIN:
		conn_send_at(c, 0, wire.b, wire.len);
		break;
	case PART:
		conn_send_at(c, s->n ? half : 0, wire.b + (s->n ? half : 0),
			     s->n ? wire.len - half : half);
		c->snd = c->isn_c + 1 + wire.len;
		break;
	case HELLO2:
		conn_send(c, wire2.b, wire2.len);
		break;
	case FIRST2:
		conn_send(c, wire2.b, 150);
		break;
	case REST2:
		conn_send(c, wire2.b + 150, wire2.len - 150);
		break;
	case EARLY:
		conn_send(c, (uint8_t[200]){ 23, 3, 3, 0, 195 }, 200);
		break;
	case CCS:
		conn_send(c, flight_two, 6);
		break;
	case CCS_AGAIN:
		c->snd -= 6;
		conn_send(c, flight_two, 6);
		break;
	case FINISHED:
		conn_send(c, flight_two + 6, 58);
		break;
	case CCS_FINISHED:
		conn_send(c, flight_two, 64);
		break;
	case FIN_:
		conn_close(c, FIN | ACK);
		break;
	case RST_:
		conn_close(c, RST);
		break;
	case END:
		break;
	}
}

static void each_script_gives_its_hand_worked_numbers(void **state)
{
	static const uint32_t isn[][2] = {
		{ 1000, 2000 }, { 0xffffff80, 7 }, { 5, 0xfffff800 }, { 0x7fffff00, 0x7ffffc00 }
	};
	struct bench *b = bench_of(state);
	uint16_t port = 0;

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		const struct script *s = &scripts[i];

		hello_build(&msg, &(struct hello_spec){ .psk = s->psk });
		record_wrap(&wire, &msg);
		hello_build(&msg2, &(struct hello_spec){ .cookie = true });
		record_wrap(&wire2, &msg2);
		b->c->s0[0] = s->s0_us * 1000ULL;
		for (size_t k = 0; k < 4; k++) {
			struct path p = path_v4(i, ++port);
			const struct event_handshake *e = &b->handshake.e;
			uint64_t t0 = b->t += 20 * SEC;
			size_t before;
			struct conn c;

			bench_events(b);
			before = b->handshake.n;
			conn_new(&c, b, &p);
			c.isn_c = isn[k][0];
			c.isn_s = isn[k][1];
			c.snd = c.isn_c + 1;
			for (const struct step *at = s->step; at->what != END; at++) {
				struct step one = *at;

				b->t = t0 + at->at;
				played(&c, &one);
			}
			bench_events(b);
			if (b->handshake.n != before + 1)
				fail_msg("%s: %zu handshakes", s->name, b->handshake.n - before);
			if (e->rtt_us != s->rtt || e->d1_us != s->d1 || e->d2_us != s->d2 ||
			    e->dstar_us != s->dstar || e->flight != s->flight ||
			    (e->flags & s->set) != s->set || e->flags & s->clear)
				fail_msg("%s (%zu): R %d D1 %d D2 %d D* %d flight %u flags %x",
					 s->name, k, (int)e->rtt_us, (int)e->d1_us, (int)e->d2_us,
					 (int)e->dstar_us, e->flight, e->flags);
			if (e->stack_key)
				assert_int_equal(e->result, HELLO_OK);
		}
	}
}

/* 40 */
static void a_hello_retry_request_is_one_connection(void **state)
{
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 9);
	struct conn c;

	hello_build(&msg, &(struct hello_spec){});
	hello_build(&msg2, &(struct hello_spec){ .cookie = true });
	conn_new(&c, b, &p);
	conn_open(&c);
	conn_hello(&c, &msg);
	conn_acks(&c, 99);
	conn_hello(&c, &msg2);
	conn_finish(&c);
	bench_events(b);
	assert_int_equal(b->hello.n, 2);
	assert_int_equal(b->hello.e.place, HELLO_RETRIED);
	assert_int_equal(b->handshake.n, 1);
	expect_count(b, HRR, 1);
	expect_count(b, CONN_PROVED, 1);
	/* The cookie is no part of the stack's name: one row. */
	assert_int_equal(bench_tallies(b), 1);
	assert_int_equal(bench_tally(b, &p, 0)->connections, 1);
	assert_int_equal(bench_tally(b, &p, 0)->stack, bench_keys(b, &msg2).stack_key);
}

/* The first byte of a Finished is encrypted: a 1 every 256th time. */
static void a_finished_that_begins_with_one_is_no_second_hello(void **state)
{
	static const size_t begin[] = { 0, 6 }; /* with its ChangeCipherSpec, or alone */
	struct bench *b = bench_of(state);

	hello_build(&msg, &(struct hello_spec){});
	for (size_t i = 0; i < 2; i++) {
		struct path p = path_v4(1, 20 + i);
		uint8_t flight[64];
		struct conn c;
		size_t n = b->hello.n, m = b->handshake.n;

		memcpy(flight, flight_two, sizeof(flight));
		memcpy(flight + 6, "\x16\x03\x03\x00\x35\x01\xc7\x55\x03\x9e", 10);
		conn_new(&c, b, &p);
		conn_open(&c);
		conn_hello(&c, &msg);
		conn_acks(&c, 99);
		if (begin[i])
			conn_send(&c, flight, begin[i]);
		conn_send(&c, flight + begin[i], sizeof(flight) - begin[i]);
		bench_events(b);
		assert_int_equal(b->hello.n, n + 1);
		assert_int_equal(b->handshake.n, m + 1);
		assert_int_equal(b->handshake.e.result, HELLO_OK);
		expect_count(b, HRR, 0);
	}
}

/* A client of a proxy asks for its way first; what it sends through is data, here too. */
static void a_hello_behind_other_bytes_is_no_second_hello(void **state)
{
	static const char ask[] = "CONNECT example.test:443 HTTP/1.1\r\n\r\n";
	struct bench *b = bench_of(state);
	struct path p = path_v4(1, 9);
	struct conn c;

	hello_build(&msg, &(struct hello_spec){});
	conn_new(&c, b, &p);
	conn_open(&c);
	conn_send(&c, ask, sizeof(ask) - 1);
	conn_acks(&c, 39);
	conn_hello(&c, &msg);
	conn_finish(&c);
	bench_events(b);
	assert_int_equal(b->hello.n, 1);
	assert_int_equal(b->hello.e.result, HELLO_HTTP);
	expect_count(b, HRR, 0);
	assert_int_equal(bench_tallies(b), 1);
	assert_int_equal(bench_tally(b, &p, 0)->stack, 0);
}

/* What a handshake leaves in its row: the cell, the ring of five, the smallest R. */
static void handshakes_fill_the_cells_and_the_ring_of_their_row(void **state)
{
	static const struct {
		uint32_t d1, dstar; /* us */
		int cell;
	} rounds[] = {
		{ 2949, 2949, 0 },    { 3000, 2000, 5 },     { 10000, 9949, 11 },
		{ 30000, 29000, 17 }, { 100000, 30000, 23 }, { 99949, 500000, 19 },
		{ 1000, 4000000, 4 },
	};
	struct bench *b = bench_of(state);
	uint8_t cells[25] = {};
	const struct tally_row *t = NULL;

	hello_build(&msg, &(struct hello_spec){});
	for (size_t i = 0; i < 7; i++) {
		struct path p = path_v4(1, 100 + i);
		struct conn c;

		conn_new(&c, b, &p);
		conn_syn(&c);
		conn_synack(&c);
		bench_after(b, 30 * MSEC - i * MSEC);
		conn_ack(&c);
		bench_after(b, rounds[i].d1);
		conn_hello(&c, &msg);
		bench_after(b, 20 * MSEC);
		conn_acks(&c, 3000);
		bench_after(b, rounds[i].dstar);
		conn_send(&c, flight_two, 64);
		cells[rounds[i].cell]++;
		t = bench_tally(b, &p, 0);
		assert_memory_equal(t->d1dstar, cells, sizeof(cells));
		assert_int_equal(t->rtt_min, 300 - i * 10);
		assert_int_equal(t->dstar[i % 5],
				 rounds[i].dstar > 3276600 ? 0x7ffe : (rounds[i].dstar + 50) / 100);
	}
	assert_int_equal(t->connections, 7);
	assert_int_equal(t->resumed, 0);
	/* A resumed one says so. */
	hello_build(&msg, &(struct hello_spec){ .psk = true });
	{
		struct path p = path_v4(1, 200);
		struct conn c;

		conn_whole(&c, b, &p, &msg);
		assert_int_equal(t->connections, 8);
		assert_int_equal(t->resumed, 1);
		assert_int_equal(t->dstar[2], DSTAR_RESUMED | 10);
	}
}

#define BENCH(t) cmocka_unit_test_setup_teardown(t, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH(each_script_gives_its_hand_worked_numbers),
		BENCH(a_hello_retry_request_is_one_connection),
		BENCH(a_finished_that_begins_with_one_is_no_second_hello),
		BENCH(a_hello_behind_other_bytes_is_no_second_hello),
		BENCH(handshakes_fill_the_cells_and_the_ring_of_their_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
