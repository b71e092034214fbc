/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading /proc/net/tcp walks the table of all connections of the machine: 4 ms of the 6 that a
 * whole look at the machine took. So the kernel is asked for the listening sockets alone.
 */
#include "tests/sweep/socket_text.h"

#include "injector/kernel/namespace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORTS_AT   "10.88.0.2"
#define PORTS_TO   7001
#define PORTS_MOST 100

/* The first two are read only without sock_diag. */
static const char *const file_names[SOCKET_TEXT_FILES] = {"tcp", "tcp6", "udp",	   "udp6",
							  "raw", "raw6", "packet", "netlink"};
enum { TCP_FILES = 2, PACKET_FILE = 6, NETLINK_FILE = 7 };

static int open_file(void *context, struct error *err)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/thread-self/net/%s", (const char *)context);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? error_errno(err, errno, "%s", path) : fd;
}

static int open_diag(void *context, struct error *err)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	(void)context;
	return fd < 0 ? error_errno(err, errno, "sock_diag") : fd;
}

/* ---- By sock_diag ---- */

static void put_listener(const struct inet_diag_msg *message, FILE *out)
{
	fprintf(out, "socket tcp family %u ", message->idiag_family);
	for (unsigned i = 0; i < (message->idiag_family == AF_INET ? 1 : 4); i++)
		fprintf(out, "%08X", ntohl(message->id.idiag_src[i]));
	fprintf(out, ":%04X interface %u\n", ntohs(message->id.idiag_sport), message->id.idiag_if);
}

/* False: the kernel has no such list. */
static bool list_listeners(int fd, uint8_t family, FILE *out)
{
	static char buffer[1 << 15] __attribute__((aligned(8)));
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 body;
	} request = {.header = {.nlmsg_len = sizeof(request),
				.nlmsg_type = SOCK_DIAG_BY_FAMILY,
				.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		     .body = {.sdiag_family = family,
			      .sdiag_protocol = IPPROTO_TCP,
			      .idiag_states = 1U << TCP_LISTEN}};

	if (send(fd, &request, sizeof(request), 0) < 0)
		return false;
	for (;;) {
		ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
		const struct nlmsghdr *message = (const void *)buffer;

		if (size <= 0)
			return false;
		for (int left = (int)size; NLMSG_OK(message, left);
		     message = NLMSG_NEXT(message, left)) {
			if (message->nlmsg_type == NLMSG_DONE)
				return *(const int *)NLMSG_DATA(message) == 0;
			if (message->nlmsg_type == NLMSG_ERROR)
				return false;
			put_listener(NLMSG_DATA(message), out);
		}
	}
}

/* ---- By the files ---- */

static char *read_file(int fd)
{
	size_t room = 1 << 16, used = 0;
	char *text = malloc(room);
	ssize_t got;

	while (text && (got = pread(fd, text + used, room - used - 1, (off_t)used)) > 0) {
		used += (size_t)got;
		if (room - used < 4096)
			text = realloc(text, room *= 2);
	}
	if (!text)
		abort();
	text[used] = '\0';
	return text;
}

static void write_file(int fd, unsigned which, FILE *held, FILE *inert)
{
	char *text = read_file(fd), *rest, *line = strtok_r(text, "\n", &rest);

	while (line && (line = strtok_r(NULL, "\n", &rest))) {
		char a[64], b[64], c[64], d[64];

		if (sscanf(line, "%63s %63s %63s %63s", a, b, c, d) != 4 ||
		    (which < TCP_FILES && strcmp(d, "0A") != 0))
			continue;
		if (which == NETLINK_FILE) /* protocol; the port is any number */
			fprintf(inert, "socket netlink %s\n", b);
		else if (strcmp(c, "00000000:0000") == 0 || which < TCP_FILES ||
			 which == PACKET_FILE)
			fprintf(held, "socket %s %s\n", file_names[which],
				which == PACKET_FILE ? c : b);
	}
	free(text);
}

/* ---- Local ports ---- */

/* A port more, towards one place, by a connection that nobody else knows of; -1: none is left. In
 * repair mode no packet is sent. */
static int take_port(const struct sockaddr_in *to)
{
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) == 0 &&
	    connect(fd, (const void *)to, sizeof(*to)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int count_ports(void *context, struct error *err)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORTS_TO)};
	int fds[PORTS_MOST], count = 0;

	(void)context, (void)err;
	inet_pton(AF_INET, PORTS_AT, &to.sin_addr);
	while (count < PORTS_MOST && (fds[count] = take_port(&to)) >= 0)
		count++;
	for (int i = 0; i < count; i++)
		close(fds[i]);
	return count;
}

/* ---- All ---- */

void socket_text_open(struct socket_text *out, int namespace_fd, bool counts_ports)
{
	FILE *nowhere = fopen("/dev/null", "we");

	out->ports_in = counts_ports ? namespace_fd : -1;
	out->diag = namespace_run(namespace_fd, open_diag, NULL, NULL);
	if (out->diag >= 0 && (!nowhere || !list_listeners(out->diag, AF_INET, nowhere) ||
			       !list_listeners(out->diag, AF_INET6, nowhere))) {
		close(out->diag);
		out->diag = -1;
	}
	if (nowhere)
		fclose(nowhere);
	for (unsigned i = 0; i < SOCKET_TEXT_FILES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%s", file_names[i]);
		out->files[i] = namespace_run(namespace_fd, open_file, name, NULL);
	}
}

void socket_text_write(const struct socket_text *text, FILE *held, FILE *inert)
{
	bool has_diag = text->diag >= 0;

	if (has_diag && (!list_listeners(text->diag, AF_INET, held) ||
			 !list_listeners(text->diag, AF_INET6, held)))
		abort(); /* it was there at first: nothing is passed over */
	for (unsigned i = has_diag ? TCP_FILES : 0; i < SOCKET_TEXT_FILES; i++)
		write_file(text->files[i], i, held, inert);
	if (text->ports_in >= 0)
		fprintf(held, "local ports left: %d\n",
			namespace_run(text->ports_in, count_ports, NULL, NULL));
}
