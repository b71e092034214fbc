/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/netlab.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int client(const struct netlab *lab, const char *address, uint16_t local_port, uint16_t port)
{
	int family = strchr(address, ':') ? AF_INET6 : AF_INET, buffer = 8 << 20;
	struct sockaddr_storage to;
	socklen_t length = netlab_address(address, port, &to);
	int fd = netlab_socket(lab->near_fd, family, SOCK_DGRAM, 0,
			       local_port ? (family == AF_INET ? "0.0.0.0" : "::") : NULL,
			       local_port);

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	if (connect(fd, (void *)&to, length) < 0)
		fail_msg("connect to %s: %s", address, strerror(errno));
	return fd;
}

static bool await(int fd, int64_t until_ns)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	int64_t left = until_ns - clock_now_ns();

	return left > 0 && poll(&ready, 1, (int)(left / NSEC_PER_MSEC) + 1) > 0;
}

int64_t netlab_round_trip_from(const struct netlab *lab, uint16_t local_port, const char *address,
			       uint16_t port, int timeout_ms)
{
	static uint64_t number;
	cleanup_fd int fd = client(lab, address, local_port, port);
	int64_t start_ns = clock_now_ns(), until_ns = start_ns + timeout_ms * NSEC_PER_MSEC;
	uint64_t sent = ++number, got;

	send(fd, &sent, sizeof(sent), 0);
	while (await(fd, until_ns))
		if (recv(fd, &got, sizeof(got), MSG_DONTWAIT) == sizeof(got) && got == sent)
			return clock_now_ns() - start_ns;
	return -1;
}

int64_t netlab_round_trip(const struct netlab *lab, const char *address, uint16_t port,
			  int timeout_ms)
{
	return netlab_round_trip_from(lab, 0, address, port, timeout_ms);
}

int64_t netlab_fastest(const struct netlab *lab, const char *address, uint16_t port, unsigned count)
{
	int64_t best = -1;

	for (unsigned i = 0; i < count; i++) {
		int64_t took = netlab_round_trip(lab, address, port, 3000);

		if (took >= 0 && (best < 0 || took < best))
			best = took;
	}
	return best;
}

unsigned netlab_answers(const struct netlab *lab, const char *address, uint16_t port,
			unsigned count)
{
	cleanup_fd int fd = client(lab, address, 0, port);
	unsigned answers = 0;
	char data[64] = "?";

	for (unsigned i = 0; i < count; i++) {
		send(fd, data, sizeof(data), 0);
		while (recv(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
			answers++;
		if (i % 50 == 49) /* let the other side keep up on two processors */
			poll(NULL, 0, 1);
	}
	while (await(fd, clock_now_ns() + 500 * NSEC_PER_MSEC))
		while (recv(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
			answers++;
	return answers;
}

void netlab_stream_open(struct netlab_stream *stream, const struct netlab *lab, const char *address,
			uint16_t port)
{
	*stream = (struct netlab_stream){.fd = client(lab, address, 0, port)};
}

static void stream_receive(struct netlab_stream *stream)
{
	uint64_t number;

	while (recv(stream->fd, &number, sizeof(number), MSG_DONTWAIT) == sizeof(number)) {
		stream->answers++;
		stream->reordered += number < stream->last;
		if (number > stream->last)
			stream->last = number;
	}
}

void netlab_stream_send(struct netlab_stream *stream)
{
	uint64_t number = ++stream->sent;

	assert_int_equal(send(stream->fd, &number, sizeof(number), 0), sizeof(number));
	stream_receive(stream);
}

void netlab_stream_close(struct netlab_stream *stream, unsigned *out_answers,
			 unsigned *out_reordered)
{
	while (stream->answers < stream->sent &&
	       await(stream->fd, clock_now_ns() + 1000 * NSEC_PER_MSEC))
		stream_receive(stream);
	close(stream->fd);
	*out_answers = stream->answers;
	*out_reordered = stream->reordered;
}

int netlab_send_error(const struct netlab *lab, const char *address, uint16_t port)
{
	cleanup_fd int fd = client(lab, address, 0, port);
	int on = 1;

	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
	return send(fd, "?", 1, 0) == 1 ? 0 : errno;
}

int64_t netlab_ping(const struct netlab *lab, const char *address, int timeout_ms)
{
	static uint16_t number; /* an answer that comes late is none to the next one */
	bool six = strchr(address, ':');
	cleanup_fd int fd = netlab_socket(lab->near_fd, six ? AF_INET6 : AF_INET, SOCK_RAW,
					  six ? IPPROTO_ICMPV6 : IPPROTO_ICMP, NULL, 0);
	struct sockaddr_storage to;
	socklen_t length = netlab_address(address, 0, &to);
	struct icmphdr request = {.type = six ? ICMP6_ECHO_REQUEST : ICMP_ECHO};
	int64_t start_ns = clock_now_ns(), until_ns = start_ns + timeout_ms * NSEC_PER_MSEC;
	uint8_t packet[256];

	request.un.echo.id = htons((uint16_t)getpid());
	request.un.echo.sequence = htons(++number);
	if (!six) { /* the kernel fills it in for ICMPv6 only */
		uint32_t sum = request.type + (uint32_t)request.un.echo.id +
			       (uint32_t)request.un.echo.sequence;

		sum = (sum & 0xffff) + (sum >> 16);
		request.checksum = (uint16_t) ~((sum & 0xffff) + (sum >> 16));
	}
	assert_true(sendto(fd, &request, sizeof(request), 0, (void *)&to, length) > 0);
	while (await(fd, until_ns)) {
		ssize_t size = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
		size_t skip = six ? 0 : (size_t)(packet[0] & 0xf) * 4;
		struct icmphdr reply;

		if (size < (ssize_t)(skip + sizeof(reply)))
			continue;
		memcpy(&reply, packet + skip, sizeof(reply));
		if (reply.type == (six ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) &&
		    reply.un.echo.id == request.un.echo.id &&
		    reply.un.echo.sequence == request.un.echo.sequence)
			return clock_now_ns() - start_ns;
	}
	return -1;
}

int64_t netlab_transfer(const struct netlab *lab, const char *address, uint16_t port, size_t bytes,
			int timeout_ms)
{
	bool six = strchr(address, ':');
	cleanup_fd int fd =
		netlab_socket(lab->near_fd, six ? AF_INET6 : AF_INET, SOCK_STREAM, 0, NULL, 0);
	struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
	struct sockaddr_storage to;
	socklen_t length = netlab_address(address, port, &to);
	int64_t start_ns = clock_now_ns(), until_ns = start_ns + timeout_ms * NSEC_PER_MSEC;
	static char chunk[65536];
	uint64_t total = 0;

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (void *)&to, length) < 0)
		return -1;
	for (size_t sent = 0; sent < bytes;) {
		size_t wanted = bytes - sent < sizeof(chunk) ? bytes - sent : sizeof(chunk);
		ssize_t size = send(fd, chunk, wanted, MSG_NOSIGNAL);

		if (size < 0 || clock_now_ns() > until_ns)
			return -1;
		sent += (size_t)size;
	}
	shutdown(fd, SHUT_WR);
	if (recv(fd, &total, sizeof(total), MSG_WAITALL) != sizeof(total))
		return -1;
	assert_int_equal(total, bytes);
	return clock_now_ns() - start_ns;
}
