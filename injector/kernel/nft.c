/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/nft.h"

#include "injector/base/clock.h"
#include "injector/kernel/nft_batch.h"

#include <netinet/in.h> /* before linux/: they share types */

#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <string.h>

#define OWNER_NS      (500 * NSEC_PER_MSEC) /* a dead owner's socket is closed by then */
#define OWNER_POLL_MS 2
#define TRIES_MAX     4 /* of a list that is interrupted */

/* nf_tables attributes are big-endian throughout. */
static void begin(struct netlink_request *request, uint8_t family, unsigned message, uint16_t flags)
{
	struct nfgenmsg header = {.nfgen_family = family, .version = NFNETLINK_V0};

	netlink_begin(request, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | message), flags, &header,
		      sizeof(header));
}

static bool is_message(const struct nlmsghdr *reply, unsigned message)
{
	return reply->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | message);
}

static uint64_t big_u64(const struct nlattr *attribute)
{
	const void *data = netlink_data(attribute, sizeof(uint64_t));
	uint64_t value = 0;

	if (data)
		memcpy(&value, data, sizeof(value));
	return be64toh(value);
}

struct counter_walk {
	nft_counter_fn fn;
	void *context;
	const char *table;
};

static void take_counter(void *context, const struct nlmsghdr *reply)
{
	const struct nlattr *object[NFTA_OBJ_MAX + 1], *data[NFTA_COUNTER_MAX + 1];
	struct counter_walk *walk = context;
	char table[NFT_NAME_MAXLEN], name[NFT_NAME_MAXLEN];

	if (!is_message(reply, NFT_MSG_NEWOBJ))
		return;
	netlink_attributes(reply, sizeof(struct nfgenmsg), object, NFTA_OBJ_MAX);
	netlink_nested(object[NFTA_OBJ_DATA], data, NFTA_COUNTER_MAX);
	netlink_text(object[NFTA_OBJ_TABLE], table, sizeof(table));
	netlink_text(object[NFTA_OBJ_NAME], name, sizeof(name));
	if (strcmp(table, walk->table) == 0 &&
	    ntohl(netlink_u32(object[NFTA_OBJ_TYPE], 0)) == NFT_OBJECT_COUNTER)
		walk->fn(walk->context, name, big_u64(data[NFTA_COUNTER_PACKETS]),
			 big_u64(data[NFTA_COUNTER_BYTES]));
}

int nft_counters(struct netlink *netlink, const char *table, nft_counter_fn fn, void *context,
		 struct error *err)
{
	struct counter_walk walk = {.fn = fn, .context = context, .table = table};
	struct netlink_request request;
	int result;

	begin(&request, NFPROTO_NETDEV, NFT_MSG_GETOBJ, NLM_F_DUMP);
	netlink_put_text(&request, NFTA_OBJ_TABLE, table);
	netlink_put_u32(&request, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
	result = netlink_call(netlink, &request, take_counter, &walk, err);
	if (result < 0)
		error_prefix(err, "cannot read the counters of table %s", table);
	return result;
}

static void take_table(void *context, const struct nlmsghdr *reply)
{
	const struct nlattr *table[NFTA_TABLE_OWNER + 1];

	if (!is_message(reply, NFT_MSG_NEWTABLE))
		return;
	netlink_attributes(reply, sizeof(struct nfgenmsg), table, NFTA_TABLE_OWNER);
	*(uint32_t *)context = ntohl(netlink_u32(table[NFTA_TABLE_OWNER], 0));
}

int nft_find_table(struct netlink *netlink, uint8_t family, const char *table, uint32_t *out_owner,
		   struct error *err)
{
	struct netlink_request request;
	uint32_t owner = 0;
	int result;

	begin(&request, family, NFT_MSG_GETTABLE, 0);
	netlink_put_text(&request, NFTA_TABLE_NAME, table);
	result = netlink_call(netlink, &request, take_table, &owner, err);
	if (result < 0)
		error_prefix(err, "nf_tables table %s", table);
	else
		*out_owner = owner;
	return result;
}

int nft_remove_table(struct netlink *netlink, uint8_t family, const char *table, struct error *err)
{
	int64_t deadline_ns = clock_now_ns() + OWNER_NS;
	struct nft_batch batch;
	uint32_t owner = 0;
	int result;

	while ((result = nft_find_table(netlink, family, table, &owner, err)) == 0 &&
	       clock_now_ns() < deadline_ns)
		poll(NULL, 0, OWNER_POLL_MS);
	if (result < 0)
		return result == -ENOENT ? 0 : result;
	/* Still there: not owned (somebody's copy), or a process that outlived its own death. */
	nft_batch_begin(&batch);
	nft_delete_table(&batch, family, table);
	result = nft_commit(netlink, &batch, err);
	if (result < 0 && owner) {
		/* the kernel tells a port of netlink's, which is the pid of the first socket alone
		 */
		error_prefix(err, "table %s is held by a process that has not gone yet", table);
		error_remedy(err,
			     "the table goes with it; `ps -C squall -o pid,stat,wchan:32,args` "
			     "shows what it waits for");
	}
	return result == -ENOENT ? 0 : result;
}

struct hook_walk {
	nft_hook_fn fn;
	void *context;
	bool is_inet;
};

static void take_chain(void *context, const struct nlmsghdr *reply)
{
	const struct nlattr *chain[NFTA_CHAIN_MAX + 1], *hook[NFTA_HOOK_MAX + 1], *at = NULL;
	char table[NFT_NAME_MAXLEN], name[NFT_NAME_MAXLEN], device[32];
	struct nft_hook found = {.table = table, .chain = name, .device = device};
	struct hook_walk *walk = context;
	uint32_t number;

	if (!is_message(reply, NFT_MSG_NEWCHAIN))
		return;
	netlink_attributes(reply, sizeof(struct nfgenmsg), chain, NFTA_CHAIN_MAX);
	if (!chain[NFTA_CHAIN_HOOK])
		return;
	netlink_nested(chain[NFTA_CHAIN_HOOK], hook, NFTA_HOOK_MAX);
	netlink_text(chain[NFTA_CHAIN_TABLE], table, sizeof(table));
	netlink_text(chain[NFTA_CHAIN_NAME], name, sizeof(name));
	number = ntohl(netlink_u32(hook[NFTA_HOOK_HOOKNUM], 0));
	/* of family inet only this one is at a device, the same as of netdev (Linux 5.10) */
	if (walk->is_inet && number != NF_INET_INGRESS)
		return;
	found.is_ingress = walk->is_inet || number == NF_NETDEV_INGRESS;
	found.priority = (int32_t)ntohl(netlink_u32(hook[NFTA_HOOK_PRIORITY], 0));
	if (hook[NFTA_HOOK_DEV]) {
		netlink_text(hook[NFTA_HOOK_DEV], device, sizeof(device));
		walk->fn(walk->context, &found);
		return;
	}
	while ((at = netlink_next(hook[NFTA_HOOK_DEVS], at))) {
		netlink_text(at, device, sizeof(device));
		walk->fn(walk->context, &found);
	}
}

int nft_hooks(struct netlink *netlink, nft_hook_fn fn, void *context, struct error *err)
{
	static const uint8_t families[] = {NFPROTO_NETDEV, NFPROTO_INET};
	int result = 0;

	for (unsigned i = 0; result == 0 && i < 2; i++) {
		struct hook_walk walk = {
			.fn = fn, .context = context, .is_inet = families[i] == NFPROTO_INET};
		struct netlink_request request;

		/* whoever changes rules meanwhile interrupts the list: it begins again, and what
		 * was told is told twice */
		result = -EINTR;
		for (unsigned tries = 0; result == -EINTR && tries < TRIES_MAX; tries++) {
			begin(&request, families[i], NFT_MSG_GETCHAIN, NLM_F_DUMP);
			result = netlink_call(netlink, &request, take_chain, &walk, err);
		}
	}
	if (result < 0)
		error_prefix(err, "cannot list the nf_tables chains");
	return result;
}
