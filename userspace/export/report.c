/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/cleanup.h"
#include "export/report_parts.h"

/* How a policy names an inline script or style: 'sha256-BASE64'. */
static int put_source(FILE *out, const char *part)
{
	unsigned char hash[EVP_MAX_MD_SIZE], text[2 * EVP_MAX_MD_SIZE];
	unsigned int len;

	if (!EVP_Digest(part, strlen(part), hash, &len, EVP_sha256(), NULL))
		return -ENOMEM;
	EVP_EncodeBlock(text, hash, (int)len);
	fprintf(out, " 'sha256-%s'", text);
	return 0;
}

static int put_policy(FILE *out)
{
	int err;

	fputs("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';"
	      " base-uri 'none'; form-action 'none'; script-src",
	      out);
	err = put_source(out, report_chart_js);
	if (!err)
		err = put_source(out, report_js);
	fputs("; style-src", out);
	if (!err)
		err = put_source(out, report_css);
	fputs("\">\n", out);
	return err;
}

/* JSON inside a script element: no "<" may begin an end tag or a comment. */
static int put_data(const json_t *doc, FILE *out)
{
	_cleanup_(freep) char *text = json_dumps(doc, JSON_COMPACT | JSON_ENSURE_ASCII);

	if (!text)
		return -ENOMEM;
	for (const char *p = text; *p; p++)
		if (*p == '<')
			fputs("\\u003c", out);
		else
			fputc(*p, out);
	return 0;
}

int report_write(const json_t *doc, FILE *out)
{
	int err;

	fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n", out);
	err = put_policy(out);
	fprintf(out,
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		"<meta name=\"referrer\" content=\"no-referrer\">\n"
		"<title>winnow report</title>\n<style>%s</style>\n</head>\n<body>\n"
		"<main id=\"page\"><noscript>This report draws itself with the script in it; the "
		"data it shows is JSON at the end of this file.</noscript></main>\n"
		"<script type=\"text/plain\" id=\"chart-licence\">%s</script>\n"
		"<script type=\"application/json\" id=\"data\">",
		report_css, report_chart_licence);
	if (!err)
		err = put_data(doc, out);
	fprintf(out, "</script>\n<script>%s</script>\n<script>%s</script>\n</body>\n</html>\n",
		report_chart_js, report_js);
	if (!err && (fflush(out) || ferror(out)))
		err = -EIO;
	return err;
}
