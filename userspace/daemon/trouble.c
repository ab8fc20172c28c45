/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/daemon.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct trouble *find(struct daemon *d, const char *about)
{
	for (size_t i = 0; i < d->n_troubles; i++)
		if (!strcmp(d->troubles[i].about, about))
			return &d->troubles[i];
	return NULL;
}

static struct trouble *make(struct daemon *d, const char *about)
{
	struct trouble *t;

	if (d->n_troubles == TROUBLES_MAX)
		return NULL;
	t = &d->troubles[d->n_troubles++];
	*t = (struct trouble){};
	snprintf(t->about, sizeof(t->about), "%s", about);
	return t;
}

void trouble_set(struct daemon *d, const char *about, const char *fmt, ...)
{
	struct trouble *t = find(d, about);
	char text[sizeof(t->text)];
	va_list ap;

	if (!fmt) {
		if (t) {
			log_note("%s: in order again", about);
			*t = d->troubles[--d->n_troubles];
		}
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (t && !strcmp(t->text, text))
		return;
	log_warn("%s: %s", about, text);
	if (!t)
		t = make(d, about);
	if (t)
		memcpy(t->text, text, sizeof(text));
}
