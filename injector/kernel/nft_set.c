/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sets of a transaction. The kernel's tree for ranges holds their ends: a range is an element where
 * it begins and one, with a flag, behind its last value (nft_set_rbtree.c); its structure for
 * concatenations holds first and last (nft_set_pipapo.c).
 */
#include "injector/kernel/nft_internal.h"

#include <netinet/in.h> /* before linux/: they share types */

#include <endian.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

#define LIST_MAX  32768 /* bytes of elements in one message: an attribute has less than 64 KiB */
#define TYPE_BITS 6	/* of each field in the number of a concatenation, in nft's reading */

static unsigned size_of(enum nft_type type)
{
	switch (type) {
	case NFT_TYPE_IPV6:
		return 16;
	case NFT_TYPE_PORT:
	case NFT_TYPE_ETHER_TYPE:
		return 2;
	case NFT_TYPE_PROTOCOL:
		return 1;
	default:
		return 4;
	}
}

static unsigned count_fields(const struct nft_set *set)
{
	unsigned count = 0;

	while (count < NFT_FIELDS_MAX && set->fields[count] != NFT_TYPE_NONE)
		count++;
	return count;
}

/* The length of each field, so that the kernel can look at them one by one. */
static void put_fields(struct netlink_request *request, const struct nft_set *set)
{
	netlink_nest(request, NFTA_SET_DESC_CONCAT);
	for (unsigned i = 0; i < count_fields(set); i++) {
		netlink_nest(request, NFTA_LIST_ELEM);
		netlink_put_be32(request, NFTA_SET_FIELD_LEN, size_of(set->fields[i]));
		netlink_unnest(request);
	}
	netlink_unnest(request);
}

static void add_set(struct nft_batch *batch, const struct nft_set *set, uint32_t flags)
{
	struct netlink_request *request = &batch->request;
	unsigned fields = count_fields(set), size = 0;
	uint32_t type = 0;

	for (unsigned i = 0; i < fields; i++) {
		type = type << TYPE_BITS | set->fields[i];
		size += fields > 1 ? NLA_ALIGN(size_of(set->fields[i])) : size_of(set->fields[i]);
	}
	if (set->has_ranges)
		flags |= NFT_SET_INTERVAL | (fields > 1 ? NFT_SET_CONCAT : 0);
	if (set->is_dynamic)
		flags |= NFT_SET_EVAL;
	if (set->timeout_ms)
		flags |= NFT_SET_TIMEOUT;
	batch->set.id++;
	batch->set.key_size = size;
	batch->set.has_ranges = set->has_ranges;
	batch->set.is_joining = set->has_ranges && fields == 1;
	batch->set.has_pending = batch->set.is_written = false;
	snprintf(batch->set.name, sizeof(batch->set.name), "%s", set->name);
	nft_add_message(request, batch, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL);
	netlink_put_text(request, NFTA_SET_NAME, set->name);
	netlink_put_be32(request, NFTA_SET_FLAGS, flags);
	netlink_put_be32(request, NFTA_SET_KEY_TYPE, type);
	netlink_put_be32(request, NFTA_SET_KEY_LEN, size);
	netlink_put_be32(request, NFTA_SET_ID, batch->set.id);
	if (set->timeout_ms)
		netlink_put_u64(request, NFTA_SET_TIMEOUT, htobe64(set->timeout_ms));
	netlink_nest(request, NFTA_SET_DESC);
	if (set->size)
		netlink_put_be32(request, NFTA_SET_DESC_SIZE, set->size);
	if (fields > 1 && set->has_ranges) /* only the structure with CONCAT takes it */
		put_fields(request, set);
	netlink_unnest(request);
}

void nft_add_set(struct nft_batch *batch, const struct nft_set *set)
{
	add_set(batch, set, 0);
}

void nft_delete_set(struct nft_batch *batch, const char *name)
{
	nft_add_message(&batch->request, batch, NFT_MSG_DELSET, 0);
	netlink_put_text(&batch->request, NFTA_SET_NAME, name);
}

static void open_list(struct nft_batch *batch)
{
	struct netlink_request *request = &batch->request;

	nft_add_message(request, batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
	netlink_put_text(request, NFTA_SET_ELEM_LIST_SET, batch->set.name);
	netlink_put_be32(request, NFTA_SET_ELEM_LIST_SET_ID, batch->set.id);
	netlink_nest(request, NFTA_SET_ELEM_LIST_ELEMENTS);
}

static void put_value(struct nft_batch *batch, uint16_t type, const void *value)
{
	netlink_nest(&batch->request, type);
	netlink_put(&batch->request, NFTA_DATA_VALUE, value, batch->set.key_size);
	netlink_unnest(&batch->request);
}

/* `last`: NULL but for a range of a concatenation. */
static void put_element(struct nft_batch *batch, const void *first, const void *last,
			uint32_t flags)
{
	struct netlink_request *request = &batch->request;

	if (request->depth && netlink_nest_size(request) > LIST_MAX)
		netlink_unnest(request);
	if (!request->depth)
		open_list(batch);
	netlink_nest(request, NFTA_LIST_ELEM);
	put_value(batch, NFTA_SET_ELEM_KEY, first);
	if (last)
		put_value(batch, NFTA_SET_ELEM_KEY_END, last);
	if (flags)
		netlink_put_be32(request, NFTA_SET_ELEM_FLAGS, flags);
	netlink_unnest(request);
}

/* The number behind; false: there is none. */
static bool increment(uint8_t *number, unsigned size)
{
	while (size-- > 0)
		if (++number[size] != 0)
			return true;
	return false;
}

static void put_pending(struct nft_batch *batch)
{
	static const uint8_t zero[NFT_KEY_MAX];
	unsigned size = batch->set.key_size;

	if (!batch->set.has_pending)
		return;
	/* nft does so: what is before the first range is said to be outside */
	if (!batch->set.is_written && memcmp(batch->set.first, zero, size) != 0)
		put_element(batch, zero, NULL, NFT_SET_ELEM_INTERVAL_END);
	put_element(batch, batch->set.first, NULL, 0);
	if (increment(batch->set.last, size))
		put_element(batch, batch->set.last, NULL, NFT_SET_ELEM_INTERVAL_END);
	batch->set.has_pending = false;
	batch->set.is_written = true;
}

/* Keeps the last range back until the next one neither overlaps nor touches it. */
static void join(struct nft_batch *batch, const void *first, const void *last)
{
	unsigned size = batch->set.key_size;
	uint8_t behind[NFT_KEY_MAX];

	if (batch->set.has_pending) {
		memcpy(behind, batch->set.last, size);
		if (memcmp(first, batch->set.first, size) < 0)
			batch->request.is_broken = true; /* not in order */
		else if (!increment(behind, size) || memcmp(first, behind, size) <= 0) {
			if (memcmp(last, batch->set.last, size) > 0)
				memcpy(batch->set.last, last, size);
			return;
		}
		put_pending(batch);
	}
	memcpy(batch->set.first, first, size);
	memcpy(batch->set.last, last, size);
	batch->set.has_pending = true;
}

void nft_set_add(struct nft_batch *batch, const void *first, const void *last)
{
	if (batch->set.is_joining)
		join(batch, first, last ? last : first);
	else if (batch->set.has_ranges)
		put_element(batch, first, last ? last : first, 0);
	else
		put_element(batch, first, NULL, 0);
}

void nft_set_end(struct nft_batch *batch)
{
	put_pending(batch);
	if (batch->request.depth)
		netlink_unnest(&batch->request);
}

void nft_add_own_set(struct nft_batch *batch, enum nft_type type, bool has_ranges,
		     const void *values, unsigned count)
{
	const struct nft_set set = {
		.name = NFT_OWN_SET, .fields = {type}, .has_ranges = has_ranges};
	const uint8_t *at = values;
	unsigned size = size_of(type);

	add_set(batch, &set, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT);
	for (unsigned i = 0; i < count; i++, at += has_ranges ? size * 2 : size)
		nft_set_add(batch, at, has_ranges ? at + size : NULL);
	nft_set_end(batch);
}
