/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Planning a dns fault: can it be done here, whose queries for what are met, and what is changed.
 */
#include "faults/dns.h"

#include "faults/target_group.h"

#include "injector/base/quantity.h"
#include "injector/kernel/trial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REMEDY                                                                                     \
	"needs Linux 5.12 or newer with CONFIG_NF_TABLES_INET, nft_redir, nft_ct and "             \
	"nf_conntrack_netlink (modprobe nft_redir nf_conntrack_netlink)"
#define GROUP_REMEDY "needs Linux 5.13 or newer with CONFIG_NFT_SOCKET (modprobe nft_socket)"

static int try_table(void *answer, struct error *err)
{
	(void)answer;
	return dns_table_try(false, err);
}

static int try_group_table(void *answer, struct error *err)
{
	(void)answer;
	return dns_table_try(true, err);
}

int dns_probe(struct fault_support *out, struct error *err)
{
	struct error why = ERROR_INIT;
	int result = trial_run(try_table, NULL, 0, &why);

	(void)err;
	*out = (struct fault_support){.usable = result == 0};
	if (result == 0)
		snprintf(out->way, sizeof(out->way),
			 "nftables owner table redirects queries to a responder of the worker");
	snprintf(out->reason, sizeof(out->reason), "%.*s", (int)sizeof(out->reason) - 1, why.text);
	snprintf(out->remedy, sizeof(out->remedy), "%s", result ? REMEDY : "");
	return 0;
}

static void describe(const struct dns_policy *policy, char *out, size_t size)
{
	char delay[QUANTITY_TEXT_SIZE], share[QUANTITY_TEXT_SIZE];
	size_t used = 0;

	out[0] = '\0';
	if (policy->answer != DNS_ANSWER_NONE)
		used = (size_t)snprintf(out, size, "%s", dns_answers[policy->answer]);
	if (policy->delay_ns)
		used += (size_t)snprintf(out + used, size - used, "%sdelay %s", used ? ", " : "",
					 quantity_format_duration(policy->delay_ns, delay));
	if (policy->share_ppb < SHARE_ONE)
		snprintf(out + used, size - used, ", %s of the queries",
			 quantity_format_share(policy->share_ppb, share));
}

static int list_names(const struct params *params, struct plan *plan)
{
	static const unsigned lists[] = {DNS_NAME, DNS_DOMAIN, DNS_PATTERN};
	int result = 0;

	for (unsigned l = 0; l < sizeof(lists) / sizeof(*lists); l++)
		for (unsigned i = 0; result == 0 && i < params_count(params, lists[l]); i++)
			result = plan_add(plan, PLAN_TARGET, "%s %s", params->table[lists[l]].name,
					  params_value(params, lists[l], i)->text);
	return result;
}

static int list_servers(const struct target *target, struct plan *plan)
{
	unsigned count = params_count(&target->params, TRAFFIC_TO);
	char text[ENDPOINT_TEXT_SIZE] = "*";
	int result = 0;

	for (unsigned i = 0; result == 0 && i < (count ? count : 1); i++) {
		const struct endpoint every = {.family = AF_UNSPEC}, *server = &every;

		if (count)
			server = &params_value(&target->params, TRAFFIC_TO, i)->endpoint;
		endpoint_format(server, text);
		result = plan_add(plan, PLAN_TARGET, "queries to %s%s%s%s", text,
				  server->port_first ? "" : ", port 53",
				  target->namespace_name[0] ? ", network namespace " : "",
				  target->namespace_name);
	}
	return result;
}

static int list_changes(const struct dns_state *state, struct plan *plan)
{
	char what[120];
	int result;

	describe(&state->policy, what, sizeof(what));
	result = plan_add(plan, PLAN_WAY,
			  "nf_tables redirects queries to a responder of the worker");
	if (result == 0)
		result = plan_add(
			plan, PLAN_CHANGE,
			"listen on 127.0.0.1 and ::1, %d UDP ports and a TCP port; answer: "
			"%s; everything else is passed on to the server that was meant",
			DNS_PORTS, what);
	if (result == 0)
		result = plan_add(plan, PLAN_CHANGE,
				  "add table inet %s (owned: vanishes with its process)",
				  state->record.table);
	if (result == 0)
		result = plan_add(plan, PLAN_NOTE,
				  "connection tracking is on in the namespace while it lasts");
	if (result == 0)
		result = plan_add(
			plan, PLAN_NOTE,
			"DNS over TCP: connections that are open when it begins or ends are "
			"reset, and clients open new ones");
	if (result == 0)
		result = plan_add(
			plan, PLAN_NOTE,
			"not affected: link-local addresses, DNS over TLS and HTTPS, answers in "
			"caches, what rules put into a zone of connection tracking before priority "
			"-301; sockets bound to an interface get no answer at all");
	return result;
}

int dns_plan(struct fault *fault, struct plan *plan, struct error *err)
{
	struct dns_state *state = calloc(1, sizeof(*state));
	int result;

	if (!state)
		return error_errno(err, ENOMEM, "dns");
	fault->state = state;
	dns_register(state);
	result = dns_read_policy(fault->params, &state->policy, err);
	if (result == 0)
		result = dns_match_new(fault->params, &dns_keys, &state->policy.match, err);
	if (result == 0 && (result = trial_run(try_table, NULL, 0, err)) < 0)
		error_remedy(err, "%s", REMEDY);
	if (result == 0 && fault->target->group_count &&
	    (result = trial_run(try_group_table, NULL, 0, err)) < 0)
		error_remedy(err, "%s", GROUP_REMEDY);
	if (result == 0)
		result = redirect_check_loopback(fault->target, "queries", err);
	if (result == 0)
		result = redirect_name(fault, &state->record, err);
	if (result == 0)
		result =
			netlink_open_netfilter(fault->target->namespace_fd, &state->netfilter, err);
	if (result == 0)
		result = netlink_open(fault->target->namespace_fd, &state->route, err);
	if (result == 0)
		result = list_names(fault->params, plan);
	if (result == 0)
		result = list_servers(fault->target, plan);
	if (result == 0)
		result = target_group_list(fault->target, plan);
	if (result == 0)
		result = list_changes(state, plan);
	if (result < 0)
		fault->ops->release(fault);
	return result;
}
