/* SPDX-License-Identifier: BSD-2-Clause */
/* `winnow replay --hellos`: one line, object or row for each ClientHello. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/cli.h"
#include "cli/replay.h"
#include "cli/rows.h"
#include "cli/units.h"

static size_t n_rows;
static struct hello_line line;

static int begin(struct secret *secret, struct reason *r)
{
	n_rows = 0;
	if (cli.format == FORMAT_JSON)
		fputs("{\"schema\":\"winnow.hellos/1\",\"hellos\":[", stdout);
	return 0;
}

static const char *us_cell(uint32_t us, char out[UNIT_TEXT])
{
	return us == US_UNKNOWN ? "-" : ms_text(us, out);
}

/* Rows come one by one, so columns have the width their content usually has. */
static void row_print(const struct replay_name *n)
{
	const struct event_hello *e = n->h->hello;
	const struct event_handshake *h = n->h->handshake;
	char time[TIME_TEXT], src[ADDR_TEXT], rtt[UNIT_TEXT], d1[UNIT_TEXT], dstar[UNIT_TEXT];
	_cleanup_(freep) char *sni = NULL;
	const char *proof = proof_name(h ? h->proof : e->proof);

	if (!n_rows)
		printf("%-27s  %-22s  %5s  %-36s  %8s  %8s  %8s  %-7s  %s\n", "time", "source",
		       "port", "ja4", "R", "D1", "D*", "proof", "name");
	if (n->text->sni.at) {
		sni = malloc(TEXT_ESCAPED(n->text->sni.len));
		if (sni)
			text_escape(n->text->sni.at, n->text->sni.len, sni,
				    TEXT_ESCAPED(n->text->sni.len));
	}
	printf("%-27s  %-22s  %5u  %-36s  %8s  %8s  %8s  %-7s  %s\n",
	       time_text(n->h->time_ns, 6, time), addr_text(e->head.src, src), e->head.dport,
	       n->text->ja4 ? n->text->ja4 : hello_result_name(e->result),
	       us_cell(h ? h->rtt_us : US_UNKNOWN, rtt), us_cell(h ? h->d1_us : US_UNKNOWN, d1),
	       us_cell(h ? h->dstar_us : US_UNKNOWN, dstar), proof ? proof : "-", sni ? sni : "-");
}

static int hello(const struct replay_name *n)
{
	int err;

	if (cli.format == FORMAT_TABLE) {
		row_print(n);
		n_rows++;
		return 0;
	}
	err = hello_json(&line, n->h->time_ns, n->h->hello, n->h->handshake, n->text);
	if (err)
		return err;
	if (cli.format == FORMAT_JSON && n_rows)
		putchar(',');
	fwrite(line.text, 1, line.len, stdout);
	if (cli.format == FORMAT_JSONL)
		putchar('\n');
	n_rows++;
	return 0;
}

static int finish(struct replay *p)
{
	if (cli.format == FORMAT_JSON)
		puts("]}");
	hello_line_clear(&line);
	return 0;
}

const struct replay_view replay_hellos = { begin, hello, finish, NULL };
