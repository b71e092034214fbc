/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An input that is read a byte at a time and says what happens next; and both ends of a connection
 * that is relayed, as the other side sees them, with all that was said there. For relays whose time
 * stands still (fuzz_time.h, included before).
 */
#ifndef SQUALL_FUZZ_ENDS_H
#define SQUALL_FUZZ_ENDS_H

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SAID_MAX
#define SAID_MAX (16 << 10)
#endif
#ifndef HEARD_MAX
#define HEARD_MAX (4 * SAID_MAX)
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *input, *input_end;

static inline uint8_t take_byte(void)
{
	return input < input_end ? *input++ : 0;
}

static inline size_t take_bytes(const uint8_t **out, size_t most)
{
	size_t there = (size_t)(input_end - input);

	*out = input;
	there = there < most ? there : most;
	input += there;
	return there;
}

/* The same number before and after: no descriptor was left. */
static inline int next_descriptor(void)
{
	int fd = dup(STDIN_FILENO);

	require(fd >= 0);
	close(fd);
	return fd;
}

struct end {
	int fd; /* -1: not there */
	size_t said, heard;
	uint8_t said_bytes[SAID_MAX], heard_bytes[HEARD_MAX];
};
static struct end client, server;
static bool is_unreachable; /* each server */

static inline void say(struct end *end, const void *bytes, size_t size)
{
	ssize_t sent;

	if (end->fd < 0 || size > sizeof(end->said_bytes) - end->said)
		return;
	sent = send(end->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent <= 0)
		return;
	memcpy(end->said_bytes + end->said, bytes, (size_t)sent);
	end->said += (size_t)sent;
}

static inline void hear(struct end *end)
{
	ssize_t got = 1;

	while (end->fd >= 0 && got > 0 && end->heard < sizeof(end->heard_bytes)) {
		got = recv(end->fd, end->heard_bytes + end->heard,
			   sizeof(end->heard_bytes) - end->heard, MSG_DONTWAIT);
		end->heard += got > 0 ? (size_t)got : 0;
	}
}

/* Both are at their beginning; the other side of the client's. */
static inline int ends_begin(void)
{
	int pair[2];

	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	client.said = client.heard = server.said = server.heard = 0;
	client.fd = pair[0];
	server.fd = -1;
	return pair[1];
}

static inline void ends_close(void)
{
	if (server.fd >= 0)
		close(server.fd);
	close(client.fd);
}

/* The other side of the server's, or -1. */
static inline int reach_server(int type)
{
	int pair[2];

	if (is_unreachable || socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	server.fd = pair[1];
	return pair[0];
}

/* What the loop would do for a descriptor of ours. */
static inline bool deliver_to(int fd)
{
	struct pollfd ready = {.fd = fd};

	if (fd < 0 || !fake_watches[fd].fn)
		return false;
	ready.events = (short)fake_watches[fd].events; /* poll's and epoll's are the same */
	if (poll(&ready, 1, 0) <= 0)
		return false;
	fake_watches[fd].fn(fake_watches[fd].context, (uint32_t)ready.revents);
	return true;
}

#endif
