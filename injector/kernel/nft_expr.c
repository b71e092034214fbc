/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/nft_expr.h"

#include "injector/kernel/nft_internal.h"

#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <endian.h>

static void begin(struct nft_batch *batch, const char *name)
{
	netlink_nest(&batch->rule, NFTA_LIST_ELEM);
	netlink_put_text(&batch->rule, NFTA_EXPR_NAME, name);
	netlink_nest(&batch->rule, NFTA_EXPR_DATA);
}

static void end(struct nft_batch *batch)
{
	netlink_unnest(&batch->rule);
	netlink_unnest(&batch->rule);
}

static void put(struct nft_batch *batch, uint16_t type, uint32_t value)
{
	netlink_put_be32(&batch->rule, type, value);
}

static void put_u64(struct nft_batch *batch, uint16_t type, uint64_t value)
{
	netlink_put_u64(&batch->rule, type, htobe64(value));
}

static void put_register(struct nft_batch *batch, uint16_t type, unsigned word)
{
	put(batch, type, NFT_REG32_00 + word);
}

static void put_data(struct nft_batch *batch, uint16_t type, const void *value, size_t size)
{
	netlink_nest(&batch->rule, type);
	netlink_put(&batch->rule, NFTA_DATA_VALUE, value, size);
	netlink_unnest(&batch->rule);
}

void nft_load_payload(struct nft_batch *batch, unsigned word, enum nft_payload_bases base,
		      unsigned offset, unsigned size)
{
	begin(batch, "payload");
	put_register(batch, NFTA_PAYLOAD_DREG, word);
	put(batch, NFTA_PAYLOAD_BASE, base);
	put(batch, NFTA_PAYLOAD_OFFSET, offset);
	put(batch, NFTA_PAYLOAD_LEN, size);
	end(batch);
}

void nft_load_meta(struct nft_batch *batch, unsigned word, enum nft_meta_keys key)
{
	begin(batch, "meta");
	put_register(batch, NFTA_META_DREG, word);
	put(batch, NFTA_META_KEY, key);
	end(batch);
}

void nft_store_meta(struct nft_batch *batch, enum nft_meta_keys key, unsigned word)
{
	begin(batch, "meta");
	put(batch, NFTA_META_KEY, key);
	put_register(batch, NFTA_META_SREG, word);
	end(batch);
}

void nft_load_ct(struct nft_batch *batch, unsigned word, enum nft_ct_keys key)
{
	begin(batch, "ct");
	put_register(batch, NFTA_CT_DREG, word);
	put(batch, NFTA_CT_KEY, key);
	end(batch);
}

void nft_store_ct(struct nft_batch *batch, enum nft_ct_keys key, unsigned word)
{
	begin(batch, "ct");
	put(batch, NFTA_CT_KEY, key);
	put_register(batch, NFTA_CT_SREG, word);
	end(batch);
}

void nft_load_cgroup(struct nft_batch *batch, unsigned word, uint32_t level)
{
	begin(batch, "socket");
	put(batch, NFTA_SOCKET_KEY, NFT_SOCKET_CGROUPV2);
	put_register(batch, NFTA_SOCKET_DREG, word);
	put(batch, NFTA_SOCKET_LEVEL, level);
	end(batch);
}

void nft_load_value(struct nft_batch *batch, unsigned word, const void *value, size_t size)
{
	begin(batch, "immediate");
	put_register(batch, NFTA_IMMEDIATE_DREG, word);
	put_data(batch, NFTA_IMMEDIATE_DATA, value, size);
	end(batch);
}

void nft_load_random(struct nft_batch *batch, unsigned word, uint32_t modulus)
{
	begin(batch, "numgen");
	put_register(batch, NFTA_NG_DREG, word);
	put(batch, NFTA_NG_MODULUS, modulus);
	put(batch, NFTA_NG_TYPE, NFT_NG_RANDOM);
	put(batch, NFTA_NG_OFFSET, 0);
	end(batch);
}

void nft_load_flow_hash(struct nft_batch *batch, unsigned word, uint32_t modulus)
{
	begin(batch, "hash");
	put_register(batch, NFTA_HASH_DREG, word);
	put(batch, NFTA_HASH_MODULUS, modulus);
	put(batch, NFTA_HASH_TYPE, NFT_HASH_SYM);
	end(batch);
}

void nft_load_hash(struct nft_batch *batch, unsigned word, unsigned source, unsigned size,
		   uint32_t modulus, uint32_t seed)
{
	begin(batch, "hash");
	put_register(batch, NFTA_HASH_SREG, source);
	put_register(batch, NFTA_HASH_DREG, word);
	put(batch, NFTA_HASH_LEN, size);
	put(batch, NFTA_HASH_MODULUS, modulus);
	put(batch, NFTA_HASH_SEED, seed);
	put(batch, NFTA_HASH_TYPE, NFT_HASH_JENKINS);
	end(batch);
}

void nft_mask(struct nft_batch *batch, unsigned word, const void *mask, const void *flip,
	      size_t size)
{
	begin(batch, "bitwise");
	put_register(batch, NFTA_BITWISE_SREG, word);
	put_register(batch, NFTA_BITWISE_DREG, word);
	put(batch, NFTA_BITWISE_LEN, (uint32_t)size);
	put_data(batch, NFTA_BITWISE_MASK, mask, size);
	put_data(batch, NFTA_BITWISE_XOR, flip, size);
	end(batch);
}

void nft_to_network_order(struct nft_batch *batch, unsigned word)
{
	begin(batch, "byteorder");
	put_register(batch, NFTA_BYTEORDER_SREG, word);
	put_register(batch, NFTA_BYTEORDER_DREG, word);
	put(batch, NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	put(batch, NFTA_BYTEORDER_LEN, sizeof(uint32_t));
	put(batch, NFTA_BYTEORDER_SIZE, sizeof(uint32_t));
	end(batch);
}

void nft_compare(struct nft_batch *batch, unsigned word, enum nft_cmp_ops op, const void *value,
		 size_t size)
{
	begin(batch, "cmp");
	put_register(batch, NFTA_CMP_SREG, word);
	put(batch, NFTA_CMP_OP, op);
	put_data(batch, NFTA_CMP_DATA, value, size);
	end(batch);
}

void nft_compare_u32(struct nft_batch *batch, unsigned word, enum nft_cmp_ops op, uint32_t value)
{
	nft_compare(batch, word, op, &value, sizeof(value));
}

static void lookup(struct nft_batch *batch, unsigned word, const char *set, uint32_t id,
		   bool is_inverted)
{
	begin(batch, "lookup");
	netlink_put_text(&batch->rule, NFTA_LOOKUP_SET, set);
	put_register(batch, NFTA_LOOKUP_SREG, word);
	if (id)
		put(batch, NFTA_LOOKUP_SET_ID, id);
	if (is_inverted)
		put(batch, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	end(batch);
}

void nft_lookup(struct nft_batch *batch, unsigned word, const char *set, bool is_inverted)
{
	lookup(batch, word, set, 0, is_inverted);
}

void nft_lookup_own(struct nft_batch *batch, unsigned word, bool is_inverted)
{
	lookup(batch, word, NFT_OWN_SET, batch->set.id, is_inverted);
}

void nft_limit(struct nft_batch *batch, uint64_t packets_per_second, uint32_t burst, bool is_over)
{
	begin(batch, "limit");
	put_u64(batch, NFTA_LIMIT_RATE, packets_per_second);
	put_u64(batch, NFTA_LIMIT_UNIT, 1);
	put(batch, NFTA_LIMIT_BURST, burst);
	put(batch, NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS);
	put(batch, NFTA_LIMIT_FLAGS, is_over ? NFT_LIMIT_F_INV : 0);
	end(batch);
}

void nft_count(struct nft_batch *batch, const char *counter)
{
	begin(batch, "objref");
	put(batch, NFTA_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
	netlink_put_text(&batch->rule, NFTA_OBJREF_IMM_NAME, counter);
	end(batch);
}

void nft_remember(struct nft_batch *batch, unsigned word, const char *set, uint64_t timeout_ms)
{
	begin(batch, "dynset");
	netlink_put_text(&batch->rule, NFTA_DYNSET_SET_NAME, set);
	put(batch, NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
	put_register(batch, NFTA_DYNSET_SREG_KEY, word);
	if (timeout_ms)
		put_u64(batch, NFTA_DYNSET_TIMEOUT, timeout_ms);
	end(batch);
}

void nft_remember_bytes(struct nft_batch *batch, unsigned word, const char *set, uint64_t bytes)
{
	begin(batch, "dynset");
	netlink_put_text(&batch->rule, NFTA_DYNSET_SET_NAME, set);
	put(batch, NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
	put_register(batch, NFTA_DYNSET_SREG_KEY, word);
	netlink_nest(&batch->rule, NFTA_DYNSET_EXPR);
	netlink_put_text(&batch->rule, NFTA_EXPR_NAME, "quota");
	netlink_nest(&batch->rule, NFTA_EXPR_DATA);
	put_u64(batch, NFTA_QUOTA_BYTES, bytes);
	put(batch, NFTA_QUOTA_FLAGS, NFT_QUOTA_F_INV); /* "over" */
	netlink_unnest(&batch->rule);
	netlink_unnest(&batch->rule);
	end(batch);
}

static void decide(struct nft_batch *batch, int verdict, const char *chain)
{
	begin(batch, "immediate");
	put(batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	netlink_nest(&batch->rule, NFTA_IMMEDIATE_DATA);
	netlink_nest(&batch->rule, NFTA_DATA_VERDICT);
	put(batch, NFTA_VERDICT_CODE, (uint32_t)verdict);
	if (chain)
		netlink_put_text(&batch->rule, NFTA_VERDICT_CHAIN, chain);
	netlink_unnest(&batch->rule);
	netlink_unnest(&batch->rule);
	end(batch);
}

void nft_verdict(struct nft_batch *batch, int verdict)
{
	decide(batch, verdict, NULL);
}

void nft_go_to(struct nft_batch *batch, const char *chain)
{
	decide(batch, NFT_GOTO, chain);
}

void nft_jump_to(struct nft_batch *batch, const char *chain)
{
	decide(batch, NFT_JUMP, chain);
}

void nft_forward(struct nft_batch *batch, int interface_index)
{
	nft_load_value(batch, 0, &interface_index, sizeof(interface_index));
	begin(batch, "fwd");
	put_register(batch, NFTA_FWD_SREG_DEV, 0);
	end(batch);
}

void nft_duplicate(struct nft_batch *batch, int interface_index)
{
	nft_load_value(batch, 0, &interface_index, sizeof(interface_index));
	begin(batch, "dup");
	put_register(batch, NFTA_DUP_SREG_DEV, 0);
	end(batch);
}

void nft_duplicate_to(struct nft_batch *batch, uint32_t address, int interface_index)
{
	nft_load_value(batch, 0, &address, sizeof(address));
	nft_load_value(batch, 1, &interface_index, sizeof(interface_index));
	begin(batch, "dup");
	put_register(batch, NFTA_DUP_SREG_ADDR, 0);
	put_register(batch, NFTA_DUP_SREG_DEV, 1);
	end(batch);
}

void nft_queue(struct nft_batch *batch, uint16_t number)
{
	const uint16_t value = htobe16(number), total = htobe16(1);

	begin(batch, "queue");
	netlink_put(&batch->rule, NFTA_QUEUE_NUM, &value, sizeof(value));
	netlink_put(&batch->rule, NFTA_QUEUE_TOTAL, &total, sizeof(total));
	end(batch);
}

void nft_queue_by_target(struct nft_batch *batch, uint16_t number)
{
	/* struct xt_NFQ_info_v3, padded as xtables pads (XT_ALIGN) */
	const struct {
		uint16_t number, total, flags, padding;
	} info = {.number = number, .total = 1};

	begin(batch, "target");
	netlink_put_text(&batch->rule, NFTA_TARGET_NAME, "NFQUEUE");
	put(batch, NFTA_TARGET_REV, 3);
	netlink_put(&batch->rule, NFTA_TARGET_INFO, &info, sizeof(info));
	end(batch);
}

void nft_reject(struct nft_batch *batch, enum nft_reject_types type, uint8_t code)
{
	begin(batch, "reject");
	put(batch, NFTA_REJECT_TYPE, type);
	netlink_put(&batch->rule, NFTA_REJECT_ICMP_CODE, &code, sizeof(code));
	end(batch);
}

void nft_redirect(struct nft_batch *batch, uint16_t first, uint16_t last)
{
	const uint16_t ends[2] = {htons(first), htons(last)};

	nft_load_value(batch, 0, &ends[0], sizeof(ends[0]));
	if (last != first)
		nft_load_value(batch, 1, &ends[1], sizeof(ends[1]));
	begin(batch, "redir");
	put_register(batch, NFTA_REDIR_REG_PROTO_MIN, 0);
	if (last != first)
		put_register(batch, NFTA_REDIR_REG_PROTO_MAX, 1);
	put(batch, NFTA_REDIR_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
	end(batch);
}
