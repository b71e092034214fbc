/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Queries of strangers as datagrams, and what servers say: an answer goes to the client that asked
 * that server, and to nobody else; who was not redirected gets none. At the end nothing is left.
 */
#include "tests/fuzz/fuzz_relay.h"

#define PORTS 4

static struct {
	int fd; /* the server's end of the flow of that port; -1: there is none */
	int ours;
} flows[PORTS];
static const uint8_t *datagram;
static size_t datagram_size;
static unsigned port, told;
static bool is_answering; /* a server, to `port` */

ssize_t recvfrom(int fd, void *out, size_t room, int flags, struct sockaddr *from, socklen_t *size)
{
	(void)fd, (void)flags, (void)size;
	if (!datagram) {
		errno = EAGAIN;
		return -1;
	}
	from->sa_family = AF_INET;
	((struct sockaddr_in *)from)->sin_port = (in_port_t)port;
	memcpy(out, datagram, datagram_size < room ? datagram_size : room);
	datagram = NULL;
	return (ssize_t)datagram_size;
}

ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to,
	       socklen_t length)
{
	(void)fd, (void)flags;
	require(length == sizeof(struct sockaddr_in) && to->sa_family == AF_INET);
	require(((const struct sockaddr_in *)to)->sin_port < PORTS);
	if (is_answering) {
		require(((const struct sockaddr_in *)to)->sin_port == port);
		require(size == datagram_size && memcmp(bytes, datagram, size) == 0);
	}
	told++;
	return (ssize_t)size;
}

int dns_relay_connect(const struct dns_relay *of, int type, struct redirect_way *way)
{
	unsigned at = ((const struct sockaddr_in *)&way->client)->sin_port;
	int pair[2];

	(void)of;
	if (is_unreachable || socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	require(at < PORTS && flows[at].fd < 0);
	flows[at].fd = pair[1];
	flows[at].ours = pair[0];
	return pair[0];
}

static void answer(unsigned at)
{
	int ours = flows[at].ours;

	if (flows[at].fd < 0 || !datagram_size ||
	    send(flows[at].fd, datagram, datagram_size, MSG_DONTWAIT) < 0)
		return;
	port = at;
	told = 0;
	is_answering = true;
	fake_watches[ours].fn(fake_watches[ours].context, EPOLLIN);
	is_answering = false;
	require(told == 1);
}

/* Whoever was given up has its socket closed: then the next query opens another one. */
static void forget_closed(void)
{
	uint8_t bytes[256];

	for (unsigned i = 0; i < PORTS; i++) {
		if (flows[i].fd < 0)
			continue;
		while (recv(flows[i].fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
		if (fake_watches[flows[i].ours].fn)
			continue;
		close(flows[i].fd);
		flows[i].fd = -1;
	}
}

static void datagrams(void)
{
	uint8_t bytes[256];

	for (unsigned i = 0; i < PORTS; i++)
		flows[i].fd = -1;
	while (input < input_end) {
		unsigned action = take_byte(), at = action >> 3 & 3;
		const uint8_t *content;

		datagram_size = take_bytes(&content, take_byte());
		memcpy(bytes, content, datagram_size);
		datagram = bytes;
		switch (action & 7) {
		case 0:
			fake_timer_fire();
			break;
		case 1:
			fake_now_ns += DNS_IDLE_NS / 2;
			dns_datagram_sweep(&relay, fake_now_ns);
			forget_closed();
			break;
		case 2:
		case 3:
			answer(at);
			break;
		default: /* a query */
			port = action & 0x40 ? 9 : at;
			told = 0;
			dns_datagram_arrives(&socket_, EPOLLIN);
			require(port != 9 || told == 0);
		}
		require(relay.flow_count <= PORTS && relay.held_count <= DNS_HELD_MAX);
	}
	while (relay.held)
		dns_held_free(relay.held);
	dns_datagram_close_all(&relay);
	forget_closed();
	for (unsigned i = 0; i < PORTS; i++)
		require(flows[i].fd < 0);
	require(relay.flow_count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int descriptor = next_descriptor();

	if (size < 2)
		return 0;
	begin(data, size);
	datagrams();
	require_nothing_left(descriptor);
	return 0;
}
