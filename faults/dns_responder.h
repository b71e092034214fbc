/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Answers the queries that the table of a `dns` fault redirects here. A thread of the worker,
 * inside the target's network namespace, with sockets on its loopback addresses: what is chosen
 * gets the answer of the policy, everything else goes on to the server that was meant, from the
 * address it came from, and the server's answer goes back byte for byte. All of it vanishes with
 * the process.
 */
#ifndef SQUALL_DNS_RESPONDER_H
#define SQUALL_DNS_RESPONDER_H

#include "faults/dns_policy.h"
#include "injector/base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* UDP ports, one behind the other: two servers asked from the same port of a client are told apart
 * by which of ours the query arrives at. TCP has the first of them. */
#define DNS_PORTS 4

struct dns_responder;

struct dns_responder_counters {
	uint64_t queries; /* seen at all */
	uint64_t hits;	  /* chosen */
	uint64_t answered, dropped, delayed;
	uint64_t lost; /* passed on in vain: too many at once */
};

struct dns_responder_config {
	int namespace_fd;	   /* -1: ours */
	uint32_t mark;		   /* on everything it sends to servers */
	struct dns_policy *policy; /* not owned; must outlive it */
};

/* Opens the sockets. */
int dns_responder_new(const struct dns_responder_config *config, struct dns_responder **out,
		      struct error *err);
uint16_t dns_responder_port(const struct dns_responder *responder);
bool dns_responder_has_ipv6(const struct dns_responder *responder);

/* Starts the thread; enters the namespace. Who listens for connections, and these, have descriptors
 * above `floor`. */
int dns_responder_start(struct dns_responder *responder, int floor, struct error *err);
/* Nothing new comes from now on: what waits passes at once, TCP connections are reset. */
void dns_responder_soften(struct dns_responder *responder);
/* Softened, and no answer is awaited any more. */
bool dns_responder_is_empty(const struct dns_responder *responder);
/* What it sends to servers is redirected to it. */
bool dns_responder_is_looping(const struct dns_responder *responder);
/* The thread has ended by itself: queries get no answer. */
bool dns_responder_is_broken(const struct dns_responder *responder);
void dns_responder_counters(const struct dns_responder *responder,
			    struct dns_responder_counters *out);
/* Stops the thread; TCP connections are reset, also those that nobody has accepted. */
void dns_responder_hang_up(struct dns_responder *responder);
/* The same, and closes everything. */
void dns_responder_free(struct dns_responder *responder);

#endif
