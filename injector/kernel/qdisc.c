/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/qdisc.h"

#include <errno.h>
#include <linux/gen_stats.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#define KEEPS_ORDER_RATE 100000000000ULL /* 800 gbit/s: never the limit */

static void begin(struct netlink_request *request, uint16_t type, uint16_t flags, int index,
		  uint32_t parent, uint32_t handle, const char *kind)
{
	struct tcmsg header = {.tcm_family = AF_UNSPEC,
			       .tcm_ifindex = index,
			       .tcm_parent = parent,
			       .tcm_handle = handle};

	netlink_begin(request, type, flags, &header, sizeof(header));
	if (kind)
		netlink_put_text(request, TCA_KIND, kind);
}

static int call(struct netlink *netlink, struct netlink_request *request, const char *what,
		int index, struct error *err)
{
	int result = netlink_call(netlink, request, NULL, NULL, err);

	if (result < 0)
		error_prefix(err, "cannot %s on interface %d", what, index);
	return result;
}

/* Into 32 bits; what is more stands in an attribute of its own. */
static uint32_t clip(uint64_t rate)
{
	return rate >= UINT32_MAX ? UINT32_MAX : (uint32_t)rate;
}

static int put_tbf(struct netlink *netlink, uint16_t flags, int index, uint32_t parent,
		   uint32_t handle, const struct qdisc_rate *config, struct error *err)
{
	const uint64_t rate = config->bytes ? config->bytes : KEEPS_ORDER_RATE;
	const uint64_t peak = config->bytes ? config->peak_bytes : 0;
	/* With linklayer given and TCA_TBF_BURST the kernel wants no rate table (sch_tbf.c) */
	struct tc_tbf_qopt options = {.limit = config->limit ? config->limit : UINT32_MAX / 2,
				      .rate.linklayer = TC_LINKLAYER_ETHERNET,
				      .rate.overhead = config->overhead,
				      .peakrate.linklayer = TC_LINKLAYER_ETHERNET,
				      .peakrate.overhead = config->overhead};
	struct netlink_request request;

	options.rate.rate = clip(rate);
	options.peakrate.rate = clip(peak);
	begin(&request, RTM_NEWQDISC, flags, index, parent, handle, "tbf");
	netlink_nest(&request, TCA_OPTIONS);
	netlink_put(&request, TCA_TBF_PARMS, &options, sizeof(options));
	netlink_put_u32(&request, TCA_TBF_BURST, config->burst);
	if (rate >= UINT32_MAX)
		netlink_put_u64(&request, TCA_TBF_RATE64, rate);
	if (peak)
		netlink_put_u32(&request, TCA_TBF_PBURST, config->peak_burst);
	if (peak >= UINT32_MAX)
		netlink_put_u64(&request, TCA_TBF_PRATE64, peak);
	netlink_unnest(&request);
	return call(netlink, &request, flags ? "add tbf" : "change tbf", index, err);
}

int qdisc_add_segmenter(struct netlink *netlink, int index, uint32_t handle, uint32_t max_packet,
			struct error *err)
{
	const struct qdisc_rate config = {.burst = max_packet};

	return qdisc_add_rate(netlink, index, TC_H_ROOT, handle, &config, err);
}

int qdisc_change_segmenter(struct netlink *netlink, int index, uint32_t handle, uint32_t max_packet,
			   struct error *err)
{
	const struct qdisc_rate config = {.burst = max_packet};

	return qdisc_change_rate(netlink, index, TC_H_ROOT, handle, &config, err);
}

int qdisc_add_rate(struct netlink *netlink, int index, uint32_t parent, uint32_t handle,
		   const struct qdisc_rate *config, struct error *err)
{
	return put_tbf(netlink, NLM_F_CREATE | NLM_F_EXCL, index, parent, handle, config, err);
}

int qdisc_change_rate(struct netlink *netlink, int index, uint32_t parent, uint32_t handle,
		      const struct qdisc_rate *config, struct error *err)
{
	return put_tbf(netlink, 0, index, parent, handle, config, err);
}

/* struct tc_netem_xstats of linux/pkt_sched.h, which older headers do not have. */
struct xstats {
	uint64_t delayed, dropped, corrupted, duplicated, reordered, marked, failed_allocations;
};

static void parse_fates(const struct nlattr *attribute, struct qdisc *out)
{
	const void *data = netlink_data(attribute, sizeof(struct xstats));
	struct xstats all;

	if (!data || strcmp(out->kind, "netem") != 0)
		return;
	memcpy(&all, data, sizeof(all)); /* attributes are aligned to four bytes */
	out->has_fates = true;
	out->fates = (struct netem_fates){.marked = all.marked,
					  .duplicated = all.duplicated,
					  .corrupted = all.corrupted,
					  .reordered = all.reordered};
}

static void parse(const struct nlmsghdr *reply, struct qdisc *out)
{
	const struct nlattr *table[TCA_MAX + 1], *stats[TCA_STATS_MAX + 1];
	const struct tcmsg *header = NLMSG_DATA(reply);
	const struct gnet_stats_queue *queue;
	const char *basic, *whole;
	uint32_t packets;

	*out = (struct qdisc){0};
	if (reply->nlmsg_len < NLMSG_LENGTH(sizeof(*header)))
		return;
	netlink_attributes(reply, sizeof(*header), table, TCA_MAX);
	netlink_nested(table[TCA_STATS2], stats, TCA_STATS_MAX);
	out->index = header->tcm_ifindex;
	out->parent = header->tcm_parent;
	out->handle = header->tcm_handle;
	netlink_text(table[TCA_KIND], out->kind, sizeof(out->kind));
	queue = netlink_data(stats[TCA_STATS_QUEUE], sizeof(*queue));
	if (queue) {
		out->waiting = queue->qlen;
		out->dropped = queue->drops;
	}
	/* struct gnet_stats_basic holds a u64, but attributes are aligned to four bytes */
	basic = netlink_data(stats[TCA_STATS_BASIC],
			     offsetof(struct gnet_stats_basic, packets) + sizeof(packets));
	if (basic) {
		memcpy(&packets, basic + offsetof(struct gnet_stats_basic, packets),
		       sizeof(packets));
		out->sent = packets;
	}
	/* there only once the other has no room for them (gnet_stats_copy_basic()) */
	whole = netlink_data(stats[TCA_STATS_PKT64], sizeof(out->sent));
	if (whole)
		memcpy(&out->sent, whole, sizeof(out->sent));
	parse_fates(stats[TCA_STATS_APP], out);
}

struct walk {
	qdisc_fn fn;
	void *context;
	int index;
};

static void walk_one(void *context, const struct nlmsghdr *reply)
{
	struct walk *walk = context;
	struct qdisc qdisc;

	if (reply->nlmsg_type != RTM_NEWQDISC)
		return;
	parse(reply, &qdisc);
	if (walk->index == 0 || qdisc.index == walk->index)
		walk->fn(walk->context, &qdisc);
}

int qdisc_each(struct netlink *netlink, int index, qdisc_fn fn, void *context, struct error *err)
{
	struct walk walk = {.fn = fn, .context = context, .index = index};
	struct netlink_request request;
	int result;

	begin(&request, RTM_GETQDISC, NLM_F_DUMP, 0, 0, 0, NULL);
	result = netlink_call(netlink, &request, walk_one, &walk, err);
	if (result < 0)
		error_prefix(err, "cannot list the queueing disciplines");
	return result;
}

struct finding {
	struct qdisc qdisc;
	bool is_found;
};

static void take_one(void *context, const struct nlmsghdr *reply)
{
	struct finding *finding = context;

	if (reply->nlmsg_type != RTM_NEWQDISC)
		return;
	parse(reply, &finding->qdisc);
	finding->is_found = true;
}

int qdisc_get(struct netlink *netlink, int index, uint32_t parent, struct qdisc *out,
	      struct error *err)
{
	struct finding finding = {.is_found = false};
	struct netlink_request request;
	int result;

	/* Without NLM_F_ECHO the answer goes to the multicast group only (sch_api.c, measured):
	 * silence would look like an empty queue. */
	begin(&request, RTM_GETQDISC, NLM_F_ECHO, index, parent, 0, NULL);
	result = netlink_call(netlink, &request, take_one, &finding, err);
	if (result == 0 && !finding.is_found)
		result = error_set(err, ENOENT, "it has no queueing discipline"); /* it is down */
	if (result < 0) {
		error_prefix(err, "interface %d", index);
		return result;
	}
	*out = finding.qdisc;
	return 0;
}

int qdisc_add_clsact(struct netlink *netlink, int index, struct error *err)
{
	struct netlink_request request;

	begin(&request, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, index, TC_H_CLSACT,
	      TC_H_MAKE(TC_H_CLSACT, 0), "clsact");
	return call(netlink, &request, "add clsact", index, err);
}

static uint32_t hook_parent(enum qdisc_hook hook)
{
	return TC_H_MAKE(TC_H_CLSACT, hook == QDISC_INGRESS ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

int qdisc_delete_clsact(struct netlink *netlink, int index, struct error *err)
{
	struct netlink_request request;

	begin(&request, RTM_DELQDISC, 0, index, TC_H_CLSACT, TC_H_MAKE(TC_H_CLSACT, 0), "clsact");
	return call(netlink, &request, "remove clsact", index, err);
}

/* One action: send the packet to another device (tc-mirred(8)), which ends the classification. */
static void put_redirect(struct netlink_request *request, int index)
{
	const struct tc_mirred options = {
		.action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)index};

	netlink_nest(request, TCA_BPF_ACT);
	netlink_nest(request, 1);
	netlink_put_text(request, TCA_ACT_KIND, "mirred");
	netlink_nest(request, TCA_ACT_OPTIONS);
	netlink_put(request, TCA_MIRRED_PARMS, &options, sizeof(options));
	netlink_unnest(request);
	netlink_unnest(request);
	netlink_unnest(request);
}

int filter_add_bpf(struct netlink *netlink, int index, const struct bpf_filter *filter,
		   struct error *err)
{
	struct tcmsg header = {
		.tcm_family = AF_UNSPEC,
		.tcm_ifindex = index,
		.tcm_parent = hook_parent(filter->hook),
		.tcm_info = TC_H_MAKE((uint32_t)filter->priority << 16, htons(ETH_P_ALL))};
	struct netlink_request request;

	netlink_begin(&request, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof(header));
	netlink_put_text(&request, TCA_KIND, "bpf");
	netlink_nest(&request, TCA_OPTIONS);
	netlink_put_u32(&request, TCA_BPF_FD, (uint32_t)filter->program_fd);
	netlink_put_text(&request, TCA_BPF_NAME, filter->name);
	if (filter->redirect_index)
		put_redirect(&request, filter->redirect_index);
	else
		netlink_put_u32(&request, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	netlink_unnest(&request);
	return call(netlink, &request, "attach a BPF filter", index, err);
}

/* Where each kind keeps its actions, and the older form of one (linux/pkt_cls.h). */
static bool has_actions(const char *kind, const struct nlattr *options)
{
	static const struct {
		const char *kind;
		uint8_t actions, police;
	} kinds[] = {{"bpf", TCA_BPF_ACT, TCA_BPF_POLICE},
		     {"u32", TCA_U32_ACT, TCA_U32_POLICE},
		     {"flower", TCA_FLOWER_ACT, 0},
		     {"matchall", TCA_MATCHALL_ACT, 0},
		     {"basic", TCA_BASIC_ACT, TCA_BASIC_POLICE},
		     {"fw", TCA_FW_ACT, TCA_FW_POLICE},
		     {"flow", TCA_FLOW_ACT, TCA_FLOW_POLICE},
		     {"route", TCA_ROUTE4_ACT, TCA_ROUTE4_POLICE},
		     {"cgroup", TCA_CGROUP_ACT, TCA_CGROUP_POLICE}};
	const struct nlattr *table[16];

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(kinds[i].kind, kind) != 0)
			continue;
		netlink_nested(options, table, sizeof(table) / sizeof(*table) - 1);
		return table[kinds[i].actions] || (kinds[i].police && table[kinds[i].police]);
	}
	return true;
}

struct filter_walk {
	filter_fn fn;
	void *context;
};

static void walk_filter(void *context, const struct nlmsghdr *reply)
{
	const struct nlattr *table[TCA_MAX + 1], *options[TCA_BPF_MAX + 1];
	const struct tcmsg *header = NLMSG_DATA(reply);
	struct filter_walk *walk = context;
	struct filter filter = {0};

	if (reply->nlmsg_type != RTM_NEWTFILTER || reply->nlmsg_len < NLMSG_LENGTH(sizeof(*header)))
		return;
	netlink_attributes(reply, sizeof(*header), table, TCA_MAX);
	filter.parent = header->tcm_parent;
	filter.handle = header->tcm_handle;
	filter.info = header->tcm_info;
	filter.priority = TC_H_MAJ(header->tcm_info) >> 16;
	netlink_text(table[TCA_KIND], filter.kind, sizeof(filter.kind));
	if (strcmp(filter.kind, "bpf") == 0) {
		netlink_nested(table[TCA_OPTIONS], options, TCA_BPF_MAX);
		netlink_text(options[TCA_BPF_NAME], filter.name, sizeof(filter.name));
		filter.is_direct_action =
			netlink_u32(options[TCA_BPF_FLAGS], 0) & TCA_BPF_FLAG_ACT_DIRECT;
	}
	filter.has_actions = has_actions(filter.kind, table[TCA_OPTIONS]);
	walk->fn(walk->context, &filter);
}

int filter_each(struct netlink *netlink, int index, enum qdisc_hook hook, filter_fn fn,
		void *context, struct error *err)
{
	return filter_each_of(netlink, index, hook_parent(hook), fn, context, err);
}

int filter_each_of(struct netlink *netlink, int index, uint32_t handle, filter_fn fn, void *context,
		   struct error *err)
{
	struct filter_walk walk = {.fn = fn, .context = context};
	struct netlink_request request;
	int result;

	begin(&request, RTM_GETTFILTER, NLM_F_DUMP, index, handle, 0, NULL);
	result = netlink_call(netlink, &request, walk_filter, &walk, err);
	if (result == -EINVAL || result == -ENOENT || result == -EOPNOTSUPP)
		return 0; /* no clsact there, or a qdisc that has no filters */
	if (result < 0)
		error_prefix(err, "cannot list the filters of interface %d", index);
	return result;
}

struct filter_search {
	const char *name;
	struct filter *found;
	bool is_found;
};

static void look_for_filter(void *context, const struct filter *filter)
{
	struct filter_search *search = context;

	/* the classifier itself comes first, without a handle */
	if (search->is_found || filter->handle == 0 || strcmp(filter->name, search->name) != 0)
		return;
	*search->found = *filter;
	search->is_found = true;
}

int filter_find(struct netlink *netlink, int index, enum qdisc_hook hook, const char *name,
		struct filter *out, bool *out_found, struct error *err)
{
	struct filter_search search = {.name = name, .found = out};
	int result = filter_each(netlink, index, hook, look_for_filter, &search, err);

	*out_found = search.is_found;
	return result;
}

int filter_delete(struct netlink *netlink, int index, const struct filter *filter,
		  struct error *err)
{
	struct tcmsg header = {.tcm_family = AF_UNSPEC,
			       .tcm_ifindex = index,
			       .tcm_parent = filter->parent,
			       .tcm_handle = filter->handle,
			       .tcm_info = filter->info};
	struct netlink_request request;

	netlink_begin(&request, RTM_DELTFILTER, 0, &header, sizeof(header));
	netlink_put_text(&request, TCA_KIND, filter->kind);
	return call(netlink, &request, "remove a filter", index, err);
}
