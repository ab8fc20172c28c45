/* SPDX-License-Identifier: BSD-2-Clause */
/* thread.h - a thread that signals never interrupt: they are the first one's. */
#ifndef WINNOW_KERN_THREAD_H
#define WINNOW_KERN_THREAD_H

#include <pthread.h>
#include <signal.h>

/* 0 or -errno. */
static inline int thread_begin(pthread_t *thread, void *(*run)(void *), void *arg)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

#endif
