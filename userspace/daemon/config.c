/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config.h"

#include <errno.h>
#include <glob.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ini.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "base/time.h"
#include "daemon/config_keys.h"
#include "daemon/http.h"

#define VALUE_MAX 256

/* Debian's libinih cuts lines of 200 bytes in silence; we refuse them. */
#define LINE_MAX_BYTES 198

struct reader {
	FILE *f;
	const char *file;
	struct config c;
	struct reason *why;
	unsigned int line;
	int err;
	uint64_t had[2]; /* bit per key of this file: ours, [detect]'s */
};

static int bad(struct reader *in, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int bad(struct reader *in, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	if (in->err)
		return in->err;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	in->err = reason_set(in->why, -EINVAL, "%s:%u: %s", in->file, in->line, text);
	return in->err;
}

/* ---- values ---------------------------------------------------------------- */

/* Each word of a list, in turn; `value` is cut up. */
static char *list_word(char **value)
{
	char *word;

	*value += strspn(*value, " \t,");
	if (!**value)
		return NULL;
	word = *value;
	*value += strcspn(*value, " \t,");
	if (**value)
		*(*value)++ = '\0';
	return word;
}

static void set_interfaces(struct reader *in, char *value)
{
	char *word;

	for (in->c.n_interfaces = 0; (word = list_word(&value));) {
		if (in->c.n_interfaces == CONFIG_INTERFACES_MAX)
			bad(in, "interfaces: more than %d", CONFIG_INTERFACES_MAX);
		else if (strlen(word) > 15 || strchr(word, '/'))
			bad(in, "interfaces: \"%s\" is no device name", word);
		else
			strcpy(in->c.interfaces[in->c.n_interfaces++], word);
	}
}

static bool whole_number(const char *word, uint64_t lo, uint64_t hi, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(word, &end, 10);
	return !errno && *word >= '0' && *word <= '9' && !*end && *out >= lo && *out <= hi;
}

static void set_ports(struct reader *in, char *value)
{
	uint64_t port;
	char *word;

	for (in->c.n_ports = 0; (word = list_word(&value));) {
		if (!whole_number(word, 1, 65535, &port))
			bad(in, "ports: \"%s\" is no port from 1 to 65535", word);
		else if (in->c.n_ports == CONFIG_PORTS_MAX)
			bad(in, "ports: more than %d", CONFIG_PORTS_MAX);
		else
			in->c.ports[in->c.n_ports++] = port;
	}
	if (!in->c.n_ports)
		bad(in, "ports: expected at least one port");
}

/* A list of networks into at[max]; answers how many. */
static size_t networks(struct reader *in, const char *key, char *value, struct cidr *at, size_t max)
{
	size_t n;
	char *word;

	for (n = 0; (word = list_word(&value)); n++) {
		int err;

		if (n == max) {
			bad(in, "%s: more than %zu", key, max);
			return n;
		}
		err = cidr_parse(word, &at[n]);
		if (err)
			bad(in, "%s: \"%s\" %s", key, word,
			    err == -EDOM ? "has bits set behind its prefix length"
					 : "is no address or network");
		for (size_t i = 0; !err && i < n; i++)
			if (at[i].plen == at[n].plen &&
			    !memcmp(&at[i].net, &at[n].net, sizeof(at[i].net)))
				bad(in, "%s: %s is there twice", key, word);
	}
	return n;
}

static void set_choice(struct reader *in, const char *key, const char *value,
		       const char *const *choice, int *out)
{
	char list[128] = "";

	for (int i = 0; choice[i]; i++) {
		if (!strcmp(choice[i], value)) {
			*out = i;
			return;
		}
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "",
			 choice[i]);
	}
	bad(in, "%s: \"%s\" is none of %s", key, value, list);
}

static int choice_of(struct reader *in, const char *key, const char *value,
		     const char *const *choice)
{
	int i = 0;

	set_choice(in, key, value, choice, &i);
	return i;
}

static void set_duration(struct reader *in, const char *key, const char *value, uint64_t lo,
			 uint64_t hi, uint64_t *out)
{
	char a[DURATION_TEXT], b[DURATION_TEXT];
	uint64_t ns;

	if (duration_parse(value, &ns) || ns < lo || ns > hi)
		bad(in, "%s: \"%s\" is no duration from %s to %s, like 10s or 15m", key, value,
		    duration_text(lo, 0, a), duration_text(hi, 0, b));
	else
		*out = ns;
}

static void set_path(struct reader *in, const char *key, const char *value, char out[PATH_MAX])
{
	if (value[0] != '/')
		bad(in, "%s: \"%s\" does not begin with /", key, value);
	else
		snprintf(out, PATH_MAX, "%s", value);
}

static void set_mmdb(struct reader *in, char *value)
{
	char *word;

	for (in->c.n_mmdb = 0; (word = list_word(&value));) {
		if (in->c.n_mmdb == CONFIG_MMDB_MAX)
			bad(in, "mmdb: more than %d files", CONFIG_MMDB_MAX);
		else if (*word != '/')
			bad(in, "mmdb: \"%s\" does not begin with /", word);
		else
			snprintf(in->c.mmdb[in->c.n_mmdb++], sizeof(in->c.mmdb[0]), "%s", word);
		if (in->err)
			return;
	}
}

static void set_metrics(struct reader *in, const char *value)
{
	struct reason r;

	if (!strcmp(value, "off"))
		value = "";
	if (strlen(value) >= sizeof(in->c.metrics))
		bad(in, "metrics: \"%s\" is too long", value);
	else if (*value && http_where(value, &r))
		bad(in, "metrics: %s", r.text);
	else
		strcpy(in->c.metrics, value);
}

static void set_rows(struct reader *in, const char *key, const char *value, uint32_t *out)
{
	uint64_t n;

	if (whole_number(value, 64, 1 << 26, &n))
		*out = n;
	else
		bad(in, "%s: \"%s\" is no number from 64 to %d", key, value, 1 << 26);
}

static void set_number(struct reader *in, const char *key, const char *value, uint32_t most,
		       uint32_t *out)
{
	uint64_t n;

	if (whole_number(value, 0, most, &n))
		*out = n;
	else
		bad(in, "%s: \"%s\" is no number from 0 to %u", key, value, most);
}

/* A share in percent, "0.1%". */
static void set_share(struct reader *in, const char *key, const char *value, double *out)
{
	char *end;
	double v = strtod(value, &end);

	if (*value >= '0' && *value <= '9' && !strcmp(end, "%") && v > 0 && v <= 100)
		*out = v / 100;
	else
		bad(in, "%s: \"%s\" is no share like 0.1%%", key, value);
}

static void set_ring(struct reader *in, const char *value, uint32_t *out)
{
	uint64_t n;

	if (whole_number(value, 4096, 1 << 30, &n) && !(n & (n - 1)))
		*out = n;
	else
		bad(in, "ring_bytes: \"%s\" is no power of two from 4096 to %d", value, 1 << 30);
}

/* ---- keys ------------------------------------------------------------------ */

enum key {
#define X(id, section, name, value, help) KEY_##id,
	CONFIG_KEYS(X)
#undef X
		KEY_MAX
};

static const struct config_key keys[KEY_MAX] = {
#define X(id, section, name, value, help) { section, name, value, help },
	CONFIG_KEYS(X)
#undef X
};

static void set_key(struct reader *in, enum key k, char *value)
{
	static const char *const modes[] = { "native", "generic", NULL };
	static const char *const proofs[] = { "auto", "egress", "socket", NULL };
	static const char *const stops[] = { "keep", "detach", NULL };
	static const char *const enforces[] = { "no", "each", "yes", NULL };
	static const char *const applies[] = { "asked", "by_itself", NULL };
	struct config *c = &in->c;
	const char *name = keys[k].name;

	switch (k) {
	case KEY_INTERFACES:
		set_interfaces(in, value);
		break;
	case KEY_PORTS:
		set_ports(in, value);
		break;
	case KEY_MODE:
		c->mode = choice_of(in, name, value, modes);
		break;
	case KEY_PROOF:
		c->proof = choice_of(in, name, value, proofs);
		break;
	case KEY_ENFORCE:
		c->enforce = choice_of(in, name, value, enforces);
		break;
	case KEY_APPLY:
		c->apply_by_itself = choice_of(in, name, value, applies);
		break;
	case KEY_MAX_RULES:
		set_rows(in, name, value, &c->max_rules);
		break;
	case KEY_MAX_SHARE:
		set_share(in, name, value, &c->max_share);
		break;
	case KEY_CANARY_STEP:
		set_duration(in, name, value, NSEC_PER_SEC, NSEC_PER_DAY, &c->canary_step);
		break;
	case KEY_ALLOW:
		c->n_allow = networks(in, name, value, c->allow, CONFIG_ALLOW_MAX);
		break;
	case KEY_PROTECTED:
		c->n_protected = networks(in, name, value, c->protected, CONFIG_ALLOW_MAX);
		break;
	case KEY_MAX_PROTECTED:
		set_number(in, name, value, 1 << 26, &c->max_protected);
		break;
	case KEY_PROXY_FROM:
		c->n_proxies = networks(in, name, value, c->proxies, CONFIG_PROXIES_MAX);
		for (size_t i = 0; i < c->n_proxies; i++)
			if (!c->proxies[i].plen ||
			    (c->proxies[i].plen == 96 && c->proxies[i].net.lo == ADDR_V4_MARK))
				bad(in, "proxy_from: everybody is no proxy");
		break;
	case KEY_TICK:
		set_duration(in, name, value, 100 * NSEC_PER_MSEC, 300 * NSEC_PER_SEC, &c->tick);
		break;
	case KEY_MAX_UNATTENDED:
		set_duration(in, name, value, 0, 30 * NSEC_PER_DAY, &c->max_unattended);
		break;
	case KEY_ON_STOP:
		c->detach_on_stop = choice_of(in, name, value, stops);
		break;
	case KEY_GROUP:
		if (strlen(value) >= sizeof(c->group))
			bad(in, "group: \"%s\" is too long", value);
		else
			strcpy(c->group, value);
		break;
	case KEY_METRICS:
		set_metrics(in, value);
		break;
	case KEY_MMDB:
		set_mmdb(in, value);
		break;
	case KEY_P0F:
		if (*value && *value != '/')
			bad(in, "p0f: \"%s\" does not begin with /", value);
		else
			snprintf(c->p0f, sizeof(c->p0f), "%s", value);
		break;
	case KEY_STATE_DIR:
		set_path(in, name, value, c->state_dir);
		break;
	case KEY_RUN_DIR:
		set_path(in, name, value, c->run_dir);
		break;
	case KEY_BPFFS:
		set_path(in, name, value, c->bpffs);
		break;
	case KEY_TALLIES:
		set_rows(in, name, value, &c->tables.tallies);
		break;
	case KEY_ORDERS:
		set_rows(in, name, value, &c->tables.orders);
		break;
	case KEY_FLOWS:
		set_rows(in, name, value, &c->tables.flows);
		break;
	case KEY_HANDSHAKES:
		set_rows(in, name, value, &c->tables.handshakes);
		break;
	case KEY_RULES:
		set_rows(in, name, value, &c->tables.rules);
		break;
	case KEY_PREFIXES:
		set_rows(in, name, value, &c->tables.prefixes);
		break;
	case KEY_REASSEMBLY:
		set_rows(in, name, value, &c->tables.reassembly);
		break;
	case KEY_RING_BYTES:
		set_ring(in, value, &c->tables.ring_bytes);
		break;
	case KEY_MAX:
		break;
	}
}

static void unknown_key(struct reader *in, const char *section, const char *name)
{
	const char *other, *meant_detect = NULL;
	unsigned int best = 4;
	int meant = -1;

	for (int k = 0; k < KEY_MAX; k++) {
		unsigned int d = text_distance(name, keys[k].name);

		if (d < best) {
			best = d;
			meant = k;
		}
	}
	for (size_t k = 0; (other = detect_setting_name(k)); k++) {
		unsigned int d = text_distance(name, other);

		if (d < best) {
			best = d;
			meant_detect = other;
		}
	}
	if (meant_detect && best == 0)
		bad(in, "\"%s\" belongs in [detect], not [%s]", name, section);
	else if (meant_detect)
		bad(in, "unknown key \"%s\"; did you mean \"%s\"?", name, meant_detect);
	else if (meant < 0)
		bad(in, "unknown key \"%s\"", name);
	else if (best == 0)
		bad(in, "\"%s\" belongs in [%s], not [%s]", name, keys[meant].section, section);
	else
		bad(in, "unknown key \"%s\"; did you mean \"%s\"?", name, keys[meant].name);
}

/* Key `slot` of the trace was set on this line. */
static void took(struct reader *in, int table, size_t bit, size_t slot, const char *name,
		 const char *value)
{
	struct config_set *set = &in->c.set[slot];

	_Static_assert(KEY_MAX <= 64, "a bit each");
	if (in->had[table] & 1ULL << bit)
		bad(in, "%s is set twice in this file", name);
	in->had[table] |= 1ULL << bit;
	set->file = in->c.n_files;
	set->line = in->line;
	snprintf(set->value, sizeof(set->value), "%s", value);
}

static void set_detect(struct reader *in, const char *name, const char *value)
{
	char why[SETTING_WHY];
	int err = detect_setting(&in->c.detect, name, value, why);

	if (err == -ENOENT) {
		unknown_key(in, "detect", name);
		return;
	}
	if (err)
		bad(in, "%s: \"%s\" is %s", name, value, why);
	for (size_t k = 0; detect_setting_name(k); k++) {
		if (strcmp(name, detect_setting_name(k)))
			continue;
		took(in, 1, k, KEY_MAX + k, name, value);
	}
}

/* libinih's answer: nonzero is fine. */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
	struct reader *in = user;
	char copy[VALUE_MAX];

	if (in->err)
		return 1;
	if (!strcmp(section, "detect")) {
		set_detect(in, name, value ? value : "");
		return 1;
	}
	if (strcmp(section, "winnow") && strcmp(section, "tables")) {
		bad(in, "unknown section [%s]; expected [winnow], [tables] or [detect]", section);
		return 1;
	}
	for (int k = 0; k < KEY_MAX; k++) {
		if (strcmp(section, keys[k].section) || strcmp(name, keys[k].name))
			continue;
		took(in, 0, k, k, name, value ? value : "");
		snprintf(copy, sizeof(copy), "%s", value ? value : "");
		if (!in->err)
			set_key(in, k, copy);
		return 1;
	}
	unknown_key(in, section, name);
	return 1;
}

/* libinih's fgets: one line at a time, so that `line` is where a key stands. */
static char *next_line(char *out, int size, void *user)
{
	_cleanup_(freep) char *line = NULL;
	struct reader *in = user;
	size_t room = 0, skip = 0;
	ssize_t n;

	if (in->err)
		return NULL;
	n = getline(&line, &room, in->f);
	if (n < 0)
		return NULL;
	in->line++;
	if (in->line == 1 && !strncmp(line, "\xef\xbb\xbf", 3))
		skip = 3;
	if (memchr(line, 0, n)) {
		bad(in, "a NUL byte");
		return NULL;
	}
	while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
		line[--n] = '\0';
	/* A blank in front would continue the value before. */
	skip += strspn(line + skip, " \t");
	if (n - skip > LINE_MAX_BYTES || n - skip + 2 > (size_t)size) {
		bad(in, "the line is longer than %d bytes", LINE_MAX_BYTES);
		return NULL;
	}
	sprintf(out, "%s\n", line + skip);
	return out;
}

void config_default(struct config *c)
{
	*c = (struct config){
		.ports = { 443 },
		.n_ports = 1,
		.enforce = ENFORCE_EACH,
		.max_rules = 30000,
		.max_protected = 3,
		.max_share = 0.001,
		.canary_step = 600 * NSEC_PER_SEC,
		.tick = 10 * NSEC_PER_SEC,
		.max_unattended = 15 * 60 * NSEC_PER_SEC,
		.state_dir = "/var/lib/winnow",
		.run_dir = "/run/winnow",
		.bpffs = "/sys/fs/bpf/winnow",
		.p0f = "/etc/p0f/p0f.fp",
	};
	kern_config_default(&c->tables);
	detect_settings_default(&c->detect);
}

int config_read_file(const char *file, struct config *c, struct reason *r)
{
	_cleanup_(fclosep) FILE *f = fopen(file, "re");
	struct reader *in;
	int line, err;

	if (!f)
		return reason_set(r, -errno, "%s: %s", file, strerror(errno));
	in = calloc(1, sizeof(*in));
	if (!in)
		return reason_set(r, -ENOMEM, "out of memory");
	in->f = f;
	in->file = file;
	in->c = *c;
	in->why = r;
	if (in->c.n_files == CONFIG_FILES_MAX || strlen(file) >= sizeof(in->c.files[0])) {
		free(in);
		return reason_set(r, -EINVAL, "%s: %s", file,
				  strlen(file) >= sizeof(in->c.files[0])
					  ? "the path is too long"
					  : "too many configuration files");
	}
	strcpy(in->c.files[in->c.n_files++], file);
	line = ini_parse_stream(next_line, in, on_key, in);
	/* libinih goes on behind a line it cannot read; that line is the first fault. */
	if (line && (!in->err || (line > 0 && (unsigned int)line < in->line))) {
		in->err = 0;
		in->line = line > 0 ? (unsigned int)line : in->line;
		bad(in, "neither [section] nor key = value");
	}
	if (!in->err && ferror(f))
		in->err = reason_set(r, -EIO, "%s: %s", file, strerror(EIO));
	err = in->err;
	if (!err)
		*c = in->c;
	free(in);
	return err;
}

static int read_layer(const char *file, struct config *c, struct reason *r)
{
	int err = config_read_file(file, c, r);

	return err == -ENOENT ? 0 : err;
}

/* A directory that is not there has no files; one that cannot be read may have any. */
static int is_unreadable(const char *dir, int err)
{
	return err != ENOENT;
}

static int read_directory(const char *pattern, struct config *c, struct reason *r)
{
	glob_t found = {};
	int err = glob(pattern, 0, is_unreadable, &found);

	if (err == GLOB_NOMATCH)
		err = 0;
	else if (err)
		err = reason_set(r, err == GLOB_NOSPACE ? -ENOMEM : -EIO, "%s: cannot be read",
				 pattern);
	for (size_t i = 0; !err && i < found.gl_pathc; i++)
		err = config_read_file(found.gl_pathv[i], c, r);
	globfree(&found);
	return err;
}

int config_read(const char *file, struct config *out, struct reason *r)
{
	_cleanup_(freep) struct config *c = malloc(sizeof(*c));
	int err;

	if (!c)
		return reason_set(r, -ENOMEM, "out of memory");
	config_default(c);
	if (file) {
		err = config_read_file(file, c, r);
	} else {
		err = read_layer("/usr/lib/winnow/winnow.conf", c, r);
		if (!err)
			err = read_layer("/etc/winnow/winnow.conf", c, r);
		if (!err)
			err = read_directory("/etc/winnow/winnow.conf.d/*.conf", c, r);
	}
	if (!err)
		*out = *c;
	return err;
}

/* ---- the keys, for whoever shows them ------------------------------------------ */

bool config_key(size_t i, struct config_key *out)
{
	if (i < KEY_MAX) {
		*out = keys[i];
		return true;
	}
	*out = (struct config_key){ .section = "detect", .name = detect_setting_name(i - KEY_MAX) };
	return out->name;
}

json_t *config_json(const struct config *c)
{
	json_t *files = json_array(), *rows = json_array();
	char text[SETTING_WHY], where[CONFIG_FILE_NAME + 16];
	struct detect_settings defaults;
	struct config_key k;

	detect_settings_default(&defaults);
	for (size_t i = 0; i < c->n_files; i++)
		json_array_append_new(files, json_string(c->files[i]));
	for (size_t i = 0; config_key(i, &k); i++) {
		const struct config_set *set = &c->set[i];

		if (set->file)
			snprintf(where, sizeof(where), "%s:%u", c->files[set->file - 1], set->line);
		else
			strcpy(where, "default");
		json_array_append_new(rows,
				      json_pack("{s:s, s:s, s:s, s:s}", "section", k.section, "key",
						k.name, "value",
						set->file ? set->value
						: k.value ? k.value
							  : detect_setting_text(&defaults,
										i - KEY_MAX, text),
						"origin", where));
	}
	return json_pack("{s:s, s:o, s:o}", "schema", "winnow.config/1", "files", files, "settings",
			 rows);
}
