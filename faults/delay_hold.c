/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/delay_hold.h"

#include "faults/delay_hold_program.h"
#include "faults/delay_return.h"
#include "injector/base/cleanup.h"
#include "injector/kernel/bpf.h"
#include "injector/kernel/link.h"
#include "injector/kernel/namespace.h"
#include "injector/kernel/nft_batch.h"
#include "injector/kernel/nft_expr.h"
#include "injector/kernel/qdisc.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE	     0
#define UNREAD_MAX   4096 /* as many as the tap's rings hold */
#define MTU	     65535
#define SEGMENTS_MAX 262144 /* above what is wrapped, which the veth must not cut */
#define INNER_NAME   "hold"
#define WRAP	     "squall_hold_wrap"
#define UNWRAP	     "squall_hold_unwrap"
/* Behind nothing: there is nobody else in that namespace. */
#define FIRST  (-300)
#define SECOND 0

static const uint8_t mac[ETH_ALEN] = {0x02, 's', 'q', 'u', 'a', 'l'};

struct delay_hold {
	struct delay_hold_config config;
	struct netlink *inner, *rules; /* in the namespace of ours */
	int namespace_fd;	       /* until all is made */
	struct packet_queue queue;
	int index, inner_index; /* of the veth in the tap's namespace, and in ours; 0: none */
	int wrap_fd, unwrap_fd;
	bool has_filter; /* at the tap's egress, by clsact */
	char name[IFNAMSIZ];
};

/* In the namespace of ours. */
static int open_inside(void *context, struct error *err)
{
	struct delay_hold *hold = context;
	int result = namespace_open_self(&hold->namespace_fd, err);

	if (result == 0)
		result = netlink_open(-1, &hold->inner, err);
	if (result == 0)
		result = netlink_open_netfilter(-1, &hold->rules, err);
	return result < 0 ? result : packet_queue_open(&hold->queue, QUEUE, UNREAD_MAX, err);
}

static int make_veth(struct delay_hold *hold, struct error *err)
{
	const struct veth veth = {.name = hold->name,
				  .peer_name = INNER_NAME,
				  .peer_namespace_fd = hold->namespace_fd,
				  .mtu = MTU,
				  .segments_max = SEGMENTS_MAX,
				  .address = mac,
				  .peer_address = mac};

	return link_create_veth(hold->config.netlink, &veth, hold->config.alias, &hold->index, err);
}

static int commit_rules(struct delay_hold *hold, bool by_target, struct error *err)
{
	struct nft_batch batch;

	nft_batch_begin(&batch);
	nft_add_table(&batch, NFPROTO_IPV4, "hold", NULL);
	nft_add_hook_chain(&batch, &(struct nft_hook_chain){.name = "keep",
							    .hook = NF_INET_PRE_ROUTING,
							    .priority = FIRST});
	nft_add_hook_chain(&batch, &(struct nft_hook_chain){.name = "send",
							    .hook = NF_INET_PRE_ROUTING,
							    .priority = SECOND});
	nft_rule_begin(&batch, "keep");
	if (by_target)
		nft_queue_by_target(&batch, QUEUE);
	else
		nft_queue(&batch, QUEUE);
	nft_rule_end(&batch, NULL);
	nft_rule_begin(&batch, "send");
	/* to nobody in particular: the device asks for no address, and the program puts its own */
	nft_duplicate_to(&batch, htobe32(0xc0000202), hold->inner_index);
	nft_verdict(&batch, NF_DROP);
	nft_rule_end(&batch, NULL);
	return nft_commit(hold->rules, &batch, err);
}

static int make_rules(struct delay_hold *hold, struct error *err)
{
	if (commit_rules(hold, false, err) == 0)
		return 0;
	return commit_rules(hold, true, err);
}

/* Both ends know what to do with a packet before one can come. */
static int make_programs(struct delay_hold *hold, struct error *err)
{
	const struct bpf_filter back = {.hook = QDISC_INGRESS,
					.priority = 1,
					.program_fd = hold->config.return_fd,
					.name = DELAY_WAY_BACK};
	struct bpf_filter unwrap = {.hook = QDISC_EGRESS, .priority = 1, .name = UNWRAP};
	int result;

	unwrap.program_fd = hold->unwrap_fd;
	result = hold_wrap_load(hold->index, mac, &hold->wrap_fd, err);
	if (result == 0)
		result = qdisc_add_clsact(hold->inner, hold->inner_index, err);
	if (result == 0)
		result = filter_add_bpf(hold->inner, hold->inner_index, &unwrap, err);
	if (result == 0)
		result = qdisc_add_clsact(hold->config.netlink, hold->index, err);
	return result < 0 ? result : filter_add_bpf(hold->config.netlink, hold->index, &back, err);
}

static int make(struct delay_hold *hold, struct error *err)
{
	const struct link_change up = {.up = true};
	struct link inner = {0};
	int result = hold_unwrap_load(&hold->unwrap_fd, err); /* or nothing is made at all */

	if (result == 0)
		result = namespace_run_new(open_inside, hold, err);
	if (result == 0)
		result = packet_queue_limit(&hold->queue, UINT_MAX);
	if (result == 0)
		result = make_veth(hold, err);
	if (result == 0)
		result = link_find(hold->inner, INNER_NAME, &inner, err);
	hold->inner_index = inner.index;
	if (result == 0)
		result = make_programs(hold, err);
	if (result == 0)
		result = make_rules(hold, err);
	if (result == 0)
		result = link_change(hold->inner, hold->inner_index, &up, err);
	return result < 0 ? result : link_change(hold->config.netlink, hold->index, &up, err);
}

int delay_hold_new(const struct delay_hold_config *config, struct delay_hold **out,
		   struct error *err)
{
	struct delay_hold *hold = calloc(1, sizeof(*hold));
	int result;

	if (!hold)
		return error_errno(err, ENOMEM, "delay line");
	hold->config = *config;
	hold->namespace_fd = hold->wrap_fd = hold->unwrap_fd = -1;
	hold->queue = (struct packet_queue){.fd = -1, .count_fd = -1};
	snprintf(hold->name, sizeof(hold->name), "%s", config->name);
	result = make(hold, err);
	cleanup_fd_at(&hold->namespace_fd); /* its sockets keep the namespace */
	hold->namespace_fd = -1;
	hold->config.name = hold->config.alias = NULL; /* the caller's */
	if (result < 0)
		delay_hold_free(hold);
	else
		*out = hold;
	return result;
}

int delay_hold_index(const struct delay_hold *hold)
{
	return hold->index;
}

const struct packet_queue *delay_hold_queue(const struct delay_hold *hold)
{
	return &hold->queue;
}

void delay_hold_drops(const struct delay_hold *hold, uint64_t *out_full, uint64_t *out_late)
{
	struct link link;

	packet_queue_drops(&hold->queue, out_full, out_late);
	/* at either end, where the other one's backlog was full */
	if (link_get(hold->config.netlink, hold->index, &link, NULL) == 0)
		*out_late += link.tx_dropped;
	if (link_get(hold->inner, hold->inner_index, &link, NULL) == 0)
		*out_late += link.tx_dropped;
}

int delay_hold_open(struct delay_hold *hold, struct error *err)
{
	const struct bpf_filter wrap = {
		.hook = QDISC_EGRESS, .priority = 1, .program_fd = hold->wrap_fd, .name = WRAP};
	int result = filter_add_bpf(hold->config.netlink, hold->config.tap_index, &wrap, err);

	hold->has_filter = result == 0;
	return result;
}

static int has_filter(const struct delay_hold *hold, int index, enum qdisc_hook hook,
		      const char *name, struct error *err)
{
	struct filter filter;
	bool is_found;
	int result = filter_find(hold->config.netlink, index, hook, name, &filter, &is_found, err);

	if (result == 0 && !is_found)
		result = error_set(err, ENOENT, "a filter of interface %s is gone", hold->name);
	return result;
}

int delay_hold_check(const struct delay_hold *hold, struct error *err)
{
	struct link link;
	int result = link_get(hold->config.netlink, hold->index, &link, err);

	if (result == -ENODEV || (result == 0 && !(link.flags & IFF_UP)))
		return error_set(err, ENODEV, "interface %s was taken down", hold->name);
	if (result == 0)
		result = has_filter(hold, hold->index, QDISC_INGRESS, DELAY_WAY_BACK, err);
	if (result == 0 && hold->has_filter)
		result = has_filter(hold, hold->config.tap_index, QDISC_EGRESS, WRAP, err);
	return result;
}

void delay_hold_shut(struct delay_hold *hold)
{
	struct netlink *netlink = hold->config.netlink;
	const int index = hold->config.tap_index;
	struct filter wrap;
	bool is_found;

	if (hold->has_filter &&
	    filter_find(netlink, index, QDISC_EGRESS, WRAP, &wrap, &is_found, NULL) == 0 &&
	    is_found)
		filter_delete(netlink, index, &wrap, NULL);
	hold->has_filter = false;
}

void delay_hold_free(struct delay_hold *hold)
{
	if (!hold)
		return;
	delay_hold_shut(hold);
	/* else it goes when the kernel has cleared the namespace away, some time later */
	if (hold->index)
		link_delete(hold->config.netlink, hold->index, NULL);
	packet_queue_close(&hold->queue);
	netlink_close(hold->rules);
	netlink_close(hold->inner);
	cleanup_fd_at(&hold->namespace_fd);
	cleanup_fd_at(&hold->wrap_fd);
	cleanup_fd_at(&hold->unwrap_fd);
	free(hold);
}
