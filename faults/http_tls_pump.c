/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The life of a side: it is turned after anything happened, until nothing moves. TCP sockets reset
 * when they are closed, also by the death of the process; only one whose both ends were told is
 * closed otherwise.
 */
#include "faults/http_tls_pump.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#define DEAF_NS	  (3 * NSEC_PER_SEC) /* to send the rest of what was said */
#define UNWATCHED UINT32_MAX

static void tcp_is_ready(void *context, uint32_t events);
static void plain_is_ready(void *context, uint32_t events);

struct tls_side *tls_side_find(struct tls_server *server, uint64_t id)
{
	struct tls_side *side = server->sides;

	while (side && side->id != id)
		side = side->next;
	return side;
}

/* A connection is that of its sides. */
static struct tls_connection *join(struct tls_server *server, uint64_t number)
{
	struct tls_connection *connection = NULL;

	for (struct tls_side *at = server->sides; at && !connection; at = at->next)
		if (at->connection->number == number)
			connection = at->connection;
	if (!connection)
		connection = calloc(1, sizeof(*connection));
	if (connection) {
		connection->number = number;
		connection->sides++;
	}
	return connection;
}

static void leave(struct tls_side *side)
{
	struct tls_connection *connection = side->connection;

	if (connection->current[side->which] == side)
		connection->current[side->which] = NULL;
	if (!--connection->sides)
		free(connection);
}

void tls_side_begin(struct tls_server *server, const struct http_tls_request *request, int tcp,
		    int plain)
{
	struct tls_side *side = calloc(1, sizeof(*side));
	struct tls_connection *connection = side ? join(server, request->connection) : NULL;

	if (!connection) {
		free(side);
		close(tcp);
		close(plain);
		return;
	}
	side->server = server;
	side->connection = connection;
	side->which = request->side ? HTTP_TLS_SERVER : HTTP_TLS_CLIENT;
	side->id = request->id;
	side->tcp = tcp;
	side->plain = plain;
	side->tcp_events = side->plain_events = UNWATCHED;
	connection->current[side->which] = side;
	side->next = server->sides;
	if (server->sides)
		server->sides->previous = side;
	server->sides = side;
	side->is_due = server->has_due = true;
}

static void end_side(struct tls_side *side, bool is_gentle)
{
	struct tls_server *server = side->server;
	const struct linger none = {0};
	const int soon = 1;

	http_tls_openssl.SSL_free(side->stream);
	if (is_gentle) {
		setsockopt(side->tcp, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
		setsockopt(side->tcp, IPPROTO_TCP, TCP_LINGER2, &soon, sizeof(soon));
	}
	loop_close(server->loop, side->tcp);
	loop_close(server->loop, side->plain);
	leave(side);
	if (side->previous)
		side->previous->next = side->next;
	else
		server->sides = side->next;
	if (side->next)
		side->next->previous = side->previous;
	free(side);
}

/* Lanes. */

static size_t room(struct tls_lane *lane)
{
	if (lane->start == lane->used)
		lane->start = lane->used = 0;
	return TLS_LANE_SIZE - lane->used;
}

static bool is_empty(const struct tls_lane *lane)
{
	return lane->start == lane->used;
}

static void end_lane(struct tls_lane *lane, bool is_in_order)
{
	lane->has_ended = true;
	lane->is_in_order = is_in_order;
}

/* Whether the end of the local socket is one in order was said before it. */
static bool ends_in_order(struct tls_side *side)
{
	if (!side->is_end_told)
		tls_serve(side->server);
	return side->is_end_told;
}

/* Nobody reads what comes from the TCP socket. */
static void go_deaf(struct tls_side *side)
{
	if (side->is_deaf)
		return;
	side->is_deaf = true;
	side->deaf_ns = clock_now_ns();
	side->in.start = side->in.used = 0;
}

static bool fill_out(struct tls_side *side)
{
	struct tls_lane *lane = &side->out;
	size_t size = room(lane);
	ssize_t got;

	if (!size || lane->has_ended)
		return false;
	got = recv(side->plain, lane->bytes + lane->used, size, MSG_DONTWAIT);
	if (got > 0)
		lane->used += (size_t)got;
	else if (got == 0) {
		end_lane(lane, ends_in_order(side));
		lane->is_ragged = side->is_end_ragged;
	} else if (errno != EAGAIN && errno != EINTR)
		end_lane(lane, false);
	if (lane->has_ended && !lane->is_in_order)
		go_deaf(side); /* it was closed, not shut */
	return got > 0;
}

static bool flush_out(struct tls_side *side)
{
	struct tls_lane *lane = &side->out;
	ssize_t sent;

	if (is_empty(lane))
		return false;
	sent = tls_stream_write(side, lane->bytes + lane->start, lane->used - lane->start);
	if (sent > 0)
		lane->start += (size_t)sent;
	else if (sent != -EAGAIN) {
		/* what it has said before is heard all the same */
		lane->start = lane->used;
		end_lane(lane, true);
		lane->is_told = true;
		if (side->is_deaf)
			side->is_over = true;
	}
	return sent > 0;
}

static bool fill_in(struct tls_side *side)
{
	struct tls_lane *lane = &side->in;
	size_t size = room(lane);
	ssize_t got;

	if (!size || lane->has_ended || side->is_deaf)
		return false;
	got = tls_stream_read(side, lane->bytes + lane->used, size);
	if (got > 0)
		lane->used += (size_t)got;
	else if (got != -EAGAIN) {
		end_lane(lane, got == 0 || got == -EPIPE);
		lane->is_ragged = got == -EPIPE;
	}
	return got > 0;
}

static bool flush_in(struct tls_side *side)
{
	struct tls_lane *lane = &side->in;
	ssize_t sent;

	if (is_empty(lane))
		return false;
	sent = send(side->plain, lane->bytes + lane->start, lane->used - lane->start,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent > 0)
		lane->start += (size_t)sent;
	else if (errno != EAGAIN && errno != EINTR)
		go_deaf(side);
	return sent > 0;
}

/* Ends. */

/* False: it has to be reset; what was said before goes first, as far as there is time for it. */
static bool pass_out_end(struct tls_side *side)
{
	struct tls_lane *lane = &side->out;

	if (!lane->has_ended || lane->is_told)
		return true;
	if (!lane->is_in_order)
		return !is_empty(lane);
	if (!is_empty(lane) || side->state == TLS_UNDECIDED || side->state == TLS_SHAKING)
		return true;
	switch (tls_stream_shut(side, lane->is_ragged)) {
	case 0:
		lane->is_told = true;
		return true;
	case -EAGAIN:
		return true;
	default:
		return false;
	}
}

static bool pass_in_end(struct tls_side *side)
{
	struct tls_lane *lane = &side->in;
	const struct http_tls_reply end = {
		.op = HTTP_TLS_END, .id = side->id, .code = lane->is_ragged};

	if (!lane->has_ended || lane->is_told || side->is_deaf || !is_empty(lane))
		return true;
	if (!lane->is_in_order)
		return false;
	if (tls_reply(side->server, &end) == 0) {
		shutdown(side->plain, SHUT_WR);
		lane->is_told = true;
	}
	return true; /* else the next sweep tries */
}

static bool has_nothing_to_say(const struct tls_side *side)
{
	return side->out.is_told || (side->is_deaf && side->out.has_ended && is_empty(&side->out) &&
				     (side->state == TLS_UNDECIDED || side->state == TLS_SHAKING));
}

/* Watching. */

static bool watch_one(struct tls_side *side, int fd, uint32_t events, uint32_t *watched,
		      loop_fd_fn fn)
{
	if (events == *watched)
		return true;
	*watched = events;
	if (events != UNWATCHED)
		return loop_watch(side->server->loop, fd, events, fn, side, NULL) == 0;
	loop_unwatch(side->server->loop, fd);
	return true;
}

static bool watch(struct tls_side *side)
{
	bool is_open = side->state == TLS_OPEN || side->state == TLS_CLEAR;
	uint32_t tcp = 0, plain = 0;

	if (!is_open)
		tcp = side->wants_in;
	else if (!side->in.has_ended && !side->is_deaf && room(&side->in))
		tcp |= side->wants_in;
	if (is_open && (!is_empty(&side->out) || (side->out.has_ended && !side->out.is_told)))
		tcp |= side->wants_out;
	if (!side->out.has_ended && room(&side->out))
		plain |= EPOLLIN;
	if (!is_empty(&side->in))
		plain |= EPOLLOUT;
	/* its end is told unasked: of the local one that is to be known, once */
	if (side->is_deaf || side->in.is_told)
		plain = plain ? plain : UNWATCHED;
	return watch_one(side, side->tcp, tcp ? tcp : UNWATCHED, &side->tcp_events, tcp_is_ready) &&
	       watch_one(side, side->plain, plain, &side->plain_events, plain_is_ready);
}

/* After anything happened. The side may be gone behind it. */
static void turn(struct tls_side *side)
{
	bool has_moved = true, is_sound = true;
	int opened = 0;

	side->is_due = false;
	while (has_moved && is_sound) {
		opened = side->state < TLS_OPEN ? tls_stream_open(side) : 0;
		is_sound = opened == 0 || opened == -EAGAIN;
		has_moved = fill_out(side);
		if (opened == 0) {
			has_moved |= flush_out(side);
			has_moved |= fill_in(side);
		}
		has_moved |= flush_in(side);
	}
	is_sound = is_sound && !side->is_over && pass_out_end(side) && pass_in_end(side);
	if (!is_sound)
		end_side(side, false);
	else if (has_nothing_to_say(side) && (side->in.is_told || side->is_deaf))
		end_side(side, true);
	else if (!watch(side))
		end_side(side, false);
}

static void tcp_is_ready(void *context, uint32_t events)
{
	(void)events;
	turn(context);
}

static void plain_is_ready(void *context, uint32_t events)
{
	struct tls_side *side = context;

	/* Not shut by us, so it is closed; what it said before is still read. */
	if (events & (EPOLLHUP | EPOLLERR) && !side->in.is_told)
		go_deaf(side);
	turn(side);
}

void tls_settle(struct tls_server *server)
{
	while (server->has_due) {
		struct tls_side *side = server->sides;

		while (side && !side->is_due)
			side = side->next;
		if (side)
			turn(side);
		else
			server->has_due = false;
	}
}

void tls_sweep(struct tls_server *server, int64_t now_ns)
{
	for (struct tls_side *side = server->sides, *next; side; side = next) {
		next = side->next;
		if (side->is_deaf && now_ns - side->deaf_ns > DEAF_NS) {
			end_side(side, false);
		} else if (side->in.has_ended && !side->in.is_told) {
			side->is_due = server->has_due = true;
		}
	}
	tls_settle(server);
}

void tls_end_all(struct tls_server *server)
{
	for (struct tls_side *side = server->sides; side; side = side->next)
		side->is_due = server->has_due = true;
	tls_settle(server);
	while (server->sides)
		end_side(server->sides, server->sides->out.is_told);
}
