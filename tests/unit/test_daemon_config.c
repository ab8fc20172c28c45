/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "daemon/config.h"

static char file[] = "/tmp/winnow-conf-XXXXXX";

static void write_file(const void *bytes, size_t len)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

static struct config read_ok(const char *text)
{
	struct reason r = {};
	struct config c;

	config_default(&c);
	write_file(text, strlen(text));
	if (config_read_file(file, &c, &r))
		fail_msg("%s", r.text);
	return c;
}

/* Refused with file:LINE and `says`, and nothing of it taken. */
static void refused_bytes(const void *bytes, size_t len, unsigned int line, const char *says)
{
	char where[64];
	struct reason r = {};
	struct config c, before;

	config_default(&before);
	memcpy(&c, &before, sizeof(c));
	write_file(bytes, len);
	assert_int_equal(config_read_file(file, &c, &r), -EINVAL);
	snprintf(where, sizeof(where), "%s:%u: ", file, line);
	if (strncmp(r.text, where, strlen(where)) || !strstr(r.text, says))
		fail_msg("\"%s\" is not at line %u or does not say \"%s\"", r.text, line, says);
	assert_memory_equal(&c, &before, sizeof(c));
}

static void refused(const char *text, unsigned int line, const char *says)
{
	refused_bytes(text, strlen(text), line, says);
}

static void every_key_is_read(void **state)
{
	struct config c = read_ok("# comment\n[winnow]\ninterfaces = eth0, eth1 bond0.7\n"
				  "ports = 443 8443\nmode = generic\nproof = socket\n"
				  "enforce = no\nallow = 10.0.0.0/8 2001:db8::1\ntick = 1m30s\n"
				  "max_unattended = 0s\non_stop = detach\ngroup = adm\n"
				  "state_dir = /a\nrun_dir = /b\nbpffs = /c\n[tables]\n"
				  "tallies = 1000\nring_bytes = 8192\n");

	(void)state;
	assert_int_equal(c.n_interfaces, 3);
	assert_string_equal(c.interfaces[2], "bond0.7");
	assert_int_equal(c.n_ports, 2);
	assert_int_equal(c.ports[1], 8443);
	assert_int_equal(c.mode, ATTACH_GENERIC);
	assert_int_equal(c.proof, PROOF_WISH_SOCKET);
	assert_int_equal(c.enforce, ENFORCE_NO);
	assert_int_equal(c.n_allow, 2);
	assert_int_equal(c.allow[0].plen, 104);
	assert_int_equal(c.tick, 90 * NSEC_PER_SEC);
	assert_int_equal(c.max_unattended, 0);
	assert_true(c.detach_on_stop);
	assert_string_equal(c.group, "adm");
	assert_string_equal(c.bpffs, "/c");
	assert_int_equal(c.tables.tallies, 1000);
	assert_int_equal(c.tables.ring_bytes, 8192);
}

static void a_later_file_replaces_an_earlier_one(void **state)
{
	struct reason r = {};
	struct config c = read_ok("[winnow]\nports = 443\ntick = 2s\n");

	(void)state;
	write_file("[winnow]\nports = 8443\n", 22);
	assert_int_equal(config_read_file(file, &c, &r), 0);
	assert_int_equal(c.n_ports, 1);
	assert_int_equal(c.ports[0], 8443);
	assert_int_equal(c.tick, 2 * NSEC_PER_SEC);
}

/* Fault 80. */
static void what_is_wrong_is_named_with_its_line(void **state)
{
	char line[400] = "[winnow]\ninterfaces = ";

	(void)state;
	refused("[winnow]\n\nprots = 443\n", 3, "did you mean \"ports\"?");
	refused("[winnow]\nxyzzy = 1\n", 2, "unknown key \"xyzzy\"");
	refused("[winnow]\ntallies = 100\n", 2, "belongs in [tables]");
	refused("[windows]\nports = 1\n", 2, "unknown section [windows]");
	refused("ports = 1\n", 1, "unknown section []");
	refused("[winnow]\nports = 443\nports = 444\n", 3, "ports is set twice");
	refused("[winnow]\nports\n", 2, "neither");
	refused("[winnow\nports = 1\n", 1, "neither");
	refused("[winnow]\nports = 0\n", 2, "\"0\" is no port");
	refused("[winnow]\nports = 65536\n", 2, "no port");
	refused("[winnow]\nports = 443x\n", 2, "no port");
	refused("[winnow]\nports =\n", 2, "at least one port");
	refused("[winnow]\ntick = 10\n", 2, "no duration");
	refused("[winnow]\ntick = 1ms\n", 2, "from 100ms to 5m");
	refused("[winnow]\nmode = fast\n", 2, "none of native, generic");
	refused("[winnow]\nenforce = maybe\n", 2, "none of no, each, yes");
	refused("[winnow]\nallow = 10.0.0.1/8\n", 2, "has bits set behind");
	refused("[winnow]\nallow = 10.0.0.0/8 example.org\n", 2, "\"example.org\" is no address");
	refused("[winnow]\nproxy_from = 10.0.0.0/8 lb1\n", 2, "proxy_from: \"lb1\" is no address");
	refused("[winnow]\nproxy_from = 10.1.0.0/8\n", 2, "has bits set behind");
	refused("[winnow]\n\nproxy_from = 0.0.0.0/0\n", 3, "everybody is no proxy");
	refused("[winnow]\nallow = 10.0.0.0/8, 10.0.0.0/8\n", 2, "10.0.0.0/8 is there twice");
	refused("[winnow]\nmetrics = 0.0.0.0:9751\n", 2, "not on loopback");
	refused("[winnow]\nmetrics = [2001:db8::1]:9751\n", 2, "not on loopback");
	refused("[winnow]\nmetrics = 127.0.0.1\n", 2, "neither ADDRESS:PORT nor a path");
	refused("[winnow]\nmetrics = localhost:9751\n", 2, "neither ADDRESS:PORT nor a path");
	refused("[winnow]\nmetrics = 127.0.0.1:99999\n", 2, "neither ADDRESS:PORT nor a path");
	refused("[winnow]\nproxy_from = ::/0\n", 2, "everybody is no proxy");
	refused("[winnow]\nstate_dir = here\n", 2, "does not begin with /");
	refused("[winnow]\ninterfaces = averyverylongname0\n", 2, "no device name");
	refused("[tables]\ntallies = 5\n", 2, "from 64");
	refused("[tables]\nring_bytes = 5000\n", 2, "power of two");
	memset(line + strlen(line), 'e', 300);
	strcat(line, "\n");
	refused(line, 2, "longer than 198 bytes");
	refused_bytes("[winnow]\nports = 4\0004\n", 21, 2, "NUL");
}

static void foreign_line_ends_and_marks_are_taken(void **state)
{
	struct config c = read_ok("\xef\xbb\xbf[winnow]\r\nports = 8443\r\n  tick = 3s\r\n");

	(void)state;
	assert_int_equal(c.ports[0], 8443);
	assert_int_equal(c.tick, 3 * NSEC_PER_SEC);
}

static void a_file_that_is_not_there_is_an_error_when_asked_for(void **state)
{
	struct reason r = {};
	struct config c;

	(void)state;
	assert_int_equal(config_read("/nonexistent/winnow.conf", &c, &r), -ENOENT);
	assert_non_null(strstr(r.text, "/nonexistent/winnow.conf"));
}

/* [detect] is read by detect/settings.h; errors have their line all the same. */
static void numbers_of_the_detector_are_settings_too(void **state)
{
	struct config c = read_ok("[detect]\nwindow = 10s\nbaseline = 45s\nspread = 0.7\n");

	(void)state;
	assert_int_equal(c.detect.config.window, 10 * NSEC_PER_SEC);
	assert_int_equal(c.detect.baseline, 45 * NSEC_PER_SEC);
	assert_true(c.detect.config.spread == 0.7);
	c = read_ok("[winnow]\nports = 443\n");
	assert_int_equal(c.detect.config.window, 60 * NSEC_PER_SEC);
	assert_int_equal(c.detect.baseline, 86400 * NSEC_PER_SEC);
	refused("[detect]\nwindow = 10\n", 2, "no duration from 1s");
	refused("[detect]\n\nmin_member = 3\n", 3, "did you mean \"min_members\"");
	refused("[detect]\nwindow = 10s\nwindow = 10s\n", 3, "twice");
	refused("[detect]\ntick = 10s\n", 2, "belongs in [winnow]");
	refused("[winnow]\nspread = 1\n", 2, "belongs in [detect]");
}

/* What `config show` and the manual print is what the reader takes, and the default. */
static void the_default_of_each_key_is_what_the_table_says(void **state)
{
	static struct config c, def;
	struct config_key k;
	struct reason r = {};
	char text[1024];
	size_t n = 0;

	(void)state;
	for (; config_key(n, &k); n++) {
		const char *value = k.value;
		char number[SETTING_WHY];

		assert_true(n < CONFIG_KEYS_MAX);
		config_default(&def);
		if (!value)
			for (size_t i = 0; detect_setting_name(i); i++)
				if (!strcmp(detect_setting_name(i), k.name))
					value = detect_setting_text(&def.detect, i, number);
		if (!*value)
			continue;
		snprintf(text, sizeof(text), "[%s]\n%s = %s\n", k.section, k.name, value);
		write_file(text, strlen(text));
		memcpy(&c, &def, sizeof(c));
		if (config_read_file(file, &c, &r))
			fail_msg("%s = %s: %s", k.name, value, r.text);
		assert_string_equal(c.set[n].value, value);
		assert_memory_equal(&c, &def, offsetof(struct config, files));
	}
	assert_true(n > 40);
}

static void where_each_key_was_set_is_known(void **state)
{
	static struct config c;
	char where[64];
	struct reason r;
	json_t *doc, *row;
	size_t i;
	int seen = 0;

	(void)state;
	c = read_ok("[winnow]\n\nports = 8443 9443\n[detect]\nspread = 0.7\n");
	write_file("[winnow]\ntick = 3s\n", 19);
	assert_int_equal(config_read_file(file, &c, &r), 0);
	doc = config_json(&c);
	assert_int_equal(json_array_size(json_object_get(doc, "files")), 2);
	json_array_foreach(json_object_get(doc, "settings"), i, row) {
		const char *key, *value, *origin;

		assert_int_equal(json_unpack(row, "{s:s, s:s, s:s}", "key", &key, "value", &value,
					     "origin", &origin),
				 0);
		snprintf(where, sizeof(where), "%s:%d", file,
			 !strcmp(key, "ports")    ? 3
			 : !strcmp(key, "spread") ? 5
						  : 2);
		if (!strcmp(key, "ports"))
			assert_string_equal(value, "8443 9443");
		if (!strcmp(key, "ports") || !strcmp(key, "spread") || !strcmp(key, "tick")) {
			assert_string_equal(origin, where);
			seen++;
		} else {
			assert_string_equal(origin, "default");
		}
	}
	assert_int_equal(seen, 3);
	json_decref(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_of_each_key_is_what_the_table_says),
		cmocka_unit_test(where_each_key_was_set_is_known),
		cmocka_unit_test(numbers_of_the_detector_are_settings_too),
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(a_later_file_replaces_an_earlier_one),
		cmocka_unit_test(what_is_wrong_is_named_with_its_line),
		cmocka_unit_test(foreign_line_ends_and_marks_are_taken),
		cmocka_unit_test(a_file_that_is_not_there_is_an_error_when_asked_for),
	};
	int failed, fd = mkstemp(file);

	close(fd);
	failed = cmocka_run_group_tests_name("config", tests, NULL, NULL);
	unlink(file);
	return failed;
}
