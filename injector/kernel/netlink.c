/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/netlink.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/descriptors.h"
#include "injector/kernel/namespace.h"

#include <errno.h>
#include <limits.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SO_NETNS_COOKIE /* Linux 5.14 */
#define SO_NETNS_COOKIE 71
#endif

#define REPLY_TIMEOUT_NS (5 * NSEC_PER_SEC)
#define BUFFER_SIZE	 65536 /* rtnetlink(7): the kernel fills at most 32 KiB a datagram */
#define DATAGRAMS_A_TURN 64
#define QUEUE_SIZE	 (256 << 10) /* of the socket, each way */

struct netlink {
	int fd;
	int last_fd; /* the same once more, see netlink_close_first(); -1: no */
	uint32_t sequence;
	uint32_t port; /* ours, as the answers say; 0: none has come */
};

struct opening {
	int protocol, fd;
};

/* One buffer for all conversations, which go on one after the other: each with its own would map,
 * fault in and unmap 64 KiB. Who comes while it is taken (another thread, or who asks something
 * from inside of a reply) gets memory. */
static _Alignas(struct nlmsghdr) char common_buffer[BUFFER_SIZE];
static atomic_bool is_common_taken;

static char *take_buffer(struct error *err)
{
	char *buffer = common_buffer;

	if (atomic_exchange(&is_common_taken, true))
		buffer = malloc(BUFFER_SIZE);
	if (!buffer)
		error_errno(err, ENOMEM, "cannot read a netlink answer");
	return buffer;
}

static void give_buffer_back(char *const *buffer)
{
	if (*buffer == common_buffer)
		atomic_store(&is_common_taken, false);
	else
		free(*buffer);
}

static int open_here(void *context, struct error *err)
{
	const struct sockaddr_nl anywhere = {.nl_family = AF_NETLINK};
	const int size = QUEUE_SIZE;
	struct opening *opening = context;
	cleanup_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, opening->protocol);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0 ||
	    bind(fd, (const struct sockaddr *)&anywhere, sizeof(anywhere)) < 0)
		return error_errno(err, errno, "cannot open a netlink socket");
	opening->fd = steal_fd(&fd);
	return 0;
}

static int open_protocol(int namespace_fd, int protocol, struct netlink **out, struct error *err)
{
	struct netlink *netlink = calloc(1, sizeof(*netlink));
	struct opening opening = {.protocol = protocol};
	int on = 1, result;

	if (!netlink)
		return error_errno(err, ENOMEM, "cannot open a netlink socket");
	result = namespace_run(namespace_fd, open_here, &opening, err);
	if (result < 0) {
		free(netlink);
		return result;
	}
	netlink->fd = opening.fd;
	netlink->last_fd = -1;
	/* Both are comforts: without them errors are only numbers, and dumps come unfiltered. */
	setsockopt(netlink->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(netlink->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	/* The error reply need not carry our whole request back */
	setsockopt(netlink->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	*out = netlink;
	return 0;
}

int netlink_open(int namespace_fd, struct netlink **out, struct error *err)
{
	return open_protocol(namespace_fd, NETLINK_ROUTE, out, err);
}

int netlink_open_netfilter(int namespace_fd, struct netlink **out, struct error *err)
{
	return open_protocol(namespace_fd, NETLINK_NETFILTER, out, err);
}

int netlink_open_diag(int namespace_fd, struct netlink **out, struct error *err)
{
	return open_protocol(namespace_fd, NETLINK_SOCK_DIAG, out, err);
}

int netlink_close_first(struct netlink *netlink, struct error *err)
{
	int result = descriptor_raise(netlink->fd, &netlink->last_fd);

	return result < 0 ? error_errno(err, -result, "cannot keep a descriptor apart") : 0;
}

int netlink_last_descriptor(const struct netlink *netlink)
{
	return netlink->last_fd >= 0 ? netlink->last_fd : netlink->fd;
}

uint64_t netlink_namespace_cookie(const struct netlink *netlink)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	return getsockopt(netlink->fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0 ? cookie
											 : 0;
}

void netlink_close(struct netlink *netlink)
{
	if (!netlink)
		return;
	cleanup_fd_at(&netlink->last_fd);
	cleanup_fd_at(&netlink->fd);
	free(netlink);
}

/* nlmsg_next() for what is only read. */
static const struct nlmsghdr *next(const struct nlmsghdr *header, int *left)
{
	return nlmsg_next((struct nlmsghdr *)(uintptr_t)header, left);
}

/* NLMSGERR_ATTR_MSG of an acknowledgement, or NULL. */
static const char *kernel_sentence(const struct nlmsghdr *header)
{
	const struct nlmsgerr *ack = nlmsg_data(header);
	const struct nlattr *table[NLMSGERR_ATTR_MAX + 1], *sentence;
	const char *text;
	size_t skip = NLMSG_LENGTH(sizeof(*ack));

	if (!(header->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(header->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(ack->msg.nlmsg_len) - NLMSG_HDRLEN;
	if (skip >= header->nlmsg_len)
		return NULL;
	netlink_area((const char *)header + skip, header->nlmsg_len - skip, table,
		     NLMSGERR_ATTR_MAX);
	sentence = table[NLMSGERR_ATTR_MSG];
	text = sentence ? netlink_data(sentence, 1) : NULL; /* NULL: it is empty */
	return text && memchr(text, '\0', netlink_size(sentence)) ? text : NULL;
}

/* `code` is -MAX_ERRNO..-1 (include/linux/err.h); nothing else may be turned round. */
static int failed(int code, const char *sentence, struct error *err)
{
	if (code >= 0 || code < -4095)
		return error_set(err, EPROTO, "the kernel sent an odd netlink answer");
	if (sentence)
		return error_set(err, -code, "%s (%s)", sentence, strerror(-code));
	return error_set(err, -code, "%s", strerror(-code));
}

static int acknowledged(const struct nlmsghdr *header, struct error *err)
{
	const struct nlmsgerr *ack = nlmsg_data(header);

	if (!nlmsg_valid_hdr(header, sizeof(*ack)))
		return error_set(err, EPROTO, "the kernel sent a cut-off netlink answer");
	if (ack->error == 0)
		return 0;
	return failed(ack->error, kernel_sentence(header), err);
}

/* One datagram into the buffer; its size, or -errno. */
static ssize_t receive(const struct netlink *netlink, char *buffer, int64_t deadline_ns,
		       struct error *err)
{
	for (;;) {
		struct pollfd ready = {.fd = netlink->fd, .events = POLLIN};
		struct sockaddr_nl from = {0};
		struct iovec area = {.iov_base = buffer, .iov_len = BUFFER_SIZE};
		struct msghdr message = {.msg_name = &from,
					 .msg_namelen = sizeof(from),
					 .msg_iov = &area,
					 .msg_iovlen = 1};
		ssize_t size = recvmsg(netlink->fd, &message, MSG_DONTWAIT);
		int64_t left = deadline_ns - clock_now_ns();

		if (size >= 0 && (message.msg_flags & MSG_TRUNC))
			return error_set(err, EMSGSIZE, "a netlink answer is too long");
		if (size >= 0 && from.nl_pid == 0) /* from the kernel, not from a neighbour */
			return size;
		if (size < 0 && errno != EAGAIN && errno != EINTR)
			return error_errno(err, errno, "cannot read a netlink answer");
		if (left <= 0)
			return error_set(err, ETIMEDOUT, "the kernel did not answer in time");
		if (size < 0)
			poll(&ready, 1, (int)(left / NSEC_PER_MSEC) + 1);
	}
}

static int converse(struct netlink *netlink, uint32_t sequence, netlink_reply_fn fn, void *context,
		    struct error *err)
{
	__attribute__((cleanup(give_buffer_back))) char *buffer = take_buffer(err);
	int64_t deadline_ns = clock_now_ns() + REPLY_TIMEOUT_NS;
	bool is_disturbed = false;

	while (buffer) {
		const struct nlmsghdr *header = (const void *)buffer;
		ssize_t size = receive(netlink, buffer, deadline_ns, err);

		if (size < 0)
			return (int)size;
		for (int left = (int)size; nlmsg_ok(header, left); header = next(header, &left)) {
			if (header->nlmsg_seq != sequence)
				continue; /* of an earlier call that gave up */
			netlink->port = header->nlmsg_pid;
			if (header->nlmsg_flags & NLM_F_DUMP_INTR)
				is_disturbed = true;
			if (header->nlmsg_type == NLMSG_ERROR)
				return acknowledged(header, err);
			if (header->nlmsg_type == NLMSG_DONE) {
				const int *code = nlmsg_data(header);

				if (nlmsg_valid_hdr(header, sizeof(*code)) && *code < 0)
					return failed(*code, NULL, err);
				if (is_disturbed)
					return error_set(err, EINTR,
							 "the list changed while it was read");
				return 0;
			}
			if (fn && header->nlmsg_type >= NLMSG_MIN_TYPE)
				fn(context, header);
		}
	}
	return -ENOMEM;
}

static bool is_whole(const struct netlink_request *request)
{
	return !request->is_broken && request->depth == 0 && request->size > 0;
}

static int send_all(struct netlink *netlink, const struct netlink_request *request,
		    struct error *err)
{
	int force = (int)request->size * 2;
	ssize_t sent;

	/* A datagram must fit into the send buffer, some 200 kB by default. */
	if (request->size > 64 * 1024 && request->size < INT_MAX / 4)
		setsockopt(netlink->fd, SOL_SOCKET, SO_SNDBUFFORCE, &force, sizeof(force));
	do
		sent = send(netlink->fd, request->data, request->size, 0);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? error_errno(err, errno, "cannot send a netlink request") : 0;
}

int netlink_call(struct netlink *netlink, struct netlink_request *request, netlink_reply_fn fn,
		 void *context, struct error *err)
{
	int result;

	if (!is_whole(request)) {
		netlink_drop(request);
		return error_errno(err, ENOMEM, "cannot build a netlink request");
	}
	((struct nlmsghdr *)(void *)request->data)->nlmsg_seq = ++netlink->sequence;
	result = send_all(netlink, request, err);
	if (result == 0)
		result = converse(netlink, netlink->sequence, fn, context, err);
	netlink_drop(request);
	return result;
}

/* Numbers the messages; the last but one (before the end mark) asks for an acknowledgement. */
static unsigned number_all(struct netlink *netlink, const struct netlink_request *request)
{
	struct nlmsghdr *header = NULL, *previous = NULL;
	unsigned count = 0;

	for (size_t at = 0; at < request->size; at += NLMSG_ALIGN(header->nlmsg_len)) {
		previous = header;
		header = (void *)(request->data + at);
		header->nlmsg_seq = ++netlink->sequence;
		count++;
	}
	if (previous)
		previous->nlmsg_flags |= NLM_F_ACK;
	return count;
}

static const struct nlmsghdr *message_number(const struct netlink_request *request,
					     uint32_t sequence)
{
	const struct nlmsghdr *header;

	for (size_t at = 0; at < request->size; at += NLMSG_ALIGN(header->nlmsg_len)) {
		header = (const void *)(request->data + at);
		if (header->nlmsg_seq == sequence)
			return header;
	}
	return NULL;
}

int netlink_transact(struct netlink *netlink, struct netlink_request *request,
		     const struct nlmsghdr **out_failed, struct error *err)
{
	__attribute__((cleanup(give_buffer_back))) char *buffer = take_buffer(err);
	int64_t deadline_ns = clock_now_ns() + REPLY_TIMEOUT_NS;
	uint32_t before = netlink->sequence;
	unsigned count;
	int result;

	if (out_failed)
		*out_failed = NULL;
	if (!buffer)
		return -ENOMEM;
	if (!is_whole(request))
		return error_errno(err, ENOMEM, "cannot build a netlink request");
	count = number_all(netlink, request);
	result = send_all(netlink, request, err);
	while (result == 0) {
		const struct nlmsghdr *header = (const void *)buffer;
		ssize_t size = receive(netlink, buffer, deadline_ns, err);

		if (size < 0)
			return (int)size;
		for (int left = (int)size; nlmsg_ok(header, left); header = next(header, &left)) {
			if (header->nlmsg_type != NLMSG_ERROR ||
			    header->nlmsg_seq - before - 1 >= count)
				continue; /* of an earlier call that gave up */
			result = acknowledged(header, err);
			if (result < 0 && out_failed)
				*out_failed = message_number(request, header->nlmsg_seq);
			/* Errors come first, in order, and after the commit (nfnl_err_deliver()):
			 * an acknowledgement says that all of it was done. */
			return result;
		}
	}
	return result;
}

int netlink_listen(struct netlink *netlink, const unsigned *groups, struct error *err)
{
	for (; *groups; groups++) {
		const int group = (int)*groups;

		if (setsockopt(netlink->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
			       sizeof(group)) < 0)
			return error_errno(err, errno, "cannot listen to group %d", group);
	}
	return 0;
}

bool netlink_is_own(const struct netlink *netlink, const struct nlmsghdr *message)
{
	return netlink && netlink->port && message->nlmsg_pid == netlink->port;
}

int netlink_descriptor(const struct netlink *netlink)
{
	return netlink->fd;
}

int netlink_hear(struct netlink *netlink, netlink_reply_fn fn, void *context, struct error *err)
{
	__attribute__((cleanup(give_buffer_back))) char *buffer = take_buffer(err);

	if (!buffer)
		return -ENOMEM;
	for (unsigned i = 0; i < DATAGRAMS_A_TURN; i++) {
		const struct nlmsghdr *header = (const void *)buffer;
		ssize_t size = receive(netlink, buffer, 0, err);

		if (size == -ETIMEDOUT)
			return 0;
		if (size < 0)
			return (int)size;
		for (int left = (int)size; nlmsg_ok(header, left); header = next(header, &left))
			if (header->nlmsg_type >= NLMSG_MIN_TYPE)
				fn(context, header);
	}
	return 0;
}
