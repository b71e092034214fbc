/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Queries as datagrams. A flow is one port of one client with one server: it has a socket of its
 * own towards the server, as a translating router would.
 */
#include "faults/dns_relay.h"

#include "injector/base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH 64 /* datagrams before anything else gets its turn */

struct dns_flow {
	struct dns_relay *relay;
	struct dns_flow *next;
	struct dns_socket *socket;
	struct redirect_way way;
	int fd;
	unsigned awaited; /* queries without an answer */
	int64_t used_ns;
};

static struct dns_flow **bucket_of(struct dns_relay *relay, const struct sockaddr_storage *client)
{
	return &relay->flows[ntohs(((const struct sockaddr_in *)client)->sin_port) % DNS_BUCKETS];
}

static void settle(struct dns_flow *flow, unsigned count)
{
	if (count > flow->awaited)
		count = flow->awaited;
	flow->awaited -= count;
	flow->relay->base.awaited -= count;
}

static void close_flow(struct dns_flow *flow)
{
	struct dns_flow **at = bucket_of(flow->relay, &flow->way.client);

	while (*at != flow)
		at = &(*at)->next;
	*at = flow->next;
	settle(flow, flow->awaited);
	loop_unwatch(flow->relay->base.loop, flow->fd);
	close(flow->fd);
	flow->relay->flow_count--;
	free(flow);
}

static void answer_client(const struct dns_socket *socket, const struct sockaddr_storage *client,
			  const uint8_t *bytes, size_t size)
{
	struct dns_relay *relay = socket->relay;

	if (sendto(socket->fd, bytes, size, MSG_DONTWAIT, (const struct sockaddr *)client,
		   redirect_address_size(client)) < 0)
		relay->lost++;
}

static void server_answers(void *context, uint32_t events)
{
	struct dns_flow *flow = context;
	struct dns_relay *relay = flow->relay;

	(void)events;
	for (unsigned i = 0; i < BATCH; i++) {
		ssize_t size = recv(flow->fd, relay->buffer, sizeof(relay->buffer), MSG_DONTWAIT);

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (size <
		    0) { /* refused: that cannot be told to the client, whose time-out tells */
			settle(flow, flow->awaited);
			return;
		}
		settle(flow, 1);
		flow->used_ns = clock_now_ns();
		answer_client(flow->socket, &flow->way.client, relay->buffer, (size_t)size);
	}
}

static void close_oldest(struct dns_relay *relay)
{
	struct dns_flow *oldest = NULL;

	for (unsigned i = 0; i < DNS_BUCKETS; i++)
		for (struct dns_flow *flow = relay->flows[i]; flow; flow = flow->next)
			if (!oldest || flow->used_ns < oldest->used_ns)
				oldest = flow;
	if (!oldest)
		return;
	relay->lost += oldest->awaited;
	close_flow(oldest);
}

static struct dns_flow *find_flow(struct dns_socket *socket, const struct redirect_way *way)
{
	for (struct dns_flow *flow = *bucket_of(socket->relay, &way->client); flow;
	     flow = flow->next)
		if (flow->socket == socket && redirect_is_same(&flow->way.client, &way->client) &&
		    redirect_is_same(&flow->way.server, &way->server))
			return flow;
	return NULL;
}

static bool is_ours(const struct dns_relay *relay, const struct redirect_way *way)
{
	for (unsigned i = 0; i < DNS_BUCKETS; i++)
		for (const struct dns_flow *flow = relay->flows[i]; flow; flow = flow->next)
			if (redirect_comes_back(way, &flow->way))
				return true;
	return false;
}

static struct dns_flow *make_flow(struct dns_socket *socket, const struct redirect_way *way)
{
	struct dns_relay *relay = socket->relay;
	struct dns_flow *flow, **at = bucket_of(relay, &way->client);

	if (is_ours(relay, way))
		relay->base.is_looping = true;
	if (relay->base.is_looping)
		return NULL;
	if (relay->flow_count >= DNS_FLOWS_MAX)
		close_oldest(relay);
	flow = calloc(1, sizeof(*flow));
	if (!flow)
		return NULL;
	*flow = (struct dns_flow){.relay = relay, .socket = socket, .way = *way};
	flow->fd = dns_relay_connect(relay, SOCK_DGRAM, &flow->way);
	if (flow->fd < 0 ||
	    loop_watch(relay->base.loop, flow->fd, EPOLLIN, server_answers, flow, NULL) < 0) {
		if (flow->fd >= 0)
			close(flow->fd);
		free(flow);
		return NULL;
	}
	flow->next = *at;
	*at = flow;
	relay->flow_count++;
	return flow;
}

static void pass(struct dns_socket *socket, const struct redirect_way *way, const uint8_t *bytes,
		 size_t size)
{
	struct dns_flow *flow = find_flow(socket, way);

	if (!flow)
		flow = make_flow(socket, way);
	/* a first failure may be the answer to what was sent before (ICMP) */
	if (!flow || (send(flow->fd, bytes, size, MSG_DONTWAIT) < 0 &&
		      send(flow->fd, bytes, size, MSG_DONTWAIT) < 0)) {
		socket->relay->lost++;
		return;
	}
	flow->used_ns = clock_now_ns();
	flow->awaited++;
	flow->relay->base.awaited++;
}

static void handle(struct dns_socket *socket, const struct sockaddr_storage *client, size_t size)
{
	struct dns_relay *relay = socket->relay;
	struct dns_held what = {.socket = socket, .way.client = *client};
	uint8_t answer[DNS_ANSWER_MAX];
	size_t answer_size = 0;

	/* who was not redirected gets nothing: this is no open resolver */
	if (!dns_relay_find_server(relay, IPPROTO_UDP, socket, client, &what.way.server))
		return;
	switch (dns_relay_decide(relay, relay->buffer, size, answer, &answer_size)) {
	case DNS_PASSES:
		pass(socket, &what.way, relay->buffer, size);
		break;
	case DNS_WAITS:
		dns_relay_hold(relay, &what, relay->buffer, size);
		break;
	case DNS_ANSWERED:
		what.is_answer = true;
		if (dns_policy_delay_ns(relay->policy))
			dns_relay_hold(relay, &what, answer, answer_size);
		else
			answer_client(socket, client, answer, answer_size);
		break;
	case DNS_DROPPED:
		break;
	}
}

void dns_datagram_arrives(void *context, uint32_t events)
{
	struct dns_socket *socket = context;
	struct dns_relay *relay = socket->relay;

	(void)events;
	for (unsigned i = 0; i < BATCH; i++) {
		struct sockaddr_storage client = {0};
		socklen_t length = sizeof(client);
		ssize_t size = recvfrom(socket->fd, relay->buffer, sizeof(relay->buffer),
					MSG_DONTWAIT, (struct sockaddr *)&client, &length);

		if (size < 0 && errno == EAGAIN)
			return;
		if (size > 0)
			handle(socket, &client, (size_t)size);
	}
}

void dns_datagram_release(struct dns_held *held)
{
	if (held->is_answer)
		answer_client(held->socket, &held->way.client, held->bytes, held->size);
	else
		pass(held->socket, &held->way, held->bytes, held->size);
}

static void close_older_than(struct dns_relay *relay, int64_t limit_ns)
{
	for (unsigned i = 0; i < DNS_BUCKETS; i++)
		for (struct dns_flow *flow = relay->flows[i], *next; flow; flow = next) {
			next = flow->next;
			if (flow->used_ns <= limit_ns)
				close_flow(flow);
		}
}

void dns_datagram_sweep(struct dns_relay *relay, int64_t now_ns)
{
	close_older_than(relay, now_ns - DNS_IDLE_NS);
}

void dns_datagram_close_all(struct dns_relay *relay)
{
	close_older_than(relay, INT64_MAX);
}
