/* SPDX-License-Identifier: BSD-2-Clause */
/* `winnow replay`: a capture through the classifier, without a daemon. */
#include "cli/replay.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <ini.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/units.h"
#include "tls/quic_book.h"
#include "tls/tcpsig.h"

#define PORTS_DEFAULT "443"
#define FILE_PIECE    (128 << 10)

static volatile sig_atomic_t stop, tell;

static struct run {
	const struct replay_view *view;
	struct replay *replay;
	struct namer *namer;
	struct quic_book *quic;
	uint64_t hellos, named, unproved, failed[HELLO_RESULT_MAX];
	int err; /* of the view */
	struct timespec started, shown;
	bool progress;
} run;

static void on_interrupt(int sig)
{
	if (sig == SIGINT)
		stop = 1;
	else
		tell = 1;
}

int replay_ports(const char *text, struct ports *out)
{
	memset(out, 0, sizeof(*out));
	if (strcmp(text, "any") == 0) {
		memset(out, 0xff, sizeof(*out));
		return 0;
	}
	do {
		unsigned long from, to;
		char *end;

		if (*text < '0' || *text > '9')
			return -EINVAL;
		from = to = strtoul(text, &end, 10);
		if (*end == '-') {
			if (end[1] < '0' || end[1] > '9')
				return -EINVAL;
			to = strtoul(end + 1, &end, 10);
		}
		if ((*end && *end != ',') || from < 1 || to > 65535 || from > to)
			return -EINVAL;
		for (unsigned long p = from; p <= to; p++) {
			out->tcp[p / 64] |= 1ULL << p % 64;
			out->udp[p / 64] |= 1ULL << p % 64;
		}
		text = *end ? end + 1 : NULL;
	} while (text);
	return 0;
}

/* A hello that reads well, but the client went on as if it had sent another one: a
 * decoy, or bytes that differed. What the server took is known; this is not it. */
static bool is_refuted(const struct replay_hello *h)
{
	return h->handshake && h->hello->result == HELLO_OK &&
	       h->handshake->flags & HS_HELLO_PROVED &&
	       h->handshake->stack_key != h->hello->hello.stack_key;
}

static void on_hello(void *ctx, const struct replay_hello *given)
{
	struct replay_hello mine = *given;
	const struct replay_hello *h = &mine;
	struct event_hello refuted;
	const struct event_hello *e = h->hello;
	struct hello_bytes alpn[NAMES_ALPN_MAX];
	const struct names *names = NULL;
	struct hello_text text = { .alpn = alpn };
	struct replay_name n = { .h = h, .text = &text };
	char tcp[TCPSIG_TEXT];
	int err = -EINVAL;

	if (is_refuted(given)) {
		refuted = *e;
		refuted.result = HELLO_OVERLAP;
		mine.hello = e = &refuted;
	}
	if (e->syn.present && !tcpsig_text(&e->syn, tcp))
		text.tcp = tcp;
	if (e->result == HELLO_OK)
		err = namer_name(run.namer, e->bytes, e->hello_len, &e->hello, &names);
	if (err && err != -EINVAL) { /* not the hello's fault */
		run.err = err;
		return;
	}
	if (!err) {
		n.names = names;
		text.ja4 = names->ja4;
		text.ja4_r = names->ja4_r;
		text.ja3 = names->ja3;
		text.stack = names->stack;
		text.order = names->order;
		text.sni = (struct hello_bytes){ names->sni.at, names->sni.len };
		for (; text.n_alpn < names->n_alpn; text.n_alpn++)
			alpn[text.n_alpn] = (struct hello_bytes){ names->alpn[text.n_alpn].at,
								  names->alpn[text.n_alpn].len };
		text.resumed = names_resumed(&e->hello);
		run.named++;
		run.unproved += !(h->handshake && h->handshake->flags & HS_HELLO_PROVED);
	} else {
		run.failed[e->result < HELLO_RESULT_MAX ? e->result : 0]++;
		if (hello_is_other(e->result))
			return; /* a connection, but no ClientHello */
	}
	run.hellos++;
	err = run.view->hello(&n);
	if (err)
		run.err = err;
	if (ferror(stdout)) /* nobody reads any more */
		stop = 1;
}

static uint64_t on_tick(void *ctx, uint64_t at)
{
	return run.view->tick(run.replay, at);
}

static double since(const struct timespec *a, const struct timespec *b)
{
	return b->tv_sec - a->tv_sec + (b->tv_nsec - a->tv_nsec) / 1e9;
}

/* On a terminal, past the first second, twice a second; and once per SIGUSR1. */
static void on_progress(void *ctx, uint64_t at, uint64_t size)
{
	char done[UNIT_TEXT], rate[UNIT_TEXT], eta[64] = "";
	struct timespec now;
	double s;

	if (!run.progress && !tell)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	s = since(&run.started, &now);
	if (!tell && (s < 1 || since(&run.shown, &now) < 0.5))
		return;
	run.shown = now;
	bytes_text(at, done);
	bytes_text(s > 0 ? at / s : 0, rate);
	if (size && at)
		snprintf(eta, sizeof(eta), ", %.0f%%, %.0f s to go", 100.0 * at / size,
			 s * (size - at) / at);
	fprintf(stderr, "%swinnow: %s bytes, %s bytes/s%s%s", tell ? "" : "\r", done, rate, eta,
		tell ? "\n" : "\033[K");
	tell = 0;
}

static void add(FILE *out, uint64_t n, const char *what)
{
	char text[UNIT_TEXT];

	if (n)
		fprintf(out, ", %s %s", count_text(n, text), what);
}

/* One line: what was read, what came of it, and everything that was lost. */
static void summary(struct replay *p)
{
	static const struct {
		unsigned int counter;
		const char *name;
	} losses[] = {
		{ COUNTER_HANDSHAKE_EVICTED, "handshake_evicted" },
		{ COUNTER_FLOW_EVICTED, "flow_evicted" },
		{ COUNTER_TALLY_EVICTED, "tally_evicted" },
		{ COUNTER_ORDER_EVICTED, "order_evicted" },
		{ COUNTER_RING_LOST, "ring_lost" },
	};
	const struct replay_stats *s = replay_stats(p);
	char packets[UNIT_TEXT], hellos[UNIT_TEXT], named[UNIT_TEXT], unproved[UNIT_TEXT];
	uint64_t c[COUNTER_MAX], lost = 0;

	kern_counters(replay_kern(p), c);
	if (run.progress && run.shown.tv_sec)
		fputs("\r\033[K", stderr);
	fprintf(stderr, "winnow: %s packets, %s hellos, %s named, %s unproved",
		count_text(s->frames, packets), count_text(run.hellos, hellos),
		count_text(run.named, named), count_text(run.unproved, unproved));
	for (unsigned int i = 0; i < HELLO_RESULT_MAX; i++)
		add(stderr, run.failed[i], hello_result_name(i));
	for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++)
		lost += c[losses[i].counter];
	fprintf(stderr, "; %s lost", count_text(lost, packets));
	for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++)
		add(stderr, c[losses[i].counter], losses[i].name);
	if (s->cut || s->back)
		fputs("; capture", stderr);
	add(stderr, s->cut, "frames cut by its snaplen");
	add(stderr, s->back, "steps back in time");
	fputc('\n', stderr);
	if (!run.hellos && s->frames && !c[COUNTER_SYN] && c[COUNTER_PARSE_NOT_OURS])
		fputs("winnow: no segment for a protected port. Try: --ports any\n", stderr);
}

static int exit_code(enum replay_end end, const char *path, const struct reason *r)
{
	switch (end) {
	case REPLAY_DONE:
		break;
	case REPLAY_TRUNCATED:
		return cli_fail(CLI_NO, "replay %s: %s; what came before is above", path, r->text);
	case REPLAY_BROKEN:
	case REPLAY_FAILED:
		return cli_fail(CLI_NO, "replay %s: stopped: %s", path, r->text);
	case REPLAY_INTERRUPTED:
		return ferror(stdout) ? CLI_NO : CLI_INTERRUPTED;
	}
	if (run.err)
		return cli_fail(CLI_NO, "replay %s: %s: something was not printed", path,
				strerror(-run.err));
	return CLI_DONE;
}

static void catch_signals(void)
{
	/* No SA_RESTART: a read that waits on a pipe has to end. */
	struct sigaction sa = { .sa_handler = on_interrupt };

	sigaction(SIGINT, &sa, NULL);
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
}

static int open_quic(void *ctx, const struct event_quic *e, struct quic_news *out)
{
	return quic_book_event(run.quic, e, out);
}

static bool expire_quic(void *ctx, uint64_t now, const struct event_hello **hello)
{
	return quic_book_expire(run.quic, now, hello);
}

static int play(struct capture *capture, const char *path, struct replay_config *c)
{
	_cleanup_(quic_book_freep) struct quic_book *quic = NULL;
	_cleanup_(replay_freep) struct replay *p = NULL;
	enum replay_end end;
	const char *term;
	struct reason r = {};
	int err;

	if (run.view->tick)
		c->tick = on_tick;
	err = replay_new(c, &p, &r);
	if (err)
		return cli_fail(err == -EPERM ? CLI_DENIED : CLI_NO, "replay: %s", r.text);
	run.replay = p;
	err = run.view->begin(&kern_control(replay_kern(p))->secret, &r);
	if (err)
		return cli_fail(CLI_NO, "replay: %s", r.text);
	err = quic_book_new(&kern_control(replay_kern(p))->secret, &quic);
	if (err)
		return cli_fail(CLI_NO, "replay: %s", strerror(-err));
	run.quic = quic;
	catch_signals();
	clock_gettime(CLOCK_MONOTONIC, &run.started);
	term = getenv("TERM");
	run.progress = isatty(STDERR_FILENO) && term && strcmp(term, "dumb");
	end = replay_run(p, capture, &r);
	err = run.view->finish(p);
	if (err)
		run.err = err;
	fflush(stdout);
	summary(p);
	return exit_code(end, path, &r);
}

/* ---- proxy_from, out of the daemon's own file ---------------------------------- */

#define PROXIES_MAX 64

struct proxies {
	const char *file;
	struct cidr at[PROXIES_MAX];
	size_t n;
	int code;
};

static int on_key(void *user, const char *section, const char *name, const char *value)
{
	char list[256], *rest = list, *word;
	struct proxies *p = user;

	if (p->code || strcmp(section, "winnow") || strcmp(name, "proxy_from"))
		return 1;
	snprintf(list, sizeof(list), "%s", value);
	while ((word = strsep(&rest, " \t,"))) {
		if (!*word)
			continue;
		if (p->n == PROXIES_MAX || cidr_parse(word, &p->at[p->n]))
			p->code = cli_fail(CLI_USAGE,
					   "%s: proxy_from: \"%s\" is no address or network, or "
					   "the list has more than %d",
					   p->file, word, PROXIES_MAX);
		else
			p->n++;
	}
	return 1;
}

static int read_proxies(struct proxies *p)
{
	int line;

	errno = 0;
	line = ini_parse(p->file, on_key, p);
	if (line < 0)
		return cli_fail(CLI_NO, "replay -c %s: %s", p->file, strerror(errno));
	if (!p->code && line)
		p->code = cli_fail(CLI_USAGE, "%s:%d: neither [section] nor key = value", p->file,
				   line);
	return p->code;
}

/* A file gets large pieces; who reads a pipe shall not wait for more than before. The
 * buffer is ours: asked for one of a size, glibc takes one of its own size. */
static void widen_stdout(void)
{
	static char piece[FILE_PIECE];
	struct stat st;

	if (!fstat(STDOUT_FILENO, &st) && S_ISREG(st.st_mode))
		setvbuf(stdout, piece, _IOFBF, sizeof(piece));
}

int cmd_replay(int argc, char **argv)
{
	_cleanup_(capture_freep) struct capture *capture = NULL;
	_cleanup_(namer_freep) struct namer *namer = NULL;
	const char *ports = cli_option("--ports"), *missing;
	static struct proxies proxies;
	struct replay_config c = { .hello = on_hello,
				   .progress = on_progress,
				   .stop = &stop,
				   .quic = open_quic,
				   .quic_expire = expire_quic };
	struct reason r = {};
	uint64_t size;
	int err;

	if (!!cli_option("--hellos") + !!cli_option("--sources") + !!cli_option("--farms") > 1)
		return cli_usage("one of --hellos, --sources and --farms");
	err = cli_option("--farms") || cli_option("--events") ? replay_farms_options() : 0;
	if (err)
		return err;
	if (cli_option("--events")) {
		if (argc > 1 || cli_option("--hellos") || cli_option("--sources"))
			return cli_usage("--events is read instead of a capture, for its farms");
		catch_signals();
		return replay_events(cli_option("--events"), &stop);
	}
	if (argc < 2)
		return cli_usage("which capture?");
	if (cli_option("--state") && !cli_option("--farms"))
		return cli_usage("--state: history is of farms. Try: --farms --state DIR");
	run.view = cli_option("--farms")     ? &replay_farms
		   : cli_option("--sources") ? &replay_sources
					     : &replay_hellos;
	c.later = run.view == &replay_hellos;
	if (cli.format == FORMAT_CSV && run.view == &replay_hellos)
		return cli_usage("--csv: hellos are printed as a table, -j or --jsonl");
	if (replay_ports(ports ? ports : PORTS_DEFAULT, &c.ports))
		return cli_usage("--ports %s: not a list of ports (443,8443,9000-9100) or any",
				 ports);
	missing = kern_missing_capability();
	if (missing)
		return cli_fail(CLI_DENIED, "replay: %s is missing. Try: run as root", missing);
	widen_stdout();
	err = namer_new(&namer);
	if (err)
		return cli_fail(CLI_NO, "replay: %s", strerror(-err));
	run.namer = namer;
	if (cli_option("-c")) {
		proxies.file = cli_option("-c");
		err = read_proxies(&proxies);
		if (err)
			return err;
	}
	c.proxies = proxies.at;
	c.n_proxies = proxies.n;
	if (capture_open(argv[1], &capture, &r))
		return cli_fail(CLI_NO, "replay: %s", r.text);
	capture_position(capture, &size);
	kern_config_replay(&c.kern, size, run.view != &replay_hellos);
	if (c.n_proxies)
		c.kern.proxied = c.kern.flows;
	return play(capture, argv[1], &c);
}
