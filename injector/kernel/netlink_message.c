/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Netlink messages and attributes: written into a request, read from an answer. Every length of
 * an answer is checked before it is believed.
 */
#include "injector/kernel/netlink.h"

#include <endian.h>
#include <netlink/attr.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 512

/* Room for `size` more bytes, zeroed up to the alignment; NULL: there is none. */
static void *reserve(struct netlink_request *request, size_t size)
{
	size_t aligned = NLMSG_ALIGN(size), needed = request->size + aligned;
	char *at;

	if (request->is_broken)
		return NULL;
	if (needed > request->capacity) {
		size_t capacity = request->capacity ? request->capacity : CAPACITY_MIN;
		char *grown;

		while (capacity < needed)
			capacity *= 2;
		grown = realloc(request->data, capacity);
		if (!grown) {
			request->is_broken = true;
			return NULL;
		}
		request->data = grown;
		request->capacity = capacity;
	}
	at = request->data + request->size;
	memset(at + size, 0, aligned - size);
	request->size = needed;
	return at;
}

/* The message grows with what is put into it. */
static void count_in(struct netlink_request *request)
{
	struct nlmsghdr *header = (void *)(request->data + request->message);

	header->nlmsg_len = (uint32_t)(request->size - request->message);
}

void netlink_begin(struct netlink_request *request, uint16_t type, uint16_t flags,
		   const void *header, size_t size)
{
	*request = (struct netlink_request){0};
	netlink_add(request, type, NLM_F_ACK | flags, header, size);
}

void netlink_add(struct netlink_request *request, uint16_t type, uint16_t flags, const void *header,
		 size_t size)
{
	size_t message = request->size;
	struct nlmsghdr *start;

	if (request->depth > 0)
		request->is_broken = true;
	start = reserve(request, NLMSG_HDRLEN);
	if (!start)
		return;
	request->message = message;
	*start = (struct nlmsghdr){.nlmsg_len = NLMSG_HDRLEN,
				   .nlmsg_type = type,
				   .nlmsg_flags = NLM_F_REQUEST | flags};
	netlink_put_bytes(request, header, size);
}

void netlink_append(struct netlink_request *request, const struct netlink_request *other)
{
	void *at = NULL;

	if (request->depth > 0 || other->depth > 0 || other->is_broken)
		request->is_broken = true;
	else if (other->size > 0)
		at = reserve(request, other->size);
	if (at)
		memcpy(at, other->data, other->size);
}

void netlink_put_bytes(struct netlink_request *request, const void *data, size_t size)
{
	void *at = reserve(request, size);

	if (!at)
		return;
	memcpy(at, data, size);
	count_in(request);
}

void netlink_put(struct netlink_request *request, uint16_t type, const void *data, size_t size)
{
	struct nlattr *attribute;

	if (size > UINT16_MAX - NLA_HDRLEN)
		request->is_broken = true;
	attribute = reserve(request, NLA_HDRLEN + size);
	if (!attribute)
		return;
	*attribute = (struct nlattr){.nla_len = (uint16_t)(NLA_HDRLEN + size), .nla_type = type};
	memcpy((char *)attribute + NLA_HDRLEN, data, size);
	count_in(request);
}

void netlink_put_u32(struct netlink_request *request, uint16_t type, uint32_t value)
{
	netlink_put(request, type, &value, sizeof(value));
}

void netlink_put_be32(struct netlink_request *request, uint16_t type, uint32_t value)
{
	netlink_put_u32(request, type, htobe32(value));
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
	size_t nest = request->size;

	if (request->depth >= NETLINK_NESTS_MAX) {
		request->is_broken = true;
		return;
	}
	netlink_put_bytes(request,
			  &(struct nlattr){.nla_len = NLA_HDRLEN,
					   .nla_type = (uint16_t)(type | NLA_F_NESTED)},
			  NLA_HDRLEN);
	request->nests[request->depth++] = nest;
}

size_t netlink_nest_size(const struct netlink_request *request)
{
	return request->depth ? request->size - request->nests[request->depth - 1] : 0;
}

void netlink_unnest(struct netlink_request *request)
{
	size_t size = netlink_nest_size(request);

	if (request->depth == 0 || size > UINT16_MAX)
		request->is_broken = true;
	if (request->is_broken)
		return;
	((struct nlattr *)(void *)(request->data + request->nests[--request->depth]))->nla_len =
		(uint16_t)size;
}

void netlink_drop(struct netlink_request *request)
{
	free(request->data);
	*request = (struct netlink_request){.is_broken = true};
}

void netlink_area(const void *area, size_t size, const struct nlattr **table, unsigned max)
{
	const struct nlattr *attribute = area;

	for (unsigned i = 0; i <= max; i++)
		table[i] = NULL;
	for (int left = (int)size; nla_ok(attribute, left); attribute = nla_next(attribute, &left))
		if ((unsigned)nla_type(attribute) <= max)
			table[nla_type(attribute)] = attribute;
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
	const struct nlattr *attribute = nest ? nla_data(nest) : NULL;
	int left = nest ? nla_len(nest) : 0;

	if (previous) {
		left -= (int)((const char *)previous - (const char *)attribute);
		attribute = nla_next(previous, &left);
	}
	return nla_ok(attribute, left) ? attribute : NULL;
}

size_t netlink_size(const struct nlattr *attribute)
{
	return attribute ? (size_t)nla_len(attribute) : 0;
}

const void *netlink_data(const struct nlattr *attribute, size_t size)
{
	return attribute && netlink_size(attribute) >= size ? nla_data(attribute) : NULL;
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
