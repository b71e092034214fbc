/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kernel's answers: links, addresses' settings, qdiscs, filters, routes, nf_tables, listening
 * sockets, connections that exist, tracked ones, a netem, a new tap, packets that it keeps; and
 * what it announces of links and qdiscs. send(), recvmsg() and poll() are ours, so that the parsers
 * get any bytes for an answer; only sequence numbers are mended, else everything would be passed
 * over as somebody else's.
 */
/* what concerns whom is its own business */
#include "faults/network_listen.c" /* NOLINT(bugprone-suspicious-include) */

#include "injector/kernel/address.h"
#include "injector/kernel/connection.h"
#include "injector/kernel/conntrack.h"
#include "injector/kernel/link.h"
#include "injector/kernel/netem.h"
#include "injector/kernel/nft.h"
#include "injector/kernel/packet_queue.h"
#include "injector/kernel/qdisc.h"
#include "injector/kernel/route.h"
#include "injector/kernel/socket_owner.h"
#include "injector/kernel/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *answer;
static size_t answer_size;
static uint32_t sequence;
static unsigned turns;

ssize_t send(int fd, const void *data, size_t size, int flags)
{
	(void)fd, (void)flags;
	if (size >= sizeof(struct nlmsghdr))
		sequence = ((const struct nlmsghdr *)data)->nlmsg_seq;
	return (ssize_t)size;
}

/* The next piece of the input: its first two bytes say how long the datagram is. */
static ssize_t next_piece(void *out, size_t room)
{
	size_t length, at = 0;

	if (answer_size < 2 || ++turns > 64) {
		errno = ENOBUFS;
		return -1;
	}
	length = answer[0] | (size_t)(answer[1] & 0x0f) << 8;
	answer += 2;
	answer_size -= 2;
	if (length > answer_size)
		length = answer_size;
	if (length > room)
		length = room;
	memcpy(out, answer, length);
	answer += length;
	answer_size -= length;
	while (length - at >= sizeof(struct nlmsghdr)) {
		struct nlmsghdr header;

		memcpy(&header, (char *)out + at, sizeof(header));
		header.nlmsg_seq = sequence;
		memcpy((char *)out + at, &header, sizeof(header));
		if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > length - at)
			break;
		at += NLMSG_ALIGN(header.nlmsg_len);
		if (at > length)
			break;
	}
	return (ssize_t)length;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	(void)fd, (void)flags;
	if (message->msg_name)
		memset(message->msg_name, 0, message->msg_namelen);
	message->msg_flags = 0;
	return next_piece(message->msg_iov[0].iov_base, message->msg_iov[0].iov_len);
}

ssize_t recv(int fd, void *out, size_t size, int flags)
{
	(void)fd, (void)flags;
	return next_piece(out, size);
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	unsigned came = 0;

	(void)fd, (void)flags, (void)timeout;
	while (came < count) {
		const struct iovec *part = messages[came].msg_hdr.msg_iov;
		ssize_t length = next_piece(part->iov_base, part->iov_len);

		if (length < 0)
			break;
		messages[came++].msg_len = (unsigned)length;
	}
	return came ? (int)came : -1;
}

int poll(struct pollfd *list, nfds_t count, int timeout_ms)
{
	(void)list, (void)count, (void)timeout_ms;
	return 1;
}

static void use_link(void *context, const struct link *link)
{
	*(size_t *)context += strlen(link->name) + strlen(link->alias) + strlen(link->kind);
}

static void use_address(void *context, const struct address *address)
{
	*(size_t *)context += (size_t)address->index + address->bytes[15];
}

static void use_qdisc(void *context, const struct qdisc *qdisc)
{
	*(size_t *)context += strlen(qdisc->kind);
}

static void use_filter(void *context, const struct filter *filter)
{
	*(size_t *)context += strlen(filter->kind);
}

static void use_counter(void *context, const char *name, uint64_t packets, uint64_t bytes)
{
	*(size_t *)context += strlen(name) + packets + bytes;
}

static void use_hook(void *context, const struct nft_hook *hook)
{
	*(size_t *)context += strlen(hook->table) + strlen(hook->chain) +
			      (hook->device ? strlen(hook->device) : 0);
}

static int use_connection(void *context, const struct connection *connection)
{
	if (connection->family != AF_INET && connection->socket_family == AF_INET)
		abort();
	*(size_t *)context += connection->local[15] + connection->remote[3] +
			      connection->local_port + (size_t)connection->cgroup;
	return connection->remote_port == 0xffff ? -E2BIG : 0;
}

static void find_original(struct netlink *netlink)
{
	const struct conntrack_flow flow = {
		.protocol = IPPROTO_UDP, .local.ss_family = AF_INET, .remote.ss_family = AF_INET};
	struct sockaddr_storage found = {0};
	struct error err = ERROR_INIT;

	conntrack_forget(netlink, IPPROTO_TCP, &flow.local, NULL);
	if (conntrack_original(netlink, &flow, &found, &err) < 0) {
		if (found.ss_family != AF_UNSPEC || !err.code)
			abort();
	} else if (found.ss_family != AF_INET && found.ss_family != AF_INET6) {
		abort();
	}
}

static void make_tap(struct netlink *netlink)
{
	struct tap tap = {.kind = TAP_ETHERNET, .queues = 1, .name = "squall_0"};
	struct error err = ERROR_INIT;

	if (tap_configure(&tap, netlink, &err) == 0)
		tap_bring_up(&tap, netlink, &err);
}

static struct network_listener heard_by = {.pidfd = -1};
static struct network_path heard_paths[2];
static struct network_state hearing = {.phase = NETWORK_ACTIVE,
				       .hook = NETWORK_GATE,
				       .paths = heard_paths,
				       .path_count = 2,
				       .ifb_index = 9,
				       .listener = &heard_by,
				       .record.link = "squall_ab"};

/* Those of this process. */
struct network_state *network_first_live(void)
{
	return &hearing;
}

static void listen_to(struct netlink *netlink, bool follows)
{
	heard_paths[0] = (struct network_path){.index = 7};
	heard_paths[1] = (struct network_path){.index = 0};
	hearing.is_touched = hearing.has_missed = false;
	hearing.follows_interfaces = follows;
	if (netlink_hear(netlink, touch_concerned, &heard_by, NULL) < 0) {
		touch_after_loss(&heard_by);
		if (!hearing.is_touched || !hearing.has_missed)
			abort();
	}
	if (heard_paths[0].is_lost && !follows)
		abort();
}

static void receive_packets(size_t *sum)
{
	const struct packet_queue queue = {.fd = -1, .count_fd = -1};
	struct held_packet packets[PACKET_QUEUE_BATCH];
	int count = packet_queue_receive(&queue, packets);

	if (count > PACKET_QUEUE_BATCH)
		abort();
	for (int i = 0; i < count; i++)
		*sum += packets[i].id + packets[i].length;
}

static void open_queue(void)
{
	struct packet_queue queue;
	struct error err = ERROR_INIT;

	if (packet_queue_open(&queue, 0, 1, &err) == 0)
		packet_queue_close(&queue);
	else if (!err.code || queue.fd >= 0)
		abort();
}

static void ask(struct netlink *netlink, unsigned what)
{
	struct in_addr address = {.s_addr = htonl(0x0a000001)};
	struct error err = ERROR_INIT;
	struct qdisc qdisc;
	struct link link;
	uint32_t value, *inodes;
	unsigned count;
	int indexes[8];
	bool has_seed;
	size_t sum = 0;

	switch (what) {
	case 0:
		if (link_find(netlink, "eth0", &link, &err) == 0)
			use_link(&sum, &link);
		break;
	case 1:
		link_each(netlink, use_link, &sum, &err);
		break;
	case 2:
		link_get_ipv4(netlink, 1, 1, &value, &err);
		break;
	case 3:
		if (qdisc_get(netlink, 1, TC_H_ROOT, &qdisc, &err) == 0)
			use_qdisc(&sum, &qdisc);
		break;
	case 4:
		qdisc_each(netlink, 0, use_qdisc, &sum, &err);
		break;
	case 5:
		filter_each(netlink, 1, QDISC_EGRESS, use_filter, &sum, &err);
		break;
	case 6:
		nft_counters(netlink, "squall_abcdef_0", use_counter, &sum, &err);
		break;
	case 7:
		nft_find_table(netlink, NFPROTO_NETDEV, "squall_abcdef_0", &value, &err);
		break;
	case 8:
		nft_hooks(netlink, use_hook, &sum, &err);
		break;
	case 9:
		route_interfaces(netlink, AF_INET, &address, indexes, 8, &count, &err);
		break;
	case 10:
		find_original(netlink);
		break;
	case 11:
		netem_reads_seed(netlink, 1, TC_H_ROOT, &has_seed, &err);
		break;
	case 12:
		make_tap(netlink);
		break;
	case 13:
	case 14:
		listen_to(netlink, what == 14);
		break;
	case 15:
		receive_packets(&sum);
		break;
	case 16:
		open_queue();
		break;
	case 17:
		address_each(netlink, use_address, &sum, &err);
		break;
	case 18:
		connection_each(netlink, use_connection, &sum, &err);
		break;
	}
	if (what == 9 && socket_owner_inodes(-1, 1, 65535, &inodes, &count, NULL) == 0)
		free(inodes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct netlink *netlink;
	struct error err = ERROR_INIT;

	if (!netlink && netlink_open(-1, &netlink, &err) < 0)
		abort();
	if (size < 1)
		return 0;
	answer = data + 1;
	answer_size = size - 1;
	turns = 0;
	ask(netlink, data[0] % 19);
	return 0;
}
