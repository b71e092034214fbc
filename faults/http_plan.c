/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Planning an http fault: can it be done here, whose requests for what are met, and what is
 * changed.
 */
#include "faults/http.h"
#include "faults/http_collect.h"

#include "injector/base/clock.h"
#include "injector/base/prose.h"
#include "injector/base/quantity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What becomes of responses before they are changed, or instead. */
static void describe_late(const struct http_policy *policy, struct prose *prose)
{
	bool has_begun = policy->delay_ns || policy->changes_requests || policy->changes_responses;
	char text[QUANTITY_TEXT_SIZE];

	if (policy->response_delay_ns)
		prose_say(prose, "%sdelay the response %s", has_begun ? ", " : "",
			  quantity_format_duration(policy->response_delay_ns, text));
	if (policy->aborts_responses)
		prose_say(prose, "%sreset instead of the response",
			  has_begun || policy->response_delay_ns ? ", " : "");
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
	describe_late(policy, &prose);
	if (policy->share_ppb < SHARE_ONE)
		prose_say(&prose, ", %s of them", quantity_format_share(policy->share_ppb, text));
	prose_end(&prose);
}

static int list_requests(const struct params *params, struct plan *plan)
{
	static const unsigned lists[] = {HTTP_PARAM_PATH, HTTP_PARAM_METHOD, HTTP_PARAM_HEADER,
					 HTTP_PARAM_STATUS, HTTP_PARAM_RESPONSE_HEADER};
	int result = 0;

	for (unsigned l = 0; l < sizeof(lists) / sizeof(*lists); l++)
		for (unsigned i = 0; result == 0 && i < params_count(params, lists[l]); i++)
			result = plan_add(plan, PLAN_TARGET, "%s %s", params->table[lists[l]].name,
					  params_value(params, lists[l], i)->text);
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

static int list_unmet(const struct http_state *state, bool resets, struct plan *plan)
{
	const char *open = resets ? "" : "connections that are open when it begins, ";
	const char *passing = state->tls ? "HTTP/2 and gRPC without TLS (they pass)"
					 : "TLS, HTTP/2 and gRPC (they pass)";

	if (state->redirect.kind == &http_server_kind)
		return plan_add(plan, PLAN_NOTE,
				"not met: %s%s, link-local "
				"addresses of IPv6, what rules (TPROXY) or a mesh give to a socket "
				"themselves, from elsewhere to 127.0.0.1",
				open, passing);
	return plan_add(plan, PLAN_NOTE,
			"not met: %s%s, link-local addresses, "
			"what rules put into a zone of connection tracking; "
			"sockets bound to an interface cannot connect",
			open, passing);
}

static int list_tls(const struct http_state *state, struct plan *plan)
{
	const struct params *params = state->policy.params;
	int result;

	result = plan_add(plan, PLAN_CHANGE,
			  "start squall-tls (user nobody, no capabilities, opens nothing), which "
			  "speaks TLS to clients with the certificate %s, and to servers",
			  http_tls_certificate(state->tls));
	if (result == 0 && params_is_set(params, HTTP_PARAM_TLS_CA))
		result = plan_add(plan, PLAN_NOTE,
				  "the server's certificate is verified by %s, also for the name "
				  "that the client gave",
				  params_text(params, HTTP_PARAM_TLS_CA));
	else if (result == 0)
		result = plan_add(plan, PLAN_NOTE,
				  "the server's certificate is not verified (tls-ca does that): "
				  "whoever answers at its address gets what clients say");
	if (result == 0 && http_tls_oddity(state->tls)[0])
		result = plan_add(plan, PLAN_NOTE, "%s", http_tls_oddity(state->tls));
	return result < 0
		       ? result
		       : plan_add(plan, PLAN_NOTE,
				  "in TLS 1.2 and 1.3 HTTP/1.1 alone is offered, on both sides: "
				  "clients that want HTTP/2 alone, do not trust the certificate "
				  "or have one of their own to show fail; a connection that does "
				  "not begin with TLS is met as it is");
}

static int list_changes(const struct http_state *state, const struct params *target, bool resets,
			struct plan *plan, struct error *err)
{
	char what[120], listens[320];
	int result;

	http_describe(&state->policy, what, sizeof(what));
	snprintf(listens, sizeof(listens),
		 "listen on a TCP port of 127.0.0.1 and ::1; requests that are met: %s; everything "
		 "else is passed on to the server that was meant",
		 what);
	if (state->redirect.kind == &http_server_kind)
		result = http_list_server(state, target, listens, plan, err);
	else
		result = redirect_list_changes(&state->redirect, listens, plan);
	if (result == 0)
		result = list_settings(state->policy.params, plan);
	if (result == 0 && (state->policy.merged_request || state->policy.merged_body))
		result = plan_add(
			plan, PLAN_NOTE,
			"JSON is merged when all of it has come: up to %d KiB, not "
			"compressed; at most %d MiB wait at a time; everything else is not "
			"changed",
			HTTP_KEPT_MAX >> 10, HTTP_KEPT_ALL_MAX >> 20);
	if (result == 0)
		result = list_unmet(state, resets, plan);
	if (result == 0 && state->tls)
		result = list_tls(state, plan);
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
	const struct target *target = fault->target;
	const bool is_at_server = http_is_at_server(&target->params);
	struct http_state *state;
	int result = is_at_server ? http_check_container(target, err) : 0;

	if (result < 0)
		return result;
	state = calloc(1, sizeof(*state));
	if (!state)
		return error_errno(err, ENOMEM, "http");
	fault->state = state;
	result = redirect_plan(&state->redirect, is_at_server ? &http_server_kind : &http_kind,
			       fault, err);
	if (result == 0)
		result = http_read_policy(fault->params, &state->policy, err);
	if (result == 0 && http_tls_is_wanted(fault->params))
		result = http_tls_start(fault->params, &state->tls, err);
	if (result == 0)
		result = list_requests(fault->params, plan);
	if (result == 0)
		result = is_at_server ? http_list_clients(target, plan)
				      : redirect_list_servers(&http_kind, target, plan);
	if (result == 0)
		result = list_changes(state, &target->params,
				      params_number(fault->params, HTTP_PARAM_RESET, 0), plan, err);
	if (result == 0)
		result = plan_reset(state, fault, plan, err);
	if (result < 0)
		fault->ops->release(fault);
	return result;
}
