/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/allowbook.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/protect.h"

void allowbook_init(struct allowbook *b, struct kern *k, struct store *s)
{
	*b = (struct allowbook){ .kern = k, .store = s };
}

void allowbook_clear(struct allowbook *b)
{
	for (size_t i = 0; i < b->n; i++)
		free(b->at[i].reason);
	free(b->at);
	*b = (struct allowbook){};
}

static bool same_net(const struct cidr *a, const struct cidr *b)
{
	return a->plen == b->plen && a->net.hi == b->net.hi && a->net.lo == b->net.lo;
}

static struct allow_entry *find(const struct allowbook *b, const struct cidr *net)
{
	for (size_t i = 0; i < b->n; i++)
		if (same_net(&b->at[i].net, net))
			return &b->at[i];
	return NULL;
}

const struct allow_entry *allowbook_overlap(const struct allowbook *b, const struct cidr *net)
{
	for (size_t i = 0; i < b->n; i++)
		if (cidr_overlaps(&b->at[i].net, net))
			return &b->at[i];
	return NULL;
}

const struct allow_entry *allowbook_holds(const struct allowbook *b, struct addr a)
{
	for (size_t i = 0; i < b->n; i++)
		if (!b->at[i].suspended && cidr_has(&b->at[i].net, a))
			return &b->at[i];
	return NULL;
}

static int keep(struct allowbook *b, const struct allow_row *row)
{
	struct allow_entry *e = find(b, &row->net);
	char *reason = strdup(row->reason ? row->reason : "");

	if (!reason)
		return -ENOMEM;
	if (!e && b->n == b->room) {
		size_t room = b->room ? 2 * b->room : 16;
		struct allow_entry *more = reallocarray(b->at, room, sizeof(*more));

		if (!more) {
			free(reason);
			return -ENOMEM;
		}
		b->at = more;
		b->room = room;
	}
	if (e)
		free(e->reason);
	else
		e = &b->at[b->n++];
	*e = (struct allow_entry){
		.net = row->net,
		.reason = reason,
		.origin = !strcmp(row->origin, "config")     ? "config"
			  : !strcmp(row->origin, "built-in") ? "built-in"
							     : "operator",
		.uid = row->uid,
		.created = row->created,
		.suspended = row->suspended,
	};
	return 0;
}

/* The kernel reads the longest prefix: a suspended entry would hide a wider one that
 * is allowed. */
static int impose(struct allowbook *b, const struct clock *c, const struct allow_entry *e)
{
	uint64_t second = clock_boot_of_real(c, e->suspended) / NSEC_PER_SEC + 1;

	for (size_t i = 0; e->suspended && i < b->n; i++)
		if (!b->at[i].suspended && cidr_covers(&b->at[i].net, &e->net))
			return kern_allow_suspend(b->kern, &e->net, ALLOW_ALWAYS);
	return kern_allow_suspend(b->kern, &e->net, e->suspended ? second : ALLOW_ALWAYS);
}

static void impose_all(struct allowbook *b)
{
	struct clock c = clock_now();

	for (size_t i = 0; i < b->n; i++)
		if (b->at[i].suspended)
			impose(b, &c, &b->at[i]);
}

static void forget(struct allowbook *b, struct allow_entry *e)
{
	free(e->reason);
	*e = b->at[--b->n];
}

static int write_suspended(struct allowbook *b, const struct allow_entry *e, uint64_t until,
			   struct audit_row *audit)
{
	struct allow_row row = { .net = e->net,
				 .reason = e->reason,
				 .origin = e->origin,
				 .uid = e->uid,
				 .created = e->created,
				 .suspended = until };
	int err = store_begin(b->store);

	if (!err)
		err = store_allow_put(b->store, &row);
	if (!err && audit)
		err = store_audit(b->store, audit);
	return store_end(b->store, err);
}

/* Whoever adds what was to go has changed his mind. */
static int restore_one(struct allowbook *b, const struct clock *c, struct allow_entry *e,
		       struct audit_row *audit, struct reason *r)
{
	bool kernel;

	e->suspended = 0;
	kernel = !impose(b, c, e);
	if (!kernel)
		return reason_set(r, -EIO, "an allowed network cannot be written to the kernel");
	if (!b->store || write_suspended(b, e, 0, audit))
		return reason_set(r, -EREMOTEIO,
				  "allowed again now, but the state database cannot be written");
	return 0;
}

int allowbook_add(struct allowbook *b, const struct allow_row *row, struct audit_row *audit,
		  struct reason *r)
{
	struct allow_entry *e = find(b, &row->net);
	struct clock c = clock_now();
	char net[ADDR_TEXT];
	int err;

	cidr_text(&row->net, net);
	if (e && e->suspended)
		return restore_one(b, &c, e, audit, r);
	if (e)
		return reason_set(r, -EEXIST, "%s is allowed already", net);
	err = kern_allow_put(b->kern, &row->net, r);
	if (err)
		return err;
	err = keep(b, row);
	if (err) {
		kern_allow_remove(b->kern, &row->net);
		return reason_set(r, err, "out of memory");
	}
	impose_all(b);
	err = b->store ? store_begin(b->store) : -EROFS;
	if (!err)
		err = store_allow_put(b->store, row);
	if (!err && audit)
		err = store_audit(b->store, audit);
	if (b->store)
		err = store_end(b->store, err);
	if (!err)
		return 0;
	return reason_set(r, -EREMOTEIO,
			  "%s is allowed now, but the state database cannot be written: it would "
			  "be gone after a restart",
			  net);
}

int allowbook_remove(struct allowbook *b, const struct cidr *net, struct audit_row *audit,
		     struct reason *r)
{
	struct allow_entry *e = find(b, net);
	char text[ADDR_TEXT];
	int db, err;

	cidr_text(net, text);
	if (!e)
		return reason_set(r, -ENOENT, "%s is not on the allow list", text);
	if (!strcmp(e->origin, "built-in"))
		return reason_set(r, -EPERM, "%s is always allowed: %s", text, e->reason);
	if (!strcmp(e->origin, "config"))
		return reason_set(r, -EPERM,
				  "%s is allowed by the configuration. Try: take it out of "
				  "`allow` there and reload",
				  text);
	db = b->store ? store_begin(b->store) : -EROFS;
	if (!db)
		db = store_allow_remove(b->store, net);
	if (db == -ENOENT)
		db = 0;
	if (!db && audit)
		db = store_audit(b->store, audit);
	if (b->store)
		db = store_end(b->store, db);
	err = kern_allow_remove(b->kern, net);
	if (err && err != -ENOENT)
		return reason_set(r, err, "%s: remove it from the kernel: %s", text,
				  strerror(-err));
	forget(b, e);
	impose_all(b);
	if (db)
		return reason_set(r, -EREMOTEIO,
				  "%s is no longer allowed, but the state database cannot be "
				  "written: it would be back after a restart",
				  text);
	return 0;
}

int allowbook_suspend(struct allowbook *b, const struct clock *c, const struct cidr *net,
		      uint64_t until, struct audit_row *audit, struct reason *r)
{
	struct allow_entry *e = find(b, net);
	char text[ADDR_TEXT];
	int err;

	cidr_text(net, text);
	if (!e)
		return reason_set(r, -ENOENT, "%s is not on the allow list", text);
	if (strcmp(e->origin, "operator"))
		return reason_set(r, -EPERM, "%s is allowed by %s, not by an operator", text,
				  e->origin);
	if (!b->store)
		return reason_set(r, -EROFS, "the state database cannot be written; %s stays",
				  text);
	err = write_suspended(b, e, until, audit);
	if (err)
		return reason_set(r, err, "%s", store_error(b->store));
	e->suspended = until;
	err = impose(b, c, e);
	return err ? reason_set(r, err, "%s: write it to the kernel: %s", text, strerror(-err)) : 0;
}

size_t allowbook_suspended(const struct allowbook *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += b->at[i].suspended != 0;
	return n;
}

int allowbook_confirm(struct allowbook *b, struct reason *r)
{
	int err = 0;

	for (size_t i = b->n; !err && i-- > 0;) {
		struct cidr net = b->at[i].net;

		if (b->at[i].suspended)
			err = allowbook_remove(b, &net, NULL, r);
	}
	return err;
}

int allowbook_restore(struct allowbook *b, const struct clock *c, struct reason *r)
{
	int err = 0;

	for (size_t i = 0; i < b->n; i++) {
		int one = b->at[i].suspended ? restore_one(b, c, &b->at[i], NULL, r) : 0;

		err = one ? one : err;
	}
	return err;
}

/* What the configuration or this host says, unless it is there. */
static int add_standing(struct allowbook *b, const struct allow_row *row, struct reason *r)
{
	int err;

	if (find(b, &row->net))
		return 0;
	err = kern_allow_put(b->kern, &row->net, r);
	return err ? err : keep(b, row);
}

static void take_standing(struct allowbook *b, struct allow_entry *e)
{
	kern_allow_remove(b->kern, &e->net);
	forget(b, e);
}

int allowbook_configure(struct allowbook *b, const struct clock *c, const struct config *cfg,
			struct reason *r)
{
	int err = 0;

	for (size_t i = 0; !err && i < cfg->n_allow; i++) {
		struct allow_row row = { .net = cfg->allow[i],
					 .reason = "from the configuration",
					 .origin = "config",
					 .created = c->real };

		err = add_standing(b, &row, r);
	}
	for (size_t i = b->n; i-- > 0;) {
		struct allow_entry *e = &b->at[i];
		bool still = strcmp(e->origin, "config") != 0;

		for (size_t j = 0; !still && j < cfg->n_allow; j++)
			still = cfg->allow[j].plen == e->net.plen &&
				cidr_covers(&cfg->allow[j], &e->net);
		if (!still)
			take_standing(b, e);
	}
	return err;
}

int allowbook_builtin(struct allowbook *b, const struct clock *c, const struct protect *p,
		      struct reason *r)
{
	int err = 0;

	for (size_t i = b->n; i-- > 0;) {
		struct allow_entry *e = &b->at[i];
		bool still = strcmp(e->origin, "built-in") != 0;

		for (size_t j = 0; !still && j < p->n; j++)
			still = same_net(&p->at[j].net, &e->net);
		if (!still)
			take_standing(b, e);
	}
	for (size_t i = 0; !err && i < p->n; i++) {
		struct allow_row row = { .net = p->at[i].net,
					 .reason = p->at[i].what,
					 .origin = "built-in",
					 .created = c->real };

		err = add_standing(b, &row, r);
	}
	impose_all(b);
	return err;
}

/* ---- at start ------------------------------------------------------------------ */

struct load {
	struct allowbook *b;
	struct cidr *found; /* in the kernel */
	size_t n, room;
	int err;
};

static void load_row(void *ctx, const struct allow_row *row)
{
	struct load *l = ctx;

	if (!l->err)
		l->err = keep(l->b, row);
}

static void load_kernel(void *ctx, const struct cidr *c)
{
	struct load *l = ctx;

	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 64;
		struct cidr *more = reallocarray(l->found, room, sizeof(*more));

		if (!more) {
			l->err = -ENOMEM;
			return;
		}
		l->found = more;
		l->room = room;
	}
	l->found[l->n++] = *c;
}

static int settle(struct load *l, const struct clock *c, bool db_lost)
{
	struct allowbook *b = l->b;
	int err = 0;

	for (size_t i = 0; !err && i < l->n; i++) {
		struct allow_row row = { .net = l->found[i],
					 .origin = "operator",
					 .reason = "found in the kernel",
					 .created = c->real };

		if (find(b, &row.net))
			continue;
		if (!db_lost) {
			kern_allow_remove(b->kern, &row.net);
			continue;
		}
		err = keep(b, &row);
		if (!err && b->store)
			err = store_allow_put(b->store, &row);
	}
	return err;
}

int allowbook_load(struct allowbook *b, const struct clock *c, const struct config *cfg,
		   bool db_lost, struct reason *r)
{
	struct protect friends = {};
	struct load l = { .b = b };
	int err = b->store ? store_allows(b->store, load_row, &l) : 0;

	if (!err)
		err = l.err;
	/* First what must be allowed, then what must not. */
	for (size_t i = 0; !err && i < b->n; i++)
		err = kern_allow_put(b->kern, &b->at[i].net, r);
	for (size_t i = 0; !err && i < b->n; i++) {
		if (b->at[i].suspended > c->real)
			err = impose(b, c, &b->at[i]);
		else if (b->at[i].suspended)
			err = restore_one(b, c, &b->at[i], NULL, r);
	}
	if (!err)
		err = allowbook_configure(b, c, cfg, r);
	protect_friends(&friends);
	if (!err)
		err = allowbook_builtin(b, c, &friends, r);
	protect_clear(&friends);
	if (!err)
		err = kern_allows(b->kern, load_kernel, &l);
	if (!err)
		err = l.err;
	if (!err)
		err = settle(&l, c, db_lost);
	free(l.found);
	if (err && !r->text[0])
		reason_set(r, err, "make the allow list, database and kernel agree: %s",
			   strerror(-err));
	return err;
}
