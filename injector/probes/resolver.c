/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A look-up is shared between the loop and its thread, and freed by whichever lets go last. The
 * thread touches nothing else: no loop, no probe.
 */
#include "injector/probes/resolver.h"

#include "injector/base/cleanup.h"
#include "injector/base/thread.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

/* getaddrinfo() and its modules need far less; the default is 8 MiB of address space each */
#define THREAD_STACK (512 * 1024)

struct lookup {
	atomic_uint users;
	int event_fd; /* readable when `result` is complete */
	char host[ENDPOINT_HOST_MAX + 1];
	uint16_t port;
	struct resolver_result result;
};

struct resolver {
	struct endpoint_host server;
	struct loop *loop;
	struct lookup *running; /* NULL: none */
	resolver_fn fn;		/* NULL: nobody waits */
	void *context;
};

static void release(struct lookup *lookup)
{
	if (atomic_fetch_sub(&lookup->users, 1) != 1)
		return;
	close(lookup->event_fd);
	free(lookup);
}

static void set_port(union resolver_address *address, uint16_t port)
{
	if (address->any.sa_family == AF_INET6)
		address->v6.sin6_port = htons(port);
	else
		address->v4.sin_port = htons(port);
}

socklen_t resolver_address_length(const union resolver_address *address)
{
	return address->any.sa_family == AF_INET6 ? sizeof(address->v6) : sizeof(address->v4);
}

static void collect(const struct addrinfo *list, uint16_t port, struct resolver_result *out)
{
	for (; list; list = list->ai_next) {
		union resolver_address *address = &out->addresses[out->count];

		if (list->ai_addrlen > sizeof(*address) ||
		    (list->ai_family != AF_INET && list->ai_family != AF_INET6))
			continue;
		if (out->count == RESOLVER_ADDRESSES) {
			out->is_cut = true;
			return;
		}
		memcpy(address, list->ai_addr, list->ai_addrlen);
		set_port(address, port);
		out->count++;
	}
}

static void *look_up(void *argument)
{
	struct lookup *lookup = argument;
	struct resolver_result *result = &lookup->result;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	uint64_t one = 1;

	result->code = getaddrinfo(lookup->host, NULL, &hints, &list);
	if (result->code == 0) {
		collect(list, lookup->port, result);
		freeaddrinfo(list);
		if (!result->count)
			result->code = EAI_NODATA;
	}
	if (result->code == EAI_SYSTEM)
		snprintf(result->reason, sizeof(result->reason), "%s", strerror(errno));
	else if (result->code)
		snprintf(result->reason, sizeof(result->reason), "%s", gai_strerror(result->code));
	/* an eventfd at zero takes a 1 without blocking; there is nobody to tell if it did not */
	if (write(lookup->event_fd, &one, sizeof(one)) < 0)
		result->code = EAI_SYSTEM;
	release(lookup);
	return NULL;
}

static int start_thread(struct lookup *lookup, struct error *err)
{
	int code;

	atomic_store(&lookup->users, 2);
	code = thread_start_detached(THREAD_STACK, look_up, lookup);
	if (code)
		atomic_store(&lookup->users, 1);
	return code ? error_errno(err, code, "cannot look up host '%s'", lookup->host) : 0;
}

static void on_answer(void *context, uint32_t events)
{
	struct resolver *resolver = context;
	struct lookup *lookup = resolver->running;
	resolver_fn fn = resolver->fn;

	(void)events;
	loop_unwatch(resolver->loop, lookup->event_fd);
	resolver->running = NULL;
	resolver->fn = NULL;
	if (fn)
		fn(resolver->context, &lookup->result);
	release(lookup);
}

int resolver_new(const struct endpoint_host *server, struct loop *loop, struct resolver **out,
		 struct error *err)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));

	if (!resolver)
		return error_errno(err, ENOMEM, "cannot prepare to look up '%s'", server->name);
	resolver->server = *server;
	resolver->loop = loop;
	*out = resolver;
	return 0;
}

bool resolver_is_name(const struct resolver *resolver)
{
	return resolver->server.endpoint.is_name;
}

void resolver_fixed(const struct resolver *resolver, struct resolver_result *out)
{
	const struct endpoint *endpoint = &resolver->server.endpoint;
	union resolver_address *address = &out->addresses[0];

	*out = (struct resolver_result){.count = 1};
	address->any.sa_family = (sa_family_t)endpoint->family;
	if (endpoint->family == AF_INET6)
		memcpy(&address->v6.sin6_addr, endpoint->address, 16);
	else
		memcpy(&address->v4.sin_addr, endpoint->address, 4);
	set_port(address, endpoint->port_first);
}

int resolver_lookup(struct resolver *resolver, resolver_fn fn, void *context, struct error *err)
{
	struct lookup *lookup;
	int result;

	if (!resolver->running) {
		lookup = calloc(1, sizeof(*lookup));
		if (!lookup)
			return error_errno(err, ENOMEM, "cannot look up host '%s'",
					   resolver->server.name);
		atomic_init(&lookup->users, 1);
		strcpy(lookup->host, resolver->server.name);
		lookup->port = resolver->server.endpoint.port_first;
		lookup->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (lookup->event_fd < 0) {
			result = error_errno(err, errno, "cannot look up host '%s'", lookup->host);
			free(lookup);
			return result;
		}
		result = loop_watch(resolver->loop, lookup->event_fd, EPOLLIN, on_answer, resolver,
				    err);
		if (result == 0) {
			result = start_thread(lookup, err);
			if (result < 0)
				loop_unwatch(resolver->loop, lookup->event_fd);
		}
		if (result < 0) {
			release(lookup);
			return result;
		}
		resolver->running = lookup;
	}
	resolver->fn = fn;
	resolver->context = context;
	return 0;
}

void resolver_forget(struct resolver *resolver)
{
	resolver->fn = NULL;
}

void resolver_free(struct resolver *resolver)
{
	if (!resolver)
		return;
	if (resolver->running) {
		loop_unwatch(resolver->loop, resolver->running->event_fd);
		release(resolver->running);
	}
	free(resolver);
}

const char *resolver_address_format(const union resolver_address *address,
				    char out[INET6_ADDRSTRLEN])
{
	bool is_v6 = address->any.sa_family == AF_INET6;

	return inet_ntop(address->any.sa_family,
			 is_v6 ? (const void *)&address->v6.sin6_addr
			       : (const void *)&address->v4.sin_addr,
			 out, INET6_ADDRSTRLEN);
}
