/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Planning a dns fault: can it be done here, whose queries for what are met, and what is changed.
 */
#include "faults/dns.h"

#include "injector/base/quantity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

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

static int list_changes(const struct dns_state *state, bool follows_names, struct plan *plan)
{
	char what[120], listens[320];
	int result;

	describe(&state->policy, what, sizeof(what));
	snprintf(listens, sizeof(listens),
		 "listen on 127.0.0.1 and ::1, %d UDP ports and a TCP port; answer: %s; everything "
		 "else is passed on to the server that was meant",
		 DNS_PORTS, what);
	result = redirect_list_changes(&state->redirect, listens, plan);
	if (result == 0)
		result = plan_add(plan, PLAN_NOTE,
				  "DNS over TCP: connections that are open when it begins%s or "
				  "ends are reset, and clients open new ones",
				  follows_names ? ", their server comes or leaves," : "");
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
	result = redirect_plan(&state->redirect, &dns_kind, fault, err);
	if (result == 0)
		result = dns_read_policy(fault->params, &state->policy, err);
	if (result == 0)
		result = dns_match_new(fault->params, &dns_keys, &state->policy.match, err);
	if (result == 0)
		result = list_names(fault->params, plan);
	if (result == 0)
		result = redirect_list_servers(&dns_kind, fault->target, plan);
	if (result == 0)
		result = list_changes(state, fault->target->host_count > 0, plan);
	if (result < 0)
		fault->ops->release(fault);
	return result;
}
