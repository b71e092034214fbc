/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Stands between the clients that the table of an `http` fault redirects here
 * (faults/responder.h) and the servers they meant: requests that are chosen are delayed, answered,
 * aborted or changed, everything else goes both ways byte for byte. Softened: connections are
 * closed as soon as nothing is asked on them. Those that run through it when it ends are reset.
 */
#ifndef SQUALL_HTTP_RESPONDER_H
#define SQUALL_HTTP_RESPONDER_H

#include "faults/http_policy.h"
#include "faults/redirect_lookup.h"
#include "faults/responder.h"

#define HTTP_CONNECTIONS_MAX 1000 /* at a time; each has two descriptors and 73 KiB */
/* One of which one side has hung up, and nothing was said for so long, gives its place to another.
 */
#define HTTP_LEFT_NS (2LL * 1000000000)

struct http_counters {
	uint64_t connections;
	uint64_t requests; /* seen at all */
	uint64_t hits;	   /* chosen */
	uint64_t answered, aborted, delayed;
	uint64_t changed_requests, changed_responses;
	uint64_t unchanged; /* messages that could not be changed: the policy does not fit them */
	uint64_t strange;   /* connections on which something else than HTTP/1 was said */
	uint64_t refused;   /* connections: too many at once */
	uint64_t left;	    /* connections, ended by us since one side had hung up: for others */
};

struct http_responder_config {
	int namespace_fd; /* -1: ours */
	uint32_t mark;	  /* on everything it sends to servers */
	/* Who connects meant the address that the connection has: see redirect_lookup.h. NULL:
	 * connection tracking knows it. Not owned; must outlive it. */
	const struct redirect_pass *pass;
	uint64_t seed;
	const struct http_policy *policy; /* not owned; must outlive it */
	struct http_tls *tls;		  /* the same; NULL: only what is not TLS is met */
};

/* How many connections the limit of descriptors allows, which is raised where it may be. */
unsigned http_responder_room(void);

/* Opens the sockets. */
int http_responder_new(const struct http_responder_config *config, struct responder **out,
		       struct error *err);
/* The socket that awaits connections of a family; -1: none. */
int http_responder_listener(const struct responder *responder, int family);
void http_responder_counters(const struct responder *responder, struct http_counters *out);

#endif
