/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Answers the queries that the table of a `dns` fault redirects here (faults/responder.h): what is
 * chosen gets the answer of the policy, everything else goes on to the server that was meant, from
 * the address it came from, and the server's answer goes back byte for byte. Softened: what waits
 * passes at once, TCP connections are reset.
 */
#ifndef SQUALL_DNS_RESPONDER_H
#define SQUALL_DNS_RESPONDER_H

#include "faults/dns_policy.h"
#include "faults/responder.h"

/* UDP ports, one behind the other: two servers asked from the same port of a client are told apart
 * by which of ours the query arrives at. TCP has the first of them. */
#define DNS_PORTS 4

struct dns_responder_counters {
	uint64_t queries; /* seen at all */
	uint64_t hits;	  /* chosen */
	uint64_t answered, dropped, delayed;
	uint64_t lost; /* passed on in vain: too many at once */
};

struct dns_responder_config {
	int namespace_fd;		 /* -1: ours */
	uint32_t mark;			 /* on everything it sends to servers */
	const struct dns_policy *policy; /* not owned; must outlive it */
};

/* Opens the sockets. */
int dns_responder_new(const struct dns_responder_config *config, struct responder **out,
		      struct error *err);
void dns_responder_counters(const struct responder *responder, struct dns_responder_counters *out);

#endif
