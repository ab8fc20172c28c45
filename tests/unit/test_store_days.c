/* SPDX-License-Identifier: BSD-2-Clause */
/* store/days.h: a day is written once, found again, forgotten after 28. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/days.h"

#define MARCH_1 20513 /* 2026-03-01 */

static char dir[64];
static struct days *days;
static struct reason why;

static int open_days(uint64_t secret)
{
	days_free(days);
	days = NULL;
	return days_open(dir, secret, &days, &why);
}

static int set_up(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/winnow-days-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	return open_days(7);
}

static int tear_down(void **state)
{
	char command[128];

	days_free(days);
	days = NULL;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static struct past row(uint64_t src, uint64_t stack)
{
	return (struct past){ .src = src, .stack = stack, .service = 443, .family = 4, .proto = 6 };
}

static void put(uint32_t day, uint32_t connections)
{
	struct past rows[3] = { row(9, 1), row(3, 2), row(3, 1) };

	rows[2].connections = connections;
	assert_int_equal(days_write(days, day, rows, 3, &why), 0);
}

static void a_source_is_found_on_each_of_its_days_newest_first(void **state)
{
	struct past id = row(3, 1), out[PAST_DAYS];

	put(MARCH_1 + 1, 20);
	put(MARCH_1, 10);
	assert_int_equal(open_days(7), 0);
	assert_int_equal(days_count(days), 2);
	assert_int_equal(days_records(days), 6);
	assert_int_equal(days_find(days, &id, out), 2);
	assert_int_equal(out[0].connections, 20);
	assert_int_equal(out[1].connections, 10);
	id.stack = 3;
	assert_int_equal(days_find(days, &id, out), 0);
}

static void a_day_written_again_replaces_the_first(void **state)
{
	struct past id = row(3, 1), out[PAST_DAYS];

	put(MARCH_1, 10);
	put(MARCH_1, 11);
	assert_int_equal(days_find(days, &id, out), 1);
	assert_int_equal(out[0].connections, 11);
}

/* Fault 94. */
static void after_28_days_a_day_is_gone_from_disk_too(void **state)
{
	struct past id = row(3, 1), out[PAST_DAYS];
	char path[128];

	for (uint32_t i = 0; i < 40; i++)
		put(MARCH_1 + i, i + 1);
	assert_int_equal(days_count(days), 28);
	assert_int_equal(days_find(days, &id, out), 28);
	assert_int_equal(out[27].connections, 13);
	snprintf(path, sizeof(path), "%s/2026-03-12.days", dir);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof(path), "%s/2026-03-13.days", dir);
	assert_int_equal(access(path, F_OK), 0);
}

static void name_file(char path[128])
{
	snprintf(path, 128, "%s/2026-03-01.days", dir);
}

/* Cut at any byte, or one byte of the head changed: refused by name, never a crash. */
static void damaged_and_foreign_files_are_refused_by_name(void **state)
{
	uint8_t bytes[64 + 3 * 64], byte;
	char path[128];
	int fd;

	put(MARCH_1, 10);
	name_file(path);
	fd = open(path, O_RDWR);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), sizeof(bytes));
	for (size_t cut = 0; cut < sizeof(bytes); cut += 7) {
		assert_int_equal(ftruncate(fd, cut), 0);
		assert_int_equal(open_days(7), -EBADMSG);
		assert_non_null(strstr(why.text, "2026-03-01.days"));
		assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	}
	for (size_t i = 0; i < 64; i++) {
		byte = bytes[i] ^ 0x11;
		assert_int_equal(pwrite(fd, &byte, 1, i), 1);
		assert_int_not_equal(open_days(7), 0);
		assert_int_equal(pwrite(fd, &bytes[i], 1, i), 1);
	}
	assert_int_equal(pwrite(fd, "PNG and more", 12, 0), 12);
	assert_int_equal(open_days(7), -EPROTO);
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_int_equal(open_days(8), -EKEYREJECTED);
	assert_int_equal(open_days(7), 0);
	close(fd);
}

static void a_directory_has_one_user(void **state)
{
	struct days *other = NULL;

	assert_int_equal(days_open(dir, 7, &other, &why), -EBUSY);
	assert_null(other);
}

static void the_detectors_bytes_come_back_or_are_refused(void **state)
{
	char path[128];
	void *bytes;
	size_t len;

	assert_int_equal(days_kept(days, &bytes, &len, &why), -ENOENT);
	assert_int_equal(days_keep(days, "abcdef", 6, &why), 0);
	assert_int_equal(days_kept(days, &bytes, &len, &why), 0);
	assert_int_equal(len, 6);
	assert_memory_equal(bytes, "abcdef", 6);
	free(bytes);
	snprintf(path, sizeof(path), "%s/detector", dir);
	assert_int_equal(truncate(path, 66), 0);
	assert_int_equal(days_kept(days, &bytes, &len, &why), -EBADMSG);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_source_is_found_on_each_of_its_days_newest_first),
		T(a_day_written_again_replaces_the_first),
		T(after_28_days_a_day_is_gone_from_disk_too),
		T(damaged_and_foreign_files_are_refused_by_name),
		T(a_directory_has_one_user),
		T(the_detectors_bytes_come_back_or_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
