/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/dns_responder.h"

#include "faults/dns_relay.h"
#include "faults/redirect.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <stdlib.h>

#define QUEUE_BYTES (4 << 20) /* for bursts while the thread waits for a processor */

enum { UDP4, UDP6 = UDP4 + DNS_PORTS, TCP4 = UDP6 + DNS_PORTS, TCP6, SOCKETS };

struct dns_responder {
	struct dns_relay relay;
	struct dns_socket sockets[SOCKETS];
};

static struct dns_responder *of(struct responder *responder)
{
	return (struct dns_responder *)responder;
}

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

static int open_sockets(struct responder *responder)
{
	struct dns_socket *sockets = of(responder)->sockets;
	uint16_t first;
	int result;

	close_sockets(of(responder), 0);
	result = open_socket(&sockets[TCP4], AF_INET, SOCK_STREAM, 0);
	responder->port = first = sockets[TCP4].port;
	if (first > UINT16_MAX - DNS_PORTS)
		result = -EADDRINUSE;
	if (result == 0 && responder->has_ipv6)
		result = open_socket(&sockets[TCP6], AF_INET6, SOCK_STREAM, first);
	for (unsigned i = 0; i < DNS_PORTS && result == 0; i++) {
		uint16_t port = (uint16_t)(first + i);

		result = open_socket(&sockets[UDP4 + i], AF_INET, SOCK_DGRAM, port);
		if (result == 0 && responder->has_ipv6)
			result = open_socket(&sockets[UDP6 + i], AF_INET6, SOCK_DGRAM, port);
	}
	return result;
}

static int watch_sockets(struct responder *responder, struct error *err)
{
	struct dns_socket *sockets = of(responder)->sockets;
	int result = 0;

	for (unsigned i = 0; i < SOCKETS && result == 0; i++) {
		if (sockets[i].fd < 0)
			continue;
		result = i < TCP4 ? 0 : responder_raise(responder, &sockets[i].fd, err);
		if (result == 0)
			result = loop_watch(responder->loop, sockets[i].fd, EPOLLIN,
					    i < TCP4 ? dns_datagram_arrives : dns_stream_arrives,
					    &sockets[i], err);
	}
	return result;
}

static void sweep(struct responder *responder, int64_t now_ns)
{
	struct dns_relay *relay = &of(responder)->relay;

	dns_datagram_sweep(relay, now_ns);
	dns_stream_sweep(relay, now_ns);
}

static void soften(struct responder *responder)
{
	struct dns_relay *relay = &of(responder)->relay;

	dns_stream_close_all(relay);
	/* a query that is passed on is still awaited; what was to be an answer is one now */
	while (relay->held) {
		dns_datagram_release(relay->held);
		dns_held_free(relay->held);
	}
}

static void hang_up(struct responder *responder)
{
	dns_stream_close_all(&of(responder)->relay);
	close_sockets(of(responder), TCP4);
}

static void close_all(struct responder *responder)
{
	struct dns_relay *relay = &of(responder)->relay;

	while (relay->held)
		dns_held_free(relay->held);
	dns_datagram_close_all(relay);
	close_sockets(of(responder), 0);
	netlink_close(relay->netlink);
}

int dns_responder_new(const struct dns_responder_config *config, struct responder **out,
		      struct error *err)
{
	static const struct responder_ops ops = {.name = "squall-dns",
						 .sweep_every_ns = 2 * NSEC_PER_SEC,
						 .open = open_sockets,
						 .watch = watch_sockets,
						 .sweep = sweep,
						 .soften = soften,
						 .hang_up = hang_up,
						 .close = close_all};
	struct dns_responder *responder = calloc(1, sizeof(*responder));
	int result;

	if (!responder)
		return error_errno(err, ENOMEM, "responder");
	for (unsigned i = 0; i < SOCKETS; i++)
		responder->sockets[i] = (struct dns_socket){.relay = &responder->relay, .fd = -1};
	responder->relay.base.namespace_fd = config->namespace_fd;
	responder->relay.base.mark = config->mark;
	responder->relay.policy = config->policy;
	result = responder_open(&responder->relay.base, &ops, err);
	if (result == 0)
		result = netlink_open_netfilter(config->namespace_fd, &responder->relay.netlink,
						err);
	if (result < 0) {
		responder_free(&responder->relay.base);
		return result;
	}
	*out = &responder->relay.base;
	return 0;
}

void dns_responder_counters(const struct responder *responder, struct dns_responder_counters *out)
{
	const struct dns_relay *relay = (const struct dns_relay *)responder;

	*out = (struct dns_responder_counters){
		.queries = relay->queries,
		.hits = relay->hits,
		.answered = relay->answered,
		.dropped = relay->dropped,
		.delayed = relay->delayed,
		.lost = relay->lost,
	};
}
