/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The connections of a responder to the servers on this machine, which the programs of its process
 * (redirect_lookup_program.c) know by their source before their first packet is sent.
 */
#include "faults/redirect_lookup.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/bpf.h"
#include "injector/kernel/route.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static uint16_t port_of(const struct sockaddr_storage *address)
{
	return ((const struct sockaddr_in *)address)->sin_port; /* at the same place in both */
}

static void put_address(const struct sockaddr_storage *from, uint8_t out[16])
{
	static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff};

	memcpy(out, mapped, sizeof(mapped));
	if (from->ss_family == AF_INET)
		memcpy(out + 12, &((const struct sockaddr_in *)from)->sin_addr, 4);
	else
		memcpy(out, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
}

static struct redirect_pass_key key_of(const struct redirect_pass *pass,
				       const struct sockaddr_storage *address)
{
	struct redirect_pass_key key = {.port = port_of(address), .space = pass->space};

	put_address(address, key.address);
	return key;
}

/* That a socket can be bound to it tells nothing where it may be to any (ip_nonlocal_bind). */
static bool is_of_this_machine(const struct redirect_pass *pass,
			       const struct sockaddr_storage *address)
{
	const void *bytes = &((const struct sockaddr_in6 *)address)->sin6_addr;
	unsigned count;
	int index;

	if (address->ss_family == AF_INET)
		bytes = &((const struct sockaddr_in *)address)->sin_addr;
	return route_interfaces(pass->route, address->ss_family, bytes, &index, 1, &count, NULL) ==
		       0 &&
	       index == ROUTE_LOOPBACK_INDEX;
}

/* To an address and a port that nobody else has: the kernel finds the port at once. */
static bool bind_to(int fd, const struct sockaddr_storage *address)
{
	struct sockaddr_storage from = *address;

	((struct sockaddr_in *)&from)->sin_port = 0;
	return bind(fd, (const struct sockaddr *)&from, redirect_address_size(&from)) == 0;
}

static bool bind_source(const struct redirect_pass *pass, int fd, const struct redirect_way *way)
{
	const int on = 1;

	if (is_of_this_machine(pass, &way->client) && bind_to(fd, &way->client))
		return true;
	/* an address that is only routed here is nobody's */
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
	return bind_to(fd, &way->server);
}

/* The client at the beginning of all: what a newer responder sends is somebody else's. */
static int note(const struct redirect_pass *pass, const struct redirect_way *way)
{
	const struct redirect_pass_key from = key_of(pass, &way->client),
				       own = key_of(pass, &way->own);
	struct redirect_pass_value value;

	if (bpf_map_get(pass->map, &from, &value, NULL) < 0) {
		value = (struct redirect_pass_value){.port = from.port};
		memcpy(value.address, from.address, sizeof(value.address));
	}
	value.mark = pass->mark;
	return bpf_map_set(pass->map, &own, &value, NULL);
}

int redirect_connect_inside(const struct redirect_pass *pass, uint32_t priority,
			    struct redirect_way *way)
{
	cleanup_fd int fd =
		socket(way->server.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(way->own);

	way->own.ss_family = AF_UNSPEC;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority)) < 0 ||
	    !bind_source(pass, fd, way) || getsockname(fd, (struct sockaddr *)&way->own, &size) < 0)
		return -1;
	if (note(pass, way) < 0) {
		way->own.ss_family = AF_UNSPEC;
		return -1;
	}
	if (connect(fd, (const struct sockaddr *)&way->server,
		    redirect_address_size(&way->server)) < 0 &&
	    errno != EINPROGRESS) {
		redirect_pass_forget(pass, way);
		return -1;
	}
	return steal_fd(&fd);
}

void redirect_pass_forget(const struct redirect_pass *pass, const struct redirect_way *way)
{
	struct redirect_pass_key own;

	if (pass->map < 0 || way->own.ss_family == AF_UNSPEC)
		return;
	own = key_of(pass, &way->own);
	bpf_map_remove(pass->map, &own, NULL);
}

/* A rule for everything that leaves ("masquerade") keeps the port where it can. Some other client
 * that has just the same port, and one of our addresses as well, is hardly ever there. */
bool redirect_is_translated(const struct redirect_pass *pass, const struct redirect_way *way,
			    const struct redirect_way *other)
{
	return port_of(&other->own) == port_of(&way->client) &&
	       redirect_is_same(&other->server, &way->server) &&
	       !redirect_is_same(&other->own, &way->client) &&
	       is_of_this_machine(pass, &way->client);
}

int redirect_pass_set_listener(const struct redirect_pass *pass, int family, uint16_t port,
			       bool is_there)
{
	struct sockaddr_storage address = {.ss_family = (sa_family_t)family};
	const struct redirect_pass_value value = {0};
	struct redirect_pass_key key;

	if (family == AF_INET)
		((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)&address)->sin6_addr = in6addr_loopback;
	((struct sockaddr_in *)&address)->sin_port = htons(port);
	key = key_of(pass, &address);
	key.is_listener = 1;
	return is_there ? bpf_map_set(pass->map, &key, &value, NULL)
			: bpf_map_remove(pass->map, &key, NULL);
}
