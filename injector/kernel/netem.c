/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/netem.h"

#include "injector/base/quantity.h"

#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

/* Parts per billion to the 2^32 scale of netem, rounded; 100 % is all bits set. */
static uint32_t probability(uint64_t ppb)
{
	return ppb >= SHARE_ONE ? UINT32_MAX
				: (uint32_t)((ppb * UINT32_MAX + SHARE_ONE / 2) / SHARE_ONE);
}

void netem_copy(const struct netem_config *config, struct netem_config *out,
		struct netem_tables *out_tables)
{
	*out = *config;
	if (config->table) {
		out_tables->jitter = *config->table;
		out->table = &out_tables->jitter;
	}
	if (config->slot_table) {
		out_tables->slot = *config->slot_table;
		out->slot_table = &out_tables->slot;
	}
}

bool netem_loses(const struct netem_config *config)
{
	return config->loss_ppb > 0 || config->loss_model != NETEM_LOSS_RANDOM ||
	       config->loss_every > 0;
}

static void put_loss(struct netlink_request *request, const struct netem_config *config)
{
	const struct netem_gemodel *ge = &config->gemodel;
	const struct netem_state *state = &config->state;

	if (config->loss_model == NETEM_LOSS_RANDOM)
		return; /* it is in the header, and what is left out here is reset to it */
	netlink_nest(request, TCA_NETEM_LOSS);
	if (config->loss_model == NETEM_LOSS_GEMODEL) {
		const struct tc_netem_gemodel model = {
			.p = probability(ge->p_ppb),
			.r = probability(ge->r_ppb),
			/* lost is what exceeds h (loss_gilb_ell()) */
			.h = UINT32_MAX - probability(ge->bad_ppb),
			.k1 = probability(ge->good_ppb),
		};

		netlink_put(request, NETEM_LOSS_GE, &model, sizeof(model));
	} else {
		const struct tc_netem_gimodel model = {
			.p13 = probability(state->p13_ppb),
			.p31 = probability(state->p31_ppb),
			.p32 = probability(state->p32_ppb),
			.p14 = probability(state->p14_ppb),
			.p23 = probability(state->p23_ppb),
		};

		netlink_put(request, NETEM_LOSS_GI, &model, sizeof(model));
	}
	netlink_unnest(request);
}

static void put_rate(struct netlink_request *request, const struct netem_config *config)
{
	struct tc_netem_rate rate = {
		.rate = config->rate_bytes >= UINT32_MAX ? UINT32_MAX
							 : (uint32_t)config->rate_bytes,
		.packet_overhead = config->packet_overhead,
		.cell_size = config->cell_size,
		.cell_overhead = config->cell_overhead,
	};

	if (config->rate_bytes >= UINT32_MAX)
		netlink_put_u64(request, TCA_NETEM_RATE64, config->rate_bytes);
	netlink_put(request, TCA_NETEM_RATE, &rate, sizeof(rate));
}

/* `struct tc_netem_qopt` followed by attributes inside the same attribute. Times go as 64-bit
 * nanoseconds (since 4.15): the 32-bit ones are in ticks. Everything is sent every time: `change`
 * resets loss, jitter and limit when they are missing, but keeps the rate and what stands in
 * attributes (netem_change()). */
static void put_options(struct netlink_request *request, const struct netem_config *config)
{
	const struct tc_netem_qopt options = {
		.limit = config->limit,
		.loss = config->loss_model == NETEM_LOSS_RANDOM ? probability(config->loss_ppb) : 0,
		.gap = config->reorder_gap,
		.duplicate = probability(config->duplicate_ppb),
	};
	const struct tc_netem_corr correlations = {
		.delay_corr = probability(config->delay_correlation_ppb),
		.loss_corr = probability(config->loss_correlation_ppb),
		.dup_corr = probability(config->duplicate_correlation_ppb),
	};
	const struct tc_netem_reorder reorder = {
		.probability = probability(config->reorder_ppb),
		.correlation = probability(config->reorder_correlation_ppb),
	};
	const struct tc_netem_corrupt corrupt = {
		.probability = probability(config->corrupt_ppb),
		.correlation = probability(config->corrupt_correlation_ppb),
	};
	const struct tc_netem_slot slot = {
		.min_delay = config->slot_min_ns,
		.max_delay = config->slot_max_ns,
		.max_packets = (int32_t)config->slot_packets,
		.max_bytes = (int32_t)config->slot_bytes,
		.dist_delay = config->slot_table ? config->slot_min_ns : 0,
		.dist_jitter = config->slot_table ? config->slot_jitter_ns : 0,
	};

	netlink_nest(request, TCA_OPTIONS);
	netlink_put_bytes(request, &options, sizeof(options));
	netlink_put_u64(request, TCA_NETEM_LATENCY64, (uint64_t)config->delay_ns);
	netlink_put_u64(request, TCA_NETEM_JITTER64, (uint64_t)config->jitter_ns);
	netlink_put(request, TCA_NETEM_CORR, &correlations, sizeof(correlations));
	netlink_put(request, TCA_NETEM_REORDER, &reorder, sizeof(reorder));
	netlink_put(request, TCA_NETEM_CORRUPT, &corrupt, sizeof(corrupt));
	put_loss(request, config);
	put_rate(request, config);
	netlink_put_u32(request, TCA_NETEM_ECN, config->has_ecn);
	netlink_put(request, TCA_NETEM_SLOT, &slot, sizeof(slot));
	if (config->table)
		netlink_put(request, TCA_NETEM_DELAY_DIST, config->table->values,
			    sizeof(config->table->values));
	if (config->slot_table)
		netlink_put(request, TCA_NETEM_SLOT_DIST, config->slot_table->values,
			    sizeof(config->slot_table->values));
	if (config->has_seed)
		netlink_put_u64(request, NETEM_ATTRIBUTE_SEED, config->seed);
	netlink_unnest(request);
}

static void begin(struct netlink_request *request, uint16_t type, uint16_t flags, int index,
		  uint32_t parent, uint32_t handle)
{
	struct tcmsg header = {.tcm_family = AF_UNSPEC,
			       .tcm_ifindex = index,
			       .tcm_parent = parent,
			       .tcm_handle = handle};

	netlink_begin(request, type, flags, &header, sizeof(header));
}

static int put(struct netlink *netlink, uint16_t flags, int index, uint32_t parent, uint32_t handle,
	       const struct netem_config *config, struct error *err)
{
	struct netlink_request request;
	int result;

	begin(&request, RTM_NEWQDISC, flags, index, parent, handle);
	netlink_put_text(&request, TCA_KIND, "netem");
	put_options(&request, config);
	result = netlink_call(netlink, &request, NULL, NULL, err);
	if (result < 0)
		error_prefix(err, "cannot %s netem on interface %d", flags ? "add" : "change",
			     index);
	return result;
}

int netem_add(struct netlink *netlink, int index, uint32_t parent, uint32_t handle,
	      const struct netem_config *config, struct error *err)
{
	return put(netlink, NLM_F_CREATE | NLM_F_EXCL, index, parent, handle, config, err);
}

int netem_change(struct netlink *netlink, int index, uint32_t parent, uint32_t handle,
		 const struct netem_config *config, struct error *err)
{
	return put(netlink, 0, index, parent, handle, config, err);
}

/* netem's answer begins with its struct, then come attributes. */
static void look_for_seed(void *context, const struct nlmsghdr *reply)
{
	const struct nlattr *table[TCA_MAX + 1], *options[NETEM_ATTRIBUTE_SEED + 1];
	const size_t fixed = NLA_ALIGN(sizeof(struct tc_netem_qopt));
	const char *data;

	if (reply->nlmsg_type != RTM_NEWQDISC ||
	    reply->nlmsg_len < NLMSG_LENGTH(sizeof(struct tcmsg)))
		return;
	netlink_attributes(reply, sizeof(struct tcmsg), table, TCA_MAX);
	data = netlink_data(table[TCA_OPTIONS], fixed);
	if (!data)
		return;
	netlink_area(data + fixed, netlink_size(table[TCA_OPTIONS]) - fixed, options,
		     NETEM_ATTRIBUTE_SEED);
	*(bool *)context = options[NETEM_ATTRIBUTE_SEED] != NULL;
}

int netem_reads_seed(struct netlink *netlink, int index, uint32_t parent, bool *out,
		     struct error *err)
{
	struct netlink_request request;
	bool found = false;
	int result;

	begin(&request, RTM_GETQDISC, NLM_F_ECHO, index, parent, 0);
	result = netlink_call(netlink, &request, look_for_seed, &found, err);
	if (result == 0)
		*out = found;
	return result;
}
