/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "base/cleanup.h"

#define WORDS       (sizeof(struct secret) / sizeof(uint64_t))
#define SECRET_TEXT (16 * WORDS + 1) /* and a newline */

bool secret_equal(const struct secret *a, const struct secret *b)
{
	return !memcmp(a, b, sizeof(*a));
}

bool secret_is_zero(const struct secret *s)
{
	static const struct secret zero;

	return secret_equal(s, &zero);
}

uint64_t secret_id(const struct secret *s)
{
	static const char label[] = "winnow secret";
	uint8_t in[sizeof(label) + sizeof(*s)], out[SHA256_DIGEST_LENGTH];
	uint64_t id = 0;

	memcpy(in, label, sizeof(label));
	memcpy(in + sizeof(label), s, sizeof(*s));
	SHA256(in, sizeof(in), out);
	for (int i = 0; i < 8; i++)
		id = id << 8 | out[i];
	return id >> 1; /* SQLite's integers are signed */
}

int secret_draw(struct secret *out)
{
	ssize_t n;

	do {
		n = getrandom(out, sizeof(*out), 0);
	} while (n < 0 && errno == EINTR);
	return n == sizeof(*out) ? 0 : -EIO;
}

int secret_read(const char *path, struct secret *out, struct reason *r)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char text[SECRET_TEXT + 1] = {}, word[17] = {};
	struct secret s;
	struct stat st;

	if (fd < 0)
		return reason_set(r, -errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st))
		return reason_set(r, -errno, "%s: %s", path, strerror(errno));
	if (st.st_mode & 077)
		return reason_set(r, -EPERM,
				  "%s can be read by others (mode %03o). Try: chmod 600 %s", path,
				  st.st_mode & 0777, path);
	if (read(fd, text, sizeof(text)) != SECRET_TEXT || text[SECRET_TEXT - 1] != '\n' ||
	    strspn(text, "0123456789abcdef") != SECRET_TEXT - 1)
		return reason_set(r, -EBADMSG, "%s is damaged: expected %zu hex digits", path,
				  SECRET_TEXT - 1);
	for (size_t i = 0; i < WORDS; i++) {
		memcpy(word, text + 16 * i, 16);
		s.k[i] = strtoull(word, NULL, 16);
	}
	*out = s;
	return 0;
}

int secret_write(const char *path, const struct secret *s, struct reason *r)
{
	_cleanup_(closep) int fd = -1;
	char beside[PATH_MAX], text[SECRET_TEXT + 1];

	if (snprintf(beside, sizeof(beside), "%s.new", path) >= PATH_MAX)
		return reason_set(r, -ENAMETOOLONG, "%s: name too long", path);
	for (size_t i = 0; i < WORDS; i++)
		sprintf(text + 16 * i, "%016" PRIx64, (uint64_t)s->k[i]);
	text[SECRET_TEXT - 1] = '\n';
	unlink(beside);
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, text, SECRET_TEXT) != SECRET_TEXT || fsync(fd) ||
	    rename(beside, path))
		return reason_set(r, errno ? -errno : -EIO, "write %s: %s", path, strerror(errno));
	return 0;
}
