/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/protect.h"

static struct protect p;

static int check(const char *rule, struct reason *r)
{
	_cleanup_(rule_spec_clear) struct rule_spec s = {};

	if (rule_parse(rule, &s, r))
		fail_msg("%s: %s", rule, r->text);
	return protect_check(&p, &s, r);
}

static void refused(const char *src, const char *says)
{
	struct reason r = {};
	char rule[128];

	snprintf(rule, sizeof(rule), "src %s action drop reason x", src);
	assert_int_equal(check(rule, &r), -EACCES);
	if (!strstr(r.text, says))
		fail_msg("\"%s\" does not say \"%s\"", r.text, says);
}

static void taken(const char *src)
{
	struct reason r = {};
	char rule[128];

	snprintf(rule, sizeof(rule), "src %s action drop reason x", src);
	if (check(rule, &r))
		fail_msg("%s", r.text);
}

static void feed(void (*fn)(struct protect *, FILE *), const char *text)
{
	FILE *f = fmemopen((void *)text, strlen(text), "r");

	fn(&p, f);
	fclose(f);
}

static int start(void **state)
{
	(void)state;
	protect_constants(&p);
	return 0;
}

static int end(void **state)
{
	(void)state;
	protect_clear(&p);
	return 0;
}

/* Fault 83. */
static void wide_prefixes_are_refused(void **state)
{
	(void)state;
	refused("0.0.0.0/0", "wider than /16");
	refused("8.0.0.0/8", "wider than /16");
	refused("8.8.0.0/15", "wider than /16");
	taken("8.8.0.0/16");
	refused("::/0", "covers all of IPv4");
	refused("::/80", "covers all of IPv4");
	refused("2001:db8::/31", "wider than /32");
	taken("2001:db8::/32");
}

static void what_is_never_a_client_is_refused(void **state)
{
	(void)state;
	refused("127.0.0.1", "loopback");
	refused("127.1.0.0/16", "loopback");
	refused("169.254.7.0/24", "link-local");
	refused("224.0.0.251", "multicast");
	refused("255.255.255.255", "broadcast");
	refused("0.0.0.0", "unspecified");
	refused("::1", "loopback");
	refused("fe80::1", "link-local");
	refused("ff02::1", "multicast");
}

static void gateways_are_refused_other_routes_are_not(void **state)
{
	(void)state;
	feed(protect_routes_v4,
	     "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n"
	     "eth0\t00000000\t016433C6\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
	     "eth0\t0000000A\t026433C6\t0003\t0\t0\t0\t000000FF\t0\t0\t0\n"
	     "eth0\t006433C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n");
	refused("198.51.100.1", "the default gateway (198.51.100.1)");
	refused("198.51.100.0/24", "the default gateway");
	taken("198.51.100.2");

	feed(protect_routes_v6,
	     "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 "
	     "00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n"
	     "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
	     "20010db80000000000000000000000fe 00000400 00000001 00000000 00000003 eth0\n");
	refused("2001:db8::fe", "the default gateway");
	refused("2001:db8::/64", "the default gateway");
	taken("2001:db8:1::/64");
}

static void tcp22(struct protect *to, FILE *f)
{
	protect_tcp(to, f, 22);
}

static void ssh_peers_are_refused_other_connections_are_not(void **state)
{
	(void)state;
	feed(tcp22,
	     "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid\n"
	     "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0\n"
	     "   1: 0A6433C6:0016 097100CB:C350 01 00000000:00000000 02:00000000 00000000 0\n"
	     "   2: 0A6433C6:01BB 0A7100CB:C350 01 00000000:00000000 02:00000000 00000000 0\n"
	     "   3: 0A6433C6:0016 0B7100CB:C350 06 00000000:00000000 02:00000000 00000000 0\n");
	refused("203.0.113.9", "an SSH session's peer");
	taken("203.0.113.10"); /* HTTPS */
	taken("203.0.113.11"); /* TIME_WAIT */
	feed(tcp22, "   1: B80D0120000000000000000001000000:0016 "
		    "B80D0120000000000000000009000000:C350 01 00000000:00000000 0 0 0\n"
		    "   2: 0000000000000000FFFF00000A6433C6:0016 "
		    "0000000000000000FFFF00000C7100CB:C350 01 00000000:00000000 0 0 0\n");
	refused("2001:db8::9", "SSH");
	refused("203.0.113.12", "SSH");
}

static void the_callers_own_session_is_refused(void **state)
{
	(void)state;
	protect_clear(&p);
	protect_collect(&p, "192.0.2.77 51234 198.51.100.10 22");
	refused("192.0.2.77", "your own SSH session");
	refused("192.0.2.0/24", "your own SSH session");
	protect_clear(&p);
	protect_collect(&p, "nonsense");
	taken("192.0.2.77");
}

static void passing_and_stacks_are_not_refused(void **state)
{
	struct reason r = {};

	(void)state;
	assert_int_equal(check("src 127.0.0.1 action pass reason x", &r), 0);
	assert_int_equal(check("src 8.0.0.0/8 action pass reason x", &r), -EACCES);
	assert_int_equal(check("stack t13d1516h2_8daaf6152771_02713d6af862 action reset reason x",
			       &r),
			 0);
}

#define claim(f) cmocka_unit_test_setup_teardown(f, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		claim(wide_prefixes_are_refused),
		claim(what_is_never_a_client_is_refused),
		claim(gateways_are_refused_other_routes_are_not),
		claim(ssh_peers_are_refused_other_connections_are_not),
		claim(the_callers_own_session_is_refused),
		claim(passing_and_stacks_are_not_refused),
	};

	return cmocka_run_group_tests_name("protect", tests, NULL, NULL);
}
