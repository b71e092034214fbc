/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Planning a fault that redirects: can it be done here, and what is changed.
 */
#include "faults/redirect_state.h"

#include "faults/target_follow.h"
#include "faults/target_group.h"
#include "injector/kernel/nft.h"
#include "injector/kernel/trial.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <stdio.h>

#define GROUP_REMEDY "needs Linux 5.13 or newer with CONFIG_NFT_SOCKET (modprobe nft_socket)"

static const struct redirect_kind *tried; /* the child of a trial takes nothing else along */

/* Can this kernel do it? Tried in the namespace the process is in; nothing is left. */
static int try_with(unsigned group_count, struct error *err)
{
	struct target_group group = {.level = 1, .id = 1}; /* there need not be one */
	struct target every = {
		.kind = TARGET_TRAFFIC, .groups = &group, .group_count = group_count};
	struct netlink *netlink = NULL;
	struct nft_batch batch;
	int result = params_init(&every.params, traffic_params, err);

	if (result == 0)
		result = netlink_open_netfilter(-1, &netlink, err);
	if (result == 0) {
		nft_batch_begin(&batch);
		nft_add_table(&batch, NFPROTO_INET, "squall_probe", NULL);
		tried->add_rules(&(struct redirect_rules){.batch = &batch,
							  .target = &every,
							  .port = 1,
							  .has_ipv6 = true,
							  .mark = tried->mark_base});
		result = nft_commit(netlink, &batch, err);
	}
	netlink_close(netlink);
	params_free(&every.params);
	return result;
}

static int try_table(void *answer, struct error *err)
{
	(void)answer;
	return try_with(0, err);
}

static int try_group_table(void *answer, struct error *err)
{
	(void)answer;
	return try_with(1, err);
}

int redirect_probe(const struct redirect_kind *kind, struct fault_support *out, struct error *err)
{
	struct error why = ERROR_INIT;
	int result;

	(void)err;
	tried = kind;
	result = trial_run(try_table, NULL, 0, &why);
	*out = (struct fault_support){.usable = result == 0};
	if (result == 0)
		snprintf(out->way, sizeof(out->way),
			 "nftables owner table redirects %s to a responder of the worker",
			 kind->redirected);
	snprintf(out->reason, sizeof(out->reason), "%.*s", (int)sizeof(out->reason) - 1, why.text);
	snprintf(out->remedy, sizeof(out->remedy), "%s", result ? kind->needs : "");
	return 0;
}

int redirect_table_plan(struct redirect_state *state, const struct fault *fault, struct error *err)
{
	const char *run = fault->env && fault->env->run_id ? fault->env->run_id : "RUN";
	int result;

	tried = state->kind;
	if ((result = trial_run(try_table, NULL, 0, err)) < 0)
		error_remedy(err, "%s", state->kind->needs);
	if (result == 0 && fault->target->group_count &&
	    (result = trial_run(try_group_table, NULL, 0, err)) < 0)
		error_remedy(err, "%s", GROUP_REMEDY);
	snprintf(state->record.table, sizeof(state->record.table), "squall_%s_%u", run,
		 fault->step);
	return result < 0 ? result
			  : netlink_open_netfilter(fault->target->namespace_fd, &state->netfilter,
						   err);
}

static int name_namespace(struct redirect_state *state, const struct fault *fault,
			  struct error *err)
{
	struct redirect_record *record = &state->record;
	int result = netlink_open(fault->target->namespace_fd, &state->route, err);

	if (result < 0)
		return result;
	snprintf(record->namespace_name, sizeof(record->namespace_name), "%s",
		 fault->target->namespace_name);
	record->namespace_cookie = netlink_namespace_cookie(state->route);
	return namespace_identify(fault->target->namespace_fd, &record->namespace_id, err);
}

int redirect_plan(struct redirect_state *state, const struct redirect_kind *kind,
		  const struct fault *fault, struct error *err)
{
	int result;

	state->kind = kind;
	state->lookup = REDIRECT_LOOKUP_CLOSED;
	redirect_register(state);
	result = name_namespace(state, fault, err);
	if (result == 0)
		result = kind->means->plan(state, fault, err);
	if (result == 0)
		result = redirect_check_loopback(fault->target, kind->asked, err);
	return result == 0 && target_follows(&fault->target->params)
		       ? redirect_check_followed(fault, err)
		       : result;
}

int redirect_list_servers(const struct redirect_kind *kind, const struct target *target,
			  struct plan *plan)
{
	const struct params *params = &target->params;
	unsigned count = params_count(params, TRAFFIC_TO);
	char text[ENDPOINT_TEXT_SIZE] = "*", usual[20];
	int result = 0;

	snprintf(usual, sizeof(usual), ", port %u", kind->port);
	for (unsigned i = 0; result == 0 && i < (count ? count : 1); i++) {
		const struct endpoint every = {.family = AF_UNSPEC}, *server = &every;

		if (count)
			server = &params_value(params, TRAFFIC_TO, i)->endpoint;
		endpoint_format(server, text);
		result = plan_add(plan, PLAN_TARGET, "%s to %s%s%s%s", kind->asked, text,
				  server->port_first ? "" : usual,
				  target->namespace_name[0] ? ", network namespace " : "",
				  target->namespace_name);
	}
	for (unsigned i = 0; result == 0 && i < params_count(params, TRAFFIC_EXCEPT); i++) {
		endpoint_format(&params_value(params, TRAFFIC_EXCEPT, i)->endpoint, text);
		result = plan_add(plan, PLAN_TARGET, "not %s to %s", kind->asked, text);
	}
	if (result == 0)
		result = target_list_followed(target, plan);
	return result < 0 ? result : target_group_list(target, plan);
}

int redirect_list_changes(const struct redirect_state *state, const char *listens,
			  struct plan *plan)
{
	int result = plan_add(plan, PLAN_WAY, "nf_tables redirects %s to a responder of the worker",
			      state->kind->redirected);

	if (result == 0)
		result = plan_add(plan, PLAN_CHANGE, "%s", listens);
	if (result == 0)
		result = plan_add(plan, PLAN_CHANGE,
				  "add table inet %s (owned: vanishes with its process)",
				  state->record.table);
	if (result == 0)
		result = plan_add(plan, PLAN_NOTE,
				  "connection tracking is on in the namespace while it lasts");
	return result;
}
