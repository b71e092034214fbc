/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One dump for each pair of family and protocol (sock_diag(7)). The cgroup that the kernel also
 * knows for a socket is of no use here: a socket made by systemd and handed over belongs to
 * systemd's group.
 */
#include "injector/kernel/socket_owner.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/namespace.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define STATE_CLOSE  7 /* include/net/tcp_states.h: what UDP calls not connected */
#define STATE_LISTEN 10

struct listeners {
	uint16_t first, last;
	int socket;
	uint32_t *inodes;
	unsigned count, capacity;
};

static int add_inode(struct listeners *found, uint32_t inode)
{
	unsigned capacity = found->capacity ? found->capacity * 2 : 16;
	uint32_t *inodes;

	if (found->count == found->capacity) {
		inodes = reallocarray(found->inodes, capacity, sizeof(*inodes));
		if (!inodes)
			return -ENOMEM;
		found->inodes = inodes;
		found->capacity = capacity;
	}
	found->inodes[found->count++] = inode;
	return 0;
}

static int send_request(int socket, uint8_t family, uint8_t protocol)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} message = {
		.header = {.nlmsg_len = sizeof(message),
			   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.request = {.sdiag_family = family,
			    .sdiag_protocol = protocol,
			    .idiag_states =
				    1U << (protocol == IPPROTO_UDP ? STATE_CLOSE : STATE_LISTEN)},
	};

	return send(socket, &message, sizeof(message), 0) < 0 ? -errno : 0;
}

static int take_socket(struct listeners *found, const struct nlmsghdr *header)
{
	const struct inet_diag_msg *entry = NLMSG_DATA(header);
	uint16_t port;

	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*entry)))
		return -EPROTO;
	port = ntohs(entry->id.idiag_sport);
	/* inode 0: the kernel's own, or just being closed */
	if (port < found->first || port > found->last || !entry->idiag_inode)
		return 0;
	return add_inode(found, entry->idiag_inode);
}

/* 1: the dump is complete. */
static int take_message(struct listeners *found, const struct nlmsghdr *header)
{
	const struct nlmsgerr *failure = NLMSG_DATA(header);

	switch (header->nlmsg_type) {
	case NLMSG_DONE:
		return 1;
	case NLMSG_ERROR:
		/* -MAX_ERRNO..-1 (include/linux/err.h), or it is no answer of the kernel */
		return header->nlmsg_len < NLMSG_LENGTH(sizeof(*failure)) || failure->error >= 0 ||
				       failure->error < -4095
			       ? -EPROTO
			       : failure->error;
	case SOCK_DIAG_BY_FAMILY:
		return take_socket(found, header);
	default:
		return 0;
	}
}

static int dump(struct listeners *found, uint8_t family, uint8_t protocol)
{
	char buffer[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct nlmsghdr *header;
	int result = send_request(found->socket, family, protocol), left;
	ssize_t got;

	while (result == 0) {
		got = recv(found->socket, buffer, sizeof(buffer), 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		header = (const struct nlmsghdr *)buffer;
		/* signed: behind a last message of odd length less than nothing is left */
		left = (int)got;
		for (; result == 0 && NLMSG_OK(header, left); header = NLMSG_NEXT(header, left))
			result = take_message(found, header);
	}
	return result == 1 ? 0 : result;
}

/* MPTCP listeners need no dump of their own: the TCP socket below each carries the inode of the one
 * the program holds (mptcp_subflow_create_socket(), net/mptcp/subflow.c). */
static int dump_all(struct listeners *found, struct error *err)
{
	static const struct {
		uint8_t protocol;
		const char *name, *module;
	} protocols[] = {{IPPROTO_TCP, "TCP", "tcp_diag"}, {IPPROTO_UDP, "UDP", "udp_diag"}};
	static const uint8_t families[] = {AF_INET, AF_INET6};
	int result;

	for (unsigned i = 0; i < 2; i++)
		for (unsigned j = 0; j < 2; j++) {
			result = dump(found, families[j], protocols[i].protocol);
			/* a kernel without IPv6 has nothing to list there */
			if (result == 0 || (result == -ENOENT && families[j] == AF_INET6))
				continue;
			error_errno(err, -result, "cannot list the %s sockets of the kernel",
				    protocols[i].name);
			if (result == -ENOENT)
				error_remedy(err, "modprobe %s", protocols[i].module);
			return result;
		}
	return 0;
}

static int open_socket(void *context, struct error *err)
{
	struct listeners *found = context;

	/* the socket stays in the namespace it was opened in */
	found->socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (found->socket < 0)
		return error_errno(err, errno, "cannot open a sock_diag socket");
	return 0;
}

static int compare_inodes(const void *a, const void *b)
{
	const uint32_t *one = a, *other = b;

	return (*one > *other) - (*one < *other);
}

int socket_owner_inodes(int namespace_fd, uint16_t first, uint16_t last, uint32_t **out,
			unsigned *out_count, struct error *err)
{
	struct listeners found = {.first = first, .last = last, .socket = -1};
	int result = namespace_run(namespace_fd, open_socket, &found, err);

	if (result == 0)
		result = dump_all(&found, err);
	if (found.socket >= 0)
		close(found.socket);
	if (result < 0) {
		free(found.inodes);
		return result;
	}
	if (found.count)
		qsort(found.inodes, found.count, sizeof(*found.inodes), compare_inodes);
	*out = found.inodes;
	*out_count = found.count;
	return 0;
}

int socket_owner_holds(pid_t pid, const uint32_t *inodes, unsigned count)
{
	char path[PATH_MAX], link[64];
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	uint32_t inode;
	ssize_t length;
	int result = 0;

	snprintf(path, sizeof(path), "%s/%d/fd", proc_root(), pid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		if (entry->d_name[0] == '.')
			continue;
		length = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		if (length < 0 && (errno == EACCES || errno == EPERM))
			result = -EACCES;
		if (length < 0)
			continue;
		link[length] = '\0';
		if (sscanf(link, "socket:[%u]", &inode) == 1 && count &&
		    bsearch(&inode, inodes, count, sizeof(*inodes), compare_inodes))
			return 1;
	}
	/* of the last readdir(): who ended meanwhile holds nothing */
	return errno && errno != ENOENT && errno != ESRCH ? -errno : result;
}
