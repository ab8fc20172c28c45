/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json_read.h - JSON read by a process that goes on when there is no memory.
 *
 * jansson 2.14 reads on when a buffer of its lexer cannot grow: a byte of a string is
 * missing then, or it writes behind its end. Here such an allocation is served from a
 * reserve that was taken before, and the document is refused when it has ended.
 *
 * Any other allocation of jansson's that fails is a json_miss() (model/json.h).
 *
 * Memory: JSON_RESERVE + JSON_RESERVE_EACH for each byte, not touched unless needed; a byte
 * of text becomes at most that much of values and buffers that double.
 * Threads: each has its own.
 */
#ifndef WINNOW_DAEMON_JSON_READ_H
#define WINNOW_DAEMON_JSON_READ_H

#include <jansson.h>

#define JSON_RESERVE      65536
#define JSON_RESERVE_EACH 64

/* As json_loadb(), with duplicate keys refused; NULL with e->text "out of memory", too. */
json_t *json_read(const char *bytes, size_t len, json_error_t *e);

#endif
