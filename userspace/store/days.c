/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/days.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

#define DAY_MAGIC  0x315359414457ULL /* "WDAYS1" */
#define KEPT_MAGIC 0x315450454b57ULL /* "WKEPT1" */
#define NAME_LEN   15                /* 2026-03-01.days */

struct head {
	uint64_t magic;
	uint64_t secret;
	uint64_t n; /* records, or bytes */
	uint32_t record_len;
	uint32_t day;
	uint64_t sum; /* of the head with this 0 */
	uint64_t spare[3];
};
_Static_assert(sizeof(struct head) == sizeof(struct past), "records stay aligned");

struct file {
	uint32_t day;
	void *map;
	size_t len;
};

struct days {
	char dir[PATH_MAX - 64];
	int lock;
	uint64_t secret;
	struct file file[2 * PAST_DAYS];
	size_t n;
};

static uint64_t head_sum(struct head h)
{
	const uint8_t *p = (const uint8_t *)&h;
	uint64_t sum = 0xcbf29ce484222325ULL;

	h.sum = 0;
	for (size_t i = 0; i < sizeof(h); i++)
		sum = (sum ^ p[i]) * 0x100000001b3ULL;
	return sum;
}

static void path_of(const struct days *d, uint32_t day, char out[PATH_MAX])
{
	time_t t = (time_t)day * 86400;
	struct tm tm;

	gmtime_r(&t, &tm);
	snprintf(out, PATH_MAX, "%s/%04d-%02d-%02d.days", d->dir, tm.tm_year + 1900, tm.tm_mon + 1,
		 tm.tm_mday);
}

static int fails(struct reason *r, int err, const char *what, const char *path)
{
	return reason_set(r, err, "%s %s: %s", what, path, strerror(-err));
}

/* ---- writing ------------------------------------------------------------------------- */

/* Whole or not at all. */
static int put_file(const char *path, struct head *h, const void *at, size_t len, struct reason *r)
{
	_cleanup_(closep) int fd = -1;
	char temp[PATH_MAX + 8];
	int err = 0;

	h->sum = head_sum(*h);
	snprintf(temp, sizeof(temp), "%s.new", path);
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fails(r, -errno, "write", temp);
	err = write_all(fd, h, sizeof(*h));
	if (!err)
		err = write_all(fd, at, len);
	if (!err && fdatasync(fd))
		err = -errno;
	if (!err && rename(temp, path))
		err = -errno;
	if (err)
		unlink(temp);
	return err ? fails(r, err, "write", path) : 0;
}

static int by_order(const void *a, const void *b)
{
	return past_order(a, b);
}

/* ---- reading --------------------------------------------------------------------------- */

static int refuse(struct reason *r, int err, const char *path, const char *what)
{
	return reason_set(r, err, "%s %s. Move it away; what it held is learnt again", path, what);
}

static int check_head(const struct head *h, uint64_t magic, size_t record, uint64_t size,
		      uint64_t secret, const char *path, struct reason *r)
{
	if (size < sizeof(*h))
		return refuse(r, -EBADMSG, path, "is cut off inside its head");
	if (h->magic != magic)
		return refuse(r, -EPROTO, path, "is no file of winnow's, or of another version");
	if (h->sum != head_sum(*h))
		return refuse(r, -EBADMSG, path, "has a damaged head");
	if (h->record_len != record)
		return refuse(r, -EPROTO, path, "was written by another version");
	if (h->secret != secret)
		return refuse(r, -EKEYREJECTED, path, "belongs to another secret");
	if (h->n > (size - sizeof(*h)) / record || h->n * record != size - sizeof(*h))
		return refuse(r, -EBADMSG, path, "is not as long as its head says");
	return 0;
}

static int map_file(struct days *d, const char *path, uint32_t *day, struct reason *r)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct head *h;
	struct stat st;
	int err;

	if (fd < 0 || fstat(fd, &st))
		return fails(r, -errno, "read", path);
	if ((size_t)st.st_size < sizeof(*h))
		return refuse(r, -EBADMSG, path, "is cut off inside its head");
	if (d->n == 2 * PAST_DAYS)
		return refuse(r, -E2BIG, path, "is one day file too many");
	h = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (h == MAP_FAILED)
		return fails(r, -errno, "map", path);
	err = check_head(h, DAY_MAGIC, sizeof(struct past), st.st_size, d->secret, path, r);
	if (err) {
		munmap(h, st.st_size);
		return err;
	}
	*day = h->day;
	d->file[d->n++] = (struct file){ h->day, h, st.st_size };
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	return (x->day < y->day) - (x->day > y->day);
}

static int read_dir(struct days *d, struct reason *r)
{
	DIR *dir = opendir(d->dir);
	struct dirent *e;
	int err = 0;

	if (!dir)
		return fails(r, -errno, "read", d->dir);
	while (!err && (e = readdir(dir))) {
		char path[PATH_MAX + 256], should[PATH_MAX];
		uint32_t day;

		if (strlen(e->d_name) != NAME_LEN || strcmp(e->d_name + NAME_LEN - 5, ".days"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", d->dir, e->d_name);
		err = map_file(d, path, &day, r);
		if (err)
			break;
		path_of(d, day, should);
		if (strcmp(path, should))
			err = refuse(r, -EBADMSG, path, "holds another day than its name says");
	}
	closedir(dir);
	qsort(d->file, d->n, sizeof(d->file[0]), newest_first);
	return err;
}

/* ---- life ------------------------------------------------------------------------------- */

static int days_new(const char *dir, uint64_t secret, struct days **out, struct reason *r)
{
	_cleanup_(days_freep) struct days *d = calloc(1, sizeof(*d));

	if (!d)
		return reason_set(r, -ENOMEM, "out of memory");
	d->lock = -1;
	d->secret = secret;
	if (snprintf(d->dir, sizeof(d->dir), "%s", dir) >= (int)sizeof(d->dir))
		return reason_set(r, -ENAMETOOLONG, "%.60s...: too long a path", dir);
	*out = take_ptr(d);
	return 0;
}

int days_open(const char *dir, uint64_t secret, struct days **out, struct reason *r)
{
	_cleanup_(days_freep) struct days *d = NULL;
	int err = days_new(dir, secret, &d, r);

	if (err)
		return err;
	if (mkdir(dir, 0700) && errno != EEXIST)
		return fails(r, -errno, "make", dir);
	d->lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->lock < 0)
		return fails(r, -errno, "open", dir);
	if (flock(d->lock, LOCK_EX | LOCK_NB))
		return reason_set(r, -EBUSY, "%s is in use by another process", dir);
	err = read_dir(d, r);
	if (err)
		return err;
	*out = take_ptr(d);
	return 0;
}

int days_look(const char *dir, uint64_t secret, struct days **out, struct reason *r)
{
	_cleanup_(days_freep) struct days *d = NULL;
	int err = days_new(dir, secret, &d, r);

	if (err)
		return err;
	if (access(dir, F_OK) && errno == ENOENT)
		return reason_set(r, -ENOENT, "%s: no day was stored yet", dir);
	err = read_dir(d, r);
	if (err)
		return err;
	*out = take_ptr(d);
	return 0;
}

void days_free(struct days *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n; i++)
		munmap(d->file[i].map, d->file[i].len);
	if (d->lock >= 0)
		close(d->lock);
	free(d);
}

void days_freep(struct days **d)
{
	days_free(*d);
}

static void drop(struct days *d, size_t i)
{
	munmap(d->file[i].map, d->file[i].len);
	memmove(&d->file[i], &d->file[i + 1], (--d->n - i) * sizeof(d->file[0]));
}

int days_write(struct days *d, uint32_t day, struct past *rows, size_t n, struct reason *r)
{
	struct head h = { .magic = DAY_MAGIC,
			  .secret = d->secret,
			  .n = n,
			  .record_len = sizeof(*rows),
			  .day = day };
	char path[PATH_MAX];
	int err;

	if (n)
		qsort(rows, n, sizeof(*rows), by_order);
	path_of(d, day, path);
	err = put_file(path, &h, rows, n * sizeof(*rows), r);
	if (err)
		return err;
	for (size_t i = d->n; i-- > 0;) {
		if (d->file[i].day == day)
			drop(d, i);
	}
	days_forget(d, day);
	err = map_file(d, path, &day, r);
	qsort(d->file, d->n, sizeof(d->file[0]), newest_first);
	return err;
}

void days_forget(struct days *d, uint32_t day)
{
	for (size_t i = d->n; i-- > 0;) {
		char path[PATH_MAX];

		if (d->file[i].day + PAST_DAYS > day)
			continue;
		path_of(d, d->file[i].day, path);
		unlink(path);
		drop(d, i);
	}
}

size_t days_find(void *ctx, const struct past *id, struct past out[PAST_DAYS])
{
	const struct days *d = ctx;
	size_t n = 0;

	for (size_t i = 0; i < d->n && n < PAST_DAYS; i++) {
		const struct head *h = d->file[i].map;
		const struct past *rows = (const struct past *)(h + 1), *row;

		row = bsearch(id, rows, h->n, sizeof(*rows), by_order);
		if (row)
			out[n++] = *row;
	}
	return n;
}

int days_each(const struct days *d,
	      int (*fn)(void *ctx, uint32_t day, const struct past *rows, size_t n), void *ctx)
{
	int err = 0;

	for (size_t i = 0; i < d->n && !err; i++) {
		const struct head *h = d->file[i].map;

		err = fn(ctx, h->day, (const struct past *)(h + 1), h->n);
	}
	return err;
}

size_t days_count(const struct days *d)
{
	return d->n;
}

uint64_t days_records(const struct days *d)
{
	uint64_t n = 0;

	for (size_t i = 0; i < d->n; i++)
		n += ((const struct head *)d->file[i].map)->n;
	return n;
}

/* ---- the detector's bytes ------------------------------------------------------------------ */

int days_keep(struct days *d, const void *bytes, size_t len, struct reason *r)
{
	struct head h = { .magic = KEPT_MAGIC, .secret = d->secret, .n = len, .record_len = 1 };
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/detector", d->dir);
	return put_file(path, &h, bytes, len, r);
}

int days_kept(struct days *d, void **bytes, size_t *len, struct reason *r)
{
	_cleanup_(closep) int fd = -1;
	_cleanup_(freep) void *at = NULL;
	char path[PATH_MAX];
	struct head h = {};
	struct stat st;
	size_t done = 0;
	int err;

	snprintf(path, sizeof(path), "%s/detector", d->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 || fstat(fd, &st) || read(fd, &h, sizeof(h)) < 0)
		return fails(r, -errno, "read", path);
	err = check_head(&h, KEPT_MAGIC, 1, st.st_size, d->secret, path, r);
	if (err)
		return err;
	at = malloc(h.n + 1);
	if (!at)
		return reason_set(r, -ENOMEM, "out of memory");
	while (done < h.n) {
		ssize_t n = read(fd, (char *)at + done, h.n - done);

		if (n <= 0)
			return fails(r, n ? -errno : -EBADMSG, "read", path);
		done += n;
	}
	*bytes = take_ptr(at);
	*len = h.n;
	return 0;
}
