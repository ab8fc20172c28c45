/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib_winnowd.h - the real winnowd of this build tree for a test: its files in
 * a fresh directory, its pins beside, its network a namespace of its own.
 *
 * One at a time. What cannot be done fails the test that asked.
 */
#ifndef WINNOW_TESTS_LIB_WINNOWD_H
#define WINNOW_TESTS_LIB_WINNOWD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>
#include <jansson.h>

#include "kern/kern.h"
#include "store/store.h"

extern char dir[64], pins[96], conf[96];
extern pid_t daemon_pid;     /* 0: none */
extern uint32_t table_rules; /* likewise, and of kernel() */
extern const char *tick;     /* of the next write_conf() */

/* Root, and a namespace with 198.51.100.10 and the gateway 198.51.100.1. */
bool daemon_possible(void);

/* cmocka's set-up and tear-down: directory and configuration; all of it gone. */
int fresh(void **state);
int remove_all(void **state);
void write_conf(const char *more); /* lines for [winnow] */
void remove_path(const char *fmt, const char *base);

/* stop_at: WINNOW_STOP_AT (rulebook.h), or NULL. Up: it answers. */
void daemon_up(const char *stop_at);
void daemon_end(int signal_number);
pid_t spawn(const char *stop_at);
bool logged(const char *text);
void nap(void); /* 5 ms, between two looks at what is awaited */

/* One request; args are used up. */
int send_request(const char *verb, json_t *args); /* the connection */
json_t *ask(const char *verb, json_t *args);      /* the reply */
/* A connection, -1: refused; the reply, NULL: none came. For tests of rough company. */
int dial(void);
json_t *ask_quietly(const char *verb);
/* Its exit code; `error`, if not NULL, is part of the sentence. */
int exit_of(const char *verb, json_t *args, const char *error);
json_t *rule(const char *text);  /* args of rule.add */
size_t listed(void);             /* rules */
bool only_rule(const char *key); /* "in_force", "bound" of the one rule */

/* What kernel and database have; the daemon must be down. in_database() also
 * claims that no row is half way and that the audit is whole. */
struct kern *kernel(void);
struct store *database(void); /* may be read while the daemon runs */
size_t in_kernel(void);
size_t in_database(void);

#endif
