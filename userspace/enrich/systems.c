/* SPDX-License-Identifier: BSD-2-Clause */
#include "enrich/systems.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"

#define PARTS    8 /* ver:ittl:olen:mss:wsize,scale:olayout:quirks:pclass */
#define HOPS_MAX 35

enum part { VER, TTL, OLEN, MSS, WINDOW, LAYOUT, QUIRKS, PAYLOAD };

struct sig {
	char *text; /* cut into its parts */
	const char *part[PARTS];
	char *label;
};

struct systems {
	struct sig *at;
	size_t n, room, skipped;
};

static bool cut(char *text, const char *part[PARTS])
{
	for (int i = 0; i < PARTS; i++) {
		part[i] = text;
		text = strchr(text, ':');
		if (i < PARTS - 1 && !text)
			return false;
		if (i < PARTS - 1)
			*text++ = '\0';
		else if (text)
			return false;
	}
	return true;
}

/* "s:unix:Linux:3.11 and newer" -> "Linux 3.11 and newer"; NULL: no system's. */
static char *label_of(const char *text)
{
	const char *class, *name, *flavor;
	char *out = NULL;

	if ((text[0] != 's' && text[0] != 'g') || text[1] != ':' || text[2] == '!')
		return NULL;
	class = text + 2;
	name = strchr(class, ':');
	flavor = name ? strchr(name + 1, ':') : NULL;
	if (!flavor)
		return NULL;
	if (asprintf(&out, "%.*s%s%s", (int)(flavor - name - 1), name + 1, flavor[1] ? " " : "",
		     flavor + 1) < 0)
		return NULL;
	return out;
}

static int add(struct systems *s, const char *label, const char *text)
{
	struct sig sig = { .text = strdup(text), .label = label ? strdup(label) : NULL };

	if (!sig.text || !sig.label || !cut(sig.text, sig.part) ||
	    array_room(&s->at, s->n, &s->room, sizeof(*s->at))) {
		s->skipped++;
		free(sig.text);
		free(sig.label);
		return 0;
	}
	s->at[s->n++] = sig;
	return 0;
}

/* The value behind "KEY =", in place; NULL: another line. */
static char *value(char *line, const char *key)
{
	size_t n = strlen(key);

	if (strncmp(line, key, n) || (line[n] != ' ' && line[n] != '='))
		return NULL;
	line = strchr(line, '=');
	if (!line)
		return NULL;
	line += 1 + strspn(line + 1, " \t");
	line[strcspn(line, "\r\n")] = '\0';
	return line;
}

int systems_open(const char *file, struct systems **out, struct reason *r)
{
	_cleanup_(fclosep) FILE *f = fopen(file, "re");
	_cleanup_(freep) char *line = NULL;
	_cleanup_(freep) char *label = NULL;
	struct systems *s;
	bool ours = false;
	size_t room = 0;

	if (!f)
		return reason_set(r, -errno, "%s: %s", file, strerror(errno));
	s = calloc(1, sizeof(*s));
	if (!s)
		return reason_set(r, -ENOMEM, "out of memory");
	while (getline(&line, &room, f) >= 0) {
		char *v;

		if (*line == '[')
			ours = !strncmp(line, "[tcp:request]", 13);
		if (!ours)
			continue;
		v = value(line, "label");
		if (v) {
			free(label);
			label = label_of(v);
		}
		v = value(line, "sig");
		if (v && label)
			add(s, label, v);
	}
	*out = s;
	return 0;
}

void systems_free(struct systems *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		free(s->at[i].text);
		free(s->at[i].label);
	}
	free(s->at);
	free(s);
}

size_t systems_count(const struct systems *s, size_t *skipped)
{
	if (skipped)
		*skipped = s ? s->skipped : 0;
	return s ? s->n : 0;
}

/* ---- matching ------------------------------------------------------------------------ */

/* "64+3", "64-", "64" of the list; "61+3" of a SYN is a TTL of 61, 3 hops guessed. */
static bool ttl_fits(const char *list, const char *seen)
{
	int initial = atoi(list), left = atoi(seen);

	if (list[strspn(list, "0123456789")] == '-')
		return left <= initial;
	return left <= initial && initial - left <= HOPS_MAX;
}

/* WSIZE,SCALE, where WSIZE is N, %N, mss*N, mtu*N or *. */
static bool window_fits(const char *list, const char *seen, const char *mss)
{
	const char *scale = strchr(list, ','), *seen_scale = strchr(seen, ',');
	size_t n = scale ? (size_t)(scale - list) : 0;

	if (!scale || !seen_scale)
		return false;
	if (strcmp(scale, ",*") && strcmp(scale, seen_scale))
		return false;
	if (n == 1 && *list == '*')
		return true;
	if (*list == '%')
		return *seen >= '0' && *seen <= '9' && atoi(list + 1) > 0 &&
		       atoi(seen) % atoi(list + 1) == 0;
	/* A window that happens to be a multiple is seen as one. */
	if (*list >= '0' && *list <= '9' && !strncmp(seen, "mss*", 4))
		return atol(list) == atol(seen + 4) * atol(mss);
	return n == (size_t)(seen_scale - seen) && !strncmp(list, seen, n);
}

static bool same(const char *list, const char *seen)
{
	return !strcmp(list, "*") || !strcmp(list, seen);
}

/* Quirks of the list that are of the other IP version do not count. */
static bool quirks_fit(const char *list, const char *seen, char version)
{
	static const char *const v4_only[] = { "df", "id+", "id-", "0+" };
	static const char *const v6_only[] = { "flow" };
	const char *const *drop = version == '6' ? v4_only : v6_only;
	size_t n_drop = version == '6' ? 4 : 1;
	char kept[256] = "";

	while (*list) {
		size_t len = strcspn(list, ","), i = 0;

		for (; i < n_drop; i++)
			if (len == strlen(drop[i]) && !strncmp(list, drop[i], len))
				break;
		if (i == n_drop && strlen(kept) + len + 2 < sizeof(kept)) {
			if (*kept)
				strcat(kept, ",");
			strncat(kept, list, len);
		}
		list += len + (list[len] == ',');
	}
	return !strcmp(kept, seen);
}

static bool fits(const struct sig *s, const char *const seen[PARTS])
{
	return same(s->part[VER], seen[VER]) && ttl_fits(s->part[TTL], seen[TTL]) &&
	       same(s->part[OLEN], seen[OLEN]) && same(s->part[MSS], seen[MSS]) &&
	       window_fits(s->part[WINDOW], seen[WINDOW], seen[MSS]) &&
	       !strcmp(s->part[LAYOUT], seen[LAYOUT]) &&
	       quirks_fit(s->part[QUIRKS], seen[QUIRKS], seen[VER][0]) &&
	       same(s->part[PAYLOAD], seen[PAYLOAD]);
}

const char *systems_of(const struct systems *s, const char *raw)
{
	const char *seen[PARTS];
	char copy[512];

	if (!s || !raw || strlen(raw) >= sizeof(copy))
		return NULL;
	strcpy(copy, raw);
	if (!cut(copy, seen))
		return NULL;
	for (size_t i = 0; i < s->n; i++)
		if (fits(&s->at[i], seen))
			return s->at[i].label;
	return NULL;
}
