/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/internal.h"

#include <errno.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/cleanup.h"

#define LENGTH_KEY "audit" /* in the settings: how many rows there must be */

static void digest_freep(EVP_MD_CTX **c)
{
	EVP_MD_CTX_free(*c);
}

static bool add_number(EVP_MD_CTX *c, uint64_t v)
{
	uint8_t b[8];

	for (int i = 0; i < 8; i++)
		b[i] = v >> (56 - 8 * i);
	return EVP_DigestUpdate(c, b, sizeof(b));
}

/* The length first: "ab" "c" and "a" "bc" must not be the same audit. */
static bool add_text(EVP_MD_CTX *c, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	return add_number(c, text ? len + 1 : 0) && EVP_DigestUpdate(c, text ? text : "", len);
}

static int row_hash(const uint8_t before[SHA256_DIGEST_LENGTH], uint64_t seq,
		    const struct audit_row *row, uint8_t out[SHA256_DIGEST_LENGTH])
{
	_cleanup_(digest_freep) EVP_MD_CTX *c = EVP_MD_CTX_new();

	if (!c || !EVP_DigestInit_ex(c, EVP_sha256(), NULL) ||
	    !EVP_DigestUpdate(c, before, SHA256_DIGEST_LENGTH) || !add_number(c, seq) ||
	    !add_number(c, row->time) || !add_number(c, row->uid) || !add_text(c, row->verb) ||
	    !add_text(c, row->args) || !add_number(c, (uint64_t)row->result) ||
	    !add_text(c, row->detail) || !EVP_DigestFinal_ex(c, out, NULL))
		return -ENOMEM;
	return 0;
}

/* Hash and number of the newest row; zeros before the first. */
static int newest(struct store *s, uint64_t *seq, uint8_t hash[SHA256_DIGEST_LENGTH])
{
	_cleanup_(stmt_freep) sqlite3_stmt *q =
		store_prepare(s, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", "");
	int code = q ? sqlite3_step(q) : sqlite3_errcode(s->db);

	*seq = 0;
	memset(hash, 0, SHA256_DIGEST_LENGTH);
	if (code == SQLITE_DONE)
		return 0;
	if (code != SQLITE_ROW)
		return store_fail(s, code, "read the audit") ?: -EIO;
	*seq = column_u64(q, 0);
	if (sqlite3_column_bytes(q, 1) == SHA256_DIGEST_LENGTH)
		memcpy(hash, sqlite3_column_blob(q, 1), SHA256_DIGEST_LENGTH);
	return 0;
}

static int append(struct store *s, const struct audit_row *row)
{
	uint8_t before[SHA256_DIGEST_LENGTH], hash[SHA256_DIGEST_LENGTH];
	uint64_t seq;
	int err;

	err = newest(s, &seq, before);
	if (!err && row_hash(before, seq + 1, row, hash))
		err = store_no_memory(s);
	if (!err)
		err = store_run(s, "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", "iiissisb",
				(sqlite3_int64)seq + 1, (sqlite3_int64)row->time,
				(sqlite3_int64)row->uid, row->verb, row->args,
				(sqlite3_int64)row->result, row->detail, hash,
				SHA256_DIGEST_LENGTH);
	return err ? err : store_number_set(s, LENGTH_KEY, seq + 1);
}

int store_audit(struct store *s, const struct audit_row *row)
{
	int err;

	if (!sqlite3_get_autocommit(s->db))
		return append(s, row);
	err = store_begin(s);
	if (err)
		return err;
	err = append(s, row);
	return store_end(s, err);
}

static void read_row(sqlite3_stmt *q, struct audit_row *row)
{
	*row = (struct audit_row){
		.seq = column_u64(q, 0),
		.time = column_u64(q, 1),
		.uid = column_u64(q, 2),
		.verb = column_text(q, 3),
		.args = column_text(q, 4),
		.result = sqlite3_column_int(q, 5),
		.detail = (const char *)sqlite3_column_text(q, 6),
	};
}

int store_audit_rows(struct store *s, uint64_t most,
		     void (*fn)(void *ctx, const struct audit_row *row), void *ctx)
{
	_cleanup_(stmt_freep) sqlite3_stmt *q = store_prepare(
		s,
		"SELECT * FROM (SELECT seq, time, uid, verb, args, result, detail FROM audit"
		" ORDER BY seq DESC LIMIT ?) ORDER BY seq",
		"i", (sqlite3_int64)most);
	struct audit_row row;
	int code;

	if (!q)
		return -EIO;
	while ((code = sqlite3_step(q)) == SQLITE_ROW) {
		read_row(q, &row);
		fn(ctx, &row);
	}
	return store_fail(s, code, "read the audit");
}

/* Rows cut off at the end leave a whole chain: the length is kept apart. */
static int whole_length(struct store *s, uint64_t rows, struct reason *r)
{
	uint64_t want;
	int err = store_number(s, LENGTH_KEY, &want);

	if (err || want <= rows)
		return err == -ENOENT ? 0 : err;
	return reason_set(r, -EBADMSG,
			  "audit row %llu and what follows is missing: %llu were "
			  "written",
			  (unsigned long long)rows + 1, (unsigned long long)want);
}

int store_audit_verify(struct store *s, uint64_t *rows, struct reason *r)
{
	_cleanup_(stmt_freep) sqlite3_stmt *q = store_prepare(
		s,
		"SELECT seq, time, uid, verb, args, result, detail, hash FROM audit ORDER BY seq",
		"");
	uint8_t before[SHA256_DIGEST_LENGTH] = {}, hash[SHA256_DIGEST_LENGTH];
	int code, err;

	if (!q)
		return -EIO;
	for (*rows = 0; (code = sqlite3_step(q)) == SQLITE_ROW; ++*rows) {
		struct audit_row row;

		read_row(q, &row);
		if (row.seq != *rows + 1)
			return reason_set(r, -EBADMSG, "audit row %llu is missing",
					  (unsigned long long)*rows + 1);
		err = row_hash(before, *rows + 1, &row, hash);
		if (err)
			return err;
		if (sqlite3_column_bytes(q, 7) != SHA256_DIGEST_LENGTH ||
		    memcmp(hash, sqlite3_column_blob(q, 7), SHA256_DIGEST_LENGTH))
			return reason_set(r, -EBADMSG, "audit row %llu was changed",
					  (unsigned long long)*rows + 1);
		memcpy(before, hash, sizeof(before));
	}
	err = store_fail(s, code, "read the audit");
	return err ? err : whole_length(s, *rows, r);
}
