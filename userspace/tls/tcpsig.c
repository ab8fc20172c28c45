/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tls/tcpsig.h"

#define TCP_MIN      20
#define DISTANCE_MAX 35 /* hops; farther is "+?" */
#define SCALE_MAX    14

/* In the order they are printed. */
#define QUIRKS(X)              \
	X(DF, "df")            \
	X(ID_SET, "id+")       \
	X(ID_ZERO, "id-")      \
	X(ECN, "ecn")          \
	X(MBZ, "0+")           \
	X(FLOW, "flow")        \
	X(SEQ_ZERO, "seq-")    \
	X(ACK_SET, "ack+")     \
	X(URGENT_SET, "uptr+") \
	X(URG, "urgf+")        \
	X(PUSH, "pushf+")      \
	X(TS1_ZERO, "ts1-")    \
	X(TS2_SET, "ts2+")     \
	X(TRAILING, "opt+")    \
	X(SCALE, "exws")       \
	X(BAD, "bad")

enum quirk {
#define X(id, name) QUIRK_##id,
	QUIRKS(X)
#undef X
		QUIRK_MAX
};

static const char *const quirk_names[QUIRK_MAX] = {
#define X(id, name) [QUIRK_##id] = name,
	QUIRKS(X)
#undef X
};

struct text {
	char *at, *end;
};

/* What does not fit is cut; the last byte is always a NUL. */
static void put(struct text *t, const char *s)
{
	while (*s && t->at < t->end - 1)
		*t->at++ = *s++;
	*t->at = '\0';
}

static void put_number(struct text *t, uint16_t v)
{
	char digits[6] = "";
	int at = sizeof(digits) - 1;

	do
		digits[--at] = '0' + v % 10;
	while (v /= 10);
	put(t, digits + at);
}

/* What the options say. */
struct options {
	uint16_t mss;
	uint8_t scale;
	bool ts1; /* own timestamp, not zero */
	uint32_t quirks;
	struct text layout;
};

static void put_option(struct options *o, const char *name)
{
	put(&o->layout, name);
	put(&o->layout, ",");
}

static uint32_t u32_at(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static uint16_t u16_at(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

/* Behind an end-of-options anything but zeros is a quirk; p0f leaves out the last byte. */
static void options_end(struct options *o, const uint8_t *p, const uint8_t *end)
{
	put(&o->layout, "eol+");
	put_number(&o->layout, end - p);
	put(&o->layout, ",");
	for (; p + 1 < end; p++)
		if (*p)
			o->quirks |= 1U << QUIRK_TRAILING;
}

/* One option of a known, fixed size: a wrong length is a quirk, but it is read. */
static bool option_fixed(struct options *o, const uint8_t *p, const uint8_t *end, const char *name,
			 int size)
{
	put_option(o, name);
	if (end - p < size) {
		o->quirks |= 1U << QUIRK_BAD;
		return false;
	}
	if (p[1] != size)
		o->quirks |= 1U << QUIRK_BAD;
	return true;
}

/* One option of another size. Returns that, or 0 if nothing can follow. */
static int option_sized(struct options *o, const uint8_t *p, const uint8_t *end, int min, int max)
{
	if (p[0] == 5) {
		put_option(o, "sack");
	} else {
		put(&o->layout, "?");
		put_number(&o->layout, p[0]);
		put(&o->layout, ",");
	}
	if (end - p < 2 || p[1] < min || p[1] > max || p[1] > end - p) {
		o->quirks |= 1U << QUIRK_BAD;
		return 0;
	}
	return p[1];
}

/* Returns the size of the option at p, 0 to stop. */
static int option_read(struct options *o, const uint8_t *p, const uint8_t *end)
{
	switch (p[0]) {
	case 0:
		options_end(o, p + 1, end);
		return 0;
	case 1:
		put_option(o, "nop");
		return 1;
	case 2:
		if (!option_fixed(o, p, end, "mss", 4))
			return 0;
		o->mss = u16_at(p + 2);
		return 4;
	case 3:
		if (!option_fixed(o, p, end, "ws", 3))
			return 0;
		o->scale = p[2];
		if (o->scale > SCALE_MAX)
			o->quirks |= 1U << QUIRK_SCALE;
		return 3;
	case 4:
		return option_fixed(o, p, end, "sok", 2) ? 2 : 0;
	case 5:
		return option_sized(o, p, end, 10, 34);
	case 8:
		if (!option_fixed(o, p, end, "ts", 10))
			return 0;
		o->ts1 = u32_at(p + 2);
		if (!o->ts1)
			o->quirks |= 1U << QUIRK_TS1_ZERO;
		if (u32_at(p + 6))
			o->quirks |= 1U << QUIRK_TS2_SET;
		return 10;
	default:
		return option_sized(o, p, end, 2, 40);
	}
}

static void options_read(struct options *o, const uint8_t *p, const uint8_t *end)
{
	while (p < end) {
		int n = option_read(o, p, end);

		if (!n)
			return;
		p += n;
	}
}

static uint32_t header_quirks(const struct syn_raw *s)
{
	const uint8_t *tcp = s->tcp;
	uint32_t quirks = 0;

	if (s->family == 4) {
		bool df = s->ip_flags & SYN_DF, id = !(s->ip_flags & SYN_ID_ZERO);

		quirks |= (uint32_t)df << QUIRK_DF;
		quirks |= (uint32_t)(df && id) << QUIRK_ID_SET;
		quirks |= (uint32_t)(!df && !id) << QUIRK_ID_ZERO;
		quirks |= (uint32_t) !!(s->ip_flags & SYN_MBZ) << QUIRK_MBZ;
	} else {
		quirks |= (uint32_t) !!(s->ip_flags & SYN_FLOW_LABEL) << QUIRK_FLOW;
	}
	if (s->ip_flags & SYN_ECN || tcp[13] & 0xc0 || tcp[12] & 1)
		quirks |= 1U << QUIRK_ECN;
	if (!u32_at(tcp + 4))
		quirks |= 1U << QUIRK_SEQ_ZERO;
	if (tcp[8] & 1) /* p0f means "not zero", but on x86 tests this bit: do as it does */
		quirks |= 1U << QUIRK_ACK_SET;
	if (tcp[13] & 0x20)
		quirks |= 1U << QUIRK_URG;
	else if (u16_at(tcp + 18))
		quirks |= 1U << QUIRK_URGENT_SET;
	if (tcp[13] & 0x08)
		quirks |= 1U << QUIRK_PUSH;
	return quirks;
}

/* Windows are often a multiple of the MSS or MTU: own, less timestamps, Ethernet's. */
static void put_window(struct text *t, const struct syn_raw *s, const struct options *o)
{
	int window = u16_at(s->tcp + 14), mss = o->mss, ip = s->family == 4 ? 20 : 40;
	const struct {
		const char *unit;
		int size;
	} units[] = {
		{ "mss", mss },
		{ "mss", o->ts1 ? mss - 12 : 0 },
		{ "mss", 1500 - TCP_MIN - 20 },
		{ "mss", 1500 - TCP_MIN - 20 - 12 },
		{ "mss", s->family == 6 ? 1500 - TCP_MIN - 40 : 0 },
		{ "mss", s->family == 6 ? 1500 - TCP_MIN - 40 - 12 : 0 },
		{ "mtu", mss + 20 + TCP_MIN },
		{ "mtu", mss + ip + s->ip_olen + s->tcp_len },
		{ "mtu", mss + ip + TCP_MIN },
		{ "mtu", 1500 },
	};

	for (size_t i = 0; window && mss >= 100 && i < sizeof(units) / sizeof(units[0]); i++) {
		if (units[i].size <= 0 || window % units[i].size)
			continue;
		put(t, units[i].unit);
		put(t, "*");
		put_number(t, window / units[i].size);
		return;
	}
	put_number(t, window);
}

static void put_ttl(struct text *t, int ttl)
{
	int first = ttl <= 32 ? 32 : ttl <= 64 ? 64 : ttl <= 128 ? 128 : 255;

	put_number(t, ttl);
	put(t, "+");
	if (first - ttl > DISTANCE_MAX)
		put(t, "?");
	else
		put_number(t, first - ttl);
}

int tcpsig_text(const struct syn_raw *s, char out[TCPSIG_TEXT])
{
	struct text t = { .at = out, .end = out + TCPSIG_TEXT };
	char layout[TCPSIG_TEXT] = "";
	struct options o = { .layout = { .at = layout, .end = layout + sizeof(layout) } };
	bool first = true;

	if (!s->present || (s->family != 4 && s->family != 6) || s->tcp_len < TCP_MIN ||
	    s->tcp_len > sizeof(s->tcp))
		return -EINVAL;
	options_read(&o, s->tcp + TCP_MIN, s->tcp + s->tcp_len);
	if (o.layout.at > layout)
		o.layout.at[-1] = '\0';
	o.quirks |= header_quirks(s);

	put_number(&t, s->family);
	put(&t, ":");
	put_ttl(&t, s->ttl);
	put(&t, ":");
	put_number(&t, s->ip_olen);
	put(&t, ":");
	put_number(&t, o.mss);
	put(&t, ":");
	put_window(&t, s, &o);
	put(&t, ",");
	put_number(&t, o.scale);
	put(&t, ":");
	put(&t, layout);
	put(&t, ":");
	for (int i = 0; i < QUIRK_MAX; i++) {
		if (!(o.quirks >> i & 1))
			continue;
		put(&t, first ? "" : ",");
		put(&t, quirk_names[i]);
		first = false;
	}
	put(&t, s->payload ? ":+" : ":0");
	return 0;
}
