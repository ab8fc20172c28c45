/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/event.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/table.h"
#include "base/time.h"

struct message {
	uint8_t *bytes;
	size_t len;
};

struct event_reader {
	FILE *in;
	bool binary;
	uint64_t line; /* or record */
	char *text;
	struct message *hellos;
	size_t n_hellos;
	struct event_exchange *exchanges;
	size_t room;
};

void event_close(struct event_reader *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->n_hellos; i++)
		free(e->hellos[i].bytes);
	free(e->hellos);
	free(e->exchanges);
	free(e->text);
	free(e);
}

void event_closep(struct event_reader **e)
{
	event_close(*e);
}

int event_open(FILE *in, struct event_reader **out, struct reason *r)
{
	_cleanup_(event_closep) struct event_reader *e = calloc(1, sizeof(*e));
	char magic[sizeof(EVENT_MAGIC) - 1];
	int c;

	if (!e)
		return -ENOMEM;
	e->text = malloc(EVENT_LINE_MAX + 2);
	e->hellos = calloc(EVENT_HELLOS_MAX, sizeof(e->hellos[0]));
	if (!e->text || !e->hellos)
		return -ENOMEM;
	e->in = in;
	c = getc(in);
	if (c != EOF)
		ungetc(c, in);
	if (c == EVENT_MAGIC[0]) {
		if (fread(magic, sizeof(magic), 1, in) != 1 ||
		    memcmp(magic, EVENT_MAGIC, sizeof(magic)))
			return reason_set(r, -EINVAL,
					  "neither JSON lines nor binary events of this version");
		e->binary = true;
	}
	*out = take_ptr(e);
	return 0;
}

const uint8_t *event_hello(const struct event_reader *e, uint32_t index, size_t *len)
{
	if (index >= e->n_hellos)
		return NULL;
	*len = e->hellos[index].len;
	return e->hellos[index].bytes;
}

/* FNV-1a; a name for a signature, not a defence: the text itself is kept apart. */
uint32_t event_tcp_key(const char *signature)
{
	uint32_t h = 2166136261U;
	int field = 0;

	for (const char *p = signature; *p; p++) {
		if (*p == ':')
			field++;
		if (field == 3) /* ver:ittl:olen:mss:... */
			continue;
		if (field == 1 && (*p == '-' || *p == '+')) { /* "64-5", "64+5": distance */
			while (p[1] && p[1] != ':')
				p++;
			continue;
		}
		h = (h ^ (uint8_t)*p) * 16777619U;
	}
	return h ? h : 1;
}

static int add_hello(struct event_reader *e, uint8_t *bytes, size_t len, uint32_t *index)
{
	for (size_t i = e->n_hellos; i-- > 0;) {
		if (e->hellos[i].len == len && !memcmp(e->hellos[i].bytes, bytes, len)) {
			free(bytes);
			*index = i;
			return 0;
		}
	}
	if (e->n_hellos == EVENT_HELLOS_MAX) {
		free(bytes);
		return -ENOSPC;
	}
	e->hellos[e->n_hellos] = (struct message){ bytes, len };
	*index = e->n_hellos++;
	return 0;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int read_hello(struct event_reader *e, const json_t *j, uint32_t *index)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	const char *hex;
	size_t len;

	if (json_is_integer(j)) {
		json_int_t i = json_integer_value(j);

		if (i < 0 || (uint64_t)i >= e->n_hellos)
			return -EINVAL;
		*index = i;
		return 0;
	}
	if (!json_is_string(j))
		return -EINVAL;
	hex = json_string_value(j);
	len = json_string_length(j);
	if (len < 2 || len % 2 || len / 2 > HELLO_MAX)
		return -EINVAL;
	bytes = malloc(len / 2);
	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i < len / 2; i++) {
		int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		bytes[i] = high << 4 | low;
	}
	return add_hello(e, take_ptr(bytes), len / 2, index);
}

static int read_time(const json_t *j, uint64_t *ns)
{
	double t;

	if (json_is_string(j))
		return time_parse(json_string_value(j), ns);
	if (!json_is_number(j))
		return -EINVAL;
	t = json_number_value(j);
	if (!(t >= 0 && t < 18e9))
		return -EINVAL;
	/* A double holds today's seconds to 0.2 us: keep whole microseconds. */
	*ns = (uint64_t)floor(t) * NSEC_PER_SEC + (uint64_t)llround((t - floor(t)) * 1e6) * 1000;
	return 0;
}

static int read_u32(const json_t *j, uint64_t max, uint32_t unknown, uint32_t *out)
{
	double v;

	if (!j || json_is_null(j)) {
		*out = unknown;
		return 0;
	}
	if (!json_is_number(j))
		return -EINVAL;
	v = json_number_value(j);
	if (!(v >= 0 && v <= (double)max))
		return -EINVAL;
	*out = (uint32_t)v;
	return 0;
}

static int read_bool(const json_t *j, bool *out)
{
	uint32_t v;

	if (json_is_boolean(j)) {
		*out = json_is_true(j);
		return 0;
	}
	if (read_u32(j, 1, 0, &v))
		return -EINVAL;
	*out = v;
	return 0;
}

static int read_exchanges(struct event_reader *e, const json_t *j, struct event_conn *out)
{
	size_t n = json_array_size(j);

	out->exchanges = e->exchanges;
	out->n_exchanges = 0;
	if (!j || json_is_null(j))
		return 0;
	if (!json_is_array(j) || n > EVENT_EXCHANGES_MAX)
		return -EINVAL;
	if (n > e->room) {
		struct event_exchange *more = realloc(e->exchanges, n * sizeof(*more));

		if (!more)
			return -ENOMEM;
		e->exchanges = more;
		e->room = n;
	}
	for (size_t i = 0; i < n; i++) {
		const json_t *x = json_array_get(j, i);
		struct event_exchange *to = &e->exchanges[i];

		if (json_array_size(x) != 3 || read_u32(json_array_get(x, 0), ~0U, 0, &to->dt_ms) ||
		    read_u32(json_array_get(x, 1), ~0U, 0, &to->in) ||
		    read_u32(json_array_get(x, 2), ~0U, 0, &to->out))
			return -EINVAL;
	}
	out->exchanges = e->exchanges;
	out->n_exchanges = n;
	return 0;
}

static int read_order(const json_t *j, struct event_conn *out)
{
	const char *text = json_string_value(j);
	uint64_t order = 0;

	if (!j || json_is_null(j))
		return 0;
	if (!text || json_string_length(j) != 16)
		return -EINVAL;
	for (int i = 0; i < 16; i++) {
		if (nibble(text[i]) < 0)
			return -EINVAL;
		order = order << 4 | (uint64_t)nibble(text[i]);
	}
	out->has_order = true;
	out->order = order;
	return 0;
}

static int read_field(struct event_reader *e, const char *name, const json_t *j,
		      struct event_conn *out)
{
	uint32_t port = 0;
	int err;

	if (!strcmp(name, "t"))
		return read_time(j, &out->t);
	if (!strcmp(name, "src"))
		return json_is_string(j) ? addr_parse(json_string_value(j), &out->src) : -EINVAL;
	if (!strcmp(name, "sport") || !strcmp(name, "dport")) {
		err = read_u32(j, 65535, name[0] == 's' ? 0 : 443, &port);
		*(name[0] == 's' ? &out->sport : &out->dport) = port;
		return err;
	}
	if (!strcmp(name, "hello"))
		return read_hello(e, j, &out->hello);
	if (!strcmp(name, "tcp")) {
		if (json_is_null(j))
			return 0;
		if (!json_is_string(j))
			return -EINVAL;
		out->tcp_key = event_tcp_key(json_string_value(j));
		return 0;
	}
	if (!strcmp(name, "rtt_us"))
		return read_u32(j, US_UNKNOWN - 1, US_UNKNOWN, &out->rtt_us);
	if (!strcmp(name, "d1_us"))
		return read_u32(j, US_UNKNOWN - 1, US_UNKNOWN, &out->d1_us);
	if (!strcmp(name, "d2_us"))
		return read_u32(j, US_UNKNOWN - 1, US_UNKNOWN, &out->d2_us);
	if (!strcmp(name, "dstar_us"))
		return read_u32(j, US_UNKNOWN - 1, US_UNKNOWN, &out->dstar_us);
	if (!strcmp(name, "piggy"))
		return read_bool(j, &out->piggy);
	if (!strcmp(name, "psk"))
		return read_bool(j, &out->psk);
	if (!strcmp(name, "order"))
		return read_order(j, out);
	if (!strcmp(name, "exchanges"))
		return read_exchanges(e, j, out);
	return -ENOENT;
}

static void event_blank(struct event_conn *out)
{
	*out = (struct event_conn){
		.dport = 443,
		.rtt_us = US_UNKNOWN,
		.d1_us = US_UNKNOWN,
		.d2_us = US_UNKNOWN,
		.dstar_us = US_UNKNOWN,
	};
}

static int next_line(struct event_reader *e, struct event_conn *out, struct reason *r)
{
	static const char *const required[] = { "t", "src", "hello" };
	_cleanup_(json_decrefp) json_t *line = NULL;
	json_error_t error;
	const char *name;
	json_t *value;
	size_t len;
	int err;

	do {
		if (!fgets(e->text, EVENT_LINE_MAX + 2, e->in))
			return ferror(e->in) ? reason_set(r, -EIO, "read error") : 0;
		e->line++;
		len = strlen(e->text);
		if (len > EVENT_LINE_MAX)
			return reason_set(r, -EINVAL, "line %llu: longer than 1 MiB",
					  (unsigned long long)e->line);
	} while (e->text[strspn(e->text, " \t\r\n")] == '\0');

	line = json_loads(e->text, JSON_REJECT_DUPLICATES, &error);
	if (!line || !json_is_object(line))
		return reason_set(r, -EINVAL, "line %llu: %s", (unsigned long long)e->line,
				  line ? "not an object" : error.text);
	for (size_t i = 0; i < 3; i++) {
		if (!json_object_get(line, required[i]))
			return reason_set(r, -EINVAL, "line %llu: no \"%s\"",
					  (unsigned long long)e->line, required[i]);
	}
	event_blank(out);
	json_object_foreach(line, name, value) {
		err = read_field(e, name, value, out);
		if (err == -ENOMEM)
			return err;
		if (err == -ENOSPC)
			return reason_set(r, -EINVAL, "line %llu: more than %u different hellos",
					  (unsigned long long)e->line, EVENT_HELLOS_MAX);
		if (err)
			return reason_set(r, -EINVAL, "line %llu: %s \"%.40s\"",
					  (unsigned long long)e->line,
					  err == -ENOENT ? "unknown field" : "bad value of", name);
	}
	return 1;
}

/* Blocks of 64 bytes that hold `len`; the rest must be zero. */
static int read_blocks(struct event_reader *e, void *to, size_t len)
{
	static const uint8_t zero[64];
	size_t over = (64 - len % 64) % 64;
	uint8_t tail[64];

	if (len && fread(to, len, 1, e->in) != 1)
		return -EINVAL;
	if (over && (fread(tail, over, 1, e->in) != 1 || memcmp(tail, zero, over)))
		return -EINVAL;
	return 0;
}

static int next_record(struct event_reader *e, struct event_conn *out, struct reason *r)
{
	struct event_wire w;
	uint32_t index;
	uint8_t *bytes;
	size_t got;
	int err;

again:
	got = fread(&w, 1, sizeof(w), e->in);
	if (got == 0)
		return ferror(e->in) ? reason_set(r, -EIO, "read error") : 0;
	e->line++;
	if (got != sizeof(w))
		return reason_set(r, -EINVAL, "record %llu: cut short",
				  (unsigned long long)e->line);
	if (w.type == 2 && w.len >= 1 && w.len <= HELLO_MAX) {
		bytes = malloc(w.len);
		if (!bytes)
			return -ENOMEM;
		if (read_blocks(e, bytes, w.len)) {
			free(bytes);
			return reason_set(r, -EINVAL, "record %llu: hello cut short",
					  (unsigned long long)e->line);
		}
		err = add_hello(e, bytes, w.len, &index);
		if (err)
			return reason_set(r, -EINVAL, "record %llu: more than %u different hellos",
					  (unsigned long long)e->line, EVENT_HELLOS_MAX);
		goto again;
	}
	if (w.type != 1 || w.len > EVENT_EXCHANGES_MAX || w.hello >= e->n_hellos)
		return reason_set(r, -EINVAL, "record %llu: %s", (unsigned long long)e->line,
				  w.type != 1                   ? "bad type"
				  : w.len > EVENT_EXCHANGES_MAX ? "too many exchanges"
								: "a hello not given before");
	if (w.len > e->room) {
		struct event_exchange *more = realloc(e->exchanges, w.len * sizeof(*more));

		if (!more)
			return -ENOMEM;
		e->exchanges = more;
		e->room = w.len;
	}
	if (read_blocks(e, e->exchanges, w.len * sizeof(e->exchanges[0])))
		return reason_set(r, -EINVAL, "record %llu: exchanges cut short",
				  (unsigned long long)e->line);
	*out = (struct event_conn){
		.t = w.t,
		.src = { w.src_hi, w.src_lo },
		.sport = w.sport,
		.dport = w.dport,
		.hello = w.hello,
		.tcp_key = w.tcp_key,
		.rtt_us = w.rtt_us,
		.d1_us = w.d1_us,
		.d2_us = w.d2_us,
		.dstar_us = w.dstar_us,
		.piggy = w.flags & 1,
		.psk = w.flags & 2,
		.has_order = w.flags & 4,
		.order = w.order,
		.exchanges = e->exchanges,
		.n_exchanges = w.len,
	};
	return 1;
}

int event_next(struct event_reader *e, struct event_conn *out, struct reason *r)
{
	return e->binary ? next_record(e, out, r) : next_line(e, out, r);
}

static int write_blocks(FILE *out, const void *from, size_t len)
{
	static const uint8_t zero[64];
	size_t over = (64 - len % 64) % 64;

	if (len && fwrite(from, len, 1, out) != 1)
		return -EIO;
	if (over && fwrite(zero, over, 1, out) != 1)
		return -EIO;
	return 0;
}

int event_write_magic(FILE *out)
{
	return fwrite(EVENT_MAGIC, sizeof(EVENT_MAGIC) - 1, 1, out) == 1 ? 0 : -EIO;
}

int event_write_hello(FILE *out, const uint8_t *message, size_t len)
{
	struct event_wire w = { .type = 2, .len = len };

	if (len < 1 || len > HELLO_MAX)
		return -EINVAL;
	if (fwrite(&w, sizeof(w), 1, out) != 1)
		return -EIO;
	return write_blocks(out, message, len);
}

int event_write(FILE *out, const struct event_conn *e)
{
	struct event_wire w = {
		.type = 1,
		.len = e->n_exchanges,
		.t = e->t,
		.src_hi = e->src.hi,
		.src_lo = e->src.lo,
		.tcp_key = e->tcp_key,
		.rtt_us = e->rtt_us,
		.d1_us = e->d1_us,
		.d2_us = e->d2_us,
		.dstar_us = e->dstar_us,
		.hello = e->hello,
		.sport = e->sport,
		.dport = e->dport,
		.flags = e->piggy | e->psk << 1 | e->has_order << 2,
		.order = e->order,
	};

	if (e->n_exchanges > EVENT_EXCHANGES_MAX || e->hello >= EVENT_HELLOS_MAX)
		return -EINVAL;
	if (fwrite(&w, sizeof(w), 1, out) != 1)
		return -EIO;
	return write_blocks(out, e->exchanges, e->n_exchanges * sizeof(e->exchanges[0]));
}
