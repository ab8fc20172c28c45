/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * client.h - one question to winnowd and its answer.
 *
 * A frame is a big-endian u32 length and that many bytes of JSON. Request
 * {"verb", "args": {}}; reply {"exit": 0..6, "error": sentence or null, "data":
 * document or null}. A reply with exit 5 or 6 may carry data too.
 *
 *   verb          args                              data
 *   status        {}                                winnow.status/1
 *   attach        {device, mode: native|generic}    {device, mode, egress}
 *   detach        {device}                          null
 *   source.list   {limit?}                          winnow.sources/1 {sources, total, truncated}
 *   source.show   {addr}                            winnow.sources/1, its rows only
 *   fp.list       {}                                winnow.fingerprints/1 {fingerprints: []}
 *   fp.show       {name}                            winnow.fingerprints/1, its rows only
 *   rule.list     {}                                winnow.rules/1 {rules: []}
 *   rule.add      {words: [], dry_run,              winnow.rules/1, the one rule;
 *                  ssh_connection?}                 dry: and {text, would_match}
 *   rule.import   {rules: [text], enforce?}         {rules, last}
 *   rule.enforce  {handle, count?, dry_run,         winnow.rules/1, the one rule
 *                  confirm_within?}
 *   rule.del      {handle}                          null
 *   rule.check    {addr, stack?}                    winnow.check/1 {text, dropped, rules: []}
 *   rule.flush    {dry_run}                         winnow.rules/1, those (to be) removed
 *   allow.list    {}                                winnow.allows/1 {allows: []}
 *   allow.add     {cidr, reason}                    null
 *   allow.del     {cidr, confirm_within?}           null
 *   farm.list     {}                                winnow.farms/1
 *   farm.show     {id}                              winnow.farms/1, the one farm
 *   farm.history  {id}                              winnow.history/1 (daemon/timeline.h)
 *   plan.show     {}                                winnow.plan/1
 *   plan.apply    {ids: [], dry_run, enforce?,      winnow.applied/1 {farms: [], rules: []}
 *                  count?, canary?, follow?,
 *                  confirm_within?}
 *   commit.confirm, commit.rollback {}              null
 *   capture.start {rule?, farm?, rate}              {id}
 *   capture.fetch, capture.stop {id}                winnow.capture/1 {packets: [], lost}
 *   audit.list    {limit?}                          winnow.audit/1 {audit: []}
 *   audit.verify  {}                                {rows}
 *   fp.label      {stack, label?}                   null
 *   farm.mark     {id, mark?, reason?}              null
 *   events        {after} or {last}                 winnow.events/1 {events, next, missed}
 *   config.show   {}                                winnow.config/1 {files, settings: []}
 *   config.reload {}                                null
 *   panic         {on: bool}                        null
 *
 * Errors: 0 or -errno. -EMSGSIZE: a frame beyond FRAME_MAX; -ECONNRESET: the
 * peer closed inside a frame; -EBADMSG: not the JSON of a reply; -ETIMEDOUT.
 */
#ifndef WINNOW_CLI_CLIENT_H
#define WINNOW_CLI_CLIENT_H

#include <stddef.h>

#include <jansson.h>

#define FRAME_MAX      (64u << 20) /* a reply; 262,144 tallies fit */
#define CLIENT_TIMEOUT 30          /* seconds without a byte */

int frame_send(int fd, const json_t *doc);
int frame_receive(int fd, size_t max, json_t **out);

struct reply {
	int exit;     /* enum cli_exit */
	json_t *data; /* NULL: none */
};

void reply_free(struct reply *r);

/* Asks the daemon at cli.socket and prints the error of a reply that has one.
 * Steals `args` (NULL: none). Returns r->exit; CLI_NO_DAEMON when none answers. */
int client_ask(const char *verb, json_t *args, struct reply *r);
/* The same, but what went wrong is written to `why`, for who has no stderr to talk on. */
int client_try(const char *verb, json_t *args, struct reply *r, char *why, size_t size);

#endif
