/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The two sockets of a connection: what may go on is written, what comes is read while there is
 * room for it, and the end of either side is passed on. Both sockets are made to reset when they
 * are closed, so that the death of the process cuts the connection and no answer seems to be whole
 * that is not; only who is told the end properly is closed otherwise.
 */
#include "faults/http_stream.h"

#include "faults/http_collect.h"
#include "injector/base/clock.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#define FRESH_NS (500 * NSEC_PER_MSEC) /* for who has connected to ask something */
#define ROUND_NS (100 * NSEC_PER_MSEC) /* from us to us */

static void client_is_ready(void *context, uint32_t events);
static void server_is_ready(void *context, uint32_t events);

/* Sockets. */

static void prepare(int fd)
{
	const struct linger at_once = {.l_onoff = 1};
	const int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void close_socket(struct http_stream *stream, int *fd, bool is_gentle)
{
	const struct linger none = {0};
	const int soon = 1;

	if (*fd < 0)
		return;
	if (is_gentle) {
		http_stream_end_in_tls(stream,
				       fd == &stream->client ? HTTP_TLS_CLIENT : HTTP_TLS_SERVER);
		setsockopt(*fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
		/* who does not hang up in turn shall not keep it for a minute */
		setsockopt(*fd, IPPROTO_TCP, TCP_LINGER2, &soon, sizeof(soon));
	}
	loop_close(stream->relay->base.loop, *fd);
	*fd = -1;
}

static void close_server(struct http_stream *stream, bool is_gentle)
{
	if (stream->server < 0)
		return;
	close_socket(stream, &stream->server, is_gentle);
	http_relay_forget(stream->relay, &stream->way);
}

static void note_awaited(struct http_stream *stream, bool is_awaited)
{
	if (stream->is_awaited == is_awaited)
		return;
	stream->is_awaited = is_awaited;
	if (is_awaited)
		stream->relay->base.awaited++;
	else
		stream->relay->base.awaited--;
}

static void end_stream(struct http_stream *stream, bool is_gentle)
{
	struct http_relay *relay = stream->relay;

	note_awaited(stream, false);
	loop_timer_cancel(relay->base.loop, &stream->timer);
	loop_timer_cancel(relay->base.loop, &stream->response_timer);
	close_socket(stream, &stream->client, is_gentle);
	close_server(stream, is_gentle);
	if (stream->previous)
		stream->previous->next = stream->next;
	else
		relay->streams = stream->next;
	if (stream->next)
		stream->next->previous = stream->previous;
	relay->stream_count--;
	http_collect_forget(relay, &stream->to_server);
	http_collect_forget(relay, &stream->to_client);
	free(stream);
}

static bool connect_server(struct http_stream *stream)
{
	stream->is_connected = stream->is_told = false;
	stream->server_events = 0;
	stream->server = http_relay_connect(stream->relay, &stream->way);
	if (stream->server < 0)
		return false;
	prepare(stream->server);
	return http_stream_pass_to_tls(stream, HTTP_TLS_SERVER, &stream->server);
}

void http_stream_drop_server(struct http_stream *stream)
{
	stream->to_client.used = stream->to_client.clear;
	stream->to_client.has_ended = false;
	stream->is_collected = false;
	http_collect_forget(stream->relay, &stream->to_client);
	close_server(stream, true);
}

void http_stream_hang_up(struct http_stream *stream)
{
	http_stream_drop_server(stream);
	stream->mode = HTTP_HANGING_UP;
	http_collect_forget(stream->relay, &stream->to_server);
	stream->since_ns = clock_now_ns();
	stream->to_client.has_ended = true;
	stream->to_server.start = stream->to_server.clear; /* room, to hear the client's end */
}

/* The server was told the end and has nothing more to say. Waiting for its own would keep our port
 * for a minute (TIME_WAIT), and where all clients come from this machine these would run out for
 * everybody on it; the reset behind the end is no news to the server. (One in TLS is not closed
 * here.) */
static void leave_server(struct http_stream *stream)
{
	if (!stream->relay->pass || stream->relay->tls || stream->server < 0 ||
	    !http_exchange_is_idle(stream))
		return;
	close_server(stream, false);
	stream->to_client.has_ended = true;
}

/* False: it was cut off. */
static bool pass_ends(struct http_stream *stream)
{
	struct http_lane *to_server = &stream->to_server, *to_client = &stream->to_client;
	bool is_ours = stream->mode == HTTP_HANGING_UP;

	if (to_server->has_ended && !to_server->is_shut && http_lane_is_empty(to_server) &&
	    (stream->server < 0 || stream->is_connected)) {
		to_server->is_shut = true;
		if (!is_ours && !http_stream_ended_in_tls(stream, HTTP_TLS_CLIENT))
			return false;
		if (stream->server >= 0) {
			http_stream_end_in_tls(stream, HTTP_TLS_SERVER);
			shutdown(stream->server, SHUT_WR);
		}
		leave_server(stream);
	}
	if (to_client->has_ended && !to_client->is_shut && http_lane_is_empty(to_client)) {
		to_client->is_shut = true;
		if (!is_ours && !http_stream_ended_in_tls(stream, HTTP_TLS_SERVER))
			return false;
		http_stream_end_in_tls(stream, HTTP_TLS_CLIENT);
		shutdown(stream->client, SHUT_WR);
	}
	return true;
}

/* Nothing to watch for: its end, which is told unasked, would be told for ever. */
static bool watch_one(struct http_stream *stream, int fd, uint32_t events, uint32_t *watched,
		      loop_fd_fn fn)
{
	if (fd < 0 || events == *watched)
		return true;
	*watched = events;
	if (!events) {
		loop_unwatch(stream->relay->base.loop, fd);
		return true;
	}
	return loop_watch(stream->relay->base.loop, fd, events, fn, stream, NULL) == 0;
}

static bool watch(struct http_stream *stream)
{
	struct http_lane *to_server = &stream->to_server, *to_client = &stream->to_client;
	uint32_t client = 0, server = 0;

	if (!to_server->has_ended && http_lane_room(to_server))
		client |= EPOLLIN;
	if (to_client->start < to_client->clear)
		client |= EPOLLOUT;
	if (!to_client->has_ended && http_lane_room(to_client) && stream->is_connected)
		server |= EPOLLIN;
	if (!stream->is_connected || to_server->start < to_server->clear)
		server |= EPOLLOUT;
	return watch_one(stream, stream->client, client, &stream->client_events, client_is_ready) &&
	       watch_one(stream, stream->server, server, &stream->server_events, server_is_ready);
}

static bool is_over(const struct http_stream *stream)
{
	if (!stream->to_client.is_shut)
		return false;
	if (stream->mode == HTTP_HANGING_UP)
		return stream->to_server.has_ended;
	return stream->to_server.is_shut;
}

static bool may_hang_up(const struct http_stream *stream)
{
	return stream->relay->base.is_soft && http_exchange_is_idle(stream) &&
	       (stream->has_asked || clock_now_ns() - stream->since_ns > FRESH_NS);
}

static bool flush_server(struct http_stream *stream)
{
	size_t start = stream->to_server.start;
	bool is_sound = http_lane_flush(&stream->to_server, stream->server);

	stream->is_told |= stream->to_server.start > start;
	return is_sound;
}

static bool move(struct http_stream *stream)
{
	do {
		if (!http_lane_flush(&stream->to_client, stream->client) ||
		    (stream->server >= 0 && stream->is_connected && !flush_server(stream)))
			return false;
	} while (http_exchange_go_on(stream));
	return !stream->is_broken;
}

/* It hung up while a request was held that it did not know of. False: it cannot be asked. */
static bool ask_anew(struct http_stream *stream)
{
	struct http_lane *lane = &stream->to_server;

	if (stream->server >= 0 || stream->mode == HTTP_HANGING_UP)
		return true;
	if (lane->start < lane->clear)
		return connect_server(stream);
	if (lane->has_ended && http_lane_is_empty(lane))
		http_stream_hang_up(stream);
	return true;
}

/* What a server has said before it reset the connection is heard all the same, also where a write
 * to it was the first to find that out: a refusal of what is too large, for example. */
static void hear_last(struct http_stream *stream)
{
	struct http_lane *lane = &stream->to_client;
	bool has_more = stream->server >= 0 && stream->is_connected;

	bool has_moved;

	if (stream->response_wait == HTTP_WAITS)
		stream->response_wait = HTTP_HAS_WAITED; /* it would be lost */
	do {
		size_t had;

		has_moved = http_exchange_go_on(stream);
		if (!http_lane_flush(lane, stream->client))
			return;
		http_lane_room(lane);
		had = lane->used;
		has_more = has_more && stream->server >= 0 &&
			   http_lane_fill(lane, stream->server) && lane->used > had;
	} while (has_more || has_moved);
	if (stream->is_broken)
		return;
	http_collect_release(lane); /* what is not whole came all the same */
	while (lane->store.bytes && http_collect_pour(stream->relay, lane) &&
	       http_lane_flush(lane, stream->client))
		;
}

/* After anything happened. The stream may be gone behind it. */
static void go_on(struct http_stream *stream, bool is_sound)
{
	is_sound = is_sound && move(stream) && ask_anew(stream);
	if (is_sound && may_hang_up(stream))
		http_stream_hang_up(stream);
	is_sound = is_sound && pass_ends(stream);
	if (!is_sound) {
		hear_last(stream);
		end_stream(stream, false);
		return;
	}
	if (is_over(stream)) {
		end_stream(stream, true);
		return;
	}
	note_awaited(stream, stream->mode != HTTP_HANGING_UP || !stream->to_client.is_shut);
	if (!watch(stream))
		end_stream(stream, false);
}

static void client_is_ready(void *context, uint32_t events)
{
	struct http_stream *stream = context;

	stream->used_ns = clock_now_ns();
	go_on(stream, !(events & EPOLLERR) && http_lane_fill(&stream->to_server, stream->client));
}

/* A server that hangs up now has no part in what is held; unless the rest of an earlier request, of
 * which it does not want to know more, is still to be sent: no server shall take that for one. */
static bool may_be_asked_anew(const struct http_stream *stream)
{
	const struct http_lane *to_server = &stream->to_server;

	return (stream->mode == HTTP_HELD || stream->mode == HTTP_IN_COLLECTED) &&
	       !stream->pending && stream->to_client.has_ended &&
	       http_lane_is_empty(&stream->to_client) && to_server->start == to_server->clear;
}

static void server_is_ready(void *context, uint32_t events)
{
	struct http_stream *stream = context;
	/* refused; or reset, when there is no room for what it has said before */
	bool is_sound = !(events & EPOLLERR) ||
			(stream->is_connected && http_lane_room(&stream->to_client));

	stream->used_ns = clock_now_ns();
	if (is_sound && !stream->is_connected && events & EPOLLOUT)
		stream->is_connected = true;
	else if (is_sound)
		is_sound = http_lane_fill(&stream->to_client, stream->server);
	if (is_sound && may_be_asked_anew(stream))
		http_stream_drop_server(stream);
	go_on(stream, is_sound);
}

/* What is held. */

static void is_due(void *context)
{
	struct http_stream *stream = context;

	stream->relay->delayed += stream->mode == HTTP_HELD && !stream->is_due;
	stream->is_due = true;
	go_on(stream, true);
}

void http_stream_hold(struct http_stream *stream, int64_t delay_ns)
{
	stream->is_due =
		delay_ns == 0 || loop_timer_set(stream->relay->base.loop, &stream->timer,
						clock_now_ns() + delay_ns, is_due, stream) < 0;
}

static void response_is_due(void *context)
{
	struct http_stream *stream = context;

	stream->relay->delayed += stream->response_wait == HTTP_WAITS;
	stream->response_wait = HTTP_HAS_WAITED;
	go_on(stream, true);
}

void http_stream_hold_response(struct http_stream *stream, int64_t delay_ns)
{
	bool is_held =
		delay_ns && loop_timer_set(stream->relay->base.loop, &stream->response_timer,
					   clock_now_ns() + delay_ns, response_is_due, stream) == 0;

	stream->response_wait = is_held ? HTTP_WAITS : HTTP_HAS_WAITED;
}

/* All of them. */

static bool has_come_back(const struct http_stream *stream, const struct http_stream *other)
{
	if (redirect_comes_back(&stream->way, &other->way))
		return true;
	return stream->relay->pass && stream->since_ns - other->since_ns < ROUND_NS &&
	       redirect_is_translated(stream->relay->pass, &stream->way, &other->way);
}

/* The connection that another one of these made to its server. */
static bool is_ours(const struct http_stream *stream)
{
	const struct http_stream *other = stream->next;

	while (other && (other->server < 0 || !has_come_back(stream, other) ||
			 redirect_has_closed(other->server)))
		other = other->next;
	return other;
}

static bool find_server(struct http_stream *stream)
{
	/* who was not redirected gets nothing: this is no open proxy */
	if (!http_relay_find_server(stream->relay, stream->client, &stream->way.server))
		return false;
	if (is_ours(stream))
		stream->relay->base.is_looping = true;
	return !stream->relay->base.is_looping &&
	       http_stream_pass_to_tls(stream, HTTP_TLS_CLIENT, &stream->client) &&
	       connect_server(stream);
}

/* A client that has gone, of which its server takes no notice, or the other way round: whether the
 * other half is still of use to somebody nobody can tell, so it goes when its place is needed. */
static void make_room(struct http_relay *relay)
{
	const int64_t limit_ns = clock_now_ns() - HTTP_LEFT_NS;
	struct http_stream *left = NULL;

	for (struct http_stream *stream = relay->streams; stream; stream = stream->next)
		if ((stream->to_server.has_ended || stream->to_client.has_ended) &&
		    stream->used_ns <= (left ? left->used_ns : limit_ns))
			left = stream;
	if (!left)
		return;
	relay->left++;
	end_stream(left, false);
}

void http_stream_begin(struct http_relay *relay, int fd, const struct sockaddr_storage *client)
{
	struct http_stream *stream = NULL;

	if (relay->stream_count >= relay->stream_max)
		make_room(relay);
	if (relay->stream_count < relay->stream_max)
		stream = calloc(1, sizeof(*stream));
	prepare(fd);
	if (!stream) {
		relay->refused++;
		close(fd);
		return;
	}
	stream->relay = relay;
	stream->way.client = *client;
	stream->client = fd;
	stream->server = -1;
	stream->since_ns = stream->used_ns = clock_now_ns();
	stream->next = relay->streams;
	if (relay->streams)
		relay->streams->previous = stream;
	relay->streams = stream;
	relay->stream_count++;
	relay->connections++;
	note_awaited(stream, true);
	if (!find_server(stream) || !watch(stream))
		end_stream(stream, false);
}

void http_stream_soften_all(struct http_relay *relay)
{
	for (struct http_stream *stream = relay->streams, *next; stream; stream = next) {
		next = stream->next;
		if (stream->mode == HTTP_HELD)
			loop_timer_cancel(relay->base.loop, &stream->timer);
		if (stream->response_wait == HTTP_WAITS) {
			loop_timer_cancel(relay->base.loop, &stream->response_timer);
			stream->response_wait = HTTP_HAS_WAITED;
		}
		is_due(stream);
	}
}

/* Its server speaks without end, for nobody. */
static bool is_alone_too_long(const struct http_stream *stream, int64_t now_ns)
{
	return stream->mode != HTTP_HANGING_UP && stream->is_dropped && stream->alone_ns &&
	       now_ns - stream->alone_ns > HTTP_ALONE_NS;
}

void http_stream_sweep(struct http_relay *relay, int64_t now_ns)
{
	for (struct http_stream *stream = relay->streams, *next; stream; stream = next) {
		next = stream->next;
		if (stream->mode == HTTP_HANGING_UP &&
		    now_ns - stream->since_ns > HTTP_CLOSING_NS) {
			end_stream(stream, stream->to_client.is_shut);
			continue;
		}
		if (is_alone_too_long(stream, now_ns)) {
			http_stream_hang_up(stream);
			go_on(stream, true);
		} else if (may_hang_up(stream)) {
			go_on(stream, true);
		}
	}
}

void http_stream_close_all(struct http_relay *relay)
{
	for (struct http_stream *stream = relay->streams, *next; stream; stream = next) {
		next = stream->next;
		end_stream(stream, stream->mode == HTTP_HANGING_UP && stream->to_client.is_shut);
	}
}
