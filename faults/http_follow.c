/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An http fault whose target has got other servers or control groups. With `reset-connections`
 * those that exist to these are ended, as when it began; but by now some of those in scope are
 * ours: a server that comes back is still spoken to through the responder. They are told by this
 * process's own descriptors, since nothing else in the kernel tells them from others.
 */
#include "faults/http.h"

#include "faults/http_relay.h"
#include "injector/base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct end_point {
	int family;
	uint8_t address[16];
	uint16_t port;
};

struct own_ends {
	struct end_point *list; /* owned */
	unsigned count, room;
	uint8_t has_port[65536 / 8]; /* whether it is worth a look into the list */
};

static struct end_point read_end(const struct sockaddr_storage *address)
{
	const struct sockaddr_in6 *in6 = (const void *)address;
	const struct sockaddr_in *in = (const void *)address;
	struct end_point end = {.family = address->ss_family, .port = ntohs(in->sin_port)};

	if (end.family == AF_INET)
		memcpy(end.address, &in->sin_addr, 4);
	else
		memcpy(end.address, &in6->sin6_addr, 16);
	return end;
}

static void add_end(struct own_ends *own, const struct sockaddr_storage *address)
{
	const struct end_point end = read_end(address);

	if (own->count == own->room ||
	    (address->ss_family != AF_INET && address->ss_family != AF_INET6))
		return;
	own->list[own->count++] = end;
	own->has_port[end.port / 8] |= (uint8_t)(1U << end.port % 8);
}

/* To a server, from this responder or from one that passes on to it or that it passes on to. */
static bool is_marked(int fd)
{
	uint32_t mark;
	socklen_t size = sizeof(mark);

	return getsockopt(fd, SOL_SOCKET, SO_PRIORITY, &mark, &size) == 0 &&
	       (mark & 0xf0000000) == HTTP_MARK_BASE;
}

static bool is_redirected(const struct http_relay *relay, int fd,
			  const struct sockaddr_storage *side)
{
	const struct sockaddr_in6 *in6 = (const void *)side;
	const struct sockaddr_in *in = (const void *)side;
	struct sockaddr_storage server;

	return (side->ss_family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr)
					    : in->sin_addr.s_addr == htonl(INADDR_LOOPBACK)) &&
	       http_relay_find_server(relay, fd, &server);
}

/* Of a connection to a server our side; of one from a client its side, as it sees it itself. */
static int find_own(const struct http_relay *relay, struct own_ends *own)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -1;
	own->room = (unsigned)limit.rlim_cur;
	own->list = calloc(own->room, sizeof(*own->list));
	for (int fd = 0; own->list && fd < (int)limit.rlim_cur; fd++) {
		struct sockaddr_storage side = {0}, peer = {0};
		socklen_t size = sizeof(side), peer_size = sizeof(peer);

		if (getpeername(fd, (struct sockaddr *)&peer, &peer_size) < 0 ||
		    getsockname(fd, (struct sockaddr *)&side, &size) < 0)
			continue;
		if (is_marked(fd))
			add_end(own, &side);
		else if (is_redirected(relay, fd, &side))
			add_end(own, &peer);
	}
	return own->list ? 0 : -1;
}

static bool is_own(const struct own_ends *own, const struct connection *connection)
{
	const uint16_t port = connection->local_port;
	const size_t size = connection->family == AF_INET ? 4 : 16;

	for (unsigned i = 0; own->has_port[port / 8] >> port % 8 & 1 && i < own->count; i++)
		if (own->list[i].port == port && own->list[i].family == connection->family &&
		    memcmp(own->list[i].address, connection->local, size) == 0)
			return true;
	return false;
}

/* Better none is ended than one that is met already. */
static void spare_own(const struct http_relay *relay, struct target_connections *connections)
{
	cleanup_free struct own_ends *own = calloc(1, sizeof(*own));
	unsigned kept = 0;

	if (own && find_own(relay, own) == 0)
		for (unsigned i = 0; i < connections->count; i++)
			if (!is_own(own, &connections->found[i]))
				connections->found[kept++] = connections->found[i];
	connections->count = kept;
	if (own)
		free(own->list);
}

int http_follow(struct fault *fault, char *out_note, size_t size, struct error *err)
{
	struct http_state *state = fault->state;
	const bool resets = state->diag && state->redirect.phase == REDIRECT_ACTIVE;
	struct target_connections old = {0};
	struct error why = ERROR_INIT;
	int result = resets ? http_find_connections(state, fault->target, &old, err) : 0;

	if (result == 0)
		result = redirect_follow(fault, out_note, size, err);
	if (result == 0 && resets) {
		spare_own((const struct http_relay *)state->redirect.responder, &old);
		/* the rules are others now: that cannot be taken back */
		if (target_connections_end(state->diag, &old, &state->reset, &why) < 0)
			snprintf(out_note, size, "%s", why.text);
	}
	target_connections_drop(&old);
	return result;
}
