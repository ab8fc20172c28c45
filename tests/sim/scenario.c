/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scenario.c - labelled traffic that nobody had to send: the event stream of one
 * made-up site, from one seed.
 *
 *	scenario [KEY=VALUE]... >EVENTS
 *
 *	seed=1 design=F1 sources=4000 baseline=7200 seconds=14400 farm=600 rate=7.4
 *	share=0 sites=1 far=waits|early|forwarder labels=FILE format=jsonl|binary
 *
 * design: F0 own stack, F1 a popular SDK's, F2 browser with one frozen extension order,
 *         F3 browser, permuted, never resumes, F4 as F3 with people's timing and
 *         resumption, F5 as F4 behind exits that answer early, F7 TLS at the exit
 *         under its own busy scheduler, F8 TLS at the exit and people's timing
 *         (nothing to see); N1 identical pods, N2 pods behind a corporate proxy, N3
 *         load test, N4 SDK release, N4s the same, slow to check certificates, N6
 *         relay users double, N5 browser release, N7 monitoring, N9 flash crowd, N10
 *         large NATs arrive, N11 pods of many regions, N12 a privacy app that gives
 *         everybody an own far end (N12b: all of one stack), N14 everybody back from an
 *         outage, N15 part of the net jams; none.
 * share:  farm sources as a share of its stack (overrides farm=).
 *
 * People: sessions of geometric length, gaps lognormal (30 s, 1.3), pauses lognormal
 * (40 min, 1.2), rates lognormal between sources, 5% behind shared relays, 4% NATs;
 * automation: cron or Gamma renewals. Delays after timing.md section 3, with losses,
 * slow CA stores, and jitter that hits D1 and D* of one connection together.
 * Everything is an assumption; the detector must not know any of it, so no header of
 * its room is included here.
 *
 * labels: one line a (source, stack): SRC STACK_NUMBER ROLE.
 */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/time.h"
#include "model/event.h"
#include "tests/sim/stacks.h"

#define START             1767225600.0 /* 2026-01-01 */
#define EXCHANGES_A_VISIT 12

/* ---- sources ------------------------------------------------------------------- */

enum pace { SESSIONS, CRON, RENEWAL, POISSON, EVEN };
enum far_end { DIRECT, WAITS, EARLY, FORWARDER };

struct source {
	struct addr addr;
	const char *role;
	unsigned int stack;
	const char *tcp;
	enum pace pace;
	enum far_end far;
	double every;                /* s between visits; SESSIONS: scales rate */
	double jitter;               /* EVEN, CRON: share of `every` */
	double rtt, leg, leg_jitter; /* ms */
	double own_leg; /* relays: each visit is another person's, up to this; 0: leg */
	double nagle;   /* D* = nagle * leg + late */
	double late;
	double noise; /* ms, hits D1 and D* of one connection together */
	double cert;  /* ms, blocking certificate check */
	double resumes;
	double next, until;
	bool storm;           /* in a network that jams for an hour */
	bool permuted, known; /* known: has a session to resume */
	unsigned int left;    /* visits left in this session */
	uint64_t order;       /* frozen, if not permuted */
};

static struct source *sources;
static size_t n_sources, room;
static FILE *labels;
static double seconds = 14400, baseline = 7200;
static unsigned int networks[512]; /* eyeball /16s */

static struct source *new_source(const char *role, unsigned int stack, struct addr a)
{
	char text[ADDR_TEXT];
	struct source *s;

	if (n_sources == room) {
		room = room ? room * 2 : 4096;
		sources = realloc(sources, room * sizeof(*sources));
		if (!sources)
			exit(1);
	}
	s = &sources[n_sources++];
	*s = (struct source){
		.addr = a,
		.role = role,
		.stack = stack,
		.rtt = fmax(1, lognormal(28, .6)),
		.nagle = 1,
		.until = seconds,
		.resumes = stacks[stack].resumes,
		.permuted = stacks[stack].permutes,
	};
	if (labels)
		fprintf(labels, "%s %u %s\n", addr_text(a, text), stack, role);
	return s;
}

static struct addr eyeball(void)
{
	/* Some networks are larger than others. */
	unsigned int n = networks[(unsigned int)(512 * pow(uniform(), 1.5))];

	return addr_v4(n << 16 | below(65536));
}

static struct addr inside(unsigned int slash16, unsigned int bits_, unsigned int net)
{
	return addr_v4(slash16 << 16 | net << (32 - bits_) | (below(1U << (32 - bits_)) | 1));
}

static const char *tcp_of(const struct stack *s)
{
	double u = uniform();

	if (s->kind == BROWSER)
		return signatures[u < .5 ? 1 : u < .75 ? 2 : u < .92 ? 3 : u < .97 ? 0 : 4];
	return signatures[u < .85 ? 0 : u < .92 ? 1 : u < .97 ? 2 : 4];
}

static unsigned int any_stack(void)
{
	double u = uniform();

	for (unsigned int i = 0; i < STACKS; i++) {
		u -= stacks[i].share;
		if (u < 0)
			return i;
	}
	return 0;
}

static void person(struct source *s)
{
	s->pace = SESSIONS;
	s->every = lognormal(1, 1);
	s->next = exponential(2400 * s->every) * uniform();
	if (uniform() < .3) { /* mobile */
		s->rtt = lognormal(60, .6);
		s->noise = range(1, 12);
	}
}

/* People come and go: a third of everybody is first seen at any time. */
static void arrive(struct source *s)
{
	if (uniform() < .35)
		s->next += uniform() * seconds;
	if (uniform() < .05) { /* an old telephone: slow keys, slow certificates */
		s->late = range(8, 50);
		s->noise = range(2, 15);
	}
}

static void organic(unsigned int stack)
{
	struct source *s = new_source("organic", stack, eyeball());
	double u = uniform();

	s->tcp = tcp_of(&stacks[stack]);
	person(s);
	if (stacks[stack].kind == BROWSER || u < .4) {
		arrive(s);
		return;
	}
	if (u < .7) {
		s->pace = CRON;
		s->every = 60 * (1 + below(30));
		s->jitter = .02;
	} else {
		s->pace = RENEWAL;
		s->every = lognormal(200, 1.2);
	}
	s->next = uniform() * s->every;
}

/* Shared relay exits: many people, each with an own leg, in few networks. */
static void relay_users(unsigned int exits, unsigned int stack, double from, const char *role)
{
	static unsigned int block[4];

	for (unsigned int i = 0; i < exits; i++) {
		struct source *s;

		if (!block[i % 4])
			block[i % 4] = 0x6800 + below(256);
		s = new_source(role, stack, inside(block[i % 4], 24, below(6)));
		person(s);
		s->tcp = signatures[0];
		s->far = uniform() < .5 ? FORWARDER : WAITS;
		s->own_leg = 120;
		s->every = .05 * lognormal(1, .7);
		s->next = from + uniform() * 600;
	}
}

/* One person's own way out: an own far end, anywhere. */
static void tunnel(struct source *s, double from)
{
	s->tcp = signatures[below(2) ? 0 : below(SIGNATURES)];
	person(s);
	s->far = uniform() < .5 ? FORWARDER : WAITS;
	s->leg = lognormal(40, .8);
	s->leg_jitter = .05;
	s->next += from;
	if (uniform() < .35)
		s->next += uniform() * seconds;
}

static void populate(unsigned int n)
{
	for (unsigned int i = 0; i < 512; i++)
		networks[i] = 0x0b00 + below(0x5000);
	for (unsigned int i = 0; i < n; i++)
		organic(any_stack());
	for (unsigned int i = 0; i < n / 25; i++) { /* NATs: people share an address */
		struct addr a = eyeball();

		for (unsigned int k = 2 + below(5); k; k--) {
			struct source *s = new_source("nat", any_stack(), a);

			s->tcp = tcp_of(&stacks[s->stack]);
			person(s);
			s->every *= .5;
		}
	}
	for (unsigned int i = 0; i < 6; i++)
		relay_users(n / 400 + 1, any_stack(), 0, "relay");
	/* A few people tunnel by themselves: one far end each, anywhere. */
	for (unsigned int i = 0; i < n / 100; i++) {
		struct source *s = new_source("tunnel", any_stack(), eyeball());

		tunnel(s, 0);
	}
}

/* ---- farms --------------------------------------------------------------------- */

struct farm {
	unsigned int n, stack, sites;
	double every; /* s between visits of one exit */
	bool people, exit_tls, frozen, resumes;
	enum far_end far;
};

static void farm(const struct farm *f, double from, const char *role)
{
	unsigned int nets = f->n / 4 + 1, program = below(3);
	double(*legs)[10] = malloc(nets * sizeof(*legs));
	unsigned int *net = malloc(nets * sizeof(*net));
	uint64_t order = bits();

	if (!legs || !net)
		exit(1);
	for (unsigned int i = 0; i < nets; i++) {
		net[i] = networks[below(512)] << 4 | below(16); /* a /20 */
		for (unsigned int k = 0; k < f->sites; k++)
			legs[i][k] = fmax(6, lognormal(70, .6));
	}
	for (unsigned int i = 0; i < f->n; i++) {
		unsigned int p = below(nets);
		struct source *s = new_source(role, f->stack, inside(net[p] >> 4, 20, net[p] & 15));

		s->tcp = signatures[below(SIGNATURES)];
		if (!f->exit_tls) {
			s->far = f->far;
			s->leg = legs[p][below(f->sites)];
			s->leg_jitter = .04;
			s->nagle = program == 1 ? 2 : 1;
			s->late = program == 2 ? 45 : 3;
		}
		s->pace = f->people ? SESSIONS : uniform() < .5 ? POISSON : EVEN;
		s->every = f->people ? lognormal(.3, 1) : f->every;
		s->jitter = .5;
		s->next = from + uniform() * (f->people ? 1800 : f->every);
		s->resumes = f->resumes ? stacks[f->stack].resumes : 0;
		if (f->frozen) {
			s->permuted = false;
			s->order = order;
		}
	}
	free(legs);
	free(net);
}

static void fleet(const char *role, unsigned int n, unsigned int stack, unsigned int prefixes,
		  double every, double from, double until, double leg)
{
	unsigned int base = 0x3400 + below(256);

	for (unsigned int i = 0; i < n; i++) {
		unsigned int p = i % prefixes;
		struct source *s = new_source(role, stack,
					      prefixes > 10 ? inside(base + p, 24, below(256))
							    : inside(base, 24, p));

		s->tcp = signatures[0];
		s->pace = EVEN;
		s->every = every;
		s->jitter = .3;
		s->rtt = 5 + 3 * (p % 7);
		if (leg > 0) {
			s->far = WAITS;
			s->leg = leg;
			s->leg_jitter = .05;
		}
		s->next = from + uniform() * every;
		s->until = until;
	}
}

static void crowd(const char *role, unsigned int n, unsigned int stack, double ramp, double cert)
{
	for (unsigned int i = 0; i < n; i++) {
		struct source *s = new_source(role, stack, eyeball());

		s->tcp = tcp_of(&stacks[stack]);
		person(s);
		s->cert = cert;
		s->next = baseline + ramp * sqrt(uniform()) + s->next * .2;
	}
}

static enum far_end far = WAITS;

static int design(const char *d, unsigned int n_farm, double rate, double share, unsigned int sites,
		  unsigned int n)
{
	struct farm f = { .n = n_farm, .stack = 4, .sites = sites };
	unsigned int in_stack = 0, k = strcspn(d, "0123456789");

	if (d[0] == 'F') {
		char which = d[k];

		f.stack = which == '0' || which == '7' ? STACKS - 1 : which == '1' ? 4 : 1;
		if (which == '7')
			f.stack = 4;
		f.frozen = which == '2';
		f.people = which == '4' || which == '5' || which == '8';
		f.resumes = f.people;
		f.far = which == '5' ? EARLY : far;
		f.exit_tls = which == '7' || which == '8';
		if (share > 0) {
			for (size_t i = 0; i < n_sources; i++)
				in_stack += sources[i].stack == f.stack;
			f.n = fmax(1, in_stack * share / (1 - share));
		}
		f.every = f.n / rate;
		farm(&f, baseline + 120, "farm");
		return 0;
	}
	if (!strcmp(d, "N1"))
		fleet("pods", 200 + n / 8, 5, 3, 40, baseline * uniform(), seconds, 0);
	else if (!strcmp(d, "N2"))
		fleet("sase", 200 + n / 8, 5, 6, 60, baseline + 60, seconds, 30);
	else if (!strcmp(d, "N3"))
		fleet("load", 40, 6, 2, .5, baseline + 600, baseline + 1500, 0);
	else if (!strcmp(d, "N4"))
		crowd("release", n / 4, STACKS - 1, 3600, 0);
	else if (!strcmp(d, "N4s"))
		crowd("release", n / 4, STACKS - 1, 3600, 60);
	else if (!strcmp(d, "N6"))
		for (unsigned int i = 0; i < 6; i++)
			relay_users(n / 400 + 10, any_stack(), baseline + 300 * i, "relay-new");
	else if (!strcmp(d, "N7"))
		for (unsigned int i = 0; i < 200; i++) {
			struct source *s = new_source("monitor", 7, eyeball());

			s->tcp = signatures[0];
			s->pace = CRON;
			s->every = 60;
			s->jitter = .01;
			s->next = baseline + 60 * uniform();
		}
	else if (!strcmp(d, "N9"))
		crowd("crowd", n / 3, 2, 600, 0);
	else if (!strcmp(d, "N10"))
		for (unsigned int i = 0; i < 40; i++) {
			struct addr a = eyeball();

			for (unsigned int p = 0; p < 30; p++) {
				struct source *s = new_source("nat-new", any_stack(), a);

				s->tcp = signatures[4];
				person(s);
				s->every *= .3;
				s->next = baseline + 600 * uniform();
			}
		}
	else if (!strcmp(d, "N5")) /* a browser's next version: people move over in an hour */
		for (size_t i = 0, was = n_sources; i < was; i++) {
			struct source *s;

			if (sources[i].stack != 0 || uniform() < .5)
				continue;
			s = new_source("release", STACKS - 1, sources[i].addr);
			sources[i].until = baseline + uniform() * 3600;
			*s = sources[i];
			s->role = "release";
			s->stack = STACKS - 1;
			s->next = s->until;
			s->until = seconds;
		}
	else if (!strcmp(d, "N12") || !strcmp(d, "N12b")) /* a privacy app: an own far end each */
		for (unsigned int i = 0; i < n / 10; i++)
			tunnel(new_source("tunnel-new", d[3] ? 4 : any_stack(), eyeball()),
			       baseline + 1800 * uniform());
	else if (!strcmp(d, "N14")) /* everybody comes back from an outage at once */
		for (size_t i = 0, was = n_sources / 2; i < was; i++) {
			struct source *s =
				new_source(sources[i].role, sources[i].stack, sources[i].addr);

			*s = sources[i];
			s->next = baseline + 3000 + exponential(20);
			sources[i].until = baseline + 1800;
		}
	else if (!strcmp(d, "N15")) /* part of the net jams for an hour */
		for (size_t i = 0; i < n_sources; i++)
			sources[i].storm = sources[i].addr.lo >> 16 & 1;
	else if (!strcmp(d, "N11"))
		fleet("pods", 300, 5, 40, 60, baseline + 60, seconds, 0);
	else if (strcmp(d, "none"))
		return -1;
	return 0;
}

/* ---- visits -------------------------------------------------------------------- */

static uint32_t micro(double ms)
{
	return ms < 0 ? 0 : ms > 60000 ? 60000000 : ms * 1000;
}

/* timing.md: what one handshake of this source measures. */
static void delays(const struct source *s, struct event_conn *e)
{
	double noise = s->noise > 0 && uniform() < .3 ? exponential(s->noise) : 0;
	double own = lognormal(1, .5), rtt = s->rtt * (1 + .08 * fabs(normal()));
	double leg = s->own_leg > 0 ? range(8, s->own_leg)
				    : s->leg * fmax(.5, 1 + s->leg_jitter * normal());
	double d1 = lognormal(.6, .5) + noise, d = own + s->cert + noise;

	d += s->late;
	if (stacks[s->stack].slow_ca)
		d = fmax(d, 33 - rtt - leg + normal());
	if (s->storm && s->next > baseline + 1800 && s->next < baseline + 5400 && uniform() < .6)
		d1 += noise = exponential(40), d += noise;
	if (s->far != DIRECT) {
		d1 = s->far == WAITS   ? leg + lognormal(2.4, .3)
		     : s->far == EARLY ? fmax(.3, leg - rtt)
				       : .2;
		d += s->nagle * leg;
		if (uniform() < .07) /* acknowledgements held up */
			d = own;
	}
	if (uniform() < .006)
		d1 += 200 + rtt; /* the hello was lost once */
	e->rtt_us = micro(rtt);
	e->d1_us = micro(d1);
	e->dstar_us = micro(d);
	e->d2_us = e->dstar_us;
	if (uniform() < .004) /* the handshake's ACK was lost */
		e->d1_us = e->rtt_us = US_UNKNOWN;
	if (uniform() < .01)
		e->dstar_us = US_UNKNOWN;
}

/* The time of the next visit. */
static double step(struct source *s)
{
	switch (s->pace) {
	case SESSIONS:
		if (!s->left)
			s->left = 1 + (unsigned int)exponential(4);
		if (--s->left)
			return lognormal(30, 1.3);
		return s->every * lognormal(2400, 1.2);
	case CRON:
	case EVEN:
		return fmax(.05, s->every * (1 + s->jitter * normal()));
	case RENEWAL:
		return s->every * exponential(1) * (uniform() < .3 ? 2.5 : .36);
	default:
		return exponential(s->every);
	}
}

static unsigned int hello_number[STACKS], hellos_given;
static bool binary;

static void visit(struct source *s, double t)
{
	struct event_exchange x[EXCHANGES_A_VISIT];
	unsigned int n = s->pace == SESSIONS ? 1 + below(3) : 1;
	struct stack *k = &stacks[s->stack];
	struct event_conn e = { .t = (uint64_t)((START + t) * 1e6) * 1000, .src = s->addr };
	double dt = 50;
	char text[ADDR_TEXT];

	e.dport = 443;
	e.sport = 1024 + below(60000);
	e.psk = s->known && uniform() < s->resumes;
	s->known = true;
	e.tcp_key = event_tcp_key(s->tcp);
	delays(s, &e);
	for (unsigned int i = 0; i < n; i++) {
		x[i] = (struct event_exchange){ dt, 200 + below(3000), lognormal(4000, 1.2) };
		dt += 500 + exponential(4000);
	}
	e.exchanges = x;
	e.n_exchanges = n;
	e.has_order = s->permuted || s->order;
	e.order = (s->permuted ? bits() : s->order) & 0xffffffff;
	if (binary) {
		if (!hello_number[s->stack]) {
			event_write_hello(stdout, k->hello, k->len);
			hello_number[s->stack] = ++hellos_given;
		}
		e.hello = hello_number[s->stack] - 1;
		event_write(stdout, &e);
		return;
	}
	printf("{\"t\":%.6f,\"src\":\"%s\",\"sport\":%u,\"dport\":443,\"hello\":", START + t,
	       addr_text(s->addr, text), e.sport);
	if (!hello_number[s->stack]) {
		putchar('"');
		for (size_t i = 0; i < k->len; i++)
			printf("%02x", k->hello[i]);
		putchar('"');
		hello_number[s->stack] = ++hellos_given;
	} else {
		printf("%u", hello_number[s->stack] - 1);
	}
	printf(",\"tcp\":\"%s\"", s->tcp);
	if (e.rtt_us != US_UNKNOWN)
		printf(",\"rtt_us\":%u,\"d1_us\":%u", e.rtt_us, e.d1_us);
	if (e.dstar_us != US_UNKNOWN)
		printf(",\"d2_us\":%u,\"dstar_us\":%u", e.d2_us, e.dstar_us);
	printf(",\"piggy\":false,\"psk\":%s", e.psk ? "true" : "false");
	if (e.has_order)
		printf(",\"order\":\"%016" PRIx64 "\"", e.order);
	fputs(",\"exchanges\":[", stdout);
	for (unsigned int i = 0; i < n; i++)
		printf("%s[%u,%u,%u]", i ? "," : "", x[i].dt_ms, x[i].in, x[i].out);
	puts("]}");
}

/* ---- all together, in order of time -------------------------------------------- */

static size_t *heap, heap_n;

static void sift(size_t i)
{
	size_t top = heap[i], child;

	while ((child = 2 * i + 1) < heap_n) {
		if (child + 1 < heap_n && sources[heap[child + 1]].next < sources[heap[child]].next)
			child++;
		if (sources[heap[child]].next >= sources[top].next)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = top;
}

static void play(void)
{
	heap = malloc(n_sources * sizeof(*heap));
	if (!heap)
		exit(1);
	heap_n = n_sources;
	for (size_t i = 0; i < n_sources; i++)
		heap[i] = i;
	for (size_t i = heap_n / 2; i-- > 0;)
		sift(i);
	while (heap_n) {
		struct source *s = &sources[heap[0]];

		if (s->next >= s->until) {
			heap[0] = heap[--heap_n];
		} else {
			visit(s, s->next);
			s->next += step(s);
		}
		if (heap_n)
			sift(0);
	}
}

int main(int argc, char **argv)
{
	unsigned int seed = 1, n = 4000, n_farm = 600, sites = 1;
	double rate = 7.4, share = 0;
	const char *what = "none", *v;

	for (int i = 1; i < argc; i++) {
		v = strchr(argv[i], '=');
		if (!v++)
			goto usage;
		if (!strncmp(argv[i], "seed=", 5))
			seed = atoi(v);
		else if (!strncmp(argv[i], "design=", 7))
			what = v;
		else if (!strncmp(argv[i], "sources=", 8))
			n = atoi(v);
		else if (!strncmp(argv[i], "baseline=", 9))
			baseline = atof(v);
		else if (!strncmp(argv[i], "seconds=", 8))
			seconds = atof(v);
		else if (!strncmp(argv[i], "farm=", 5))
			n_farm = atoi(v);
		else if (!strncmp(argv[i], "rate=", 5))
			rate = atof(v);
		else if (!strncmp(argv[i], "share=", 6))
			share = atof(v);
		else if (!strncmp(argv[i], "sites=", 6))
			sites = atoi(v);
		else if (!strncmp(argv[i], "far=", 4))
			far = !strcmp(v, "early")       ? EARLY
			      : !strcmp(v, "forwarder") ? FORWARDER
							: WAITS;
		else if (!strncmp(argv[i], "format=", 7))
			binary = !strcmp(v, "binary");
		else if (!strncmp(argv[i], "labels=", 7))
			labels = fopen(v, "w");
		else
			goto usage;
	}
	if (sites < 1 || sites > 10 || n_farm < 1 || n < 1)
		goto usage;
	seed_state = seed * 0x9e3779b97f4a7c15ULL;
	build_stacks();
	populate(n);
	if (design(what, n_farm, rate, share, sites, n))
		goto usage;
	if (binary)
		event_write_magic(stdout);
	play();
	if (labels)
		fclose(labels);
	return ferror(stdout) ? 1 : 0;
usage:
	fputs("usage: scenario [seed=N] [design=F0..F8|N1..N11|none] [KEY=VALUE]...\n", stderr);
	return 2;
}
