/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/nft_internal.h"

#include <netinet/in.h> /* before linux/: they share types */

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

/* User data are a list of type, length and value each a byte; comments are of this type in rules
 * and tables (libnftnl's udata.h). */
#define COMMENT_TYPE 0
#define COMMENT_MAX  128 /* as nft allows (NFTNL_UDATA_COMMENT_MAXLEN) */

/* The transaction begins and ends with a message of nfnetlink's own. */
static void mark_edge(struct nft_batch *batch, uint16_t type)
{
	const struct nfgenmsg header = {.nfgen_family = AF_UNSPEC,
					.version = NFNETLINK_V0,
					.res_id = htons(NFNL_SUBSYS_NFTABLES)};

	netlink_add(&batch->request, type, 0, &header, sizeof(header));
}

void nft_batch_begin(struct nft_batch *batch)
{
	*batch = (struct nft_batch){0};
	mark_edge(batch, NFNL_MSG_BATCH_BEGIN);
}

void nft_batch_drop(struct nft_batch *batch)
{
	netlink_drop(&batch->request);
	netlink_drop(&batch->rule);
}

void nft_add_message(struct netlink_request *request, const struct nft_batch *batch,
		     unsigned message, uint16_t flags)
{
	const struct nfgenmsg header = {.nfgen_family = batch->family, .version = NFNETLINK_V0};

	netlink_add(request, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | message), flags, &header,
		    sizeof(header));
	/* The table is attribute 1 of every message (NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, ...) */
	netlink_put_text(request, NFTA_TABLE_NAME, batch->table);
}

static void put_comment(struct netlink_request *request, uint16_t type, const char *comment)
{
	char data[2 + COMMENT_MAX] = {COMMENT_TYPE};
	size_t length;

	if (!comment)
		return;
	length = strnlen(comment, COMMENT_MAX - 1);
	memcpy(data + 2, comment, length);
	data[1] = (char)(length + 1);
	netlink_put(request, type, data, length + 3);
}

void nft_use_table(struct nft_batch *batch, uint8_t family, const char *name)
{
	batch->family = family;
	batch->is_refilled = false;
	snprintf(batch->table, sizeof(batch->table), "%s", name);
}

void nft_refill_table(struct nft_batch *batch, uint8_t family, const char *name)
{
	nft_use_table(batch, family, name);
	batch->is_refilled = true;
	nft_add_message(&batch->request, batch, NFT_MSG_DELRULE, 0); /* no chain: of every one */
}

void nft_add_table(struct nft_batch *batch, uint8_t family, const char *name, const char *comment)
{
	nft_use_table(batch, family, name);
	nft_add_message(&batch->request, batch, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
	netlink_put_be32(&batch->request, NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
	put_comment(&batch->request, NFTA_TABLE_USERDATA, comment);
}

void nft_delete_table(struct nft_batch *batch, uint8_t family, const char *name)
{
	nft_use_table(batch, family, name);
	nft_add_message(&batch->request, batch, NFT_MSG_DELTABLE, 0);
}

void nft_add_chain(struct nft_batch *batch, const char *name)
{
	if (batch->is_refilled)
		return;
	nft_add_message(&batch->request, batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);
	netlink_put_text(&batch->request, NFTA_CHAIN_NAME, name);
}

void nft_delete_chain(struct nft_batch *batch, const char *name)
{
	nft_add_message(&batch->request, batch, NFT_MSG_DELCHAIN, 0);
	netlink_put_text(&batch->request, NFTA_CHAIN_NAME, name);
}

void nft_flush_chain(struct nft_batch *batch, const char *name)
{
	nft_add_message(&batch->request, batch, NFT_MSG_DELRULE, 0);
	netlink_put_text(&batch->request, NFTA_RULE_CHAIN, name);
}

void nft_add_hook_chain(struct nft_batch *batch, const struct nft_hook_chain *chain)
{
	struct netlink_request *request = &batch->request;

	if (batch->is_refilled)
		return;
	nft_add_chain(batch, chain->name);
	netlink_nest(request, NFTA_CHAIN_HOOK);
	netlink_put_be32(request, NFTA_HOOK_HOOKNUM, chain->hook);
	netlink_put_be32(request, NFTA_HOOK_PRIORITY, (uint32_t)chain->priority);
	if (chain->device)
		netlink_put_text(request, NFTA_HOOK_DEV, chain->device);
	netlink_unnest(request);
	netlink_put_be32(request, NFTA_CHAIN_POLICY, NF_ACCEPT);
	netlink_put_text(request, NFTA_CHAIN_TYPE, chain->type ? chain->type : "filter");
}

void nft_add_counter(struct nft_batch *batch, const char *name)
{
	nft_add_message(&batch->request, batch, NFT_MSG_NEWOBJ, NLM_F_CREATE | NLM_F_EXCL);
	netlink_put_text(&batch->request, NFTA_OBJ_NAME, name);
	netlink_put_be32(&batch->request, NFTA_OBJ_TYPE, NFT_OBJECT_COUNTER);
	netlink_nest(&batch->request, NFTA_OBJ_DATA);
	netlink_unnest(&batch->request);
}

void nft_rule_begin(struct nft_batch *batch, const char *chain)
{
	/* in a buffer of its own: sets that belong to it must come before it */
	batch->rule.size = batch->rule.depth = 0;
	batch->rule_family = 0;
	nft_add_message(&batch->rule, batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	netlink_put_text(&batch->rule, NFTA_RULE_CHAIN, chain);
	netlink_nest(&batch->rule, NFTA_RULE_EXPRESSIONS);
}

void nft_rule_end(struct nft_batch *batch, const char *comment)
{
	netlink_unnest(&batch->rule);
	put_comment(&batch->rule, NFTA_RULE_USERDATA, comment);
	netlink_append(&batch->request, &batch->rule);
}

/* "chain out0", for a message of ours. */
static void name_object(const struct nlmsghdr *message, char *out, size_t size)
{
	static const struct {
		uint8_t type, attribute;
		const char *what;
	} objects[] = {
		{NFT_MSG_NEWTABLE, NFTA_TABLE_NAME, "table"},
		{NFT_MSG_DELTABLE, NFTA_TABLE_NAME, "table"},
		{NFT_MSG_NEWCHAIN, NFTA_CHAIN_NAME, "chain"},
		{NFT_MSG_DELCHAIN, NFTA_CHAIN_NAME, "chain"},
		{NFT_MSG_NEWOBJ, NFTA_OBJ_NAME, "counter"},
		{NFT_MSG_NEWSET, NFTA_SET_NAME, "set"},
		{NFT_MSG_DELSET, NFTA_SET_NAME, "set"},
		{NFT_MSG_NEWSETELEM, NFTA_SET_ELEM_LIST_SET, "elements of set"},
		{NFT_MSG_NEWRULE, NFTA_RULE_CHAIN, "a rule of chain"},
	};
	const struct nlattr *table[NFTA_RULE_USERDATA + 1];
	char name[NFT_NAME_SIZE], comment[COMMENT_MAX] = "";

	out[0] = '\0';
	netlink_attributes(message, sizeof(struct nfgenmsg), table, NFTA_RULE_USERDATA);
	for (unsigned i = 0; i < sizeof(objects) / sizeof(*objects); i++) {
		if (message->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | objects[i].type))
			continue;
		netlink_text(table[objects[i].attribute], name, sizeof(name));
		if (objects[i].type == NFT_MSG_NEWRULE &&
		    netlink_size(table[NFTA_RULE_USERDATA]) > 2)
			snprintf(comment, sizeof(comment), "%s",
				 (const char *)netlink_data(table[NFTA_RULE_USERDATA], 3) + 2);
		snprintf(out, size, "%s %s%s%s%s", objects[i].what, name, comment[0] ? " (" : "",
			 comment, comment[0] ? ")" : "");
	}
}

int nft_commit(struct netlink *netlink, struct nft_batch *batch, struct error *err)
{
	const struct nlmsghdr *failed = NULL;
	char object[300] = "";
	int result;

	/* Nothing in it: before Linux 6.10 nobody would answer. */
	if (batch->request.message == 0 && !batch->request.is_broken) {
		nft_batch_drop(batch);
		return 0;
	}
	mark_edge(batch, NFNL_MSG_BATCH_END);
	result = netlink_transact(netlink, &batch->request, &failed, err);
	if (failed)
		name_object(failed, object, sizeof(object));
	nft_batch_drop(batch);
	if (result < 0)
		error_prefix(err, "nf_tables%s%s", object[0] ? ": " : "", object);
	return result;
}
