/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timeline.h - how each farm went: share, members, births, what rules stopped.
 *
 * A point a farm and window, in the state database for 28 days. A window that cannot
 * be written is a gap, said as trouble "history".
 */
#ifndef WINNOW_DAEMON_TIMELINE_H
#define WINNOW_DAEMON_TIMELINE_H

#include "daemon/daemon.h"

/* A window was judged: its points. */
void timeline_note(struct daemon *d);

/* winnow.history/1: {"schema", "farm", "points": [{"time", "state", "share", "bits",
 * "members", "births", "exchanges", "rules", "hits", "would"}]}, at most 720 points:
 * of several windows the last, with the births of all. NULL: no memory. */
json_t *document_history(struct daemon *d, const char *farm);

#endif
