/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/probes/web_sockets.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOTH (EPOLLIN | EPOLLOUT)

struct web_socket {
	uint32_t wanted, told; /* told: of BOTH, while is_told_once */
	bool is_watched, is_told_once;
};

static struct {
	struct loop *loop;
	web_socket_fn fn;
	struct web_socket *sockets; /* by descriptor */
	unsigned count;
	int released; /* watched, though libcurl wants it no more: it may be closed next; -1: none
		       */
} shared;

static struct web_socket *find(curl_socket_t fd)
{
	return fd >= 0 && (unsigned)fd < shared.count ? &shared.sockets[fd] : NULL;
}

static struct web_socket *find_or_grow(curl_socket_t fd)
{
	unsigned count = shared.count ? shared.count : 64;
	struct web_socket *sockets;

	if (fd < 0 || find(fd))
		return find(fd);
	while (count <= (unsigned)fd)
		count *= 2;
	sockets = realloc(shared.sockets, count * sizeof(*sockets));
	if (!sockets)
		return NULL;
	memset(sockets + shared.count, 0, (count - shared.count) * sizeof(*sockets));
	shared.sockets = sockets;
	shared.count = count;
	return &sockets[fd];
}

static void on_descriptor(void *context, uint32_t events);

static int watch(curl_socket_t fd, uint32_t events)
{
	return loop_watch(shared.loop, fd, events, on_descriptor, (void *)(intptr_t)fd, NULL) < 0
		       ? -1
		       : 0;
}

/* After a change of what is wanted, or told, of a watched one. */
static int keep_up(struct web_socket *socket, curl_socket_t fd)
{
	if (socket->is_told_once && !(socket->wanted & socket->told))
		return 0;
	socket->is_told_once = false;
	return watch(fd, socket->wanted);
}

static void on_descriptor(void *context, uint32_t events)
{
	curl_socket_t fd = (curl_socket_t)(intptr_t)context;
	struct web_socket *socket = &shared.sockets[fd];
	int mask = 0;

	if (socket->is_told_once) {
		/* an error is both, and libcurl may wait on in spite of it */
		socket->told |= events & (EPOLLERR | EPOLLHUP) ? BOTH : events & BOTH;
		events &= socket->wanted | EPOLLERR | EPOLLHUP;
	}
	if (events & EPOLLIN)
		mask |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP))
		mask |= CURL_CSELECT_ERR;
	if (!mask)
		return;
	shared.fn(fd, mask);
	socket = &shared.sockets[fd]; /* there may be more of them now, in another place */
	if (socket->is_watched && socket->is_told_once)
		keep_up(socket, fd);
}

int web_sockets_want(curl_socket_t fd, int what)
{
	struct web_socket *socket = find_or_grow(fd);
	uint32_t wanted = 0;

	if (what == CURL_POLL_REMOVE) {
		web_sockets_settle();
		shared.released = socket && socket->is_watched ? fd : -1;
		return 0;
	}
	if (!socket)
		return -1;
	if (what & CURL_POLL_IN)
		wanted |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		wanted |= EPOLLOUT;
	if (fd == shared.released)
		shared.released = -1;
	if (socket->is_watched) {
		socket->wanted = wanted;
		return keep_up(socket, fd);
	}
	/* Who begins by reading has a connection already, which is ready to write: no news. */
	*socket = (struct web_socket){
		.wanted = wanted, .is_watched = true, .is_told_once = wanted == EPOLLOUT};
	if (watch(fd, socket->is_told_once ? BOTH | EPOLLET : wanted) == 0)
		return 0;
	socket->is_watched = false;
	return -1;
}

int web_sockets_close_one(void *unused, curl_socket_t fd)
{
	struct web_socket *socket = find(fd);

	(void)unused;
	if (!socket || !socket->is_watched)
		return close(fd);
	socket->is_watched = false;
	if (fd == shared.released)
		shared.released = -1;
	return loop_close(shared.loop, fd);
}

void web_sockets_settle(void)
{
	if (shared.released < 0)
		return;
	loop_unwatch(shared.loop, shared.released);
	shared.sockets[shared.released].is_watched = false;
	shared.released = -1;
}

void web_sockets_open(struct loop *loop, web_socket_fn fn)
{
	shared.loop = loop;
	shared.fn = fn;
	shared.released = -1;
}

void web_sockets_close(void)
{
	web_sockets_settle();
	free(shared.sockets);
	shared.sockets = NULL;
	shared.count = 0;
}
