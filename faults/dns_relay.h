/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the responder of the `dns` fault shares with its two ways to be asked, datagrams
 * (dns_datagram.c) and streams (dns_stream.c). Everything here runs in the responder's thread.
 */
#ifndef SQUALL_DNS_RELAY_H
#define SQUALL_DNS_RELAY_H

#include "faults/dns_responder.h"
#include "faults/redirect.h"
#include "injector/kernel/netlink.h"

#include <sys/socket.h>

#define DNS_IDLE_NS    (10LL * 1000000000)
#define DNS_HELD_MAX   4096
#define DNS_FLOWS_MAX  384 /* each has a descriptor */
#define DNS_BUCKETS    512
#define DNS_STREAM_MAX 96 /* each has two */

/* A query, or the answer to one, that waits for its time. */
struct dns_held {
	struct loop_timer timer;
	struct dns_relay *relay;
	struct dns_held *next, *previous;
	struct dns_stream *stream; /* NULL: it came as a datagram at `socket` */
	struct dns_socket *socket;
	struct redirect_way way;
	bool is_answer;
	size_t size;
	uint8_t bytes[];
};

/* A socket that queries arrive at. */
struct dns_socket {
	struct dns_relay *relay;
	int fd;
	int family;
	uint16_t port;
};

struct dns_flow;
struct dns_stream;

struct dns_relay {
	struct responder base;
	struct netlink *netlink; /* to the connection tracking of the namespace */
	const struct dns_policy *policy;
	struct dns_flow *flows[DNS_BUCKETS];
	unsigned flow_count;
	struct dns_stream *streams;
	unsigned stream_count;
	struct dns_held *held;
	unsigned held_count;
	uint8_t buffer[DNS_MESSAGE_MAX]; /* of whoever is at work */

	/* read by other threads */
	_Atomic uint64_t queries, hits, answered, dropped, delayed, lost;
};

/* The server that a client meant; false: nobody was redirected, it talks to us on purpose. */
bool dns_relay_find_server(struct dns_relay *relay, int protocol, const struct dns_socket *socket,
			   const struct sockaddr_storage *client, struct sockaddr_storage *out);
/* A socket to the server, marked, from the client's address; -1: cannot. It may still be
 * connecting. */
int dns_relay_connect(const struct dns_relay *relay, int type, struct redirect_way *way);
/* Counts a query and says what becomes of it; an answer is in `out`. */
enum dns_fate dns_relay_decide(struct dns_relay *relay, const uint8_t *message, size_t size,
			       uint8_t *out, size_t *out_size);
/* Keeps the bytes for the policy's delay, then gives them to dns_datagram_release() or
 * dns_stream_release(). NULL: too much is held already. */
struct dns_held *dns_relay_hold(struct dns_relay *relay, const struct dns_held *what,
				const uint8_t *bytes, size_t size);
void dns_held_free(struct dns_held *held);

/* dns_datagram.c */
void dns_datagram_arrives(void *context, uint32_t events); /* context: struct dns_socket */
void dns_datagram_release(struct dns_held *held);
void dns_datagram_sweep(struct dns_relay *relay, int64_t now_ns);
void dns_datagram_close_all(struct dns_relay *relay);

/* dns_stream.c */
void dns_stream_arrives(void *context, uint32_t events); /* context: struct dns_socket */
void dns_stream_release(struct dns_held *held);
void dns_stream_sweep(struct dns_relay *relay, int64_t now_ns);
void dns_stream_close_all(struct dns_relay *relay);

#endif
