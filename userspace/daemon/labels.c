/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/labels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/daemon.h"
#include "enrich/networks.h"
#include "enrich/stacks.h"
#include "enrich/systems.h"

/* ---- files ---------------------------------------------------------------------------- */

static uint64_t look_at(uint64_t sum, const char *file)
{
	struct stat st = {};

	if (!stat(file, &st))
		sum = sum * 1099511628211ULL ^ st.st_ino ^ (uint64_t)st.st_size << 20 ^
		      (uint64_t)st.st_mtim.tv_sec << 32 ^ (uint64_t)st.st_mtim.tv_nsec;
	for (; *file; file++)
		sum = (sum ^ (unsigned char)*file) * 1099511628211ULL;
	return sum;
}

static void open_networks(struct daemon *d)
{
	const char *files[NETWORKS_FILES_MAX];
	struct networks *fresh = NULL;
	struct reason r;

	for (size_t i = 0; i < d->cfg.n_mmdb; i++)
		files[i] = d->cfg.mmdb[i];
	if (d->cfg.n_mmdb && networks_open(files, d->cfg.n_mmdb, &fresh, &r)) {
		trouble_set(d, "mmdb", "%s; %s", r.text,
			    d->labels.networks ? "what was read before stays"
					       : "no networks are shown");
		return;
	}
	trouble_set(d, "mmdb", NULL);
	networks_free(d->labels.networks);
	d->labels.networks = fresh;
}

/* p0f is often not installed: then no system is shown, and that is no trouble. */
static void open_systems(struct daemon *d)
{
	struct systems *fresh = NULL;
	struct reason r;
	int err = *d->cfg.p0f ? systems_open(d->cfg.p0f, &fresh, &r) : -ENOENT;

	if (err && err != -ENOENT) {
		trouble_set(d, "p0f", "%s", r.text);
		return;
	}
	trouble_set(d, "p0f", NULL);
	systems_free(d->labels.systems);
	d->labels.systems = fresh;
}

/* ---- notes ---------------------------------------------------------------------------- */

static void key_of(const char *kind, const char *id, char out[96])
{
	snprintf(out, 96, "%s %s", kind, id);
}

static void keep(void *ctx, const struct note_row *row)
{
	struct labels *l = ctx;
	char key[96];

	key_of(row->kind, row->id, key);
	json_object_set_new(l->notes, key,
			    json_pack("{s:s, s:s, s:I, s:I}", "mark", row->mark, "text", row->text,
				      "uid", (json_int_t)row->uid, "created",
				      (json_int_t)row->created));
}

static const json_t *note(const struct daemon *d, const char *kind, const char *id)
{
	char key[96];

	if (!id)
		return NULL;
	key_of(kind, id, key);
	return json_object_get(d->labels.notes, key);
}

int labels_note(struct daemon *d, const char *kind, const char *id, const char *mark,
		const char *text, uint32_t uid, struct reason *r)
{
	struct note_row row = { kind, id, mark, text, uid, clock_now().real };
	char key[96];
	int err;

	if (!d->store)
		return reason_set(r, -EROFS,
				  "%s %s: there is no state database to write to. Try: "
				  "winnow status",
				  kind, id);
	err = text ? store_note_put(d->store, &row) : store_note_remove(d->store, kind, id);
	if (err == -ENOENT)
		return reason_set(r, err, "%s %s: nothing is noted of it", kind, id);
	if (err)
		return reason_set(r, err, "%s %s: %s", kind, id, store_error(d->store));
	key_of(kind, id, key);
	if (text)
		keep(&d->labels, &row);
	else
		json_object_del(d->labels.notes, key);
	return 0;
}

/* ---- life ----------------------------------------------------------------------------- */

void labels_open(struct daemon *d)
{
	uint64_t files = look_at(14695981039346656037ULL, d->cfg.p0f);

	for (size_t i = 0; i < d->cfg.n_mmdb; i++)
		files = look_at(files, d->cfg.mmdb[i]);
	if (!d->labels.notes) {
		d->labels.notes = json_object();
		if (d->store && store_notes(d->store, keep, &d->labels))
			trouble_set(d, "state database", "%s", store_error(d->store));
	}
	if (files == d->labels.files)
		return;
	d->labels.files = files;
	open_networks(d);
	open_systems(d);
}

void labels_clear(struct labels *l)
{
	networks_free(l->networks);
	systems_free(l->systems);
	json_decref(l->notes);
	*l = (struct labels){};
}

/* ---- shown ------------------------------------------------------------------------------ */

const char *labels_stack(const struct daemon *d, const char *stack)
{
	const struct known_stack *known = stacks_known(stack);
	const json_t *own = note(d, "stack", stack);

	if (own)
		return json_string_value(json_object_get(own, "text"));
	return known ? known->label : NULL;
}

static void set_text(json_t *row, const char *key, const char *text)
{
	/* A name of a file may be no UTF-8; then it is not shown. */
	json_t *value = text && *text ? json_string(text) : NULL;

	json_object_set_new(row, key, value ? value : json_null());
}

static void set_network(const struct daemon *d, json_t *row, struct addr a)
{
	struct network n = networks_of(d->labels.networks, a);

	json_object_set_new(row, "asn", n.asn ? json_integer(n.asn) : json_null());
	set_text(row, "org", n.org);
	set_text(row, "country", n.country);
}

void labels_source(const struct daemon *d, json_t *row, const struct tally *t)
{
	set_network(d, row, source_addr(t->src, t->family));
	set_text(row, "os",
		 systems_of(d->labels.systems, json_string_value(json_object_get(row, "tcp"))));
	set_text(row, "label", labels_stack(d, json_string_value(json_object_get(row, "stack"))));
}

static void farm_labels(const struct daemon *d, json_t *farm)
{
	const json_t *said = note(d, "farm", json_string_value(json_object_get(farm, "id")));
	json_t *member;
	struct cidr c;
	size_t i;

	set_text(farm, "label", labels_stack(d, json_string_value(json_object_get(farm, "stack"))));
	set_text(farm, "mark", said ? json_string_value(json_object_get(said, "mark")) : NULL);
	set_text(farm, "mark_reason",
		 said ? json_string_value(json_object_get(said, "text")) : NULL);
	json_array_foreach(json_object_get(farm, "members"), i, member) {
		const char *src = json_string_value(json_object_get(member, "src"));

		if (src && !cidr_parse(src, &c))
			set_network(d, member, c.net);
	}
}

void labels_farms(const struct daemon *d, json_t *doc)
{
	json_t *farm;
	size_t i;

	json_array_foreach(json_object_get(doc, "farms"), i, farm)
		farm_labels(d, farm);
}

bool labels_dismissed(const struct daemon *d, const char *farm)
{
	const json_t *said = note(d, "farm", farm);
	const char *mark = said ? json_string_value(json_object_get(said, "mark")) : NULL;

	return mark && !strcmp(mark, "dismissed");
}
