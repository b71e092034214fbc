/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Stands between the clients that the table of an `http` fault redirects here and the servers they
 * meant. A thread of the worker, inside the target's network namespace, with sockets on its
 * loopback addresses: requests that are chosen are delayed, answered, aborted or changed,
 * everything else goes both ways byte for byte. All of it vanishes with the process: connections
 * that run through it are reset.
 */
#ifndef SQUALL_HTTP_RESPONDER_H
#define SQUALL_HTTP_RESPONDER_H

#include "faults/http_policy.h"
#include "injector/base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define HTTP_CONNECTIONS_MAX 1000 /* at a time; each has two descriptors and 73 KiB */
/* One of which one side has hung up, and nothing was said for so long, gives its place to another.
 */
#define HTTP_LEFT_NS (2LL * 1000000000)

struct http_responder;

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
	uint64_t seed;
	const struct http_policy *policy; /* not owned; must outlive it */
	int floor; /* who listens, and connections, have descriptors above this one */
};

/* How many connections the limit of descriptors allows, which is raised where it may be. */
unsigned http_responder_room(void);

/* Opens the sockets. */
int http_responder_new(const struct http_responder_config *config, struct http_responder **out,
		       struct error *err);
uint16_t http_responder_port(const struct http_responder *responder);
bool http_responder_has_ipv6(const struct http_responder *responder);

/* Starts the thread; enters the namespace. */
int http_responder_start(struct http_responder *responder, struct error *err);
/* Nothing new comes from now on and nothing is met any more: connections are closed as soon as
 * nothing is asked on them. */
void http_responder_soften(struct http_responder *responder);
/* Softened, and every answer has arrived. */
bool http_responder_is_empty(const struct http_responder *responder);
/* What it sends to servers is redirected to it. */
bool http_responder_is_looping(const struct http_responder *responder);
/* The thread has ended by itself. */
bool http_responder_is_broken(const struct http_responder *responder);
void http_responder_counters(const struct http_responder *responder, struct http_counters *out);
/* Stops the thread and closes everything: what is still under way is reset. */
void http_responder_free(struct http_responder *responder);

#endif
