/* SPDX-License-Identifier: BSD-2-Clause */
/* report_page: winnow.report/1 on standard input, the page on standard output. */
#include <stdio.h>

#include <jansson.h>

#include "export/report.h"

int main(void)
{
	json_error_t e;
	json_t *doc = json_loadf(stdin, JSON_REJECT_DUPLICATES, &e);
	int err;

	if (!doc) {
		fprintf(stderr, "report_page: line %d: %s\n", e.line, e.text);
		return 2;
	}
	err = report_write(doc, stdout);
	json_decref(doc);
	return err ? 1 : 0;
}
