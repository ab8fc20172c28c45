/* SPDX-License-Identifier: BSD-2-Clause */
#include "enrich/networks.h"

#include <errno.h>
#include <fcntl.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FILE_MAX (512u << 20)

struct networks {
	size_t n;
	MMDB_s db[NETWORKS_FILES_MAX];
};

/* The file's bytes in a memfd that nobody can change. */
static int sealed_copy(const char *file, struct reason *r)
{
	_cleanup_(closep) int in = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK), out = -1;
	char block[65536];
	struct stat st;
	off_t len = 0;
	ssize_t n;

	if (in < 0 || fstat(in, &st))
		return reason_set(r, -errno, "%s: %s", file, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return reason_set(r, -EINVAL, "%s: not a file", file);
	out = memfd_create("winnow-mmdb", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (out < 0)
		return reason_set(r, -errno, "%s: make memory for it: %s", file, strerror(errno));
	while ((n = read(in, block, sizeof(block))) > 0 && (len += n) <= FILE_MAX)
		for (ssize_t at = 0, w; at < n; at += w) {
			w = write(out, block + at, n - at);
			if (w < 0)
				return reason_set(r, -errno, "%s: copy: %s", file, strerror(errno));
		}
	if (n < 0)
		return reason_set(r, -errno, "%s: %s", file, strerror(errno));
	if (len > FILE_MAX)
		return reason_set(r, -EFBIG, "%s: larger than %u MiB", file, FILE_MAX >> 20);
	if (fcntl(out, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
		return reason_set(r, -errno, "%s: seal the copy: %s", file, strerror(errno));
	return take_fd(out);
}

static int open_one(const char *file, MMDB_s *db, struct reason *r)
{
	_cleanup_(closep) int fd = sealed_copy(file, r);
	char path[32];
	int code;

	if (fd < 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	code = MMDB_open(path, MMDB_MODE_MMAP, db);
	if (code == MMDB_SUCCESS)
		return 0;
	return reason_set(r, code == MMDB_OUT_OF_MEMORY_ERROR ? -ENOMEM : -EUCLEAN,
			  "%s: %s. Try: fetch the file again", file, MMDB_strerror(code));
}

int networks_open(const char *const *files, size_t n, struct networks **out, struct reason *r)
{
	struct networks *w = calloc(1, sizeof(*w));
	int err = 0;

	if (!w)
		return reason_set(r, -ENOMEM, "out of memory");
	for (size_t i = 0; !err && i < n && i < NETWORKS_FILES_MAX; i++) {
		err = open_one(files[i], &w->db[i], r);
		w->n += !err;
	}
	if (err) {
		networks_free(w);
		return err;
	}
	*out = w;
	return 0;
}

void networks_free(struct networks *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n; i++)
		MMDB_close(&w->db[i]);
	free(w);
}

static bool text_of(MMDB_entry_s *e, char *out, size_t size, const char *a, const char *b)
{
	MMDB_entry_data_s v;
	size_t len;

	if (MMDB_get_value(e, &v, a, b, NULL) != MMDB_SUCCESS || !v.has_data ||
	    v.type != MMDB_DATA_TYPE_UTF8_STRING)
		return false;
	len = v.data_size < size ? v.data_size : size - 1;
	/* Not inside a character. */
	while (len < v.data_size && len && ((unsigned char)v.utf8_string[len] & 0xc0) == 0x80)
		len--;
	memcpy(out, v.utf8_string, len);
	out[len] = '\0';
	return true;
}

static void look_in(const MMDB_s *db, const struct sockaddr *a, struct network *out)
{
	MMDB_entry_data_s v;
	MMDB_lookup_result_s found;
	int code;

	found = MMDB_lookup_sockaddr(db, a, &code);
	if (code != MMDB_SUCCESS || !found.found_entry)
		return;
	if (!out->asn &&
	    MMDB_get_value(&found.entry, &v, "autonomous_system_number", NULL) == MMDB_SUCCESS &&
	    v.has_data && v.type == MMDB_DATA_TYPE_UINT32)
		out->asn = v.uint32;
	if (!*out->org)
		text_of(&found.entry, out->org, sizeof(out->org), "autonomous_system_organization",
			NULL);
	if (!*out->country &&
	    !text_of(&found.entry, out->country, sizeof(out->country), "country", "iso_code"))
		text_of(&found.entry, out->country, sizeof(out->country), "registered_country",
			"iso_code");
}

struct network networks_of(const struct networks *w, struct addr a)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl((uint32_t)a.lo) };
	struct network out = {};

	addr_to_bytes(a, v6.sin6_addr.s6_addr);
	for (size_t i = 0; w && i < w->n; i++)
		look_in(&w->db[i], addr_is_v4(a) ? (void *)&v4 : (void *)&v6, &out);
	return out;
}
