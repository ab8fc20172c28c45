/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
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
#include "enrich/networks.h"
#include "enrich/stacks.h"
#include "enrich/systems.h"
#include "tls/names.h"

#define MMDB "tests/data/mmdb/networks.mmdb"

static char file[] = "/tmp/winnow-mmdb-XXXXXX";

static size_t slurp(const char *path, uint8_t *out, size_t room)
{
	_cleanup_(fclosep) FILE *f = fopen(path, "r");

	if (!f)
		fail_msg("%s: not here (tests run in the tree's top)", path);
	return fread(out, 1, room, f);
}

static void spill(const uint8_t *bytes, size_t len)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

static struct network of(const struct networks *n, const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return networks_of(n, a);
}

static struct networks *opened(const char *path)
{
	struct networks *n = NULL;
	struct reason r = {};

	if (networks_open(&path, 1, &n, &r))
		fail_msg("%s", r.text);
	return n;
}

static void an_address_has_its_network(void **state)
{
	struct networks *n = opened(MMDB);
	struct network w = of(n, "192.0.2.77");

	(void)state;
	assert_int_equal(w.asn, 64496);
	assert_string_equal(w.org, "Example Hosting");
	assert_string_equal(w.country, "");
	w = of(n, "198.51.100.1");
	assert_string_equal(w.org, "Caf\xc3\xa9 <b>\"Net\"</b>");
	assert_string_equal(w.country, "FR");
	w = of(n, "2001:db8:7::1");
	assert_int_equal(w.asn, 64499);
	assert_string_equal(w.country, "DE");
	w = of(n, "203.0.113.1");
	assert_int_equal(w.asn, 0);
	networks_free(n);
	assert_int_equal(of(NULL, "192.0.2.1").asn, 0);
}

/* Fault 86: what happens to the file after it was read reaches nobody. */
static void a_file_truncated_while_open_changes_nothing(void **state)
{
	static uint8_t bytes[65536];
	size_t len = slurp(MMDB, bytes, sizeof(bytes));
	struct networks *n;

	(void)state;
	spill(bytes, len);
	n = opened(file);
	assert_int_equal(truncate(file, 0), 0);
	assert_int_equal(of(n, "192.0.2.1").asn, 64496);
	memset(bytes, 0xff, len);
	spill(bytes, len);
	assert_int_equal(of(n, "10.1.2.3").asn, 64498);
	unlink(file);
	assert_int_equal(of(n, "2001:db8::1").asn, 64499);
	networks_free(n);
}

/* Fault 86: every prefix of the file, and every byte of it changed: a refusal or an
 * answer, never the end of the process. */
static void a_damaged_file_is_refused_or_answers(void **state)
{
	static uint8_t bytes[65536], bad[65536];
	size_t len = slurp(MMDB, bytes, sizeof(bytes)), refused = 0;
	const char *path = file;
	struct reason r;

	(void)state;
	for (size_t cut = 0; cut <= len + 255; cut++) {
		struct networks *n = NULL;
		size_t at = cut - len;

		memcpy(bad, bytes, len);
		if (cut >= len)
			bad[len - 1 - at] ^= 0x5a;
		spill(bad, cut < len ? cut : len);
		if (networks_open(&path, 1, &n, &r)) {
			assert_non_null(strstr(r.text, file));
			refused++;
			continue;
		}
		of(n, "192.0.2.1");
		of(n, "198.51.100.1");
		of(n, "2001:db8::1");
		networks_free(n);
	}
	assert_true(refused >= len);
	path = "/nonexistent/x.mmdb";
	assert_int_equal(networks_open(&path, 1, &(struct networks *){ NULL }, &r), -ENOENT);
	path = "/dev/zero";
	assert_int_equal(networks_open(&path, 1, &(struct networks *){ NULL }, &r), -EINVAL);
}

static const char fp[] =
	"; comment\n[mtu]\nlabel = Ethernet\nsig = 1500\n[tcp:request]\n"
	"label = s:unix:Linux:3.11 and newer\nsys = Linux\n"
	"sig = *:64:0:*:mss*20,10:mss,sok,ts,nop,ws:df,id+:0\n"
	"sig = *:64:0:*:mss*44,7:mss,sok,ts,nop,ws:df,id+:0\n"
	"label = s:win:Windows:7 or 8\nsig = *:128:0:*:8192,2:mss,nop,ws,nop,nop,sok:df,id+:0\n"
	"label = s:!:NMap:SYN scan\nsig = *:64-:0:1460:1024,0:mss::0\n"
	"label = g:unix:BSD:\nsig = *:64:0:*:%8192,*:mss:df:0\nsig = broken\n"
	"[tcp:response]\nlabel = s:unix:Linux:3.x\nsig = *:64:0:*:mss*10,0:mss:df:0\n";

static void is_system(const struct systems *s, const char *raw, const char *want)
{
	const char *got = systems_of(s, raw);

	if (want ? !got || strcmp(got, want) : got != NULL)
		fail_msg("%s: %s, not %s", raw ? raw : "NULL", got ? got : "nothing",
			 want ? want : "nothing");
}

static void a_syn_has_the_system_p0f_would_say(void **state)
{
	struct systems *s = NULL;
	struct reason r;
	size_t skipped;

	(void)state;
	spill((const uint8_t *)fp, strlen(fp));
	assert_int_equal(systems_open(file, &s, &r), 0);
	assert_int_equal(systems_count(s, &skipped), 4);
	assert_int_equal(skipped, 1);
	is_system(s, "4:64+0:0:1460:mss*20,10:mss,sok,ts,nop,ws:df,id+:0", "Linux 3.11 and newer");
	is_system(s, "4:50+14:0:1400:mss*44,7:mss,sok,ts,nop,ws:df,id+:0", "Linux 3.11 and newer");
	is_system(s, "6:64+0:0:1440:mss*44,7:mss,sok,ts,nop,ws::0", "Linux 3.11 and newer");
	is_system(s, "4:118+10:0:1460:8192,2:mss,nop,ws,nop,nop,sok:df,id+:0", "Windows 7 or 8");
	/* 8192 is 16 times 512: seen as a multiple. */
	is_system(s, "4:128+0:0:512:mss*16,2:mss,nop,ws,nop,nop,sok:df,id+:0", "Windows 7 or 8");
	is_system(s, "4:64+0:0:1460:16384,5:mss:df:0", "BSD");
	is_system(s, "4:64+0:0:1460:16385,5:mss:df:0", NULL);
	is_system(s, "4:64+0:0:1460:mss*20,9:mss,sok,ts,nop,ws:df,id+:0", NULL);
	is_system(s, "4:20+?:0:1460:mss*20,10:mss,sok,ts,nop,ws:df,id+:0", NULL);
	is_system(s, "4:64+0:0:1460:1024,0:mss::0", NULL);
	is_system(s, "nonsense", NULL);
	is_system(s, NULL, NULL);
	is_system(NULL, "4:64+0:0:1460:1024,0:mss::0", NULL);
	systems_free(s);
}

static void debians_list_is_read_whole(void **state)
{
	struct systems *s = NULL;
	struct reason r;
	size_t skipped;

	(void)state;
	if (systems_open("/etc/p0f/p0f.fp", &s, &r))
		skip();
	assert_true(systems_count(s, &skipped) > 50);
	assert_int_equal(skipped, 0);
	is_system(s, "4:64+0:0:1460:mss*20,10:mss,sok,ts,nop,ws:df,id+:0", "Linux 3.11 and newer");
	systems_free(s);
}

/* Each row is made again from the recordings it names. */
static void known_stacks_are_those_that_were_recorded(void **state)
{
	_cleanup_(namer_freep) struct namer *n = NULL;
	static uint8_t msg[65536];
	struct secret secret = {};
	size_t rows = 0;

	(void)state;
	assert_int_equal(namer_new(&n), 0);
	for (const struct known_stack *k = known_stacks; k->stack; k++, rows++) {
		char list[256], path[320], *rest = list, *name;

		snprintf(list, sizeof(list), "%s", k->source);
		while ((name = strsep(&rest, " "))) {
			const struct names *names;
			struct hello h;
			size_t len;

			snprintf(path, sizeof(path), "tests/data/hellos/%s.bin", name);
			len = slurp(path, msg, sizeof(msg));
			assert_int_equal(namer_parse(n, msg, len, &secret, 't', &h), HELLO_OK);
			assert_int_equal(namer_name(n, msg, len, &h, &names), 0);
			assert_string_equal(names->stack, k->stack);
		}
		assert_ptr_equal(stacks_known(k->stack), k);
		assert_true(strlen(k->label) > 3);
	}
	assert_true(rows > 20);
	assert_null(stacks_known("t13d0000h2_000000000000_000000000000"));
	assert_null(stacks_known(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_has_its_network),
		cmocka_unit_test(a_file_truncated_while_open_changes_nothing),
		cmocka_unit_test(a_damaged_file_is_refused_or_answers),
		cmocka_unit_test(a_syn_has_the_system_p0f_would_say),
		cmocka_unit_test(debians_list_is_read_whole),
		cmocka_unit_test(known_stacks_are_those_that_were_recorded),
	};
	int failed, fd = mkstemp(file);

	close(fd);
	failed = cmocka_run_group_tests_name("enrich", tests, NULL, NULL);
	unlink(file);
	return failed;
}
