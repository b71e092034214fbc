/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Looks one host name up, again and again, without ever holding the loop up. getaddrinfo() has no
 * asynchronous form, so it runs in a thread; one that hangs on a dead name server is neither waited
 * for nor doubled: a later look-up joins it. So there is at most one thread a resolver.
 *
 * Not used from libcurl: its own resolver starts a thread an attempt, and joins it on cancel unless
 * told to leave it behind (CURLOPT_QUICK_EXIT), so a dead name server stops the loop or piles up
 * threads.
 */
#ifndef SQUALL_RESOLVER_H
#define SQUALL_RESOLVER_H

#include "injector/base/endpoint.h"
#include "injector/base/error.h"
#include "injector/base/loop.h"

#include <netinet/in.h>

#define RESOLVER_ADDRESSES 256 /* more are left out */

union resolver_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct resolver_result {
	int code;	 /* 0, or what getaddrinfo() answered (EAI_*) */
	char reason[96]; /* in words, when code is not 0 */
	bool is_cut;	 /* there are more */
	unsigned count;
	union resolver_address addresses[RESOLVER_ADDRESSES]; /* with the port filled in */
};

struct resolver;
/* `result` lives until fn returns. */
typedef void (*resolver_fn)(void *context, const struct resolver_result *result);

/* `server` has one port; an address needs no look-up but is answered all the same. */
int resolver_new(const struct endpoint_host *server, struct loop *loop, struct resolver **out,
		 struct error *err);
/* True when lookups start a thread; false: resolver_fixed() has the answer. */
bool resolver_is_name(const struct resolver *resolver);
void resolver_fixed(const struct resolver *resolver, struct resolver_result *out);
/* Calls fn once, from the loop. One waiter at a time: replaces the one before. */
int resolver_lookup(struct resolver *resolver, resolver_fn fn, void *context, struct error *err);
/* fn is not called any more; the look-up itself goes on. */
void resolver_forget(struct resolver *resolver);
void resolver_free(struct resolver *resolver);
/* Length of the address for connect(). */
socklen_t resolver_address_length(const union resolver_address *address);

/* As text, without brackets. */
const char *resolver_address_format(const union resolver_address *address,
				    char out[INET6_ADDRSTRLEN]);

#endif
