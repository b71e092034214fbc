/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/http_responder.h"

#include "faults/http_relay.h"
#include "faults/http_tls.h"
#include "faults/redirect.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST, whose headers do not go with those of the C library */
#define ORIGINAL 80
#define SPARE	 96 /* descriptors for everything else in the worker */
#define TURN	 64 /* connections accepted before those that exist are heard again */

enum { TCP4, TCP6, SOCKETS };

struct http_responder {
	struct http_relay relay;
	int sockets[SOCKETS];
	bool is_full; /* no descriptor is left: who comes waits */
};

static struct http_responder *of(struct responder *responder)
{
	return (struct http_responder *)responder;
}

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

/* Where we are ourselves: no server can be there. */
static bool is_own_address(const struct http_relay *relay, const struct sockaddr_storage *address)
{
	const struct sockaddr_in6 *in6 = (const void *)address;
	const struct sockaddr_in *in = (const void *)address;

	if (ntohs(in->sin_port) != relay->base.port)
		return false;
	if (address->ss_family == AF_INET)
		return in->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
	return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

bool http_relay_find_server(const struct http_relay *relay, int fd, struct sockaddr_storage *out)
{
	struct sockaddr_storage ours = {0};
	socklen_t ours_size = sizeof(ours), size = sizeof(*out);

	memset(out, 0, sizeof(*out));
	if (getsockname(fd, (struct sockaddr *)&ours, &ours_size) < 0)
		return false;
	if (relay->pass) {
		*out = ours;
		return !is_own_address(relay, &ours);
	}
	if (getsockopt(fd, ours.ss_family == AF_INET ? SOL_IP : SOL_IPV6, ORIGINAL, out, &size) < 0)
		return false;
	return !redirect_is_same(out, &ours);
}

int http_relay_connect(const struct http_relay *relay, struct redirect_way *way)
{
	return relay->pass ? redirect_connect_inside(relay->pass, relay->base.mark, way)
			   : redirect_connect(relay->base.mark, SOCK_STREAM, way);
}

void http_relay_forget(const struct http_relay *relay, const struct redirect_way *way)
{
	if (relay->pass)
		redirect_pass_forget(relay->pass, way);
}

static void close_sockets(struct http_responder *responder)
{
	for (unsigned i = 0; i < SOCKETS; i++) {
		cleanup_fd_at(&responder->sockets[i]);
		responder->sockets[i] = -1;
	}
}

static int open_sockets(struct responder *responder)
{
	int *sockets = of(responder)->sockets;
	int result;

	close_sockets(of(responder));
	responder->port = 0;
	result = redirect_listen(AF_INET, SOCK_STREAM, &responder->port, &sockets[TCP4]);
	if (result == 0 && responder->has_ipv6)
		result = redirect_listen(AF_INET6, SOCK_STREAM, &responder->port, &sockets[TCP6]);
	return result;
}

static bool is_lack(int code)
{
	return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM;
}

static void accept_some(struct http_responder *responder, int listener, unsigned most)
{
	struct http_relay *relay = &responder->relay;
	bool has_come;

	do {
		struct sockaddr_storage client = {0};
		socklen_t size = sizeof(client);
		int fd = accept4(listener, (struct sockaddr *)&client, &size,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		has_come = fd >= 0;
		if (!has_come)
			responder->is_full |= is_lack(errno);
		else if (responder_raise(&relay->base, &fd, NULL) < 0)
			relay->refused++;
		else
			http_stream_begin(relay, fd, &client);
	} while (--most && (has_come || errno == ECONNABORTED || errno == EINTR));
}

static void accept_each(struct http_responder *responder, unsigned most)
{
	for (unsigned i = 0; i < SOCKETS && !responder->is_full; i++)
		if (responder->sockets[i] >= 0)
			accept_some(responder, responder->sockets[i], most);
	/* else they would be told of again and again */
	for (unsigned i = 0; i < SOCKETS && responder->is_full; i++)
		loop_unwatch(responder->relay.base.loop, responder->sockets[i]);
}

static void have_come(void *context, uint32_t events)
{
	(void)events;
	accept_each(context, TURN);
}

static void has_said(void *context, uint32_t events)
{
	(void)events;
	http_stream_hear_tls(context);
}

static int watch_tls(struct http_relay *relay, struct error *err)
{
	return relay->tls ? loop_watch(relay->base.loop, http_tls_socket(relay->tls), EPOLLIN,
				       has_said, relay, err)
			  : 0;
}

static int watch_sockets(struct responder *responder, struct error *err)
{
	int *sockets = of(responder)->sockets;
	int result = watch_tls(&of(responder)->relay, err);

	of(responder)->is_full = false;
	for (unsigned i = 0; i < SOCKETS && result == 0; i++) {
		if (sockets[i] < 0)
			continue;
		result = responder_raise(responder, &sockets[i], err);
		if (result == 0)
			result = loop_watch(responder->loop, sockets[i], EPOLLIN, have_come,
					    responder, err);
	}
	return result;
}

static void sweep(struct responder *responder, int64_t now_ns)
{
	http_stream_sweep(&of(responder)->relay, now_ns);
	if (of(responder)->is_full)
		watch_sockets(responder, NULL);
}

/* Whoever was redirected before is in a queue by now. */
static void soften(struct responder *responder)
{
	accept_each(of(responder), SOMAXCONN + 1);
	http_stream_soften_all(&of(responder)->relay);
}

static void hang_up(struct responder *responder)
{
	http_stream_close_all(&of(responder)->relay);
	close_sockets(of(responder));
	if (of(responder)->relay.tls)
		http_tls_leave(of(responder)->relay.tls);
}

int http_responder_new(const struct http_responder_config *config, struct responder **out,
		       struct error *err)
{
	static const struct responder_ops ops = {.name = "squall-http",
						 .sweep_every_ns = 100 * NSEC_PER_MSEC,
						 .open = open_sockets,
						 .watch = watch_sockets,
						 .sweep = sweep,
						 .soften = soften,
						 .hang_up = hang_up};
	struct http_responder *responder = calloc(1, sizeof(*responder));
	int result;

	if (!responder)
		return error_errno(err, ENOMEM, "responder");
	responder->sockets[TCP4] = responder->sockets[TCP6] = -1;
	responder->relay.base.namespace_fd = config->namespace_fd;
	responder->relay.base.mark = config->mark;
	responder->relay.random = config->seed;
	responder->relay.policy = config->policy;
	responder->relay.pass = config->pass;
	responder->relay.tls = config->tls;
	responder->relay.stream_max = http_responder_room();
	result = responder_open(&responder->relay.base, &ops, err);
	if (result < 0) {
		responder_free(&responder->relay.base);
		return result;
	}
	*out = &responder->relay.base;
	return 0;
}

int http_responder_listener(const struct responder *responder, int family)
{
	return ((const struct http_responder *)responder)->sockets[family == AF_INET ? TCP4 : TCP6];
}

void http_responder_counters(const struct responder *responder, struct http_counters *out)
{
	const struct http_relay *relay = (const struct http_relay *)responder;

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
