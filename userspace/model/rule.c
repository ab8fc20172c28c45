/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/rule.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time.h"

static const char *const action_names[RULE_ACTION_MAX] = {
#define X(id, name) name,
	RULE_ACTIONS(X)
#undef X
};

const char *rule_action_text(enum rule_action a)
{
	return (unsigned int)a < RULE_ACTION_MAX ? action_names[a] : "none";
}

enum rule_action rule_action_parse(const char *text)
{
	for (int a = RULE_PASS; a < RULE_ACTION_MAX; a++)
		if (!strcmp(text, action_names[a]))
			return a;
	return RULE_NONE;
}

void rule_spec_clear(struct rule_spec *s)
{
	free(s->ja4);
	free(s->stack);
	free(s->order);
	free(s->reason);
	*s = (struct rule_spec){};
}

static int copy_text(const char *from, char **to)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

int rule_spec_copy(const struct rule_spec *s, struct rule_spec *out)
{
	struct rule_spec c = *s;

	c.ja4 = c.stack = c.order = c.reason = NULL;
	if (copy_text(s->ja4, &c.ja4) || copy_text(s->stack, &c.stack) ||
	    copy_text(s->order, &c.order) || copy_text(s->reason, &c.reason)) {
		rule_spec_clear(&c);
		return -ENOMEM;
	}
	*out = c;
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

bool rule_spec_equal(const struct rule_spec *a, const struct rule_spec *b)
{
	return a->has_src == b->has_src &&
	       (!a->has_src || (a->src.plen == b->src.plen && a->src.net.hi == b->src.net.hi &&
				a->src.net.lo == b->src.net.lo)) &&
	       same_text(a->ja4, b->ja4) && same_text(a->stack, b->stack) &&
	       same_text(a->order, b->order) && a->split_min == b->split_min &&
	       a->split_dstar == b->split_dstar && a->not_resumed == b->not_resumed &&
	       a->seen_min == b->seen_min && a->age_max == b->age_max && a->d1_min == b->d1_min &&
	       a->dstar_min == b->dstar_min && a->action == b->action && a->rate == b->rate &&
	       a->limit_all == b->limit_all && a->ports_any == b->ports_any &&
	       a->existing_keep == b->existing_keep && a->lifetime == b->lifetime &&
	       same_text(a->reason, b->reason);
}

bool rule_asks_state(const struct rule_spec *s)
{
	return s->split_min || s->not_resumed || s->seen_min || s->age_max || s->d1_min ||
	       s->dstar_min;
}

bool rule_names_source(const struct rule_spec *s)
{
	return s->has_src && (s->src.plen == 128 || (s->src.plen == 64 && !addr_is_v4(s->src.net)));
}

bool rule_can_sweep(const struct rule_spec *s)
{
	return !s->ja4 && !s->order && !rule_asks_state(s);
}

/* ---- parsing --------------------------------------------------------------- */

struct words {
	const char *const *word;
	size_t n, at;
	struct reason *why;
	uint32_t had; /* bit per clause */
	int existing; /* -1: not said */
};

static const char *next_word(struct words *w)
{
	return w->at < w->n ? w->word[w->at++] : NULL;
}

/* `expected` completes "expected ...". The word is the one just taken. */
static int wrong(const struct words *w, const char *clause, const char *word, const char *expected)
{
	if (!word)
		return reason_set(w->why, -EINVAL, "%s: the rule ends here, expected %s", clause,
				  expected);
	return reason_set(w->why, -EINVAL, "%s: word %zu is \"%.80s\", expected %s", clause, w->at,
			  word, expected);
}

/* All digits, at most `most`. */
static bool number_parse(const char *text, uint64_t most, uint64_t *out)
{
	uint64_t v = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return false;
		v = v * 10 + (*text - '0');
		if (v > most)
			return false;
	}
	*out = v;
	return true;
}

static int parse_src(struct words *w, struct rule_spec *s)
{
	const char *word = next_word(w);
	int err;

	err = word ? cidr_parse(word, &s->src) : -EINVAL;
	if (err == -EDOM)
		return wrong(w, "src", word, "a network without bits behind its prefix length");
	if (err)
		return wrong(w, "src", word,
			     "an address or network, like 203.0.113.9 or 2001:db8::/64");
	s->has_src = true;
	return 0;
}

static int parse_fp(struct words *w, const char *clause, char **out)
{
	const char *word = next_word(w);

	if (!word || fp_form(word) == FP_NONE)
		return wrong(w, clause, word,
			     "a name like t13d1516h2_8daaf6152771_02713d6af862, or its raw form");
	return copy_text(word, out);
}

static int parse_order(struct words *w, struct rule_spec *s)
{
	const char *word = next_word(w);

	if (!word || order_form(word) == FP_NONE)
		return wrong(w, "order", word,
			     "12 hex digits, or a list of extension types like GREASE,001b,0000");
	return copy_text(word, &s->order);
}

/* A duration that fits 15 bits of 0.1 ms, at least 1 ms. */
static bool tenths_parse(const char *text, uint16_t *out)
{
	uint64_t ns;

	if (duration_parse(text, &ns) || !ns || ns / NSEC_PER_TENTH_MS > TENTH_MS_MAX)
		return false;
	*out = ns / NSEC_PER_TENTH_MS;
	return true;
}

static int parse_split(struct words *w, const char *word, const char *value, struct rule_spec *s)
{
	const char *at = strchr(value, '@');
	bool number = value[0] >= '1' && value[0] <= '0' + DSTAR_KEPT;

	if (s->split_min)
		return wrong(w, "state", word, "split once");
	if (!number || (at ? at != value + 1 : value[1] != '\0'))
		return wrong(w, "state", word, "split>=N with N from 1 to 5, or split>=N@10ms");
	s->split_dstar = RULE_SPLIT_DEFAULT;
	if (at && !tenths_parse(at + 1, &s->split_dstar))
		return wrong(w, "state", word, "a time of at most 3276ms behind the @");
	s->split_min = value[0] - '0';
	return 0;
}

#define STATES "split>=N, resumed=0, seen>=N, age<=T, d1>=T or dstar>=T"

static int parse_state(struct words *w, struct rule_spec *s)
{
	const char *word = next_word(w);
	uint64_t v;

	if (!word)
		return wrong(w, "state", word, STATES);
	if (!strncmp(word, "split>=", 7))
		return parse_split(w, word, word + 7, s);
	if (!strcmp(word, "resumed=0")) {
		if (s->not_resumed)
			return wrong(w, "state", word, "resumed once");
		s->not_resumed = true;
		return 0;
	}
	if (!strncmp(word, "seen>=", 6)) {
		if (s->seen_min || !number_parse(word + 6, UINT32_MAX, &v) || !v)
			return wrong(w, "state", word, "seen>=N once, N from 1");
		s->seen_min = v;
		return 0;
	}
	if (!strncmp(word, "age<=", 5)) {
		if (s->age_max || duration_parse(word + 5, &v) || v < NSEC_PER_SEC ||
		    v > RULE_AGE_MAX_DAYS * 86400ULL * NSEC_PER_SEC)
			return wrong(w, "state", word, "age<=T once, T from 1s to 365d");
		s->age_max = v;
		return 0;
	}
	if (!strncmp(word, "d1>=", 4)) {
		if (s->d1_min || !tenths_parse(word + 4, &s->d1_min))
			return wrong(w, "state", word, "d1>=T once, T from 1ms to 3276ms");
		return 0;
	}
	if (!strncmp(word, "dstar>=", 7)) {
		if (s->dstar_min || !tenths_parse(word + 7, &s->dstar_min))
			return wrong(w, "state", word, "dstar>=T once, T from 1ms to 3276ms");
		return 0;
	}
	return wrong(w, "state", word, STATES);
}

/* "10/s", "0.5/s": thousandths. */
static bool rate_parse(const char *text, uint32_t *out)
{
	uint64_t v = 0, place = 100;
	const char *at = text;

	if (!isdigit((unsigned char)*at))
		return false;
	for (; isdigit((unsigned char)*at); at++) {
		v = v * 10 + (*at - '0');
		if (v > RULE_RATE_MAX / 1000)
			return false;
	}
	v *= 1000;
	if (*at == '.') {
		if (!isdigit((unsigned char)*++at))
			return false;
		for (; isdigit((unsigned char)*at); at++, place /= 10) {
			if (!place && *at != '0')
				return false;
			v += place * (*at - '0');
		}
	}
	if (strcmp(at, "/s") || !v || v > RULE_RATE_MAX)
		return false;
	*out = v;
	return true;
}

static int parse_action(struct words *w, struct rule_spec *s)
{
	const char *word = next_word(w);

	s->action = word ? rule_action_parse(word) : RULE_NONE;
	if (s->action == RULE_NONE)
		return wrong(w, "action", word, "pass, count, limit RATE/s, drop, reset or reject");
	if (s->action != RULE_LIMIT)
		return 0;
	word = next_word(w);
	if (!word || !rate_parse(word, &s->rate))
		return wrong(w, "action limit", word,
			     "a rate like 10/s or 0.5/s, at most 1000000/s");
	if (w->at < w->n && !strcmp(w->word[w->at], "all")) {
		w->at++;
		s->limit_all = true;
	}
	return 0;
}

static int parse_ports(struct words *w, struct rule_spec *s)
{
	const char *word = next_word(w);

	if (!word || strcmp(word, "any"))
		return wrong(w, "ports", word, "any");
	s->ports_any = true;
	return 0;
}

static int parse_for(struct words *w, struct rule_spec *s)
{
	const char *word = next_word(w);

	if (!word || duration_parse(word, &s->lifetime) || s->lifetime < NSEC_PER_SEC ||
	    s->lifetime > RULE_FOR_MAX_DAYS * 86400ULL * NSEC_PER_SEC)
		return wrong(w, "for", word, "a duration from 1s to 3650d, like 90s, 15m, 12h, 7d");
	return 0;
}

static int parse_existing(struct words *w)
{
	const char *word = next_word(w);

	if (!word || (strcmp(word, "keep") && strcmp(word, "drop")))
		return wrong(w, "existing", word, "keep or drop");
	w->existing = !strcmp(word, "keep");
	return 0;
}

/* Bytes of UTF-8 that one character takes at `s`; 0: none that JSON could hold,
 * or a control character. */
static size_t utf8_len(const unsigned char *s)
{
	if (s[0] >= 0x20 && s[0] < 0x7f)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf && (s[1] & 0xc0) == 0x80)
		return s[0] == 0xc2 && s[1] < 0xa0 ? 0 : 2;
	if (s[0] >= 0xe0 && s[0] <= 0xef && (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80) {
		if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
			return 0;
		return 3;
	}
	if (s[0] >= 0xf0 && s[0] <= 0xf4 && (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80 &&
	    (s[3] & 0xc0) == 0x80) {
		if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
			return 0;
		return 4;
	}
	return 0;
}

/* The rest of the words, joined; outer blanks go. */
static int parse_reason(struct words *w, struct rule_spec *s)
{
	char text[RULE_REASON_MAX + 2];
	size_t len = 0, step;
	const char *from;

	text[0] = '\0';
	while (w->at < w->n) {
		int n = snprintf(text + len, sizeof(text) - len, "%s%s", len ? " " : "",
				 next_word(w));

		if (n < 0 || len + n > RULE_REASON_MAX)
			return reason_set(w->why, -EINVAL, "reason: longer than %d bytes",
					  RULE_REASON_MAX);
		len += n;
	}
	while (len && text[len - 1] == ' ')
		text[--len] = '\0';
	from = text + strspn(text, " ");
	if (!*from)
		return reason_set(w->why, -EINVAL,
				  "reason: nothing behind it, expected a text that says why");
	for (const char *at = from; *at; at += step) {
		step = utf8_len((const unsigned char *)at);
		if (!step)
			return reason_set(w->why, -EINVAL,
					  "reason: control characters or no UTF-8 at byte %zu",
					  (size_t)(at - from) + 1);
	}
	return copy_text(from, &s->reason);
}

enum clause {
	CLAUSE_SRC,
	CLAUSE_JA4,
	CLAUSE_STACK,
	CLAUSE_ORDER,
	CLAUSE_STATE,
	CLAUSE_ACTION,
	CLAUSE_PORTS,
	CLAUSE_FOR,
	CLAUSE_EXISTING,
	CLAUSE_REASON,
	CLAUSE_MAX
};

static const char *const clause_names[CLAUSE_MAX] = {
	"src", "ja4", "stack", "order", "state", "action", "ports", "for", "existing", "reason",
};

static int parse_clause(struct words *w, enum clause c, struct rule_spec *s)
{
	switch (c) {
	case CLAUSE_SRC:
		return parse_src(w, s);
	case CLAUSE_JA4:
		return parse_fp(w, "ja4", &s->ja4);
	case CLAUSE_STACK:
		return parse_fp(w, "stack", &s->stack);
	case CLAUSE_ORDER:
		return parse_order(w, s);
	case CLAUSE_STATE:
		return parse_state(w, s);
	case CLAUSE_ACTION:
		return parse_action(w, s);
	case CLAUSE_PORTS:
		return parse_ports(w, s);
	case CLAUSE_FOR:
		return parse_for(w, s);
	case CLAUSE_EXISTING:
		return parse_existing(w);
	default:
		return parse_reason(w, s);
	}
}

/* What no single clause can see. */
static int check_whole(struct words *w, struct rule_spec *s)
{
	bool hello = s->ja4 || s->stack || s->order;
	bool state = rule_asks_state(s);

	if (!s->has_src && !hello)
		return reason_set(w->why, -EINVAL,
				  "the rule matches everything: expected src, ja4, stack or order");
	if (s->action == RULE_NONE)
		return reason_set(w->why, -EINVAL,
				  "action is missing: expected action pass, count, "
				  "limit RATE/s, drop, reset or reject");
	if (!s->reason)
		return reason_set(w->why, -EINVAL,
				  "reason is missing: expected reason TEXT at the end");
	if (s->ports_any && (hello || state))
		return reason_set(w->why, -EINVAL,
				  "ports any: only a rule on src alone reaches ports without TLS");
	if (w->existing == 0 && !rule_can_sweep(s))
		return reason_set(
			w->why, -EINVAL,
			"existing drop: only a rule on src and stack alone can tell which "
			"running connections it means");
	s->existing_keep = w->existing < 0 ? !rule_can_sweep(s) : w->existing;
	return 0;
}

int rule_parse_words(const char *const *word, size_t n, struct rule_spec *out, struct reason *r)
{
	_cleanup_(rule_spec_clear) struct rule_spec s = {};
	struct words w = { .word = word, .n = n, .why = r, .existing = -1 };
	int err;

	while (w.at < n) {
		const char *name = next_word(&w);
		int c;

		for (c = 0; c < CLAUSE_MAX && strcmp(name, clause_names[c]); c++)
			;
		if (c == CLAUSE_MAX)
			return wrong(&w, "rule", name,
				     "src, ja4, stack, order, state, action, ports, for, existing "
				     "or reason");
		if (c != CLAUSE_STATE && w.had & 1u << c)
			return wrong(&w, "rule", name, "each clause but state once");
		w.had |= 1u << c;
		err = parse_clause(&w, c, &s);
		if (err)
			return err;
	}
	err = check_whole(&w, &s);
	if (err)
		return err;
	*out = s;
	s = (struct rule_spec){};
	return 0;
}

int rule_parse(const char *text, struct rule_spec *out, struct reason *r)
{
	_cleanup_(freep) char *copy = NULL;
	const char *word[RULE_WORDS_MAX];
	size_t n = 0;
	char *at;

	if (strlen(text) >= RULE_TEXT_MAX)
		return reason_set(r, -EINVAL, "the rule is longer than %d bytes",
				  RULE_TEXT_MAX - 1);
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	for (at = copy + strspn(copy, " \t\n"); *at; at += strspn(at, " \t\n")) {
		char *end = at + strcspn(at, " \t\n");

		if (n == RULE_WORDS_MAX)
			return reason_set(r, -EINVAL, "the rule has more than %d words",
					  RULE_WORDS_MAX);
		word[n++] = at;
		if (*end)
			*end++ = '\0';
		at = end;
		/* The text behind `reason` is one word, blanks and all. */
		if (!strcmp(word[n - 1], "reason") && n < RULE_WORDS_MAX) {
			word[n++] = at;
			break;
		}
	}
	return rule_parse_words(word, n, out, r);
}

/* ---- formatting ------------------------------------------------------------ */

bool rule_state_text(const struct rule_spec *s, unsigned int i, char out[RULE_STATE_TEXT])
{
	char t[DURATION_TEXT];

	if (s->split_min && !i--) {
		if (s->split_dstar == RULE_SPLIT_DEFAULT)
			snprintf(out, RULE_STATE_TEXT, "split>=%u", s->split_min);
		else
			snprintf(out, RULE_STATE_TEXT, "split>=%u@%s", s->split_min,
				 duration_text(s->split_dstar * NSEC_PER_TENTH_MS, 0, t));
		return true;
	}
	if (s->not_resumed && !i--) {
		snprintf(out, RULE_STATE_TEXT, "resumed=0");
		return true;
	}
	if (s->seen_min && !i--) {
		snprintf(out, RULE_STATE_TEXT, "seen>=%u", s->seen_min);
		return true;
	}
	if (s->age_max && !i--) {
		snprintf(out, RULE_STATE_TEXT, "age<=%s", duration_text(s->age_max, 0, t));
		return true;
	}
	if (s->d1_min && !i--) {
		snprintf(out, RULE_STATE_TEXT, "d1>=%s",
			 duration_text(s->d1_min * NSEC_PER_TENTH_MS, 0, t));
		return true;
	}
	if (s->dstar_min && !i--) {
		snprintf(out, RULE_STATE_TEXT, "dstar>=%s",
			 duration_text(s->dstar_min * NSEC_PER_TENTH_MS, 0, t));
		return true;
	}
	return false;
}

static void format_rate(FILE *f, uint32_t rate)
{
	if (rate % 1000)
		fprintf(f, " %u.%03u/s", rate / 1000, rate % 1000);
	else
		fprintf(f, " %u/s", rate / 1000);
}

char *rule_format(const struct rule_spec *s)
{
	char buf[ADDR_TEXT], state[RULE_STATE_TEXT], t[DURATION_TEXT];
	_cleanup_(freep) char *text = NULL;
	size_t len;
	FILE *f;

	f = open_memstream(&text, &len);
	if (!f)
		return NULL;
	if (s->has_src)
		fprintf(f, "src %s ", cidr_text(&s->src, buf));
	if (s->ja4)
		fprintf(f, "ja4 %s ", s->ja4);
	if (s->stack)
		fprintf(f, "stack %s ", s->stack);
	if (s->order)
		fprintf(f, "order %s ", s->order);
	for (unsigned int i = 0; rule_state_text(s, i, state); i++)
		fprintf(f, "state %s ", state);
	fprintf(f, "action %s", rule_action_text(s->action));
	if (s->action == RULE_LIMIT) {
		format_rate(f, s->rate);
		if (s->limit_all)
			fprintf(f, " all");
	}
	if (s->ports_any)
		fprintf(f, " ports any");
	if (s->lifetime)
		fprintf(f, " for %s", duration_text(s->lifetime, 0, t));
	if (s->existing_keep != !rule_can_sweep(s))
		fprintf(f, " existing %s", s->existing_keep ? "keep" : "drop");
	fprintf(f, " reason %s", s->reason);
	if (fclose(f))
		return NULL;
	return take_ptr(text);
}

/* ---- a rule that lives ------------------------------------------------------ */

void rule_entry_clear(struct rule_entry *e)
{
	rule_spec_clear(&e->spec);
	free(e->origin);
	*e = (struct rule_entry){};
}

bool rule_bound(const struct rule_entry *e)
{
	return (!e->spec.ja4 || e->ja4_key) && (!e->spec.stack || e->stack_key) &&
	       (!e->spec.order || e->order_key);
}

void rule_slot(const struct rule_entry *e, bool shadow, struct rule *out)
{
	const struct rule_spec *s = &e->spec;
	struct rule r = {
		.handle = e->handle,
		.gen = e->gen,
		.expires = e->expires_boot,
		.seen_min = s->seen_min,
		.age_max = s->age_max >> STAMP_SHIFT,
		.d1_min = s->d1_min,
		.dstar_min = s->dstar_min,
		.split_dstar = s->split_dstar,
		.split_min = s->split_min,
		.action = s->action,
		.holdout = e->holdout,
		.canary = e->canary,
		.rate = s->rate,
		/* One second's worth, and never less than one connection. */
		.burst = s->rate > 1000            ? s->rate
			 : s->action == RULE_LIMIT ? 1000
						   : 0,
		.epoch = e->epoch,
	};

	if (s->has_src) {
		r.net = s->src.net;
		r.plen = s->src.plen;
	}
	r.flags =
		(s->ports_any ? RULE_PORTS_ANY : 0) | (s->existing_keep ? RULE_EXISTING_KEEP : 0) |
		(shadow || e->shadow ? RULE_SHADOW : 0) | (s->not_resumed ? RULE_NOT_RESUMED : 0) |
		(s->d1_min ? RULE_HAS_D1 : 0) | (s->age_max ? RULE_HAS_AGE : 0) |
		(s->limit_all ? RULE_LIMIT_ALL : 0) | (s->dstar_min ? RULE_HAS_DSTAR : 0);
	*out = r;
}
