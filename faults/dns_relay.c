/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/dns_relay.h"

#include "faults/redirect.h"
#include "injector/base/clock.h"
#include "injector/kernel/conntrack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void loopback(const struct dns_socket *socket, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *in6 = (void *)out;
	struct sockaddr_in *in = (void *)out;

	memset(out, 0, sizeof(*out));
	out->ss_family = (sa_family_t)socket->family;
	in->sin_port = htons(socket->port); /* at the same place in both */
	if (socket->family == AF_INET)
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		in6->sin6_addr = in6addr_loopback;
}

bool dns_relay_find_server(struct dns_relay *relay, int protocol, const struct dns_socket *socket,
			   const struct sockaddr_storage *client, struct sockaddr_storage *out)
{
	struct conntrack_flow flow = {
		.protocol = (uint8_t)protocol, .zone = relay->base.port, .remote = *client};

	loopback(socket, &flow.local);
	return conntrack_original(relay->netlink, &flow, out, NULL) == 0 &&
	       !redirect_is_same(out, &flow.local);
}

int dns_relay_connect(const struct dns_relay *relay, int type, struct redirect_way *way)
{
	return redirect_connect(relay->base.mark, type, way);
}

enum dns_fate dns_relay_decide(struct dns_relay *relay, const uint8_t *message, size_t size,
			       uint8_t *out, size_t *out_size)
{
	enum dns_fate fate = relay->base.is_soft ? DNS_PASSES
						 : dns_policy_decide(relay->policy, message, size,
								     out, out_size);

	relay->queries++;
	relay->hits += fate != DNS_PASSES;
	relay->answered += fate == DNS_ANSWERED;
	relay->dropped += fate == DNS_DROPPED;
	relay->delayed +=
		fate != DNS_PASSES && fate != DNS_DROPPED && dns_policy_delay_ns(relay->policy) > 0;
	return fate;
}

void dns_held_free(struct dns_held *held)
{
	struct dns_relay *relay = held->relay;

	loop_timer_cancel(relay->base.loop, &held->timer);
	if (held->previous)
		held->previous->next = held->next;
	else
		relay->held = held->next;
	if (held->next)
		held->next->previous = held->previous;
	relay->held_count--;
	relay->base.awaited--;
	free(held);
}

static void is_due(void *context)
{
	struct dns_held *held = context;

	if (held->stream)
		dns_stream_release(held);
	else
		dns_datagram_release(held);
	dns_held_free(held);
}

struct dns_held *dns_relay_hold(struct dns_relay *relay, const struct dns_held *what,
				const uint8_t *bytes, size_t size)
{
	struct dns_held *held = NULL;

	if (relay->held_count < DNS_HELD_MAX)
		held = malloc(sizeof(*held) + size);
	if (!held) {
		relay->lost++;
		return NULL;
	}
	*held = *what;
	held->relay = relay;
	held->size = size;
	memcpy(held->bytes, bytes, size);
	held->timer = (struct loop_timer){0};
	held->previous = NULL;
	held->next = relay->held;
	if (relay->held)
		relay->held->previous = held;
	relay->held = held;
	relay->held_count++;
	relay->base.awaited++;
	if (loop_timer_set(relay->base.loop, &held->timer,
			   clock_now_ns() + dns_policy_delay_ns(relay->policy), is_due, held) < 0) {
		dns_held_free(held);
		relay->lost++;
		return NULL;
	}
	return held;
}
