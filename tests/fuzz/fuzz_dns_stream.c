/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whatever a stranger and a server say over TCP, in any pieces, one before the other, and whoever
 * hangs up in the middle: each side gets whole messages, each one that was said, or an answer of
 * ours to one, once. What is kept is bounded, and at the end nothing is left of it.
 */
/* its lanes are its own business */
#include "faults/dns_stream.c" /* NOLINT(bugprone-suspicious-include) */

#include "tests/fuzz/fuzz_relay.h"

#define FRAMES_MAX (2 * (SAID_MAX / 2 + 1))
/* What waited, and one reading of the shortest queries, each with the longest answer */
#define KEPT_MAX (BACKLOG + FRAME_MAX / 19 * (DNS_ANSWER_MAX + 2))

static int arriving;

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	(void)fd, (void)flags;
	memset(address, 0, *size);
	address->sa_family = AF_INET;
	return arriving;
}

int dns_relay_connect(const struct dns_relay *of, int type, struct redirect_way *way)
{
	(void)of, (void)way;
	require(is_unreachable || server.fd < 0); /* one connection for one */
	return reach_server(type);
}

static void say_message(struct end *end)
{
	size_t size = take_byte();
	uint8_t message[2 + 1024] = {0};
	const uint8_t *bytes;
	size_t there;

	if (size >= 0xf0)
		size = (size & 3) << 8 | take_byte();
	there = take_bytes(&bytes, size);
	message[0] = (uint8_t)(size >> 8);
	message[1] = (uint8_t)size;
	memcpy(message + 2, bytes, there);
	say(end, message, 2 + size);
}

static bool deliver(bool is_client)
{
	struct dns_stream *stream = relay.streams;

	if (!stream || !deliver_to(is_client ? stream->client : stream->server))
		return false;
	stream = relay.streams;
	require(!stream || stream->to_client.out_used <= KEPT_MAX);
	require(!stream || stream->to_server.out_used <= KEPT_MAX);
	require(!stream || stream->held == relay.held_count);
	return true;
}

/* Queries by one who does not read. */
static void flood(void)
{
	static uint8_t queries[64 << 10];
	size_t size = 0;

	for (; size + 21 <= sizeof(queries); size += 21)
		memcpy(queries + size, "\0\x13id\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", 21);
	for (unsigned i = 0; i < 12; i++) {
		if (send(client.fd, queries, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
		while (deliver(true))
			;
	}
}

struct source {
	const uint8_t *bytes;
	size_t size;
	bool is_used;
	uint8_t own[2 + DNS_ANSWER_MAX];
};
static struct source sources[FRAMES_MAX];
static unsigned source_count;

static size_t whole_at(const uint8_t *bytes, size_t size)
{
	size_t frame = size < 2 ? 0 : 2 + ((size_t)bytes[0] << 8 | bytes[1]);

	return frame <= size ? frame : 0;
}

static struct source *add_source(const uint8_t *bytes, size_t size)
{
	struct source *source = &sources[source_count++];

	require(source_count <= FRAMES_MAX);
	source->bytes = bytes;
	source->size = size;
	source->is_used = false;
	return source;
}

/* What may come to the server (of queries that are not answered), or our answers to the client. */
static void add_queries(bool answers)
{
	size_t frame, size;
	uint8_t out[DNS_ANSWER_MAX];

	for (size_t at = 0; at < client.said; at += frame) {
		const uint8_t *bytes = client.said_bytes + at;
		enum dns_fate fate = DNS_PASSES;

		frame = whole_at(bytes, client.said - at);
		if (frame && !relay.base.is_soft)
			fate = dns_policy_decide(&policy, bytes + 2, frame - 2, out, &size);
		if (answers && fate == DNS_ANSWERED) {
			struct source *source = add_source(NULL, 2 + size);

			source->own[0] = (uint8_t)(size >> 8);
			source->own[1] = (uint8_t)size;
			memcpy(source->own + 2, out, size);
			source->bytes = source->own;
		}
		if (!answers && (fate == DNS_PASSES || fate == DNS_WAITS))
			add_source(bytes, frame ? frame : client.said - at);
		if (!frame)
			return;
	}
}

static void add_messages_of_server(void)
{
	size_t frame;

	for (size_t at = 0; at < server.said; at += frame) {
		frame = whole_at(server.said_bytes + at, server.said - at);
		add_source(server.said_bytes + at, frame ? frame : server.said - at);
		if (!frame)
			return;
	}
}

/* Each message that came is one of the sources, once; the last may have come in part. */
static void check_heard(const struct end *end)
{
	size_t frame, first = 0;

	for (size_t at = 0; at < end->heard; at += frame) {
		bool is_whole = whole_at(end->heard_bytes + at, end->heard - at) > 0, found = false;

		frame = is_whole ? whole_at(end->heard_bytes + at, end->heard - at)
				 : end->heard - at;
		while (first < source_count && sources[first].is_used)
			first++;
		for (size_t i = first; i < source_count && !found; i++) {
			struct source *source = &sources[i];

			found = !source->is_used &&
				(is_whole ? source->size == frame : source->size >= frame) &&
				memcmp(source->bytes, end->heard_bytes + at, frame) == 0;
			source->is_used |= found;
		}
		require(found);
	}
}

static void check_all(void)
{
	source_count = 0;
	add_queries(false);
	check_heard(&server);
	source_count = 0;
	add_messages_of_server();
	add_queries(true);
	check_heard(&client);
}

static void hang_up(struct end *end, bool both)
{
	if (end->fd < 0)
		return;
	shutdown(end->fd, both ? SHUT_RDWR : SHUT_WR);
}

/* False: that was a flood, whose bytes nobody has counted. */
static bool act(void)
{
	const uint8_t *bytes;
	size_t size;
	unsigned action = take_byte();

	switch (action % 12) {
	case 0:
		say_message(&client);
		break;
	case 1:
		size = take_bytes(&bytes, take_byte());
		say(&client, bytes, size);
		break;
	case 2:
		say_message(&server);
		break;
	case 3:
		size = take_bytes(&bytes, take_byte());
		say(&server, bytes, size);
		break;
	case 4:
		deliver(true);
		break;
	case 5:
		deliver(false);
		break;
	case 6:
		hear(&client);
		break;
	case 7:
		hear(&server);
		break;
	case 8:
		hang_up(&client, action & 0x80);
		break;
	case 9:
		hang_up(&server, action & 0x80);
		break;
	case 10:
		fake_timer_fire();
		break;
	case 11:
		/* slow: alone */
		if (action == 11 + 12 * 20 && input == input_end && !client.said) {
			flood();
			return false;
		}
		fake_now_ns += IDLE_NS / 2;
		dns_stream_sweep(&relay, fake_now_ns);
		break;
	}
	return true;
}

static void streams(void)
{
	bool is_counted = true;

	arriving = ends_begin();
	dns_stream_arrives(&socket_, EPOLLIN);
	for (unsigned i = 0; i < 1000 && input < input_end && is_counted; i++)
		is_counted = act();
	for (unsigned i = 0; i < 1000 && (deliver(true) || deliver(false) || fake_timer_fire());
	     i++) {
		hear(&client);
		hear(&server);
	}
	hear(&client);
	hear(&server);
	if (is_counted)
		check_all();
	dns_stream_close_all(&relay);
	require(relay.stream_count == 0 && !relay.streams);
	ends_close();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int descriptor = next_descriptor();

	if (size < 2)
		return 0;
	begin(data, size);
	streams();
	require_nothing_left(descriptor);
	return 0;
}
