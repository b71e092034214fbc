/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The thread, its sockets and what other threads may ask it. It alone touches the relay once it
 * runs.
 */
#include "faults/http_responder.h"

#include "faults/http_relay.h"
#include "faults/redirect.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define STACK_SIZE  (256 << 10)
#define PORT_TRIES  30
#define SWEEP_EVERY (100 * NSEC_PER_MSEC)
/* SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST, whose headers do not go with those of the C library */
#define ORIGINAL 80
#define SPARE	 96 /* descriptors for everything else in the worker */
#define TURN	 64 /* connections accepted before those that exist are heard again */

enum { TCP4, TCP6, SOCKETS };

struct http_responder {
	struct http_relay relay;
	int sockets[SOCKETS];
	uint16_t port;
	int floor;
	bool is_full;	  /* no descriptor is left: who comes waits */
	int namespace_fd; /* not owned */
	int wake_fd;
	pthread_t id;
	bool is_started;
	_Atomic bool is_softening, is_soft, is_stopping, is_broken;
};

unsigned http_responder_room(void)
{
	const rlim_t needed = 2 * HTTP_CONNECTIONS_MAX + SPARE;
	struct rlimit limit, wider;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= SPARE)
		return 1;
	wider = (struct rlimit){limit.rlim_max < needed ? limit.rlim_max : needed, limit.rlim_max};
	if (limit.rlim_cur < wider.rlim_cur && setrlimit(RLIMIT_NOFILE, &wider) == 0)
		limit = wider;
	if (limit.rlim_cur >= needed)
		return HTTP_CONNECTIONS_MAX;
	return (unsigned)(limit.rlim_cur - SPARE) / 2;
}

bool http_relay_find_server(int fd, struct sockaddr_storage *out)
{
	struct sockaddr_storage ours = {0};
	socklen_t ours_size = sizeof(ours), size = sizeof(*out);

	memset(out, 0, sizeof(*out));
	if (getsockname(fd, (struct sockaddr *)&ours, &ours_size) < 0)
		return false;
	if (getsockopt(fd, ours.ss_family == AF_INET ? SOL_IP : SOL_IPV6, ORIGINAL, out, &size) < 0)
		return false;
	return !redirect_is_same(out, &ours);
}

int http_relay_connect(const struct http_relay *relay, const struct sockaddr_storage *client,
		       const struct sockaddr_storage *server)
{
	return redirect_connect(relay->mark, SOCK_STREAM, client, server);
}

/* Both families at the same port. */
static int open_pair(struct http_responder *responder, bool with_ipv6)
{
	int result;

	responder->port = 0;
	cleanup_fd_at(&responder->sockets[TCP4]);
	responder->sockets[TCP4] = -1;
	result = redirect_listen(AF_INET, SOCK_STREAM, &responder->port, &responder->sockets[TCP4]);
	if (result == 0 && with_ipv6)
		result = redirect_listen(AF_INET6, SOCK_STREAM, &responder->port,
					 &responder->sockets[TCP6]);
	return result;
}

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
	struct http_responder *responder = context;
	bool with_ipv6 = false;
	int result = find_ipv6_loopback(&with_ipv6);

	if (result == 0)
		result = -EADDRINUSE;
	for (unsigned i = 0; i < PORT_TRIES && result == -EADDRINUSE; i++)
		result = open_pair(responder, with_ipv6);
	for (unsigned i = 0; i < SOCKETS && result == 0; i++)
		if (responder->sockets[i] >= 0) {
			responder->sockets[i] =
				redirect_raise(responder->sockets[i], responder->floor);
			result = responder->sockets[i] < 0 ? -EMFILE : 0;
		}
	if (result < 0)
		return error_errno(err, -result, "cannot listen on 127.0.0.1");
	return 0;
}

int http_responder_new(const struct http_responder_config *config, struct http_responder **out,
		       struct error *err)
{
	struct http_responder *responder = calloc(1, sizeof(*responder));
	int result = 0;

	if (!responder)
		return error_errno(err, ENOMEM, "responder");
	responder->sockets[TCP4] = responder->sockets[TCP6] = -1;
	responder->namespace_fd = config->namespace_fd;
	responder->floor = config->floor;
	responder->relay.mark = config->mark;
	responder->relay.random = config->seed;
	responder->relay.policy = config->policy;
	responder->relay.stream_max = http_responder_room();
	responder->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (responder->wake_fd < 0)
		result = error_errno(err, errno, "eventfd");
	if (result == 0)
		result = loop_new(&responder->relay.loop, err);
	if (result == 0)
		result = namespace_run(config->namespace_fd, open_here, responder, err);
	if (result < 0) {
		http_responder_free(responder);
		return result;
	}
	*out = responder;
	return 0;
}

uint16_t http_responder_port(const struct http_responder *responder)
{
	return responder->port;
}

bool http_responder_has_ipv6(const struct http_responder *responder)
{
	return responder->sockets[TCP6] >= 0;
}

static bool is_lack(int code)
{
	return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM;
}

static void accept_some(struct http_responder *responder, int listener, unsigned most)
{
	bool has_come;
	int fd;

	do {
		struct sockaddr_storage client = {0};
		socklen_t size = sizeof(client);

		fd = accept4(listener, (struct sockaddr *)&client, &size,
			     SOCK_NONBLOCK | SOCK_CLOEXEC);
		has_come = fd >= 0;
		fd = redirect_raise(fd, responder->floor);
		if (fd >= 0)
			http_stream_begin(&responder->relay, fd, &client);
		else if (has_come)
			responder->relay.refused++;
		else if (is_lack(errno))
			responder->is_full = true;
	} while (--most && (has_come || errno == ECONNABORTED || errno == EINTR));
}

static void accept_each(struct http_responder *responder, unsigned most)
{
	for (unsigned i = 0; i < SOCKETS && !responder->is_full; i++)
		if (responder->sockets[i] >= 0)
			accept_some(responder, responder->sockets[i], most);
	/* else they would be told of again and again */
	for (unsigned i = 0; i < SOCKETS && responder->is_full; i++)
		loop_unwatch(responder->relay.loop, responder->sockets[i]);
}

static void have_come(void *context, uint32_t events)
{
	(void)events;
	accept_each(context, TURN);
}

static int listen_again(struct http_responder *responder, struct error *err)
{
	int result = 0;

	responder->is_full = false;
	for (unsigned i = 0; i < SOCKETS && result == 0; i++)
		if (responder->sockets[i] >= 0)
			result = loop_watch(responder->relay.loop, responder->sockets[i], EPOLLIN,
					    have_come, responder, err);
	return result;
}

static void sweep(void *context)
{
	struct http_responder *responder = context;
	struct http_relay *relay = &responder->relay;
	int64_t now_ns = clock_now_ns();

	http_stream_sweep(relay, now_ns);
	if (responder->is_full)
		listen_again(responder, NULL);
	loop_timer_set(relay->loop, &relay->sweep, now_ns + SWEEP_EVERY, sweep, responder);
}

/* Whoever was redirected before is in a queue by now. */
static void soften(struct http_responder *responder)
{
	accept_each(responder, SOMAXCONN + 1);
	http_stream_soften_all(&responder->relay);
	atomic_store(&responder->is_soft, true);
}

static void is_woken(void *context, uint32_t events)
{
	struct http_responder *responder = context;
	uint64_t count;

	(void)events;
	if (read(responder->wake_fd, &count, sizeof(count)) < 0)
		return;
	if (atomic_load(&responder->is_softening) && !atomic_load(&responder->is_soft))
		soften(responder);
	if (atomic_load(&responder->is_stopping))
		loop_stop(responder->relay.loop);
}

static int watch_sockets(struct http_responder *responder, struct error *err)
{
	struct loop *loop = responder->relay.loop;
	int result = loop_watch(loop, responder->wake_fd, EPOLLIN, is_woken, responder, err);

	return result < 0 ? result : listen_again(responder, err);
}

/* The thread stays in the namespace: each socket it makes has to be born there. */
static void *run(void *context)
{
	struct http_responder *responder = context;
	struct http_relay *relay = &responder->relay;
	const struct sched_param ordinary = {0};
	int result = 0;

	sched_setscheduler(0, SCHED_OTHER, &ordinary); /* the worker's own is not for this */
	prctl(PR_SET_NAME, "squall-http");
	if (responder->namespace_fd >= 0)
		result = setns(responder->namespace_fd, CLONE_NEWNET);
	if (result == 0) {
		sweep(responder);
		loop_run(relay->loop, NULL);
	}
	if (!atomic_load(&responder->is_stopping))
		atomic_store(&responder->is_broken, true);
	return NULL;
}

int http_responder_start(struct http_responder *responder, struct error *err)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	int result = watch_sockets(responder, err);

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

static void wake(struct http_responder *responder)
{
	const uint64_t one = 1;

	/* can fail only when the counter is full, and then the thread is awake */
	if (write(responder->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void http_responder_soften(struct http_responder *responder)
{
	atomic_store(&responder->relay.is_soft, true); /* at once, whatever the thread is at */
	atomic_store(&responder->is_softening, true);
	wake(responder);
}

bool http_responder_is_empty(const struct http_responder *responder)
{
	return http_responder_is_broken(responder) ||
	       (atomic_load(&responder->is_soft) && atomic_load(&responder->relay.awaited) == 0);
}

bool http_responder_is_broken(const struct http_responder *responder)
{
	return !responder->is_started || atomic_load(&responder->is_broken);
}

bool http_responder_is_looping(const struct http_responder *responder)
{
	return atomic_load(&responder->relay.is_looping);
}

void http_responder_counters(const struct http_responder *responder, struct http_counters *out)
{
	const struct http_relay *relay = &responder->relay;

	*out = (struct http_counters){
		.connections = relay->connections,
		.requests = relay->requests,
		.hits = relay->hits,
		.answered = relay->answered,
		.aborted = relay->aborted,
		.delayed = relay->delayed,
		.changed_requests = relay->changed_requests,
		.changed_responses = relay->changed_responses,
		.unchanged = relay->unchanged,
		.strange = relay->strange,
		.refused = relay->refused,
		.left = relay->left,
	};
}

void http_responder_free(struct http_responder *responder)
{
	if (!responder)
		return;
	if (responder->is_started) {
		atomic_store(&responder->is_stopping, true);
		wake(responder);
		pthread_join(responder->id, NULL);
	}
	if (responder->relay.loop) {
		http_stream_close_all(&responder->relay);
		loop_timer_cancel(responder->relay.loop, &responder->relay.sweep);
	}
	for (unsigned i = 0; i < SOCKETS; i++)
		cleanup_fd_at(&responder->sockets[i]);
	if (responder->relay.loop)
		loop_free(responder->relay.loop);
	cleanup_fd_at(&responder->wake_fd);
	free(responder);
}
