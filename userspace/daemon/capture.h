/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * capture.h - packets that rules acted on, or would have, for one client at a time.
 *
 * The programs send copies while a capture runs, within its rate; they wait here until
 * the client fetches them. Bounds: CAPTURE_WAITING packets (what comes more is counted
 * as lost); a client that does not ask for CAPTURE_IDLE ends the capture.
 */
#ifndef WINNOW_DAEMON_CAPTURE_H
#define WINNOW_DAEMON_CAPTURE_H

#include "daemon/daemon.h"

#define CAPTURE_WAITING  4096
#define CAPTURE_IDLE     (10 * NSEC_PER_SEC)
#define CAPTURE_RATE_MAX 10000

struct capture_wish {
	uint32_t rule;    /* 0: any */
	const char *farm; /* NULL: any */
	uint32_t rate;    /* packets a second */
};

/* -EALREADY: somebody else's runs; -ENOMEM. *id names it for the other calls. */
int capture_start(struct daemon *d, const struct capture_wish *w, uint64_t *id, struct reason *r);
/* winnow.capture/1 of what has come; NULL: there is no such capture any more. */
json_t *capture_fetch(struct daemon *d, uint64_t id);
void capture_stop(struct daemon *d);
void capture_event(struct daemon *d, const struct event_packet *e, const struct clock *c);
void capture_tick(struct daemon *d, const struct clock *c);

#endif
