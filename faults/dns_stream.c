/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Queries over TCP (RFC 1035 4.2.2, RFC 7766): messages with their length in front, several at a
 * time, answered in any order. What is given to either side is always whole messages, so that our
 * answers come between those of the server and never into one.
 */
#include "faults/dns_relay.h"

#include "injector/base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAME_MAX (2 + DNS_MESSAGE_MAX)
#define BACKLOG	  (4 * FRAME_MAX) /* what waits to be written; then nothing more is read */
#define IDLE_NS	  (120 * NSEC_PER_SEC)

/* One direction: what was read and is no whole message yet, and what is still to be written. */
struct lane {
	uint8_t *in; /* FRAME_MAX, owned */
	size_t in_used;
	uint8_t *out; /* owned */
	size_t out_used, out_size;
};

struct dns_stream {
	struct dns_relay *relay;
	struct dns_stream *next, *previous;
	struct dns_socket *socket;
	struct redirect_way way;
	int client, server; /* descriptors; server -1: not needed yet, or gone */
	struct lane to_server, to_client;
	bool is_connected; /* the server has answered the connection */
	bool client_ended; /* sends no more */
	bool server_ended; /* was there and is gone */
	unsigned held;	   /* messages that wait for their time */
	int64_t used_ns;
};

static void client_is_ready(void *context, uint32_t events);
static void server_is_ready(void *context, uint32_t events);

static void close_fd(struct dns_stream *stream, int *fd)
{
	if (*fd < 0)
		return;
	loop_unwatch(stream->relay->base.loop, *fd);
	close(*fd);
	*fd = -1;
}

static void free_held_of(struct dns_stream *stream)
{
	for (struct dns_held *held = stream->relay->held, *next; held; held = next) {
		next = held->next;
		if (held->stream == stream)
			dns_held_free(held);
	}
}

static void close_stream(struct dns_stream *stream)
{
	struct dns_relay *relay = stream->relay;

	free_held_of(stream);
	close_fd(stream, &stream->client);
	close_fd(stream, &stream->server);
	if (stream->previous)
		stream->previous->next = stream->next;
	else
		relay->streams = stream->next;
	if (stream->next)
		stream->next->previous = stream->previous;
	relay->stream_count--;
	free(stream->to_server.in);
	free(stream->to_server.out);
	free(stream->to_client.in);
	free(stream->to_client.out);
	free(stream);
}

/* As a server that is gone would: the client opens a new connection. */
static void reset_stream(struct dns_stream *stream)
{
	const struct linger at_once = {.l_onoff = 1};

	setsockopt(stream->client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close_stream(stream);
}

static bool append(struct lane *lane, const void *bytes, size_t size)
{
	if (lane->out_used + size > lane->out_size) {
		size_t wanted = (lane->out_used + size) * 2;
		uint8_t *grown = realloc(lane->out, wanted);

		if (!grown)
			return false;
		lane->out = grown;
		lane->out_size = wanted;
	}
	memcpy(lane->out + lane->out_used, bytes, size);
	lane->out_used += size;
	return true;
}

static bool append_message(struct lane *lane, const uint8_t *message, size_t size)
{
	const uint8_t length[2] = {(uint8_t)(size >> 8), (uint8_t)size};

	return append(lane, length, 2) && append(lane, message, size);
}

/* False: the other end is gone. */
static bool flush(struct lane *lane, int fd)
{
	while (lane->out_used > 0) {
		ssize_t sent = send(fd, lane->out, lane->out_used, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0)
			return errno == EAGAIN || errno == EINTR;
		lane->out_used -= (size_t)sent;
		memmove(lane->out, lane->out + sent, lane->out_used);
	}
	return true;
}

/* Reads once. >0: something came, 0: nothing now, -1: the end, -2: broken. */
static int fill(struct lane *lane, int fd)
{
	ssize_t size;

	if (!lane->in)
		lane->in = malloc(FRAME_MAX);
	if (!lane->in)
		return -2;
	size = recv(fd, lane->in + lane->in_used, FRAME_MAX - lane->in_used, MSG_DONTWAIT);
	if (size > 0) {
		lane->in_used += (size_t)size;
		return 1;
	}
	if (size == 0)
		return -1;
	return errno == EAGAIN || errno == EINTR ? 0 : -2;
}

/* The whole message there, 0: there is none yet. An empty one is a message, too: size 2. */
static size_t frame_at(const struct lane *lane, size_t at)
{
	size_t frame;

	if (lane->in_used - at < 2)
		return 0;
	frame = 2 + ((size_t)lane->in[at] << 8 | lane->in[at + 1]);
	return frame <= lane->in_used - at ? frame : 0;
}

/* Once for all that came: there may be tens of thousands of empty messages. */
static void take_frames(struct lane *lane, size_t size)
{
	if (!size)
		return; /* there may be no memory for them yet */
	lane->in_used -= size;
	memmove(lane->in, lane->in + size, lane->in_used);
}

static bool open_server(struct dns_stream *stream)
{
	if (stream->server >= 0)
		return true;
	if (stream->server_ended || stream->relay->base.is_looping)
		return false;
	stream->server = dns_relay_connect(stream->relay, SOCK_STREAM, &stream->way);
	return stream->server >= 0;
}

/* Watches for what can be done now. False: the stream cannot go on. */
static bool watch(struct dns_stream *stream)
{
	struct loop *loop = stream->relay->base.loop;
	uint32_t client = 0, server = 0;

	/* also who does not read our answers is heard no more; nor who would get them behind half a
	 * message of the server's */
	if (!stream->client_ended && !stream->server_ended &&
	    stream->to_server.out_used < BACKLOG && stream->to_client.out_used < BACKLOG)
		client |= EPOLLIN;
	if (stream->to_client.out_used)
		client |= EPOLLOUT;
	if (stream->to_client.out_used < BACKLOG)
		server |= EPOLLIN;
	if (stream->to_server.out_used || !stream->is_connected)
		server |= EPOLLOUT;
	if (loop_watch(loop, stream->client, client, client_is_ready, stream, NULL) < 0)
		return false;
	return stream->server < 0 ||
	       loop_watch(loop, stream->server, server, server_is_ready, stream, NULL) == 0;
}

static bool handle(struct dns_stream *stream, const uint8_t *message, size_t size)
{
	struct dns_relay *relay = stream->relay;
	struct dns_held what = {.stream = stream};
	uint8_t answer[DNS_ANSWER_MAX];
	size_t answer_size = 0;

	switch (dns_relay_decide(relay, message, size, answer, &answer_size)) {
	case DNS_PASSES:
		return open_server(stream) && append_message(&stream->to_server, message, size);
	case DNS_WAITS:
		stream->held += dns_relay_hold(relay, &what, message, size) != NULL;
		return true;
	case DNS_ANSWERED:
		what.is_answer = true;
		if (!dns_policy_delay_ns(relay->policy))
			return append_message(&stream->to_client, answer, answer_size);
		stream->held += dns_relay_hold(relay, &what, answer, answer_size) != NULL;
		return true;
	case DNS_DROPPED:
		break;
	}
	return true;
}

/* What was said before somebody hung up arrives; then we hang up as well. True: it is over. */
static bool is_over(struct dns_stream *stream)
{
	if (stream->held || stream->to_client.out_used)
		return false;
	if (stream->server_ended)
		return true;
	if (!stream->client_ended)
		return false;
	if (stream->server < 0)
		return true;
	if (!stream->to_server.out_used && stream->is_connected)
		shutdown(stream->server, SHUT_WR);
	return false;
}

static bool append_rest(struct lane *lane)
{
	bool is_sound = append(lane, lane->in, lane->in_used);

	lane->in_used = 0;
	return is_sound;
}

/* Half a message, and then they hung up: the other side shall judge it. After what is held, which
 * would be taken for the other half. */
static bool pass_rests(struct dns_stream *stream)
{
	bool is_sound = true;

	if (stream->held)
		return true;
	if (stream->client_ended && stream->to_server.in_used)
		is_sound = open_server(stream) && append_rest(&stream->to_server);
	if (stream->server_ended && stream->to_client.in_used)
		is_sound = append_rest(&stream->to_client) && is_sound;
	return is_sound;
}

/* After anything happened. */
static void go_on(struct dns_stream *stream, bool is_sound)
{
	stream->used_ns = clock_now_ns();
	is_sound = is_sound && pass_rests(stream);
	is_sound = is_sound && flush(&stream->to_client, stream->client);
	if (is_sound && stream->server >= 0 && stream->is_connected)
		is_sound = flush(&stream->to_server, stream->server);
	if (is_sound && is_over(stream))
		close_stream(stream);
	else if (!is_sound || !watch(stream))
		reset_stream(stream);
}

static void client_is_ready(void *context, uint32_t events)
{
	struct dns_stream *stream = context;
	struct lane *lane = &stream->to_server;
	bool is_sound = true;
	size_t frame, at = 0;

	if (events & EPOLLERR) {
		reset_stream(stream);
		return;
	}
	if (!stream->client_ended && events & (EPOLLIN | EPOLLHUP)) {
		int got = fill(lane, stream->client);

		is_sound = got != -2;
		while (is_sound && (frame = frame_at(lane, at)) > 0) {
			is_sound = handle(stream, lane->in + at + 2, frame - 2);
			at += frame;
		}
		take_frames(lane, at);
		stream->client_ended = got == -1;
	}
	go_on(stream, is_sound);
}

static void server_is_ready(void *context, uint32_t events)
{
	struct dns_stream *stream = context;
	struct lane *lane = &stream->to_client;
	bool is_sound = true;
	size_t frame, at = 0;
	int got = 0;

	if (events & EPOLLERR) { /* refused, reset */
		reset_stream(stream);
		return;
	}
	stream->is_connected = true;
	if (events & (EPOLLIN | EPOLLHUP))
		got = fill(lane, stream->server);
	is_sound = got != -2;
	while (is_sound && (frame = frame_at(lane, at)) > 0) {
		is_sound = append(lane, lane->in + at, frame);
		at += frame;
	}
	take_frames(lane, at);
	if (got == -1) {
		stream->server_ended = true;
		close_fd(stream, &stream->server);
	}
	go_on(stream, is_sound);
}

void dns_stream_release(struct dns_held *held)
{
	struct dns_stream *stream = held->stream;
	bool is_sound;

	stream->held--;
	held->stream = NULL; /* it may close now, and would take what it has held with it */
	is_sound = held->is_answer ? append_message(&stream->to_client, held->bytes, held->size)
				   : open_server(stream) && append_message(&stream->to_server,
									   held->bytes, held->size);
	go_on(stream, is_sound);
}

/* The connection that another one of these made to its server. */
static bool is_ours(const struct dns_stream *stream)
{
	const struct dns_stream *other = stream->next;

	while (other && (other->server < 0 || !redirect_comes_back(&stream->way, &other->way) ||
			 redirect_has_closed(other->server)))
		other = other->next;
	return other;
}

static bool find_server(struct dns_stream *stream)
{
	/* who was not redirected gets nothing: this is no open resolver */
	if (!dns_relay_find_server(stream->relay, IPPROTO_TCP, stream->socket, &stream->way.client,
				   &stream->way.server))
		return false;
	if (is_ours(stream))
		stream->relay->base.is_looping = true;
	return !stream->relay->base.is_looping;
}

void dns_stream_arrives(void *context, uint32_t events)
{
	struct dns_socket *socket = context;
	struct dns_relay *relay = socket->relay;
	struct sockaddr_storage client = {0};
	socklen_t length = sizeof(client);
	struct dns_stream *stream;
	int fd = accept4(socket->fd, (struct sockaddr *)&client, &length,
			 SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0 || responder_raise(&relay->base, &fd, NULL) < 0)
		return;
	stream = relay->stream_count < DNS_STREAM_MAX ? calloc(1, sizeof(*stream)) : NULL;
	if (!stream) {
		relay->lost++;
		close(fd);
		return;
	}
	*stream = (struct dns_stream){.relay = relay,
				      .socket = socket,
				      .way.client = client,
				      .client = fd,
				      .server = -1,
				      .used_ns = clock_now_ns(),
				      .next = relay->streams};
	if (relay->streams)
		relay->streams->previous = stream;
	relay->streams = stream;
	relay->stream_count++;
	if (!find_server(stream) || !watch(stream))
		reset_stream(stream);
}

static void close_older_than(struct dns_relay *relay, int64_t limit_ns)
{
	for (struct dns_stream *stream = relay->streams, *next; stream; stream = next) {
		next = stream->next;
		if (stream->used_ns <= limit_ns)
			reset_stream(stream);
	}
}

void dns_stream_sweep(struct dns_relay *relay, int64_t now_ns)
{
	close_older_than(relay, now_ns - IDLE_NS);
}

void dns_stream_close_all(struct dns_relay *relay)
{
	close_older_than(relay, INT64_MAX);
}
