/* SPDX-License-Identifier: BSD-2-Clause */
/* Printed names against the published definition, and the keys computed from them. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "lib_hello.h"

static struct spec spec;
static struct message msg;

static int chrome(void **state)
{
	(void)state;
	spec_chrome(&spec);
	return 0;
}

/* Fault 22. The example of JA4.md: suites, extensions and algorithms as listed there. */
static void the_published_example_has_its_published_names(void **state)
{
	static const uint16_t types[] = { 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017,
					  0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b,
					  0xff01, 0x000b, 0x000a, 0x0015 };
	static const uint16_t sigalgs[] = { 0x0403, 0x0804, 0x0401, 0x0503,
					    0x0805, 0x0501, 0x0806, 0x0601 };
	static const char raw[] =
		"t13d1516h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,"
		"cca9_0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01_0403,"
		"0804,0401,0503,0805,0501,0806,0601";
	struct spec_extension old[16];
	const struct names *names;
	struct hello h;

	(void)state;
	for (int i = 0; i < 16; i++) {
		const struct spec_extension *e = spec_find(&spec, types[i]);

		old[i] = e ? *e : (struct spec_extension){ .type = types[i] };
	}
	spec.n_extensions = 0;
	for (int i = 0; i < 16; i++)
		*spec_add(&spec, types[i]) = old[i];
	spec_items(spec_get(&spec, 0x000d), 2, sigalgs, 8);
	names = named_spec(&spec, &h);
	assert_string_equal(names->ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1");
	assert_string_equal(names->ja4_r, raw);

	/* "If there are no signature algorithms ..." */
	spec_bytes(spec_get(&spec, 0x000d), "", 0);
	names = named_spec(&spec, &h);
	assert_string_equal(names->ja4, "t13d1516h2_8daaf6152771_6d807ffa2a79");
}

/* Fault 34: Chrome 152 puts GREASE into the signature algorithms. */
static void grease_among_signature_algorithms_is_left_out(void **state)
{
	const struct names *names;
	struct hello h;

	(void)state;
	names = named_spec(&spec, &h);
	assert_string_equal(names->ja4, "t13d1517h2_8daaf6152771_cb7bf5808d99");
	assert_string_equal(names->stack, "t13d1516h2_8daaf6152771_22db41f7518f");
}

/* Fault 34: each example of JA4.md, and the edges of "alphanumeric". */
static void alpn_is_printed_as_published(void **state)
{
	static const struct {
		const char *name;
		size_t len;
		const char *text;
	} cases[] = {
		{ "h2", 2, "h2" },       { "http/1.1", 8, "h1" },   { "x", 1, "xx" },
		{ "", 0, "00" },         { "\xab", 1, "ab" },       { "\x20", 1, "20" },
		{ "\xab\xcd", 2, "ad" }, { "\x20\x61", 2, "21" },   { "\x30\xab", 2, "3b" },
		{ "\x61\x20", 2, "60" }, { "01\xab\xcd", 4, "3d" }, { "\x30\xab\xcd\x31", 4, "01" },
		{ "/0", 2, "20" },       { "0:", 2, "3a" },         { "@A", 2, "41" },
		{ "A[", 2, "4b" },       { "`a", 2, "61" },         { "a{", 2, "6b" },
		{ "0Z", 2, "0Z" },       { "z9", 2, "z9" },         { "\0\0", 2, "00" },
	};
	struct hello h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		spec_alpn(spec_get(&spec, 0x0010), cases[i].name, cases[i].len);
		assert_memory_equal(named_spec(&spec, &h)->ja4 + 8, cases[i].text, 2);
	}
	spec_remove(&spec, 0x0010);
	assert_memory_equal(named_spec(&spec, &h)->ja4, "t13d151600_", 11);
}

static void versions_are_printed_as_published(void **state)
{
	static const struct {
		uint16_t version;
		const char *text;
	} cases[] = {
		{ 0x0304, "13" }, { 0x0303, "12" }, { 0x0302, "11" }, { 0x0301, "10" },
		{ 0x0300, "s3" }, { 0x0002, "s2" }, { 0xfeff, "d1" }, { 0xfefd, "d2" },
		{ 0xfefc, "d3" }, { 0x0305, "00" }, { 0x7f1c, "00" }, { 0xfefe, "00" },
	};
	uint16_t versions[3] = { 0xfafa, 0, 0x0a0a };
	struct hello h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		versions[1] = cases[i].version;
		spec_items(spec_get(&spec, 0x002b), 1, versions, 3);
		assert_memory_equal(named_spec(&spec, &h)->ja4 + 1, cases[i].text, 2);
	}
	/* the highest, wherever it stands; without the extension legacy_version */
	spec_items(spec_get(&spec, 0x002b), 1, (uint16_t[]){ 0x0301, 0x0303, 0x0302 }, 3);
	assert_memory_equal(named_spec(&spec, &h)->ja4 + 1, "12", 2);
	spec_items(spec_get(&spec, 0x002b), 1, versions, 1);
	spec.version = 0x0302;
	assert_memory_equal(named_spec(&spec, &h)->ja4 + 1, "11", 2);
	spec_remove(&spec, 0x002b);
	assert_memory_equal(named_spec(&spec, &h)->ja4 + 1, "11", 2);
}

/* Fault 35. */
static void counts_stop_at_99_and_lists_do_not(void **state)
{
	char raw[4096];
	const struct names *names;
	uint64_t key;
	struct hello a, b;

	(void)state;
	for (spec.n_ciphers = 0; spec.n_ciphers < 150; spec.n_ciphers++)
		spec.ciphers[spec.n_ciphers] = 0x5000 + spec.n_ciphers;
	while (spec.n_extensions < 152)
		spec_add(&spec, 0x5000 + spec.n_extensions);
	names = named_spec(&spec, &a);
	assert_memory_equal(names->ja4, "t13d9999h2_", 11);
	assert_int_equal(a.n_ciphers, 150);
	assert_int_equal(a.n_extensions, 150);
	strcpy(raw, names->ja4_r);
	assert_int_equal(names_key_from_raw(raw, &test_secret, &key), 0);
	assert_int_equal(key, a.ja4_key);
	assert_int_equal(names_key_from_raw(names->stack_r, &test_secret, &key), 0);
	assert_int_equal(key, a.stack_key);
	spec.ciphers[149]++;
	names = named_spec(&spec, &b);
	assert_memory_equal(names->ja4, "t13d9999h2_", 11);
	assert_string_not_equal(names->ja4_r, raw);
	assert_int_not_equal(a.ja4_key, b.ja4_key);
}

static void empty_lists_are_zeros(void **state)
{
	struct hello h;

	(void)state;
	spec.ciphers[0] = GREASE;
	spec.n_ciphers = 1;
	assert_string_equal(named_spec(&spec, &h)->ja4, "t13d0017h2_000000000000_cb7bf5808d99");
	spec.n_ciphers = 0;
	assert_string_equal(named_spec(&spec, &h)->ja4, "t13d0017h2_000000000000_cb7bf5808d99");
	/* SNI and ALPN are not in the list that is hashed */
	spec.n_extensions = 0;
	spec_add(&spec, 0x0000);
	spec_alpn(spec_add(&spec, 0x0010), "h2", 2);
	assert_string_equal(named_spec(&spec, &h)->ja4, "t12d0002h2_000000000000_000000000000");
	assert_string_equal(named_spec(&spec, &h)->ja4_r, "t12d0002h2__");
}

/* By hand from the wire order; the digest by `printf %s ... | md5sum`. */
static void ja3_is_in_wire_order_without_grease(void **state)
{
	const struct names *names;
	struct hello h;

	(void)state;
	names = named_spec(&spec, &h);
	assert_string_equal(names->ja3_text,
			    "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-"
			    "156-157-47-53,0-23-65281-10-11-35-16-5-13-18-51-45-43-27-17613-65037-"
			    "51764,4588-29-23-24,0");
	assert_string_equal(names->ja3, "29daf6a1b8b75888c9ffc79320898dd1");
}

static void order_names_each_extension_as_sent(void **state)
{
	const struct names *names;
	struct hello h;

	(void)state;
	spec_add(&spec, 0x0029);
	names = named_spec(&spec, &h);
	assert_string_equal(names->order_r,
			    "GREASE,0000,0017,ff01,000a,000b,0023,0010,0005,000d,0012,0033,002d,"
			    "002b,001b,44cd,fe0d,ca34,GREASE");
	assert_string_equal(names->order, "f92f0f32d8d6");
}

/* Fault 34: SNI 0..290 bytes with NULs, names of another type, lengths that lie. */
static void sni_is_raw_bytes_or_nothing(void **state)
{
	uint8_t data[295] = { 1, 34, 0, 1, 34 };
	const struct names *names;
	struct hello h;

	(void)state;
	names = named_spec(&spec, &h);
	assert_int_equal(names->sni.len, 11);
	assert_memory_equal(names->sni.at, "example.com", 11);
	assert_int_equal(names->n_alpn, 2);
	assert_memory_equal(names->alpn[1].at, "http/1.1", 8);

	for (unsigned int len = 0; len <= 290; len++) {
		data[0] = (len + 3) >> 8;
		data[1] = len + 3;
		data[3] = len >> 8;
		data[4] = len;
		spec_bytes(spec_get(&spec, 0x0000), data, 5 + len);
		names = named_spec(&spec, &h);
		assert_non_null(names->sni.at);
		assert_int_equal(names->sni.len, len);
		assert_int_equal(names->ja4[3], 'd');
	}
	data[4]++;
	spec_bytes(spec_get(&spec, 0x0000), data, 295);
	assert_null(named_spec(&spec, &h)->sni.at);
	data[4]--;
	data[2] = 1;
	spec_bytes(spec_get(&spec, 0x0000), data, 295);
	assert_null(named_spec(&spec, &h)->sni.at);
	spec_remove(&spec, 0x0000);
	names = named_spec(&spec, &h);
	assert_null(names->sni.at);
	assert_int_equal(names->ja4[3], 'i');
}

static void put_u16(uint8_t *p, size_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

/* Fault 34: up to what fits a hello, with NULs all over; what does not fit is too_long. */
static void an_sni_of_any_length_is_named_up_to_the_hellos_own_bound(void **state)
{
	static uint8_t big[HELLO_MAX + 70000];
	struct hello first, h;
	size_t tail;

	(void)state;
	named_spec(&spec, &first);
	spec_remove(&spec, 0x0000);
	spec_write(&spec, &msg);
	/* the extensions block: behind 4 + 35 + 32 + 2 + 2n + 2 bytes */
	tail = 4 + 35 + 32 + 2 + 2 * spec.n_ciphers + 2;
	for (size_t len = 0; len <= 65535; len += len < 300 ? 1 : 409) {
		size_t n = msg.len + 4 + len;

		memcpy(big, msg.b, msg.len);
		memset(big + msg.len, 0, 4 + len);
		put_u16(big + msg.len + 2, len);
		put_u16(big + tail, n - tail - 2);
		big[1] = (n - 4) >> 16;
		put_u16(big + 2, n - 4);
		if (n > HELLO_MAX) {
			assert_int_equal(parsed(big, n, &h), HELLO_TOO_LONG);
			continue;
		}
		assert_int_equal(parsed(big, n, &h), HELLO_OK);
		assert_int_equal(h.sni_len, len);
		assert_int_equal(h.ja4_key, first.ja4_key);
	}
}

static void quic_and_tcp_differ_in_the_first_letter_and_the_key(void **state)
{
	static struct hello_buf buf;
	struct hello t, q = { .transport = 'q' };
	_cleanup_(namer_freep) struct namer *n = NULL;
	const struct names *names;

	(void)state;
	named_spec(&spec, &t);
	spec_write(&spec, &msg);
	memcpy(buf.b, msg.b, msg.len);
	assert_int_equal(hello_parse(&buf, msg.len, &test_secret, &q), HELLO_OK);
	assert_int_equal(namer_new(&n), 0);
	assert_int_equal(namer_name(n, msg.b, msg.len, &q, &names), 0);
	assert_string_equal(names->ja4, "q13d1517h2_8daaf6152771_cb7bf5808d99");
	assert_int_not_equal(q.ja4_key, t.ja4_key);
	assert_int_equal(q.order_hash, t.order_hash);
}

/* ---- keys and strings ------------------------------------------------------------ */

/* Small pools, so that equal and different hellos both come up often. */
static void mutate(struct spec *s, uint64_t *seed)
{
	static const uint16_t types[] = { 0x0000, 0x0010, 0x000d, 0x002b, 0x0015, 0x0023, 0x0029,
					  0x002a, 0x002c, 0x0a0a, 0xfafa, 0x0005, 0x0017, 0xff01 };
	static const uint16_t sigalgs[] = { 0x0403, 0x0804, 0x0a0a };
	static const char *const alpn[] = { "h2", "hx2", "h", "\x31\x80", "\x30\xff", "" };
	static const uint16_t versions[] = { 0x0304, 0x0303, 0x0305, 0x7f1c, 0x1a1a };
	uint16_t items[3];
	size_t n = next_random(seed) % 3;

	s->version = 0x0301 + next_random(seed) % 5;
	s->n_ciphers = next_random(seed) % 3;
	for (size_t i = 0; i < s->n_ciphers; i++)
		s->ciphers[i] = next_random(seed) % 3 ? 0x1301 + next_random(seed) % 2 : GREASE;
	s->n_extensions = 0;
	for (size_t i = next_random(seed) % 4; i > 0; i--) {
		struct spec_extension *e = spec_add(s, types[next_random(seed) % 14]);
		const char *name = alpn[next_random(seed) % 6];

		if (e->type == 0x000d) {
			for (size_t j = 0; j < n; j++)
				items[j] = sigalgs[next_random(seed) % 3];
			spec_items(e, 2, items, n);
		} else if (e->type == 0x002b) {
			for (size_t j = 0; j < n; j++)
				items[j] = versions[next_random(seed) % 5];
			spec_items(e, 1, items, n);
		} else if (e->type == 0x0010) {
			spec_alpn(e, name, strlen(name));
		}
	}
}

struct seen {
	uint64_t key;
	char raw[128];
};

static int by_key(const void *a, const void *b)
{
	uint64_t x = ((const struct seen *)a)->key, y = ((const struct seen *)b)->key;

	return x < y ? -1 : x > y;
}

static int by_raw(const void *a, const void *b)
{
	return strcmp(((const struct seen *)a)->raw, ((const struct seen *)b)->raw);
}

#define MUTATIONS 30000

/* Keys equal exactly where strings are, both ways; also says that both happened. */
static void assert_same_partition(struct seen *seen)
{
	size_t equal = 0;

	qsort(seen, MUTATIONS, sizeof(*seen), by_raw);
	for (size_t i = 1; i < MUTATIONS; i++) {
		if (strcmp(seen[i].raw, seen[i - 1].raw))
			continue;
		assert_int_equal(seen[i].key, seen[i - 1].key);
		equal++;
	}
	qsort(seen, MUTATIONS, sizeof(*seen), by_key);
	for (size_t i = 1; i < MUTATIONS; i++)
		if (seen[i].key == seen[i - 1].key)
			assert_string_equal(seen[i].raw, seen[i - 1].raw);
	assert_in_range(equal, MUTATIONS / 20, MUTATIONS - MUTATIONS / 20);
}

/* Fault 46. */
static void keys_are_equal_if_and_only_if_strings_are(void **state)
{
	static struct seen ja4[MUTATIONS], stack[MUTATIONS], order[MUTATIONS];
	uint64_t seed = 46;

	(void)state;
	for (size_t i = 0; i < MUTATIONS; i++) {
		const struct names *names;
		uint64_t key;
		struct hello h;

		mutate(&spec, &seed);
		names = named_spec(&spec, &h);
		assert_true(strlen(names->ja4_r) < sizeof(ja4[i].raw));
		ja4[i].key = h.ja4_key;
		strcpy(ja4[i].raw, names->ja4_r);
		stack[i].key = h.stack_key;
		strcpy(stack[i].raw, names->stack_r);
		order[i].key = h.order_hash;
		strcpy(order[i].raw, names->order_r);

		/* and the way back, which a lost secret needs */
		assert_int_equal(names_key_from_raw(names->ja4_r, &test_secret, &key), 0);
		assert_int_equal(key, h.ja4_key);
		assert_int_equal(names_key_from_raw(names->stack_r, &test_secret, &key), 0);
		assert_int_equal(key, h.stack_key);
		assert_int_equal(names_order_from_raw(names->order_r, &test_secret, &key), 0);
		assert_int_equal(key, h.order_hash);
	}
	assert_same_partition(ja4);
	assert_same_partition(stack);
	assert_same_partition(order);
}

static void what_is_no_raw_string_has_no_key(void **state)
{
	static const char *const bad[] = {
		"",
		"t13d1516h2",
		"x13d1516h2__",
		"t13x1516h2__",
		"t13d1a16h2__",
		"t13d151ah2__",
		"t13d1516h2_",
		"t13d1516h2_1301",
		"t13d1516h2_130_",
		"t13d1516h2_1301,_",
		"t13d1516h2_,1301_",
		"t13d1516h2_130G_",
		"t13d1516h2_130A_",
		"t13d1516h2_1301__0403_",
		"t13d1516h2_1301 _",
		"t13d1516h2_8daaf6152771_e5627efa2ab1",
	};
	uint64_t key = 5;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (names_key_from_raw(bad[i], &test_secret, &key) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
	assert_int_equal(names_order_from_raw("000", &test_secret, &key), -EINVAL);
	assert_int_equal(names_order_from_raw("0000,", &test_secret, &key), -EINVAL);
	assert_int_equal(names_order_from_raw("GREASE0000", &test_secret, &key), -EINVAL);
	assert_int_equal(key, 5);
}

/* ---- recorded clients --------------------------------------------------------------- */

#define HELLOS "tests/data/hellos/"

static size_t load(const char *name)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[300];

	snprintf(path, sizeof(path), HELLOS "%s", name);
	f = fopen(path, "rb");
	if (!f)
		return 0;
	msg.len = fread(msg.b, 1, sizeof(msg.b), f);
	return msg.len;
}

/* Each recorded hello is named; each of its prefixes is short. Faults 1, 23, 33. */
static void real_hellos_are_named_and_their_prefixes_are_short(void **state)
{
	struct dirent *entry;
	DIR *dir = opendir(HELLOS);
	struct hello h;
	int n = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (!strstr(entry->d_name, ".bin"))
			continue;
		assert_true(load(entry->d_name));
		assert_int_equal(strlen(named(&msg, &h)->ja4), 36);
		for (size_t len = 0; len < msg.len; len++)
			assert_int_equal(parsed(msg.b, len, &h), HELLO_SHORT);
		n++;
	}
	closedir(dir);
	assert_true(n >= 30);
}

/* Fault 37: NAME.2.bin is the same client's next connection, resumed. */
static void real_clients_keep_their_stack_when_they_resume(void **state)
{
	static const char *const clients[] = { "openssl-tls13", "openssl-tls12", "curl", "gnutls",
					       "gnutls-tls12",  "python",        "node" };
	char file[64], stack[37];
	const struct names *names;
	struct hello fresh, again;

	(void)state;
	for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
		snprintf(file, sizeof(file), "%s.bin", clients[i]);
		assert_true(load(file));
		names = named(&msg, &fresh);
		strcpy(stack, names->stack);
		assert_false(names_resumed(&fresh));
		snprintf(file, sizeof(file), "%s.2.bin", clients[i]);
		assert_true(load(file));
		names = named(&msg, &again);
		assert_true(names_resumed(&again));
		assert_string_equal(names->stack, stack);
		assert_int_equal(again.stack_key, fresh.stack_key);
	}
}

#define test(fn) cmocka_unit_test_setup(fn, chrome)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_published_example_has_its_published_names),
		test(grease_among_signature_algorithms_is_left_out),
		test(alpn_is_printed_as_published),
		test(versions_are_printed_as_published),
		test(counts_stop_at_99_and_lists_do_not),
		test(empty_lists_are_zeros),
		test(ja3_is_in_wire_order_without_grease),
		test(order_names_each_extension_as_sent),
		test(sni_is_raw_bytes_or_nothing),
		test(an_sni_of_any_length_is_named_up_to_the_hellos_own_bound),
		test(quic_and_tcp_differ_in_the_first_letter_and_the_key),
		test(keys_are_equal_if_and_only_if_strings_are),
		test(what_is_no_raw_string_has_no_key),
		test(real_hellos_are_named_and_their_prefixes_are_short),
		test(real_clients_keep_their_stack_when_they_resume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
