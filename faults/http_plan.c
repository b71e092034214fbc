/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Planning an http fault: can it be done here, whose requests for what are met, and what is
 * changed.
 */
#include "faults/http.h"

#include "faults/target_group.h"
#include "injector/base/clock.h"
#include "injector/base/prose.h"
#include "injector/base/quantity.h"
#include "injector/kernel/trial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REMEDY                                                                                     \
	"needs Linux 5.12 or newer with CONFIG_NF_TABLES_INET, CONFIG_NF_CONNTRACK_ZONES and "     \
	"nft_redir (modprobe nft_redir)"
#define GROUP_REMEDY "needs Linux 5.13 or newer with CONFIG_NFT_SOCKET (modprobe nft_socket)"

static int try_table(void *answer, struct error *err)
{
	(void)answer;
	return http_table_try(false, err);
}

static int try_group_table(void *answer, struct error *err)
{
	(void)answer;
	return http_table_try(true, err);
}

int http_probe_machine(struct fault_support *out, struct error *err)
{
	struct error why = ERROR_INIT;
	int result = trial_run(try_table, NULL, 0, &why);

	(void)err;
	*out = (struct fault_support){.usable = result == 0};
	if (result == 0)
		snprintf(out->way, sizeof(out->way),
			 "nftables owner table redirects new connections to a responder of the "
			 "worker");
	snprintf(out->reason, sizeof(out->reason), "%.*s", (int)sizeof(out->reason) - 1, why.text);
	snprintf(out->remedy, sizeof(out->remedy), "%s", result ? REMEDY : "");
	return 0;
}

void http_describe(const struct http_policy *policy, char *out, size_t size)
{
	char text[QUANTITY_TEXT_SIZE];
	struct prose prose;

	prose_begin(&prose, out, size);
	if (policy->delay_ns)
		prose_say(&prose, "delay %s", quantity_format_duration(policy->delay_ns, text));
	if (policy->status)
		prose_say(&prose, "%sanswer %u", policy->delay_ns ? ", then " : "", policy->status);
	if (policy->aborts)
		prose_say(&prose, "%sreset", policy->delay_ns ? ", then " : "");
	if (policy->changes_requests || policy->changes_responses)
		prose_say(&prose, "%schange %s%s%s", policy->delay_ns ? ", then " : "",
			  policy->changes_requests ? "the request" : "",
			  policy->changes_requests && policy->changes_responses ? " and " : "",
			  policy->changes_responses ? "the response" : "");
	if (policy->share_ppb < SHARE_ONE)
		prose_say(&prose, ", %s of them", quantity_format_share(policy->share_ppb, text));
	prose_end(&prose);
}

static int list_requests(const struct params *params, struct plan *plan)
{
	static const unsigned lists[] = {HTTP_PARAM_PATH, HTTP_PARAM_METHOD, HTTP_PARAM_HEADER};
	int result = 0;

	for (unsigned l = 0; l < sizeof(lists) / sizeof(*lists); l++)
		for (unsigned i = 0; result == 0 && i < params_count(params, lists[l]); i++)
			result = plan_add(plan, PLAN_TARGET, "%s %s", params->table[lists[l]].name,
					  params_value(params, lists[l], i)->text);
	return result;
}

static int list_servers(const struct target *target, struct plan *plan)
{
	const struct params *params = &target->params;
	unsigned count = params_count(params, TRAFFIC_TO);
	char text[ENDPOINT_TEXT_SIZE] = "*";
	int result = 0;

	for (unsigned i = 0; result == 0 && i < (count ? count : 1); i++) {
		const struct endpoint every = {.family = AF_UNSPEC}, *server = &every;

		if (count)
			server = &params_value(params, TRAFFIC_TO, i)->endpoint;
		endpoint_format(server, text);
		result = plan_add(plan, PLAN_TARGET, "requests to %s%s%s%s", text,
				  server->port_first ? "" : ", port 80",
				  target->namespace_name[0] ? ", network namespace " : "",
				  target->namespace_name);
	}
	for (unsigned i = 0; result == 0 && i < params_count(params, TRAFFIC_EXCEPT); i++) {
		endpoint_format(&params_value(params, TRAFFIC_EXCEPT, i)->endpoint, text);
		result = plan_add(plan, PLAN_TARGET, "not requests to %s", text);
	}
	return result;
}

/* What is changed in requests and responses. */
static int list_settings(const struct params *params, struct plan *plan)
{
	int result = 0;

	for (unsigned key = 0; params->table[key].name; key++)
		for (unsigned i = 0;
		     result == 0 && http_is_change(key) && i < params_count(params, key); i++)
			result = plan_add(plan, PLAN_CHANGE, "of what is met: %s \"%s\"",
					  params->table[key].name,
					  params_value(params, key, i)->text);
	return result;
}

static int list_changes(const struct http_state *state, bool resets, struct plan *plan)
{
	char what[120];
	int result;

	http_describe(&state->policy, what, sizeof(what));
	result = plan_add(plan, PLAN_WAY,
			  "nf_tables redirects new connections to a responder of the worker");
	if (result == 0)
		result = plan_add(plan, PLAN_CHANGE,
				  "listen on a TCP port of 127.0.0.1 and ::1; requests that are "
				  "met: %s; everything else is passed on to the server that was "
				  "meant",
				  what);
	if (result == 0)
		result = list_settings(state->policy.params, plan);
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
			"not met: %sTLS, HTTP/2 and gRPC (they pass), link-local addresses, "
			"what rules put into a zone of connection tracking; "
			"sockets bound to an interface cannot connect",
			resets ? "" : "connections that are open when it begins, ");
	if (result == 0)
		result = plan_add(plan, PLAN_NOTE,
				  "at most %u connections at a time, further ones are reset unless "
				  "one that is half closed and idle makes room; one "
				  "to a server that cannot be reached is reset as well",
				  http_responder_room());
	if (result == 0)
		result = plan_add(plan, PLAN_NOTE,
				  "at the end its connections are closed as soon as nothing is "
				  "asked on them; what takes longer than 2s, and any that are not "
				  "HTTP/1, are reset");
	return result;
}

static int plan_reset(struct http_state *state, const struct fault *fault, struct plan *plan,
		      struct error *err)
{
	struct target_connections old = {0};
	int result;

	if (!params_number(fault->params, HTTP_PARAM_RESET, 0))
		return 0;
	result = netlink_open_diag(fault->target->namespace_fd, &state->diag, err);
	if (result == 0)
		result = connection_try_destroy(state->diag, err);
	if (!params_number(&fault->target->params, TRAFFIC_ALLOW_LOCKOUT, 0))
		state->control_count = target_session_find(state->control, SESSION_CONNECTIONS);
	if (result == 0)
		result = http_find_connections(state, fault->target, &old, err);
	if (result < 0)
		return result;
	result =
		plan_add(plan, PLAN_CHANGE,
			 "end TCP connections to the servers, %u now: cannot be undone", old.count);
	if (result == 0 && old.spared_count)
		result = plan_add(plan, PLAN_NOTE, "not ended: this session's connection");
	target_connections_drop(&old);
	return result;
}

int http_plan(struct fault *fault, struct plan *plan, struct error *err)
{
	struct http_state *state = calloc(1, sizeof(*state));
	int result;

	if (!state)
		return error_errno(err, ENOMEM, "http");
	fault->state = state;
	http_register(state);
	result = http_read_policy(fault->params, &state->policy, err);
	if (result == 0 && (result = trial_run(try_table, NULL, 0, err)) < 0)
		error_remedy(err, "%s", REMEDY);
	if (result == 0 && fault->target->group_count &&
	    (result = trial_run(try_group_table, NULL, 0, err)) < 0)
		error_remedy(err, "%s", GROUP_REMEDY);
	if (result == 0)
		result = redirect_check_loopback(fault->target, "requests", err);
	if (result == 0)
		result = redirect_name(fault, &state->record, err);
	if (result == 0)
		result =
			netlink_open_netfilter(fault->target->namespace_fd, &state->netfilter, err);
	if (result == 0)
		result = netlink_open(fault->target->namespace_fd, &state->route, err);
	if (result == 0)
		result = list_requests(fault->params, plan);
	if (result == 0)
		result = list_servers(fault->target, plan);
	if (result == 0)
		result = target_group_list(fault->target, plan);
	if (result == 0)
		result = list_changes(state, params_number(fault->params, HTTP_PARAM_RESET, 0),
				      plan);
	if (result == 0)
		result = plan_reset(state, fault, plan, err);
	if (result < 0)
		fault->ops->release(fault);
	return result;
}
