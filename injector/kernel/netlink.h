/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A netlink conversation: one socket, one request at a time, the kernel's own sentence in every
 * error. libnl-3 walks through answers; requests are written here
 * (netlink_message.c), because one buffer takes a whole transaction of thousands of messages, where
 * libnl has one for each.
 *
 * A conversation stays in the network namespace it was opened in, whatever its process does later.
 */
#ifndef SQUALL_NETLINK_H
#define SQUALL_NETLINK_H

#include "injector/base/error.h"

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct netlink;

/* An rtnetlink conversation inside a namespace (-1: our own). Entering another one for the
 * moment of opening needs CAP_SYS_ADMIN; talking later only CAP_NET_ADMIN. */
int netlink_open(int namespace_fd, struct netlink **out, struct error *err);
/* The same with nf_tables. The tables it makes with an owner vanish when it is closed. */
int netlink_open_netfilter(int namespace_fd, struct netlink **out, struct error *err);
/* The same with the kernel's socket tables (sock_diag). */
int netlink_open_diag(int namespace_fd, struct netlink **out, struct error *err);
/* When its process dies, the conversation ends before what has a lower descriptor than
 * netlink_last_descriptor(), though it was opened before it. */
int netlink_close_first(struct netlink *netlink, struct error *err);
int netlink_last_descriptor(const struct netlink *netlink);
/* The number of the conversation's network namespace, which no other one gets until the next boot
 * (an inode number is given away again). 0: the kernel has none (before 5.14). */
uint64_t netlink_namespace_cookie(const struct netlink *netlink);
void netlink_close(struct netlink *netlink);

#define NETLINK_NESTS_MAX 8

/* A request under construction: one message, or several in a row. A failure while it is built is
 * kept and reported by the call. */
struct netlink_request {
	char *data; /* owned */
	size_t size, capacity;
	size_t message; /* where the last message begins */
	size_t nests[NETLINK_NESTS_MAX];
	unsigned depth;
	bool is_broken;
};

/* `flags` besides NLM_F_REQUEST | NLM_F_ACK. `header` is the fixed header of `type`. */
void netlink_begin(struct netlink_request *request, uint16_t type, uint16_t flags,
		   const void *header, size_t size);
/* One more message; `flags` besides NLM_F_REQUEST. The first one, too, on a request of zeros. */
void netlink_add(struct netlink_request *request, uint16_t type, uint16_t flags, const void *header,
		 size_t size);
/* The whole messages of another request behind its own. */
void netlink_append(struct netlink_request *request, const struct netlink_request *other);
void netlink_put(struct netlink_request *request, uint16_t type, const void *data, size_t size);
void netlink_put_u32(struct netlink_request *request, uint16_t type, uint32_t value);
void netlink_put_be32(struct netlink_request *request, uint16_t type, uint32_t value);
void netlink_put_u64(struct netlink_request *request, uint16_t type, uint64_t value);
void netlink_put_text(struct netlink_request *request, uint16_t type, const char *text);
/* Bytes without an attribute header (TCA_OPTIONS of netem starts with a bare struct). */
void netlink_put_bytes(struct netlink_request *request, const void *data, size_t size);
void netlink_nest(struct netlink_request *request, uint16_t type);
void netlink_unnest(struct netlink_request *request);
/* Size of what is in the innermost open nest; an attribute holds less than 64 KiB. */
size_t netlink_nest_size(const struct netlink_request *request);
/* Throws an unsent request away. */
void netlink_drop(struct netlink_request *request);

/* Called for each message of an answer. */
typedef void (*netlink_reply_fn)(void *context, const struct nlmsghdr *reply);

/* Sends the request (consumed in every case), hands each answer to `fn` (may be NULL) and waits
 * for the acknowledgement. A failure is -errno of the kernel with its sentence; bounded: silence
 * for five seconds is -ETIMEDOUT. A dump that the kernel says was disturbed is -EINTR. */
int netlink_call(struct netlink *netlink, struct netlink_request *request, netlink_reply_fn fn,
		 void *context, struct error *err);

/* Sends all messages of a request (not consumed) as one datagram, which nfnetlink(7) takes for a
 * transaction, and waits for its end. Upon failure `out_failed` (may be NULL) is the message that
 * the kernel rejected, or NULL when it was none of them. */
int netlink_transact(struct netlink *netlink, struct netlink_request *request,
		     const struct nlmsghdr **out_failed, struct error *err);

/* Joins groups of announcements (RTNLGRP_...; 0 ends the list). Nothing else is said in such a
 * conversation any more. */
int netlink_listen(struct netlink *netlink, const unsigned *groups, struct error *err);
/* Announced because of a call in that conversation. */
bool netlink_is_own(const struct netlink *netlink, const struct nlmsghdr *message);
/* Readable when something was announced. */
int netlink_descriptor(const struct netlink *netlink);
/* Hands over what was announced, without waiting, and not without end: what is left keeps the
 * descriptor readable. -ENOBUFS: announcements were lost. */
int netlink_hear(struct netlink *netlink, netlink_reply_fn fn, void *context, struct error *err);

/* Attributes of a received message: table[type] or NULL for type 0..max. Never reads beyond it. */
void netlink_attributes(const struct nlmsghdr *reply, size_t header_size,
			const struct nlattr **table, unsigned max);
void netlink_nested(const struct nlattr *nest, const struct nlattr **table, unsigned max);
/* As netlink_nested() for a bare area of attributes. */
void netlink_area(const void *area, size_t size, const struct nlattr **table, unsigned max);
/* Walks a nest with repeated attributes: pass NULL first, then the one before; NULL at its end. */
const struct nlattr *netlink_next(const struct nlattr *nest, const struct nlattr *previous);
/* Payload; NULL if the attribute is missing or shorter than `size`. */
const void *netlink_data(const struct nlattr *attribute, size_t size);
size_t netlink_size(const struct nlattr *attribute);
uint32_t netlink_u32(const struct nlattr *attribute, uint32_t otherwise);
/* Copies a text attribute, always terminated. */
void netlink_text(const struct nlattr *attribute, char *out, size_t size);

#endif
