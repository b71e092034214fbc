/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/base/thread.h"

#include <signal.h>

static int start(pthread_t *out, int detach_state, size_t stack_size, void *(*run)(void *context),
		 void *context)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	int status = pthread_attr_init(&attributes);

	if (status)
		return status;
	pthread_attr_setstacksize(&attributes, stack_size);
	pthread_attr_setdetachstate(&attributes, detach_state);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	status = pthread_create(out, &attributes, run, context);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return status;
}

int thread_start(pthread_t *out, size_t stack_size, void *(*run)(void *context), void *context)
{
	return start(out, PTHREAD_CREATE_JOINABLE, stack_size, run, context);
}

int thread_start_detached(size_t stack_size, void *(*run)(void *context), void *context)
{
	pthread_t thread;

	return start(&thread, PTHREAD_CREATE_DETACHED, stack_size, run, context);
}
