/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files are read by winnowd's own reader: `winnowd -t`, or -T, of the same
 * installation. What is in force, the running winnowd says.
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/ask.h"
#include "cli/cli.h"

/* Beside this program, as in a build tree; else ../sbin, as installed. */
static int winnowd_path(char out[PATH_MAX])
{
	char self[PATH_MAX - 32];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return -errno;
	self[n] = '\0';
	dirname(self);
	snprintf(out, PATH_MAX, "%s/winnowd", self);
	if (!access(out, X_OK))
		return 0;
	snprintf(out, PATH_MAX, "%s/../sbin/winnowd", self);
	return access(out, X_OK) ? -errno : 0;
}

/* Its exit code, and what it printed on `fd`, at most size - 1 bytes. */
static int winnowd_says(const char *option, int fd, char *out, size_t size)
{
	const char *file = cli_option("-c");
	char path[PATH_MAX];
	int to[2], status, err = winnowd_path(path);
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	if (err)
		return cli_fail(CLI_NO, "find winnowd: %s. Try: install the whole package",
				strerror(-err));
	if (pipe(to))
		return cli_fail(CLI_NO, "make a pipe: %s", strerror(errno));
	pid = fork();
	if (!pid) {
		dup2(to[1], fd);
		close(to[0]);
		close(to[1]);
		execl(path, path, option, file ? "-c" : NULL, file, NULL);
		_exit(127);
	}
	close(to[1]);
	while (pid > 0 && len < size - 1 && (n = read(to[0], out + len, size - 1 - len)) > 0)
		len += n;
	close(to[0]);
	out[len] = '\0';
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return cli_fail(CLI_NO, "run %s: %s", path, strerror(errno));
	return WEXITSTATUS(status);
}

int cmd_config_check(int argc, char **argv)
{
	char said[4096], *text = said, *end;
	int code = winnowd_says("-t", STDERR_FILENO, said, sizeof(said));
	json_t *doc;

	if (!strncmp(said, "winnowd: ", 9))
		text += 9;
	end = strchr(text, '\n');
	if (end)
		*end = '\0';
	if (cli.format == FORMAT_TABLE) {
		if (code)
			return cli_fail(CLI_NO, "%s", text);
		say("The configuration is good.");
		return CLI_DONE;
	}
	doc = json_pack("{s:s, s:b, s:s?}", "schema", "winnow.config_check/1", "ok", !code, "error",
			code ? text : NULL);
	if (cli.format == FORMAT_CSV)
		fields_csv(stdout, doc);
	else
		json_print(stdout, doc, cli.format == FORMAT_JSONL);
	json_decref(doc);
	return code ? CLI_NO : CLI_DONE;
}

/* ---- show ------------------------------------------------------------------------- */

static const char *paint_origin(const char *text)
{
	return strcmp(text, "default") ? "36" : NULL;
}

static const struct column columns[] = {
	{ .head = "section", .key = "section" },
	{ .head = "key", .key = "key" },
	{ .head = "value", .key = "value", .elastic = true },
	{ .head = "origin", .key = "origin", .paint = paint_origin },
	{ 0 },
};

#define ROW_SCHEMA "winnow.setting/1"

/* As a file that could be read again. */
static void print_ini(const json_t *doc)
{
	bool origin = cli_option("--origin") != NULL;
	const char *section = "";
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(doc, "settings"), i, row) {
		const char *in = json_text_at(row, "section", ""),
			   *value = json_text_at(row, "value", ""),
			   *key = json_text_at(row, "key", "");
		_cleanup_(freep) char *safe = text_safe(value);

		if (strcmp(section, in))
			printf("%s[%s]\n", *section ? "\n" : "", in);
		section = in;
		if (origin)
			printf("# %s\n", json_text_at(row, "origin", ""));
		printf("%s%s = %s\n", *value ? "" : "# ", key, safe);
	}
}

static int show(const json_t *doc)
{
	if (cli.format == FORMAT_TABLE) {
		print_ini(doc);
		return CLI_DONE;
	}
	return rows_print(doc, "settings", ROW_SCHEMA, columns, "No settings.", CLI_DONE);
}

int cmd_config_show(int argc, char **argv)
{
	_cleanup_(reply_free) struct reply r = { 0 };
	_cleanup_(freep) char *text = NULL;
	json_t *doc;
	int code;

	if (!cli_option("--files") && !cli_option("-c")) {
		client_ask("config.show", NULL, &r);
		return r.data ? show(r.data) : r.exit;
	}
	text = malloc(1 << 20);
	if (!text)
		return cli_fail(CLI_NO, "out of memory");
	code = winnowd_says("-T", STDOUT_FILENO, text, 1 << 20);
	if (code)
		return CLI_NO;
	doc = json_loads(text, 0, NULL);
	code = doc ? show(doc) : cli_fail(CLI_NO, "winnowd -T: no JSON came");
	json_decref(doc);
	return code;
}

int cmd_config_reload(int argc, char **argv)
{
	return ask_act("config.reload", NULL, "The configuration was read again.");
}
