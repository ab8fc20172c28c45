/* SPDX-License-Identifier: BSD-2-Clause */
/* Each allocation of a document's reader fails once, and one of its maker. Fault 75. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "daemon/json_read.h"
#include "model/json.h"

static const char text[] =
	"{\"verb\":\"rule.add\",\"args\":{\"rule\":\"src 203.0.113.77 action drop for "
	"1h reason a \\u00e9 \\\"long\\\" one that goes on for a while and some more\","
	"\"list\":[1,2.5,true,null,\"five\",{\"six\":[\"seven\"]},8,9,10,11,12]}}";

static int fail_in; /* the so-manieth from now on; 0: none */

#ifndef __SANITIZE_ADDRESS__
extern void *__libc_malloc(size_t n);

void *malloc(size_t n)
{
	return fail_in && !--fail_in ? NULL : __libc_malloc(n);
}
#endif

static void without_memory_a_document_is_refused_or_whole(void **state)
{
	json_error_t e;
	json_t *whole = json_read(text, strlen(text), &e);
	int refused = 0;

	(void)state;
	assert_non_null(whole);
#ifdef __SANITIZE_ADDRESS__
	print_message("skipped: the sanitizer has malloc\n");
	json_decref(whole);
	skip();
#endif
	for (int n = 1;; n++) {
		json_t *doc;
		int left;

		fail_in = n;
		doc = json_read(text, strlen(text), &e);
		left = fail_in;
		fail_in = 0;
		if (left) { /* it was not reached */
			json_decref(doc);
			break;
		}
		assert_null(doc);
		assert_string_equal(e.text, "out of memory");
		refused++;
	}
	assert_true(refused > 20);
	json_decref(whole);
}

static void a_list_that_lacks_a_row_is_known(void **state)
{
	json_error_t e;
	json_t *list = json_read("[0]", 3, &e);

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	json_decref(list);
	skip();
#endif
	json_missed();
	fail_in = 1;
	json_array_append_new(list, json_integer(1));
	assert_int_equal(json_array_size(list), 1);
	assert_true(json_missed());
	json_array_append_new(list, json_integer(2));
	assert_int_equal(json_array_size(list), 2);
	assert_false(json_missed());
	json_decref(list);
}

static void what_is_no_json_is_refused_by_its_reason(void **state)
{
	json_error_t e;

	(void)state;
	assert_null(json_read("{\"a\":1,\"a\":2}", 13, &e));
	assert_string_equal(e.text, "duplicate object key near '\"a\"'");
	assert_null(json_read("{", 1, &e));
	assert_null(json_read("", 0, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_memory_a_document_is_refused_or_whole),
		cmocka_unit_test(a_list_that_lacks_a_row_is_known),
		cmocka_unit_test(what_is_no_json_is_refused_by_its_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
