/* SPDX-License-Identifier: BSD-2-Clause */
/* What names addresses goes when what it was kept for is long over. */
#include "store/internal.h"

#include <errno.h>

#include "base/time.h"
#include "model/past.h"

int store_forget(struct store *s, uint64_t now)
{
	static const char *const sql[] = {
		"DELETE FROM members WHERE farm IN (SELECT id FROM farms WHERE ended < ?1)",
		"DELETE FROM plan WHERE farm IN (SELECT id FROM farms WHERE ended < ?1)",
		"DELETE FROM plan_spared WHERE farm IN (SELECT id FROM farms WHERE ended < ?1)",
		/* what it stopped stays counted */
		"UPDATE rules SET text = '' WHERE ended < ?1 AND text <> ''",
	};
	uint64_t kept = PAST_DAYS * NSEC_PER_DAY;
	int err = now > kept ? store_begin(s) : 0;

	if (now <= kept || err)
		return err;
	for (size_t i = 0; !err && i < sizeof(sql) / sizeof(sql[0]); i++) {
		err = store_run(s, sql[i], "i", (sqlite3_int64)(now - kept));
		if (err == -ENOENT) /* nothing is that old */
			err = 0;
	}
	return store_end(s, err);
}
