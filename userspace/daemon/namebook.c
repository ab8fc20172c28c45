/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/namebook.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tls/tcpsig.h"

static void entry_clear(struct name_entry *e)
{
	free(e->name);
	free(e->raw);
	free(e->ja3);
}

static void tables_init(struct table *names, struct table *words)
{
	table_init(names, sizeof(struct name_id), sizeof(struct name_entry));
	table_init(words, sizeof(struct name_word), sizeof(struct name_holders));
}

int namebook_init(struct namebook *b, const struct secret *secret)
{
	*b = (struct namebook){ .secret = *secret };
	tables_init(&b->names, &b->words);
	table_init(&b->wanted, sizeof(struct name_word), 0);
	return namer_new(&b->namer);
}

static void names_clear(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		entry_clear(table_value(t, i));
	table_clear(t);
}

void namebook_clear(struct namebook *b)
{
	names_clear(&b->names);
	table_clear(&b->words);
	table_clear(&b->wanted);
	namer_free(b->namer);
	b->namer = NULL;
}

static struct name_entry *find(const struct namebook *b, enum name_kind kind, uint64_t key)
{
	return table_find(&b->names, &(struct name_id){ kind, key });
}

const struct name_entry *namebook_get(const struct namebook *b, enum name_kind kind, uint64_t key)
{
	return key ? find(b, kind, key) : NULL;
}

const char *namebook_name(const struct namebook *b, enum name_kind kind, uint64_t key)
{
	const struct name_entry *e = namebook_get(b, kind, key);

	return e ? e->name : NULL;
}

void namebook_use(struct namebook *b, enum name_kind kind, uint64_t key, int by)
{
	struct name_entry *e = key ? find(b, kind, key) : NULL;

	if (e)
		e->used += by;
}

static struct name_word word_of(enum name_kind kind, const char *name)
{
	struct name_word w = { .kind = kind };

	strncpy(w.name, name, sizeof(w.name) - 1);
	return w;
}

/* ---- from words to keys ------------------------------------------------------ */

static int key_of_raw(enum name_kind kind, const char *raw, const struct secret *secret,
		      uint64_t *key)
{
	switch (kind) {
	case NAME_JA4:
	case NAME_STACK:
		return names_key_from_raw(raw, secret, key);
	case NAME_ORDER:
		return names_order_from_raw(raw, secret, key);
	default:
		return -EINVAL;
	}
}

int namebook_key(const struct namebook *b, enum name_kind kind, const char *word, uint64_t *key)
{
	const struct name_holders *held;
	struct name_word w;
	enum fp_form form = kind == NAME_ORDER ? order_form(word) : fp_form(word);

	switch (form) {
	case FP_KEY:
		*key = fp_key(word);
		return 0;
	case FP_RAW:
		return key_of_raw(kind, word, &b->secret, key);
	case FP_SHORT:
		break;
	default:
		return -EINVAL;
	}
	w = word_of(kind, word);
	held = table_find(&b->words, &w);
	if (!held || !held->n)
		return -ENOENT;
	*key = held->key;
	return held->n > 1 ? -EEXIST : 0;
}

/* ---- from hellos to names ------------------------------------------------------ */

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Another key that holds `name`, or 0. */
static uint64_t other_holder(const struct namebook *b, const struct name_id * not, const char *name)
{
	for (size_t i = 0; i < b->names.n; i++) {
		const struct name_id *id = table_key(&b->names, i);

		if (id->kind == not ->kind && id->key != not ->key &&
		    !strcmp(((struct name_entry *)table_value(&b->names, i))->name, name))
			return id->key;
	}
	return 0;
}

static void word_leaves(struct namebook *b, const struct name_id *id, const char *name)
{
	struct name_word w = word_of(id->kind, name);
	struct name_holders *held = table_find(&b->words, &w);

	if (!held)
		return;
	if (--held->n == 0)
		table_remove(&b->words, &w);
	else if (held->key == id->key)
		held->key = other_holder(b, id, name);
}

/* The eighth of a kind that was seen least recently goes, in one step. */
static void make_room(struct namebook *b, struct store *s, enum name_kind kind)
{
	size_t n = b->n_kind[kind], at = 0;
	_cleanup_(freep) uint64_t *seen = NULL;
	uint64_t limit;

	if (n < NAMEBOOK_MAX)
		return;
	seen = calloc(n, sizeof(*seen));
	if (!seen)
		return;
	for (size_t i = 0; i < b->names.n; i++)
		if (((const struct name_id *)table_key(&b->names, i))->kind == kind)
			seen[at++] = ((struct name_entry *)table_value(&b->names, i))->last_seen;
	qsort(seen, n, sizeof(*seen), by_time);
	limit = seen[n / 8];
	for (size_t i = b->names.n; i-- > 0;) {
		const struct name_id *id = table_key(&b->names, i);
		struct name_entry *e = table_value(&b->names, i);

		if (id->kind != kind || e->used || e->last_seen > limit)
			continue;
		if (s)
			store_name_forget(s, kind, id->key);
		word_leaves(b, id, e->name);
		b->n_kind[kind]--;
		entry_clear(e);
		table_remove_at(&b->names, i);
		b->dropped++;
	}
}

static int copy_text(const char *from, char **to)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

static int add(struct table *names, struct table *words, const struct name_row *row)
{
	struct name_entry e = { .stack = row->stack,
				.first_seen = row->first_seen,
				.last_seen = row->last_seen };
	struct name_word w = word_of(row->kind, row->name);
	struct name_holders *held;
	struct name_entry *at;

	if (copy_text(row->name, &e.name) || copy_text(row->raw, &e.raw) ||
	    copy_text(row->ja3, &e.ja3)) {
		entry_clear(&e);
		return -ENOMEM;
	}
	/* Nobody asks for the key of a TCP signature, and those are longer. */
	held = row->kind == NAME_TCP ? NULL : table_add(words, &w, NULL);
	at = held || row->kind == NAME_TCP
		     ? table_add(names, &(struct name_id){ row->kind, row->key }, NULL)
		     : NULL;
	if (!at) {
		entry_clear(&e);
		return -ENOMEM;
	}
	if (held && !held->n++)
		held->key = row->key;
	*at = e;
	return 0;
}

/* One name of an event: seen again, or new and written. */
static int note(struct namebook *b, struct store *s, const struct name_row *row, bool *fresh)
{
	struct name_entry *e = find(b, row->kind, row->key);
	int err;

	*fresh = false;
	if (e) {
		/* One key, two canonical forms; but a TCP key leaves out hops and MSS. */
		if (row->kind != NAME_TCP && strcmp(e->raw, row->raw))
			b->mismatches++;
		e->last_seen = row->last_seen;
		return 0;
	}
	make_room(b, s, row->kind);
	err = add(&b->names, &b->words, row);
	if (err)
		return err;
	b->n_kind[row->kind]++;
	*fresh = true;
	return s ? store_name_put(s, row) : 0;
}

int namebook_want_order(struct namebook *b, const char *name)
{
	struct name_word w = word_of(NAME_ORDER, name);

	return table_add(&b->wanted, &w, NULL) ? 0 : -ENOMEM;
}

static int note_order(struct namebook *b, struct store *s, const struct names *n, uint64_t key,
		      uint64_t seen, bool *fresh)
{
	struct name_word w = word_of(NAME_ORDER, n->order);
	struct name_row row = { NAME_ORDER, key, n->order, n->order_r, NULL, 0, seen, seen };

	*fresh = false;
	if (!b->wanted.n || !table_remove(&b->wanted, &w))
		return 0;
	return note(b, s, &row, fresh);
}

/* The signature of the first SYN of its key stands for the others. */
static int note_syn(struct namebook *b, struct store *s, const struct event_hello *e, uint64_t seen)
{
	char sig[TCPSIG_TEXT];
	bool fresh;

	if (!e->head.tcp_key || !e->syn.present || tcpsig_text(&e->syn, sig))
		return 0;
	return note(b, s,
		    &(struct name_row){ NAME_TCP, e->head.tcp_key, sig, sig, NULL, 0, seen, seen },
		    &fresh);
}

int namebook_event(struct namebook *b, struct store *s, const struct clock *c,
		   const struct event_hello *e, unsigned int *fresh)
{
	uint64_t seen = clock_real_of_mono(c, e->head.time);
	bool ja4, stack, order;
	const struct names *n;
	struct hello h;
	int err[4];

	*fresh = 0;
	err[3] = note_syn(b, s, e, seen);
	if (e->result != HELLO_OK || !e->hello_len)
		return err[3];
	/* Keys are the kernel's, names ours; both must mean the same hello. */
	if (namer_parse(b->namer, e->bytes, e->hello_len, &b->secret, e->hello.transport, &h) !=
		    HELLO_OK ||
	    h.ja4_key != e->hello.ja4_key || h.stack_key != e->hello.stack_key) {
		b->mismatches++;
		return 0;
	}
	err[0] = namer_name(b->namer, e->bytes, e->hello_len, &h, &n);
	if (err[0]) {
		b->unnamed++;
		return err[0] == -ENOMEM ? -ENOMEM : 0;
	}
	b->named++;
	err[0] = note(b, s,
		      &(struct name_row){ NAME_STACK, h.stack_key, n->stack, n->stack_r, NULL, 0,
					  seen, seen },
		      &stack);
	err[1] = note(b, s,
		      &(struct name_row){ NAME_JA4, h.ja4_key, n->ja4, n->ja4_r, n->ja3,
					  h.stack_key, seen, seen },
		      &ja4);
	err[2] = note_order(b, s, n, h.order_hash, seen, &order);
	*fresh = (ja4 ? MATCH_JA4 : 0) | (stack ? MATCH_STACK : 0) | (order ? MATCH_ORDER : 0);
	return err[0] ?: err[1] ?: err[2] ?: err[3];
}

/* ---- the database ---------------------------------------------------------------- */

struct load {
	struct namebook *b;
	int err;
};

static void load_row(void *ctx, const struct name_row *row)
{
	struct load *l = ctx;

	if (!l->err && row->kind < NAME_KIND_MAX && !find(l->b, row->kind, row->key)) {
		l->err = add(&l->b->names, &l->b->words, row);
		l->b->n_kind[row->kind] += !l->err;
	}
}

int namebook_load(struct namebook *b, struct store *s)
{
	struct load l = { b, 0 };
	int err = store_names(s, load_row, &l);

	return err ? err : l.err;
}

static int rekey_one(struct namebook *to, struct store *s, const struct secret *secret,
		     const struct namebook *from, size_t i)
{
	const struct name_id *id = table_key(&from->names, i);
	const struct name_entry *e = table_value(&from->names, i);
	const struct name_entry *stack = namebook_get(from, NAME_STACK, e->stack);
	struct name_row row = {
		id->kind, 0, e->name, e->raw, e->ja3, 0, e->first_seen, e->last_seen
	};
	int err;

	/* A name that cannot be keyed again is learnt again. */
	if (key_of_raw(id->kind, e->raw, secret, &row.key))
		return 0;
	if (stack && key_of_raw(NAME_STACK, stack->raw, secret, &row.stack))
		return 0;
	err = add(&to->names, &to->words, &row);
	to->n_kind[id->kind] += !err;
	return err ? err : store_name_put(s, &row);
}

int namebook_rekey(struct namebook *b, struct store *s, const struct secret *secret)
{
	struct namebook to = *b;
	int err = store_names_clear(s);

	tables_init(&to.names, &to.words);
	memset(to.n_kind, 0, sizeof(to.n_kind));
	to.secret = *secret;
	for (size_t i = 0; !err && i < b->names.n; i++)
		err = rekey_one(&to, s, secret, b, i);
	/* Of the two, what is not kept goes. */
	names_clear(err ? &to.names : &b->names);
	table_clear(err ? &to.words : &b->words);
	if (!err)
		*b = to;
	return err;
}
