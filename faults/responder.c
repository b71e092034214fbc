/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/responder.h"

#include "faults/redirect.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

#define STACK_SIZE (256 << 10)
#define PORT_TRIES 30

/* No: IPv6 is switched off, for lo or for all. */
static int find_ipv6_loopback(bool *out)
{
	cleanup_fd int tried = -1;
	uint16_t port = 0;
	int result = redirect_listen(AF_INET6, SOCK_STREAM, &port, &tried);

	*out = result == 0;
	return result == -EADDRNOTAVAIL || result == -EAFNOSUPPORT ? 0 : result;
}

static int open_here(void *context, struct error *err)
{
	struct responder *responder = context;
	int result = find_ipv6_loopback(&responder->has_ipv6);

	if (result == 0)
		result = -EADDRINUSE;
	for (unsigned i = 0; i < PORT_TRIES && result == -EADDRINUSE; i++)
		result = responder->ops->open(responder);
	return result < 0 ? error_errno(err, -result, "cannot listen on 127.0.0.1") : 0;
}

int responder_open(struct responder *responder, const struct responder_ops *ops, struct error *err)
{
	int result = 0;

	responder->ops = ops;
	responder->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (responder->wake_fd < 0)
		result = error_errno(err, errno, "eventfd");
	if (result == 0)
		result = loop_new(&responder->loop, err);
	return result < 0 ? result
			  : namespace_run(responder->namespace_fd, open_here, responder, err);
}

static void sweep(void *context)
{
	struct responder *responder = context;
	int64_t now_ns = clock_now_ns();

	responder->ops->sweep(responder, now_ns);
	loop_timer_set(responder->loop, &responder->timer, now_ns + responder->ops->sweep_every_ns,
		       sweep, responder);
}

static void is_woken(void *context, uint32_t events)
{
	struct responder *responder = context;
	uint64_t count;

	(void)events;
	if (read(responder->wake_fd, &count, sizeof(count)) < 0)
		return;
	if (atomic_load(&responder->is_soft) && !atomic_load(&responder->is_softened)) {
		responder->ops->soften(responder);
		atomic_store(&responder->is_softened, true);
	}
	if (atomic_load(&responder->is_stopping))
		loop_stop(responder->loop);
}

/* The thread stays in the namespace: each socket it makes has to be born there. */
static void *run(void *context)
{
	struct responder *responder = context;
	const struct sched_param ordinary = {0};
	int result = 0;

	sched_setscheduler(0, SCHED_OTHER, &ordinary); /* the worker's own is not for this */
	prctl(PR_SET_NAME, responder->ops->name);
	if (responder->namespace_fd >= 0)
		result = setns(responder->namespace_fd, CLONE_NEWNET);
	if (result == 0) {
		sweep(responder);
		loop_run(responder->loop, NULL);
	}
	if (!atomic_load(&responder->is_stopping))
		atomic_store(&responder->is_broken, true);
	return NULL;
}

int responder_start(struct responder *responder, int floor, struct error *err)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	int result =
		loop_watch(responder->loop, responder->wake_fd, EPOLLIN, is_woken, responder, err);

	responder->floor = floor;
	if (result == 0)
		result = responder->ops->watch(responder, err);
	if (result < 0)
		return result;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	sigfillset(&all); /* signals are the worker's business */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = pthread_create(&responder->id, &attributes, run, responder);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (result != 0)
		return error_errno(err, result, "cannot start the responder");
	responder->is_started = true;
	return 0;
}

int responder_raise(const struct responder *responder, int *inout_fd, struct error *err)
{
	int above;

	if (*inout_fd > responder->floor)
		return 0;
	above = fcntl(*inout_fd, F_DUPFD_CLOEXEC, responder->floor + 1);
	close(*inout_fd);
	*inout_fd = above;
	return above < 0 ? error_errno(err, errno, "cannot keep a descriptor apart") : 0;
}

static void wake(struct responder *responder)
{
	const uint64_t one = 1;

	/* can fail only when the counter is full, and then the thread is awake */
	if (write(responder->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void responder_soften(struct responder *responder)
{
	atomic_store(&responder->is_soft, true); /* at once, whatever the thread is at */
	wake(responder);
}

bool responder_is_empty(const struct responder *responder)
{
	return responder_is_broken(responder) ||
	       (atomic_load(&responder->is_softened) && atomic_load(&responder->awaited) == 0);
}

bool responder_is_broken(const struct responder *responder)
{
	return !responder->is_started || atomic_load(&responder->is_broken);
}

void responder_hang_up(struct responder *responder)
{
	if (responder->is_started) {
		atomic_store(&responder->is_stopping, true);
		wake(responder);
		pthread_join(responder->id, NULL);
		responder->is_started = false;
	}
	if (responder->loop)
		responder->ops->hang_up(responder);
}

void responder_free(struct responder *responder)
{
	if (!responder)
		return;
	responder_hang_up(responder);
	if (responder->loop) {
		if (responder->ops->close)
			responder->ops->close(responder);
		loop_timer_cancel(responder->loop, &responder->timer);
		loop_free(responder->loop);
	}
	cleanup_fd_at(&responder->wake_fd);
	free(responder);
}
