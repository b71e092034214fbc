/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The delay lines of a step: one for each interface and direction, because a line knows one way
 * back. On lo, IPv4 packets that come back have lost their route and are routed as if received
 * from outside, which two settings of lo must allow for the time.
 */
#include "faults/network_line.h"

#include "faults/network_delay_line.h"
#include "faults/network_group.h"
#include "injector/kernel/link.h"
#include "injector/kernel/qdisc.h"

#include <errno.h>
#include <linux/ip.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const unsigned loopback_settings[] = {IPV4_DEVCONF_ROUTE_LOCALNET,
					     IPV4_DEVCONF_ACCEPT_LOCAL};

bool network_line_reenters(const struct network_state *state)
{
	return state->hook == NETWORK_TABLE && state->rank > 0;
}

/* What the line does to a packet: of a refusal, to its answer. */
static struct netem_config config_of(const struct network_state *state)
{
	struct netem_config config = state->effect.at;

	if (!state->effect.refusal.is_on)
		return config;
	config.loss_ppb = 0; /* which ones are refused is decided in front of it */
	if (!state->effect.refusal.resets && config.delay_ns < REFUSAL_NS)
		config.delay_ns = REFUSAL_NS;
	return config;
}

static void add_counts(const struct delay_line_counters *counters, struct network_line_counts *sum)
{
	sum->taken += counters->received + counters->dropped_device - counters->spared;
	sum->spared += counters->spared;
	sum->dropped += counters->lost + counters->dropped_full + counters->dropped_error +
			counters->dropped_device;
	netem_add_fates(&sum->fates, &counters->fates);
}

static int prepare_one(struct network_state *state, unsigned at, int namespace_fd,
		       const char *run_id, unsigned step, struct error *err)
{
	const struct netem_config effect = config_of(state);
	const bool refuses = state->effect.refusal.is_on;
	struct network_path *path = &state->paths[at];
	char name[32];
	struct delay_line_config config = {
		.namespace_fd = namespace_fd,
		.interface_index = path->index,
		.is_ingress = path->is_ingress,
		.is_loopback = path->is_loopback,
		.effect = &effect,
		/* one answer for what was handed down as one */
		.cuts_to_wire = !refuses && network_effect_needs_wire_packets(&state->effect),
		.only_delays = !refuses && network_effect_only_delays(&state->effect),
		.finishes_checksums = state->effect.full.corrupt_ppb > 0,
		.mark = NETWORK_MARK | (state->rank + 1),
		.marks_leaving = state->hook == NETWORK_GATE || network_line_reenters(state),
		.reenters = !path->is_ingress && network_line_reenters(state),
		.carries = network_group_bits(),
		.threads = network_effect_is_independent(&state->effect) ? 0 : 1,
		.refusal = state->effect.refusal,
		.segment = state->effect.segment,
		.payload = state->effect.payload,
		.name = name};
	int result;

	if (snprintf(name, sizeof(name), "sq%s-%ut%u", run_id, step, at) > 15)
		return error_set(err, E2BIG, "too many interfaces for one step");
	config.seed =
		at + (state->effect.full.has_seed ? state->effect.full.seed : state->run_seed);
	result = delay_line_prepare(&config, &path->line, err);
	if (result < 0)
		error_prefix(err, "delay line for %s", path->interface);
	return result;
}

int network_line_prepare(struct network_state *state, int namespace_fd, const char *run_id,
			 unsigned step, struct error *err)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < state->path_count; i++)
		if (state->paths[i].index && !state->paths[i].line)
			result = prepare_one(state, i, namespace_fd, run_id, step, err);
	return result;
}

bool network_line_is_prepared(const struct network_state *state)
{
	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].index && !state->paths[i].line)
			return false;
	return true;
}

static int start_one(struct network_state *state, unsigned at, struct error *err)
{
	const struct netem_config effect = config_of(state);

	delay_line_set(state->paths[at].line, &effect);
	return delay_line_start(state->paths[at].line, err);
}

/* Rehearses either way where the traffic would not lead to it. */
static bool wishes(const char *way)
{
	const char *wish = getenv("SQUALL_LINE");

	return wish && strcmp(wish, way) == 0;
}

/* The kernel takes its interface away with the process, but not at once: so it is journalled. What
 * keeps it from coming about is no failure. */
static void hold(struct network_state *state, const struct fault *fault, struct delay_line *line)
{
	struct network_record record = state->record;

	delay_line_hold_name(line, record.link);
	if (journal_undo(fault->env->journal, fault->ops->name, fault->step, NETWORK_RECORD_HOLD,
			 &record, sizeof(record), NULL) >= 0)
		delay_line_use_hold(line, record.alias, NULL);
}

void network_line_tend(struct network_state *state, const struct fault *fault)
{
	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].line && !wishes("tap") &&
		    delay_line_wants_hold(state->paths[i].line))
			hold(state, fault, state->paths[i].line);
}

int network_line_add(struct network_state *state, const struct fault *fault, unsigned at,
		     struct error *err)
{
	int result = prepare_one(state, at, fault->target->namespace_fd, fault->env->run_id,
				 fault->step, err);

	/* or the tap would go before what leads to it, see network_open_netfilter() */
	if (result == 0 &&
	    delay_line_last_descriptor(state->paths[at].line) > network_last_descriptor(state))
		result = error_set(err, EMFILE, "too many descriptors are open for a further tap");
	if (result == 0)
		result = start_one(state, at, err);
	if (result < 0)
		network_line_remove(state, at);
	return result;
}

void network_line_remove(struct network_state *state, unsigned at)
{
	struct network_path *path = &state->paths[at];
	struct delay_line_counters counters;

	if (!path->line)
		return;
	delay_line_counters(path->line, &counters);
	add_counts(&counters, &state->left_counts);
	state->left_processor_ns += counters.processor_ns;
	delay_line_stop(path->line);
	path->line = NULL;
}

static bool has_loopback(const struct network_state *state)
{
	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].is_loopback)
			return true;
	return false;
}

struct foreign_search {
	const char *own_run; /* "squall_RUN_" */
	bool is_found;
};

/* The name of a table or filter. */
static void look_at_name(struct foreign_search *search, const char *name)
{
	if (strncmp(name, "squall_", 7) == 0 &&
	    strncmp(name, search->own_run, strlen(search->own_run)) != 0)
		search->is_found = true;
}

static void look_at_hook(void *context, const struct nft_hook *hook)
{
	if (strcmp(hook->device, "lo") == 0)
		look_at_name(context, hook->table);
}

static void look_at_filter(void *context, const struct filter *filter)
{
	look_at_name(context, filter->name);
}

/* A setting that another run needs as well would be taken from it at our end, and its delayed
 * packets with it. */
static int refuse_foreign_run(struct network_state *state, const struct fault *fault,
			      struct error *err)
{
	char own[32];
	struct foreign_search search = {.own_run = own};
	int result;

	snprintf(own, sizeof(own), "squall_%s_", fault->env->run_id);
	result = nft_hooks(state->netfilter, look_at_hook, &search, err);
	if (result == 0)
		result = filter_each(state->route, 1, QDISC_EGRESS, look_at_filter, &search, err);
	if (result < 0 || !search.is_found)
		return result;
	error_set(err, EBUSY, "another run affects lo, whose settings it has changed");
	return error_remedy(err, "`squall status` shows it; wait for its end or stop it");
}

static int change_setting(struct network_state *state, const struct fault *fault, unsigned setting,
			  struct error *err)
{
	struct network_record record = state->record;
	uint32_t value;
	int result = link_get_ipv4(state->route, 1, setting, &value, err);

	if (result < 0)
		return result;
	if (value == 1) {
		result = refuse_foreign_run(state, fault, err);
		if (result < 0)
			return result;
		/* Set for another step of this run, or by the user. */
		value = network_inherit_setting(state, setting, value);
		if (value == 1)
			return 0;
	}
	record.index = 1;
	record.setting = setting;
	record.old_value = value;
	record.our_value = 1;
	result = journal_undo(fault->env->journal, fault->ops->name, fault->step,
			      NETWORK_RECORD_IPV4, &record, sizeof(record), err);
	if (result < 0)
		return result;
	state->loopback_old[setting == IPV4_DEVCONF_ACCEPT_LOCAL] = value;
	state->owns_loopback_settings = true;
	return link_set_ipv4(state->route, 1, setting, 1, err);
}

int network_line_start(struct network_state *state, const struct fault *fault, struct error *err)
{
	int result = network_line_prepare(state, fault->target->namespace_fd, fault->env->run_id,
					  fault->step, err);

	for (unsigned i = 0; result == 0 && has_loopback(state) &&
			     i < sizeof(loopback_settings) / sizeof(*loopback_settings);
	     i++)
		result = change_setting(state, fault, loopback_settings[i], err);
	for (unsigned i = 0; result == 0 && i < state->path_count; i++) {
		if (state->paths[i].index)
			result = start_one(state, i, err);
		if (result == 0 && state->paths[i].line && wishes("hold") &&
		    delay_line_may_hold(state->paths[i].line))
			hold(state, fault, state->paths[i].line);
	}
	if (result < 0)
		network_line_stop(state);
	return result;
}

int network_line_device(const struct network_state *state, unsigned path, int *out_index,
			struct error *err)
{
	struct link link;
	int result =
		link_find(state->route, delay_line_device(state->paths[path].line), &link, err);

	if (result == 0)
		*out_index = link.index;
	return result;
}

int network_line_check(const struct network_state *state, struct error *err)
{
	for (unsigned i = 0; i < state->path_count; i++) {
		const char *name;
		struct link link;
		bool has_programs = true;
		int result;

		if (!state->paths[i].index)
			continue;
		name = delay_line_device(state->paths[i].line);
		result = link_find(state->route, name, &link, err);
		if (result == 0 &&
		    (!(link.flags & IFF_UP) || delay_line_is_broken(state->paths[i].line)))
			result = error_set(err, ENODEV, "interface %s was taken down", name);
		if (result == 0)
			result = delay_line_has_programs(state->paths[i].line, state->route,
							 &has_programs, err);
		if (result == 0 && !has_programs)
			result = error_set(err, ENOENT, "a filter of interface %s is gone", name);
		if (result < 0)
			return result;
	}
	return 0;
}

void network_line_change(struct network_state *state)
{
	const struct netem_config effect = config_of(state);

	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].index) /* who has left gives back what it has */
			delay_line_set(state->paths[i].line, &effect);
}

void network_line_soften(struct network_state *state)
{
	const struct netem_config nothing = {0};

	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].line)
			delay_line_set(state->paths[i].line, &nothing);
}

bool network_line_is_empty(const struct network_state *state)
{
	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].line && !delay_line_is_broken(state->paths[i].line) &&
		    !delay_line_is_empty(state->paths[i].line))
			return false;
	return true;
}

void network_line_count(const struct network_state *state, struct network_line_counts *out)
{
	*out = state->left_counts;
	for (unsigned i = 0; i < state->path_count; i++) {
		struct delay_line_counters counters;

		if (!state->paths[i].line)
			continue;
		delay_line_counters(state->paths[i].line, &counters);
		add_counts(&counters, out);
	}
}

int64_t network_line_processor_ns(struct network_state *state)
{
	int64_t processor_ns = state->left_processor_ns;

	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].line)
			processor_ns += delay_line_processor_ns(state->paths[i].line);
	if (processor_ns > state->processor_ns)
		state->processor_ns = processor_ns;
	return state->processor_ns;
}

void network_line_stop(struct network_state *state)
{
	for (unsigned i = 0; i < state->path_count; i++) {
		delay_line_stop(state->paths[i].line);
		state->paths[i].line = NULL;
	}
}
