/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/lib_winnowd.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "base/cleanup.h"
#include "store/store.h"

char dir[64], pins[96], conf[96];
pid_t daemon_pid;
const char *tick = "100ms";
uint32_t table_rules = 128;
static char winnowd[4096];

/* ---- a daemon to handle -------------------------------------------------------- */

void write_conf(const char *more)
{
	FILE *f = fopen(conf, "w");

	assert_non_null(f);
	fprintf(f,
		"[winnow]\nstate_dir = %s/state\nrun_dir = %s/run\nbpffs = %s\ntick = %s\n%s%s\n"
		"[tables]\ntallies = 512\norders = 512\nflows = 512\nhandshakes = 512\n"
		"rules = %u\nprefixes = 128\nreassembly = 64\nring_bytes = 65536\n",
		dir, dir, pins, tick, strstr(more, "enforce") ? "" : "enforce = yes\n", more,
		table_rules);
	fclose(f);
}

/* Waits for a line of its talk; the rest goes to DIR/log. */
void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
}

pid_t spawn(const char *stop_at)
{
	char log[96];
	pid_t pid = fork();

	if (pid)
		return pid;
	snprintf(log, sizeof(log), "%s/log", dir);
	if (!freopen(log, "a", stderr))
		_exit(99);
	if (stop_at)
		setenv("WINNOW_STOP_AT", stop_at, 1);
	execl(winnowd, winnowd, "-f", "-c", conf, NULL);
	_exit(98);
}

bool logged(const char *text)
{
	_cleanup_(freep) char *line = NULL;
	_cleanup_(fclosep) FILE *f = NULL;
	char log[96];
	size_t room = 0;

	snprintf(log, sizeof(log), "%s/log", dir);
	f = fopen(log, "r");
	while (f && getline(&line, &room, f) >= 0)
		if (strstr(line, text))
			return true;
	return false;
}

int dial(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/run/control.sock", dir);
	if (!connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return fd;
	close(fd);
	return -1;
}

void daemon_up(const char *stop_at)
{
	daemon_pid = spawn(stop_at);
	for (int i = 0; i < 2000; i++) {
		int fd = dial(), status;

		if (fd >= 0) {
			close(fd);
			return;
		}
		if (waitpid(daemon_pid, &status, WNOHANG) == daemon_pid)
			fail_msg("winnowd ended with status %x, see %s/log", status, dir);
		nap();
	}
	fail_msg("winnowd does not answer");
}

void daemon_end(int signal_number)
{
	int status;

	if (!daemon_pid)
		return;
	kill(daemon_pid, signal_number);
	waitpid(daemon_pid, &status, 0);
	daemon_pid = 0;
	/* Asked to stop it says 0; a sanitizer's finding would not. */
	if (signal_number == SIGTERM && status)
		fail_msg("winnowd ended with status %x, see %s/log", status, dir);
}

int send_request(const char *verb, json_t *args)
{
	json_t *q = json_pack("{s:s, s:o}", "verb", verb, "args", args ? args : json_object());
	_cleanup_(freep) char *text = json_dumps(q, JSON_COMPACT);
	uint32_t n = htonl(strlen(text));
	int fd = dial();

	json_decref(q);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, &n, 4), 4);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

json_t *ask(const char *verb, json_t *args)
{
	_cleanup_(closep) int fd = send_request(verb, args);
	_cleanup_(freep) char *body = NULL;
	json_t *reply;
	uint32_t n;

	assert_int_equal(recv(fd, &n, 4, MSG_WAITALL), 4);
	body = malloc(ntohl(n));
	assert_int_equal(recv(fd, body, ntohl(n), MSG_WAITALL), ntohl(n));
	reply = json_loadb(body, ntohl(n), 0, NULL);
	assert_non_null(reply);
	return reply;
}

json_t *ask_quietly(const char *verb)
{
	json_t *q = json_pack("{s:s, s:{}}", "verb", verb, "args");
	_cleanup_(freep) char *text = json_dumps(q, JSON_COMPACT);
	_cleanup_(freep) char *body = NULL;
	_cleanup_(closep) int fd = dial();
	uint32_t n = htonl(strlen(text));

	json_decref(q);
	if (fd < 0 || write(fd, &n, 4) != 4 ||
	    write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
	    recv(fd, &n, 4, MSG_WAITALL) != 4)
		return NULL;
	body = malloc(ntohl(n));
	if (recv(fd, body, ntohl(n), MSG_WAITALL) != (ssize_t)ntohl(n))
		return NULL;
	return json_loadb(body, ntohl(n), 0, NULL);
}

/* The exit code; `error`, if not NULL, is part of the sentence. */
int exit_of(const char *verb, json_t *args, const char *error)
{
	json_t *reply = ask(verb, args);
	int code = (int)json_integer_value(json_object_get(reply, "exit"));
	const char *said = json_string_value(json_object_get(reply, "error"));

	if (error && (!said || !strstr(said, error)))
		fail_msg("%s: \"%s\" does not say \"%s\"", verb, said ? said : "", error);
	json_decref(reply);
	return code;
}

json_t *rule(const char *text)
{
	return json_pack("{s:s}", "rule", text);
}

size_t listed(void)
{
	json_t *reply = ask("rule.list", NULL);
	size_t n = json_array_size(json_object_get(json_object_get(reply, "data"), "rules"));

	json_decref(reply);
	return n;
}

/* "in_force", "bound" ... of the only rule. */
bool only_rule(const char *key)
{
	json_t *reply = ask("rule.list", NULL);
	json_t *rules = json_object_get(json_object_get(reply, "data"), "rules");
	bool yes = json_is_true(json_object_get(json_array_get(rules, 0), key));

	assert_int_equal(json_array_size(rules), 1);
	json_decref(reply);
	return yes;
}

/* What the kernel has, asked without the daemon, which must be down. */
struct kern *kernel(void)
{
	struct kern_config c = { .tallies = 512,
				 .orders = 512,
				 .flows = 512,
				 .handshakes = 512,
				 .rules = table_rules,
				 .prefixes = 128,
				 .ring_bytes = 65536,
				 .reassembly = 64,
				 .pin_dir = pins };
	struct kern *k = NULL;
	struct reason r = {};

	if (kern_open(&c, &k, &r))
		fail_msg("%s", r.text);
	assert_true(kern_adopted(k));
	return k;
}

size_t in_kernel(void)
{
	_cleanup_(kern_freep) struct kern *k = kernel();
	size_t n, used = 0;
	struct rule *slots = kern_rules(k, &n);

	for (size_t i = 1; i < n; i++)
		used += slots[i].gen != 0;
	return used;
}

struct store *database(void)
{
	struct store *s = NULL;
	struct reason r = {};
	char path[96];

	snprintf(path, sizeof(path), "%s/state/state.db", dir);
	if (store_open(path, &s, &r))
		fail_msg("%s", r.text);
	return s;
}

static int phases[4];

static int count_phase(void *ctx, struct rule_entry *e, enum rule_phase phase)
{
	(void)ctx;
	phases[phase]++;
	rule_entry_clear(e);
	return 0;
}

size_t in_database(void)
{
	_cleanup_(store_freep) struct store *s = database();
	struct reason r = {};
	uint64_t rows;

	memset(phases, 0, sizeof(phases));
	assert_int_equal(store_rules(s, count_phase, NULL), 0);
	assert_int_equal(phases[RULE_PENDING] + phases[RULE_LEAVING], 0);
	assert_int_equal(store_audit_verify(s, &rows, &r), 0);
	assert_true(rows > 0);
	return phases[RULE_LIVE];
}

void remove_path(const char *fmt, const char *base)
{
	char cmd[256], path[128];

	snprintf(path, sizeof(path), fmt, base);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", path);
	assert_int_equal(system(cmd), 0);
}

int fresh(void **state)
{
	(void)state;
	/* Whoever ends the test by force knows what is its own by the number. */
	snprintf(dir, sizeof(dir), "/tmp/wn-%d-XXXXXX", getpid());
	if (!mkdtemp(dir))
		return -1;
	snprintf(pins, sizeof(pins), "/sys/fs/bpf/%s", dir + 5);
	snprintf(conf, sizeof(conf), "%s/winnow.conf", dir);
	write_conf("");
	return 0;
}

int remove_all(void **state)
{
	(void)state;
	daemon_end(SIGKILL);
	remove_path("%s", pins);
	remove_path("%s", dir);
	return 0;
}

/* ---- the world ------------------------------------------------------------------------ */

static int own_network(void)
{
	if (getuid() || unshare(CLONE_NEWNET))
		return -1;
	return system("ip link set lo up && ip link add v0 type veth peer name v1 && "
		      "ip addr add 198.51.100.10/24 dev v0 && ip link set v0 up && "
		      "ip link set v1 up && ip route add default via 198.51.100.1");
}

bool daemon_possible(void)
{
	ssize_t n = readlink("/proc/self/exe", winnowd, sizeof(winnowd) - 16);
	char *slash;

	/* build/tests/unit/test_x -> build/winnowd */
	winnowd[n > 0 ? n : 0] = '\0';
	for (int i = 0; i < 3 && (slash = strrchr(winnowd, '/')); i++)
		*slash = '\0';
	strcat(winnowd, "/winnowd");
	return !kern_missing_capability() && !own_network();
}
