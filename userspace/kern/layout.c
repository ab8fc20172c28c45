/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pinned state says what its tables look like: <pin_dir>/maps/layout holds the types
 * of the program that made it (BTF). With them another version reads its rows field by
 * field, by name: a field keeps its meaning as long as it keeps its name, so one whose
 * meaning changes, or the hash that says where a row lies, gets another name.
 */
#include "kern/layout.h"

#include <errno.h>
#include <string.h>

#include <bpf/btf.h>

#define DEEP_MAX 16

struct types {
	const struct btf *was, *now;
	struct conversion *c;
};

static uint32_t plain(const struct btf *b, uint32_t id)
{
	const struct btf_type *t = btf__type_by_id(b, id);

	while (t && (btf_is_mod(t) || btf_is_typedef(t))) {
		id = t->type;
		t = btf__type_by_id(b, id);
	}
	return id;
}

static int add(struct conversion *c, uint32_t from, uint32_t to, uint32_t len)
{
	struct copy *last = c->n ? &c->list[c->n - 1] : NULL, *more;

	if (last && last->from + last->len == from && last->to + last->len == to) {
		last->len += len;
		return 0;
	}
	more = reallocarray(c->list, c->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	c->list = more;
	c->list[c->n++] = (struct copy){ from, to, len };
	return 0;
}

static int convert(struct types *x, uint32_t was, uint32_t now, uint32_t from, uint32_t to,
		   int depth);

static int convert_struct(struct types *x, const struct btf_type *a, const struct btf_type *b,
			  uint32_t from, uint32_t to, int depth)
{
	const struct btf_member *m = btf_members(b), *o = btf_members(a);
	int err = 0;

	for (int i = 0; !err && i < btf_vlen(b); i++) {
		const char *name = btf__name_by_offset(x->now, m[i].name_off);

		for (int k = 0; !err && name && *name && k < btf_vlen(a); k++) {
			const char *old = btf__name_by_offset(x->was, o[k].name_off);

			if (old && !strcmp(old, name))
				err = convert(x, o[k].type, m[i].type,
					      from + btf_member_bit_offset(a, k) / 8,
					      to + btf_member_bit_offset(b, i) / 8, depth + 1);
		}
	}
	return err;
}

static int convert_array(struct types *x, const struct btf_type *a, const struct btf_type *b,
			 uint32_t from, uint32_t to, int depth)
{
	const struct btf_array *was = btf_array(a), *now = btf_array(b);
	int64_t step_was = btf__resolve_size(x->was, was->type);
	int64_t step_now = btf__resolve_size(x->now, now->type);
	int err = 0;

	if (step_was <= 0 || step_now <= 0)
		return -EINVAL;
	for (uint32_t i = 0; !err && i < was->nelems && i < now->nelems; i++)
		err = convert(x, was->type, now->type, from + i * step_was, to + i * step_now,
			      depth + 1);
	return err;
}

/* A number may have grown; one that shrank, or became something else, begins anew. */
static int convert(struct types *x, uint32_t was, uint32_t now, uint32_t from, uint32_t to,
		   int depth)
{
	const struct btf_type *a = btf__type_by_id(x->was, plain(x->was, was));
	const struct btf_type *b = btf__type_by_id(x->now, plain(x->now, now));

	if (!a || !b || depth > DEEP_MAX)
		return -EINVAL;
	if (btf_kind(a) != btf_kind(b))
		return 0;
	if (btf_is_composite(a))
		return convert_struct(x, a, b, from, to, depth);
	if (btf_is_array(a))
		return convert_array(x, a, b, from, to, depth);
	if ((btf_is_int(a) || btf_is_any_enum(a)) && a->size <= b->size)
		return add(x->c, from, to, a->size);
	return 0;
}

/* The type of a table's keys or values: what the member of its definition points to. */
static int type_of(const struct btf *b, const char *table, const char *part, uint32_t *id)
{
	int32_t var = btf__find_by_name_kind(b, table, BTF_KIND_VAR);
	const struct btf_type *t = var < 0 ? NULL : btf__type_by_id(b, var);

	t = t ? btf__type_by_id(b, plain(b, t->type)) : NULL;
	for (int i = 0; t && btf_is_struct(t) && i < btf_vlen(t); i++) {
		const struct btf_member *m = &btf_members(t)[i];
		const char *name = btf__name_by_offset(b, m->name_off);
		const struct btf_type *p = btf__type_by_id(b, m->type);

		if (!name || strcmp(name, part) || !p || !btf_is_ptr(p))
			continue;
		*id = p->type;
		return 0;
	}
	return -ENOENT;
}

int layout_convert(const struct btf *was, const struct btf *now, const char *table,
		   const char *part, struct conversion *out)
{
	struct types x = { was, now, out };
	int64_t size_was, size_now;
	uint32_t a, b;
	int err;

	*out = (struct conversion){};
	err = type_of(was, table, part, &a);
	if (!err)
		err = type_of(now, table, part, &b);
	if (err)
		return err;
	size_was = btf__resolve_size(was, a);
	size_now = btf__resolve_size(now, b);
	if (size_was <= 0 || size_now <= 0)
		return -EINVAL;
	out->from_size = size_was;
	out->to_size = size_now;
	err = convert(&x, a, b, 0, 0, 0);
	if (err)
		conversion_clear(out);
	return err;
}

void conversion_apply(const struct conversion *c, const void *from, void *to)
{
	memset(to, 0, c->to_size);
	for (size_t i = 0; i < c->n; i++)
		memcpy((char *)to + c->list[i].to, (const char *)from + c->list[i].from,
		       c->list[i].len);
}

bool conversion_starts(const struct conversion *c, uint32_t len)
{
	return c->n && !c->list[0].from && !c->list[0].to && c->list[0].len >= len;
}

void conversion_clear(struct conversion *c)
{
	free(c->list);
	*c = (struct conversion){};
}

/* ---- the pin ------------------------------------------------------------------------ */

int layout_store(const struct btf *b, int *fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, o);
	uint32_t len, zero = 0;
	const void *bytes = btf__raw_data(b, &len);
	int err;

	if (!bytes)
		return -ENOMEM;
	*fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, LAYOUT_TABLE, sizeof(zero), len, 1, &o);
	if (*fd < 0)
		return -errno;
	err = map_put(*fd, &zero, bytes, BPF_ANY);
	if (err)
		closep(fd);
	return err;
}

int layout_read(int fd, struct btf **out)
{
	_cleanup_(freep) void *bytes = NULL;
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), zero = 0;
	struct btf *b;
	int err;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.key_size != sizeof(zero))
		return -EINVAL;
	bytes = malloc(info.value_size);
	if (!bytes)
		return -ENOMEM;
	err = map_get(fd, &zero, bytes);
	if (err)
		return err;
	b = btf__new(bytes, info.value_size);
	if (!b)
		return -errno;
	*out = b;
	return 0;
}
