/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The thread, its sockets and what other threads may ask it. It alone touches the relay once it
 * runs.
 */
#include "faults/dns_responder.h"

#include "faults/dns_relay.h"
#include "faults/redirect.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/namespace.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

#define STACK_SIZE  (256 << 10)
#define PORT_TRIES  30
#define SWEEP_EVERY (2 * NSEC_PER_SEC)
#define QUEUE_BYTES (4 << 20) /* for bursts while the thread waits for a processor */

enum { UDP4, UDP6 = UDP4 + DNS_PORTS, TCP4 = UDP6 + DNS_PORTS, TCP6, SOCKETS };

struct dns_responder {
	struct dns_relay relay;
	struct dns_socket sockets[SOCKETS];
	int namespace_fd; /* not owned */
	int wake_fd;
	pthread_t id;
	bool is_started;
	_Atomic bool is_softening, is_soft, is_stopping, is_broken;
};

static int open_socket(struct dns_socket *socket, int family, int type, uint16_t port)
{
	const int room = QUEUE_BYTES;
	int result = redirect_listen(family, type, &port, &socket->fd);

	if (result < 0)
		return result;
	setsockopt(socket->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	socket->family = family;
	socket->port = port;
	return 0;
}

static void close_sockets(struct dns_responder *responder, unsigned first)
{
	for (unsigned i = first; i < SOCKETS; i++) {
		cleanup_fd_at(&responder->sockets[i].fd);
		responder->sockets[i].fd = -1;
	}
}

static int open_from(struct dns_responder *responder, uint16_t first, bool with_ipv6)
{
	struct dns_socket *sockets = responder->sockets;
	int result = open_socket(&sockets[TCP4], AF_INET, SOCK_STREAM, first);

	if (first == 0 && result == 0)
		first = sockets[TCP4].port;
	if (first > UINT16_MAX - DNS_PORTS)
		result = -EADDRINUSE;
	if (result == 0 && with_ipv6)
		result = open_socket(&sockets[TCP6], AF_INET6, SOCK_STREAM, first);
	for (unsigned i = 0; i < DNS_PORTS && result == 0; i++) {
		uint16_t port = (uint16_t)(first + i);

		result = open_socket(&sockets[UDP4 + i], AF_INET, SOCK_DGRAM, port);
		if (result == 0 && with_ipv6)
			result = open_socket(&sockets[UDP6 + i], AF_INET6, SOCK_DGRAM, port);
	}
	return result;
}

/* No: IPv6 is switched off, for lo or for all. */
static int find_ipv6_loopback(bool *out)
{
	struct dns_socket tried = {.fd = -1};
	int result = open_socket(&tried, AF_INET6, SOCK_DGRAM, 0);

	cleanup_fd_at(&tried.fd);
	*out = result == 0;
	return result == -EADDRNOTAVAIL || result == -EAFNOSUPPORT ? 0 : result;
}

static int open_here(void *context, struct error *err)
{
	struct dns_responder *responder = context;
	bool with_ipv6;
	int result = find_ipv6_loopback(&with_ipv6);

	if (result == 0)
		result = -EADDRINUSE;
	for (unsigned i = 0; i < PORT_TRIES && result == -EADDRINUSE; i++) {
		close_sockets(responder, 0);
		result = open_from(responder, 0, with_ipv6);
	}
	if (result < 0)
		return error_errno(err, -result, "cannot listen on 127.0.0.1");
	return 0;
}

int dns_responder_new(const struct dns_responder_config *config, struct dns_responder **out,
		      struct error *err)
{
	struct dns_responder *responder = calloc(1, sizeof(*responder));
	int result = 0;

	if (!responder)
		return error_errno(err, ENOMEM, "responder");
	for (unsigned i = 0; i < SOCKETS; i++)
		responder->sockets[i] = (struct dns_socket){.relay = &responder->relay, .fd = -1};
	responder->namespace_fd = config->namespace_fd;
	responder->relay.mark = config->mark;
	responder->relay.policy = config->policy;
	responder->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (responder->wake_fd < 0)
		result = error_errno(err, errno, "eventfd");
	if (result == 0)
		result = loop_new(&responder->relay.loop, err);
	if (result == 0)
		result = namespace_run(config->namespace_fd, open_here, responder, err);
	if (result == 0)
		result = netlink_open_netfilter(config->namespace_fd, &responder->relay.netlink,
						err);
	if (result < 0) {
		dns_responder_free(responder);
		return result;
	}
	responder->relay.zone = dns_responder_port(responder);
	*out = responder;
	return 0;
}

uint16_t dns_responder_port(const struct dns_responder *responder)
{
	return responder->sockets[TCP4].port;
}

bool dns_responder_has_ipv6(const struct dns_responder *responder)
{
	return responder->sockets[TCP6].fd >= 0;
}

static void sweep(void *context)
{
	struct dns_relay *relay = context;
	int64_t now_ns = clock_now_ns();

	dns_datagram_sweep(relay, now_ns);
	dns_stream_sweep(relay, now_ns);
	loop_timer_set(relay->loop, &relay->sweep, now_ns + SWEEP_EVERY, sweep, relay);
}

static void soften(struct dns_responder *responder)
{
	struct dns_relay *relay = &responder->relay;

	relay->is_soft = true;
	dns_stream_close_all(relay);
	/* a query that is passed on is still awaited; what was to be an answer is one now */
	while (relay->held) {
		dns_datagram_release(relay->held);
		dns_held_free(relay->held);
	}
	atomic_store(&responder->is_soft, true);
}

static void is_woken(void *context, uint32_t events)
{
	struct dns_responder *responder = context;
	uint64_t count;

	(void)events;
	if (read(responder->wake_fd, &count, sizeof(count)) < 0)
		return;
	if (atomic_load(&responder->is_softening) && !atomic_load(&responder->is_soft))
		soften(responder);
	if (atomic_load(&responder->is_stopping))
		loop_stop(responder->relay.loop);
}

static int watch_sockets(struct dns_responder *responder, struct error *err)
{
	struct loop *loop = responder->relay.loop;
	int result = loop_watch(loop, responder->wake_fd, EPOLLIN, is_woken, responder, err);

	for (unsigned i = 0; i < SOCKETS && result == 0; i++)
		if (responder->sockets[i].fd >= 0)
			result = loop_watch(loop, responder->sockets[i].fd, EPOLLIN,
					    i < TCP4 ? dns_datagram_arrives : dns_stream_arrives,
					    &responder->sockets[i], err);
	return result;
}

/* The thread stays in the namespace: each socket it makes has to be born there. */
static void *run(void *context)
{
	struct dns_responder *responder = context;
	struct dns_relay *relay = &responder->relay;
	const struct sched_param ordinary = {0};
	int result = 0;

	sched_setscheduler(0, SCHED_OTHER, &ordinary); /* the worker's own is not for this */
	prctl(PR_SET_NAME, "squall-dns");
	if (responder->namespace_fd >= 0)
		result = setns(responder->namespace_fd, CLONE_NEWNET);
	if (result == 0) {
		sweep(relay);
		loop_run(relay->loop, NULL);
	}
	if (!atomic_load(&responder->is_stopping))
		atomic_store(&responder->is_broken, true);
	return NULL;
}

static int raise_listeners(struct dns_responder *responder, int floor, struct error *err)
{
	responder->relay.floor = floor;
	for (unsigned i = TCP4; i <= TCP6; i++) {
		int *fd = &responder->sockets[i].fd;

		if (*fd >= 0 && (*fd = redirect_raise(*fd, floor)) < 0)
			return error_errno(err, errno, "cannot keep a descriptor apart");
	}
	return 0;
}

int dns_responder_start(struct dns_responder *responder, int floor, struct error *err)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	int result = raise_listeners(responder, floor, err);

	if (result == 0)
		result = watch_sockets(responder, err);
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

static void wake(struct dns_responder *responder)
{
	const uint64_t one = 1;

	/* can fail only when the counter is full, and then the thread is awake */
	if (write(responder->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void dns_responder_soften(struct dns_responder *responder)
{
	atomic_store(&responder->is_softening, true);
	wake(responder);
}

bool dns_responder_is_empty(const struct dns_responder *responder)
{
	return dns_responder_is_broken(responder) ||
	       (atomic_load(&responder->is_soft) && atomic_load(&responder->relay.awaited) == 0);
}

bool dns_responder_is_looping(const struct dns_responder *responder)
{
	return atomic_load(&responder->relay.is_looping);
}

bool dns_responder_is_broken(const struct dns_responder *responder)
{
	return !responder->is_started || atomic_load(&responder->is_broken);
}

void dns_responder_counters(const struct dns_responder *responder,
			    struct dns_responder_counters *out)
{
	const struct dns_relay *relay = &responder->relay;

	*out = (struct dns_responder_counters){
		.queries = relay->queries,
		.hits = relay->hits,
		.answered = relay->answered,
		.dropped = relay->dropped,
		.delayed = relay->delayed,
		.lost = relay->lost,
	};
}

void dns_responder_hang_up(struct dns_responder *responder)
{
	struct dns_relay *relay = &responder->relay;

	if (responder->is_started) {
		atomic_store(&responder->is_stopping, true);
		wake(responder);
		pthread_join(responder->id, NULL);
		responder->is_started = false;
	}
	if (relay->loop)
		dns_stream_close_all(relay);
	close_sockets(responder, TCP4);
}

static void close_rest(struct dns_responder *responder)
{
	struct dns_relay *relay = &responder->relay;

	while (relay->held)
		dns_held_free(relay->held);
	dns_datagram_close_all(relay);
	loop_timer_cancel(relay->loop, &relay->sweep);
	loop_free(relay->loop);
}

void dns_responder_free(struct dns_responder *responder)
{
	if (!responder)
		return;
	dns_responder_hang_up(responder);
	if (responder->relay.loop)
		close_rest(responder);
	close_sockets(responder, 0);
	netlink_close(responder->relay.netlink);
	cleanup_fd_at(&responder->wake_fd);
	free(responder);
}
