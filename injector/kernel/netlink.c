/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/netlink.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/namespace.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define REPLY_TIMEOUT_NS (5 * NSEC_PER_SEC)
#define MESSAGE_MAX	 16384 /* a table of delays for netem has 8 KiB */
#define BUFFER_SIZE	 65536 /* rtnetlink(7): the kernel fills at most 32 KiB a datagram */

struct netlink {
	struct nl_sock *socket;
	uint32_t sequence;
	char buffer[BUFFER_SIZE];
};

struct opening {
	int protocol;
	struct nl_sock *socket;
};

static int open_here(void *context, struct error *err)
{
	struct opening *opening = context;
	int result = nl_connect(opening->socket, opening->protocol);

	if (result < 0)
		return error_set(err, EIO, "cannot open a netlink socket: %s", nl_geterror(result));
	return 0;
}

static int open_protocol(int namespace_fd, int protocol, struct netlink **out, struct error *err)
{
	struct netlink *netlink = calloc(1, sizeof(*netlink));
	struct opening opening = {.protocol = protocol};
	int on = 1, result;

	if (netlink)
		netlink->socket = nl_socket_alloc();
	if (!netlink || !netlink->socket) {
		free(netlink);
		return error_errno(err, ENOMEM, "cannot open a netlink socket");
	}
	opening.socket = netlink->socket;
	result = namespace_run(namespace_fd, open_here, &opening, err);
	if (result < 0) {
		netlink_close(netlink);
		return result;
	}
	/* Both are comforts: without them errors are only numbers, and dumps come unfiltered. */
	setsockopt(nl_socket_get_fd(netlink->socket), SOL_NETLINK, NETLINK_EXT_ACK, &on,
		   sizeof(on));
	setsockopt(nl_socket_get_fd(netlink->socket), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on,
		   sizeof(on));
	/* The error reply need not carry our whole request back */
	setsockopt(nl_socket_get_fd(netlink->socket), SOL_NETLINK, NETLINK_CAP_ACK, &on,
		   sizeof(on));
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

void netlink_close(struct netlink *netlink)
{
	if (!netlink)
		return;
	nl_socket_free(netlink->socket);
	free(netlink);
}

void netlink_begin(struct netlink_request *request, uint16_t type, uint16_t flags,
		   const void *header, size_t size)
{
	*request = (struct netlink_request){.message = nlmsg_alloc_size(MESSAGE_MAX)};
	if (!request->message ||
	    !nlmsg_put(request->message, 0, 0, type, 0, NLM_F_REQUEST | NLM_F_ACK | flags))
		request->is_broken = true;
	netlink_put_bytes(request, header, size);
}

void netlink_put_bytes(struct netlink_request *request, const void *data, size_t size)
{
	void *at;

	if (request->is_broken)
		return;
	/* not nlmsg_append(): its parameter is not const */
	at = nlmsg_reserve(request->message, size, NLMSG_ALIGNTO);
	if (at)
		memcpy(at, data, size);
	else
		request->is_broken = true;
}

void netlink_put(struct netlink_request *request, uint16_t type, const void *data, size_t size)
{
	if (!request->is_broken && nla_put(request->message, type, (int)size, data) < 0)
		request->is_broken = true;
}

void netlink_put_u32(struct netlink_request *request, uint16_t type, uint32_t value)
{
	netlink_put(request, type, &value, sizeof(value));
}

void netlink_put_u64(struct netlink_request *request, uint16_t type, uint64_t value)
{
	netlink_put(request, type, &value, sizeof(value));
}

void netlink_put_text(struct netlink_request *request, uint16_t type, const char *text)
{
	netlink_put(request, type, text, strlen(text) + 1);
}

void netlink_nest(struct netlink_request *request, uint16_t type)
{
	struct nlattr *nest = NULL;

	if (!request->is_broken && request->depth < NETLINK_NESTS_MAX)
		nest = nla_nest_start(request->message, type);
	if (nest)
		request->nests[request->depth++] = nest;
	else
		request->is_broken = true;
}

void netlink_unnest(struct netlink_request *request)
{
	/* By hand: nla_nest_end() removes a nest without attributes, which means something else to
	 * the kernel than an empty one. */
	struct nlattr *nest;

	if (request->is_broken || request->depth == 0)
		return;
	nest = request->nests[--request->depth];
	nest->nla_len = (uint16_t)((char *)nlmsg_tail(nlmsg_hdr(request->message)) - (char *)nest);
}

void netlink_drop(struct netlink_request *request)
{
	nlmsg_free(request->message);
	*request = (struct netlink_request){.is_broken = true};
}

/* NLMSGERR_ATTR_MSG of an acknowledgement, or NULL. */
static const char *kernel_sentence(const struct nlmsghdr *header)
{
	const struct nlmsgerr *ack = NLMSG_DATA(header);
	const struct nlattr *table[NLMSGERR_ATTR_MAX + 1];
	size_t skip = NLMSG_LENGTH(sizeof(*ack));

	if (!(header->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(header->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(ack->msg.nlmsg_len) - NLMSG_HDRLEN;
	if (skip >= header->nlmsg_len)
		return NULL;
	netlink_area((const char *)header + skip, header->nlmsg_len - skip, table,
		     NLMSGERR_ATTR_MAX);
	return table[NLMSGERR_ATTR_MSG] && memchr(netlink_data(table[NLMSGERR_ATTR_MSG], 1), '\0',
						  netlink_size(table[NLMSGERR_ATTR_MSG]))
		       ? netlink_data(table[NLMSGERR_ATTR_MSG], 1)
		       : NULL;
}

static int acknowledged(const struct nlmsghdr *header, struct error *err)
{
	const struct nlmsgerr *ack = NLMSG_DATA(header);
	const char *sentence;

	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*ack)))
		return error_set(err, EPROTO, "the kernel sent a cut-off netlink answer");
	if (ack->error == 0)
		return 0;
	sentence = kernel_sentence(header);
	if (sentence)
		return error_set(err, -ack->error, "%s (%s)", sentence, strerror(-ack->error));
	return error_set(err, -ack->error, "%s", strerror(-ack->error));
}

/* One datagram into the buffer; its size, or -errno. */
static ssize_t receive(struct netlink *netlink, int64_t deadline_ns, struct error *err)
{
	int fd = nl_socket_get_fd(netlink->socket);

	for (;;) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		struct sockaddr_nl from = {0};
		struct iovec area = {.iov_base = netlink->buffer, .iov_len = BUFFER_SIZE};
		struct msghdr message = {.msg_name = &from,
					 .msg_namelen = sizeof(from),
					 .msg_iov = &area,
					 .msg_iovlen = 1};
		ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT);
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
	int64_t deadline_ns = clock_now_ns() + REPLY_TIMEOUT_NS;
	bool is_disturbed = false;

	for (;;) {
		const struct nlmsghdr *header = (const void *)netlink->buffer;
		ssize_t size = receive(netlink, deadline_ns, err);

		if (size < 0)
			return (int)size;
		for (int left = (int)size; NLMSG_OK(header, left);
		     header = NLMSG_NEXT(header, left)) {
			if (header->nlmsg_seq != sequence)
				continue; /* of an earlier call that gave up */
			if (header->nlmsg_flags & NLM_F_DUMP_INTR)
				is_disturbed = true;
			if (header->nlmsg_type == NLMSG_ERROR)
				return acknowledged(header, err);
			if (header->nlmsg_type == NLMSG_DONE) {
				const int *code = NLMSG_DATA(header);

				if (header->nlmsg_len >= NLMSG_LENGTH(sizeof(*code)) && *code < 0)
					return error_set(err, -*code, "%s", strerror(-*code));
				if (is_disturbed)
					return error_set(err, EINTR,
							 "the list changed while it was read");
				return 0;
			}
			if (fn && header->nlmsg_type >= NLMSG_MIN_TYPE)
				fn(context, header);
		}
	}
}

int netlink_call(struct netlink *netlink, struct netlink_request *request, netlink_reply_fn fn,
		 void *context, struct error *err)
{
	struct nlmsghdr *header;
	int result;

	if (request->is_broken || request->depth > 0) {
		netlink_drop(request);
		return error_errno(err, ENOMEM, "cannot build a netlink request");
	}
	header = nlmsg_hdr(request->message);
	header->nlmsg_seq = ++netlink->sequence;
	header->nlmsg_pid = 0;
	do
		result = send(nl_socket_get_fd(netlink->socket), header, header->nlmsg_len, 0) < 0
				 ? -errno
				 : 0;
	while (result == -EINTR);
	if (result < 0)
		error_errno(err, -result, "cannot send a netlink request");
	else
		result = converse(netlink, netlink->sequence, fn, context, err);
	netlink_drop(request);
	return result;
}

void netlink_area(const void *area, size_t size, const struct nlattr **table, unsigned max)
{
	const char *at = area;

	for (unsigned i = 0; i <= max; i++)
		table[i] = NULL;
	while (size >= NLA_HDRLEN) {
		const struct nlattr *attribute = (const void *)at;
		size_t length = attribute->nla_len, step = NLA_ALIGN(length);

		if (length < NLA_HDRLEN || length > size)
			return;
		if ((attribute->nla_type & NLA_TYPE_MASK) <= max)
			table[attribute->nla_type & NLA_TYPE_MASK] = attribute;
		if (step >= size)
			return;
		at += step;
		size -= step;
	}
}

void netlink_attributes(const struct nlmsghdr *reply, size_t header_size,
			const struct nlattr **table, unsigned max)
{
	size_t skip = NLMSG_LENGTH(NLMSG_ALIGN(header_size));

	netlink_area((const char *)reply + skip,
		     reply->nlmsg_len > skip ? reply->nlmsg_len - skip : 0, table, max);
}

void netlink_nested(const struct nlattr *nest, const struct nlattr **table, unsigned max)
{
	netlink_area(nest ? (const char *)nest + NLA_HDRLEN : NULL, netlink_size(nest), table, max);
}

const struct nlattr *netlink_next(const struct nlattr *nest, const struct nlattr *previous)
{
	const char *end = (const char *)nest + (nest ? nest->nla_len : 0);
	const char *at = previous ? (const char *)previous + NLA_ALIGN(previous->nla_len)
				  : (const char *)nest + NLA_HDRLEN;
	const struct nlattr *attribute = (const void *)at;

	if (!nest || at >= end || (size_t)(end - at) < NLA_HDRLEN ||
	    attribute->nla_len < NLA_HDRLEN || attribute->nla_len > end - at)
		return NULL;
	return attribute;
}

size_t netlink_size(const struct nlattr *attribute)
{
	return attribute ? (size_t)attribute->nla_len - NLA_HDRLEN : 0;
}

const void *netlink_data(const struct nlattr *attribute, size_t size)
{
	return attribute && netlink_size(attribute) >= size ? (const char *)attribute + NLA_HDRLEN
							    : NULL;
}

uint32_t netlink_u32(const struct nlattr *attribute, uint32_t otherwise)
{
	const void *data = netlink_data(attribute, sizeof(uint32_t));

	if (data)
		memcpy(&otherwise, data, sizeof(otherwise));
	return otherwise;
}

void netlink_text(const struct nlattr *attribute, char *out, size_t size)
{
	size_t length = netlink_size(attribute);

	if (length >= size)
		length = size - 1;
	if (attribute)
		memcpy(out, netlink_data(attribute, length), length);
	out[length] = '\0';
}
