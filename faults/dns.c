/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The dns fault: wrong, late or no answers for chosen names, for everybody in a network namespace,
 * without touching a file. Order: journal -> responder -> the table (the effect starts); the
 * queries' rules away (the effect ends) -> what is under way arrives -> table and responder go.
 */
#include "faults/dns.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/kernel/link.h"
#include "injector/kernel/nft.h"
#include "injector/kernel/trial.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/netfilter.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#define DRAIN_SOFT_NS (2 * NSEC_PER_SEC)
#define DRAIN_NOW_NS  (200 * NSEC_PER_MSEC)
#define POLL_NS	      (2 * NSEC_PER_MSEC)
#define SERVERS_MAX   1000
#define REMEDY                                                                                     \
	"needs Linux 5.12 or newer with CONFIG_NF_TABLES_INET, nft_redir, nft_ct and "             \
	"nf_conntrack_netlink (modprobe nft_redir nf_conntrack_netlink)"

enum dns_param {
	DNS_TARGET,
	DNS_NAME,
	DNS_DOMAIN,
	DNS_PATTERN,
	DNS_TYPE,
	DNS_ANSWER,
	DNS_ADDRESS,
	DNS_DELAY,
	DNS_PROBABILITY,
};

static const char *const answers[] = {
	[DNS_ANSWER_NXDOMAIN] = "nxdomain", [DNS_ANSWER_SERVFAIL] = "servfail",
	[DNS_ANSWER_REFUSED] = "refused",   [DNS_ANSWER_EMPTY] = "empty",
	[DNS_ANSWER_ADDRESS] = "address",   [DNS_ANSWER_DROP] = "drop",
	[DNS_ANSWER_NONE] = NULL,
};

static const struct param dns_params[] = {
	[DNS_TARGET] =
		{.name = "target",
		 .type = PARAM_TARGET,
		 .flags = PARAM_REQUIRED,
		 .doc = "the servers (port 53 unless given), and whose queries: its namespace"},
	[DNS_NAME] = {.name = "name",
		      .type = PARAM_TEXT,
		      .flags = PARAM_LIST,
		      .doc = "exactly these names; \"*\": every name"},
	[DNS_DOMAIN] = {.name = "domain",
			.type = PARAM_TEXT,
			.flags = PARAM_LIST,
			.doc = "these names and all below them"},
	[DNS_PATTERN] = {.name = "pattern",
			 .type = PARAM_PATTERN,
			 .flags = PARAM_LIST,
			 .doc = "names in which this regular expression is found"},
	[DNS_TYPE] = {.name = "type",
		      .type = PARAM_WORD,
		      .words = dns_match_types,
		      .flags = PARAM_LIST,
		      .doc = "only questions of these types; default: any"},
	[DNS_ANSWER] = {.name = "answer",
			.type = PARAM_WORD,
			.words = answers,
			.doc = "what is answered; empty: the name exists, without such a record; "
			       "default: nxdomain, or with a delay the truth"},
	[DNS_ADDRESS] = {.name = "address",
			 .type = PARAM_ENDPOINT,
			 .flags = PARAM_LIST,
			 .doc = "the wrong addresses, with answer: address"},
	[DNS_DELAY] = {.name = "delay",
		       .type = PARAM_DURATION,
		       .max = 60 * NSEC_PER_SEC,
		       .doc = "time a query waits before it is answered or passed on"},
	[DNS_PROBABILITY] = {.name = "probability",
			     .type = PARAM_SHARE,
			     .min = 1,
			     .max = SHARE_ONE,
			     .fallback = "100%",
			     .doc = "with which a query is met"},
	{.name = NULL},
};

static const struct dns_match_keys keys = {
	.name = DNS_NAME, .domain = DNS_DOMAIN, .pattern = DNS_PATTERN, .type = DNS_TYPE};

/* Checking. */

static int add_address(struct dns_policy *policy, const struct endpoint *endpoint,
		       struct error *err)
{
	struct dns_addresses *to = &policy->addresses;
	char text[ENDPOINT_TEXT_SIZE];
	bool is_v4 = endpoint->family == AF_INET;

	if (endpoint->family == AF_UNSPEC || endpoint->host[0] || endpoint->port_first ||
	    endpoint->prefix != (is_v4 ? 32 : 128))
		return error_set(err, EINVAL, "address: '%s' is not one address",
				 endpoint_format(endpoint, text));
	if ((is_v4 ? to->count4 : to->count6) == DNS_ADDRESSES_MAX)
		return error_set(err, E2BIG, "address: more than %d of one family",
				 DNS_ADDRESSES_MAX);
	if (is_v4)
		memcpy(&policy->v4[to->count4++], endpoint->address, 4);
	else
		memcpy(&policy->v6[to->count6++], endpoint->address, 16);
	return 0;
}

/* Everything but the names. */
static int read_policy(const struct params *params, struct dns_policy *policy, struct error *err)
{
	unsigned count = params_count(params, DNS_ADDRESS);
	int result = 0;

	policy->answer = (enum dns_answer)params_number(params, DNS_ANSWER, DNS_ANSWER_NONE);
	policy->delay_ns = params_number(params, DNS_DELAY, 0);
	policy->share_ppb = params_number(params, DNS_PROBABILITY, SHARE_ONE);
	policy->addresses.count4 = policy->addresses.count6 = 0;
	policy->addresses.v4 = policy->v4;
	policy->addresses.v6 = policy->v6;
	for (unsigned i = 0; result == 0 && i < count; i++)
		result = add_address(policy, &params_value(params, DNS_ADDRESS, i)->endpoint, err);
	if (result < 0)
		return result;
	if (policy->answer == DNS_ANSWER_NONE && policy->delay_ns == 0)
		policy->answer = DNS_ANSWER_NXDOMAIN;
	if (policy->answer == DNS_ANSWER_DROP && policy->delay_ns)
		return error_set(err, EINVAL, "what is dropped cannot be delayed");
	if (count && policy->answer != DNS_ANSWER_ADDRESS)
		return error_set(err, EINVAL, "`address` belongs to `answer: address`");
	if (!count && policy->answer == DNS_ANSWER_ADDRESS)
		return error_set(err, EINVAL, "answer: address needs the wrong `address`");
	return 0;
}

static int check(const struct params *params, struct error *err)
{
	struct dns_policy policy = {0};
	int result = dns_match_check(params, &keys, err);

	return result < 0 ? result : read_policy(params, &policy, err);
}

static int try_table(void *answer, struct error *err)
{
	(void)answer;
	return dns_table_try(err);
}

static int probe(struct fault_support *out, struct error *err)
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

/* Planning. */

static int check_target(const struct target *target, struct error *err)
{
	const char *protocol = params_text(&target->params, TRAFFIC_PROTOCOL);

	if (params_count(&target->params, TRAFFIC_LOCAL_PORT))
		return error_set(err, EINVAL,
				 "queries come from any port: local-port cannot be given");
	if (protocol && strcmp(protocol, "icmp") == 0)
		return error_set(err, EINVAL, "DNS is asked over udp and tcp, not icmp");
	if (params_count(&target->params, TRAFFIC_TO) > SERVERS_MAX)
		return error_set(err, E2BIG, "more than %d servers", SERVERS_MAX);
	return 0;
}

static int check_loopback(const struct target *target, struct error *err)
{
	struct netlink *route = NULL;
	struct link link;
	int result = netlink_open(target->namespace_fd, &route, err);

	if (result == 0)
		result = link_find(route, "lo", &link, err);
	netlink_close(route);
	if (result < 0 || link.flags & IFF_UP)
		return result;
	error_set(err, ENETDOWN, "lo is down, and queries are answered there");
	return error_remedy(err, "ip link set lo up");
}

static void describe(const struct dns_policy *policy, char *out, size_t size)
{
	char delay[QUANTITY_TEXT_SIZE], share[QUANTITY_TEXT_SIZE];
	size_t used = 0;

	out[0] = '\0';
	if (policy->answer != DNS_ANSWER_NONE)
		used = (size_t)snprintf(out, size, "%s", answers[policy->answer]);
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
			"not affected: link-local servers, DNS over TLS and HTTPS, answers in "
			"caches; sockets bound to an interface get no answer at all");
	return result;
}

static int set_names(struct dns_state *state, const struct fault *fault, struct error *err)
{
	const char *run = fault->env && fault->env->run_id ? fault->env->run_id : "RUN";

	snprintf(state->record.namespace_name, sizeof(state->record.namespace_name), "%s",
		 fault->target->namespace_name);
	snprintf(state->record.table, sizeof(state->record.table), "squall_%s_%u", run,
		 fault->step);
	return namespace_identify(fault->target->namespace_fd, &state->record.namespace_id, err);
}

static int plan(struct fault *fault, struct plan *plan, struct error *err)
{
	struct dns_state *state = calloc(1, sizeof(*state));
	int result;

	if (!state)
		return error_errno(err, ENOMEM, "dns");
	fault->state = state;
	dns_register(state);
	result = check_target(fault->target, err);
	if (result == 0)
		result = read_policy(fault->params, &state->policy, err);
	if (result == 0)
		result = dns_match_new(fault->params, &keys, &state->policy.match, err);
	if (result == 0 && (result = trial_run(try_table, NULL, 0, err)) < 0)
		error_remedy(err, "%s", REMEDY);
	if (result == 0)
		result = check_loopback(fault->target, err);
	if (result == 0)
		result = set_names(state, fault, err);
	if (result == 0)
		result =
			netlink_open_netfilter(fault->target->namespace_fd, &state->netfilter, err);
	if (result == 0)
		result = list_names(fault->params, plan);
	if (result == 0)
		result = list_servers(fault->target, plan);
	if (result == 0)
		result = list_changes(state, plan);
	if (result < 0)
		fault->ops->release(fault);
	return result;
}

/* Injecting. */

/* Later is greater, so that the newest of several faults is asked first and none asks a newer one.
 */
static uint32_t new_mark(void)
{
	static uint32_t last;
	uint32_t now = (uint32_t)(clock_now_ns() / (100 * NSEC_PER_MSEC)) & 0xffffff;

	last = now > last ? now : last + 1;
	return DNS_MARK_BASE | last;
}

static int start_responder(struct dns_state *state, const struct fault *fault, struct error *err)
{
	const struct dns_responder_config config = {.namespace_fd = fault->target->namespace_fd,
						    .mark = state->mark,
						    .policy = &state->policy};
	int result = dns_responder_new(&config, &state->responder, err);

	return result < 0 ? result : dns_responder_start(state->responder, err);
}

static int start_table(struct dns_state *state, const struct fault *fault, struct error *err)
{
	/* After the responder's sockets: when the process is killed, the kernel lets go of the
	 * highest descriptor first, and the table must not outlive them. */
	int result = netlink_open_netfilter(fault->target->namespace_fd, &state->owner, err);

	if (result < 0)
		return result;
	return dns_table_commit(state, fault->target, fault->env->run_id, fault->step, err);
}

static int inject(struct fault *fault, struct error *err)
{
	struct dns_state *state = fault->state;
	int result = journal_undo(fault->env->journal, fault->ops->name, fault->step,
				  DNS_RECORD_TABLE, &state->record, sizeof(state->record), err);

	state->mark = new_mark();
	state->last = (struct dns_responder_counters){0};
	if (result >= 0)
		result = start_responder(state, fault, err);
	if (result == 0)
		result = start_table(state, fault, err);
	if (result < 0) {
		dns_finish(state);
		return result;
	}
	fault->effect_started_ns = clock_now_ns();
	fault->effect_ended_ns = 0;
	state->phase = DNS_ACTIVE;
	return 0;
}

/* Ending. */

void dns_finish(struct dns_state *state)
{
	netlink_close(state->owner); /* and the table with it */
	state->owner = NULL;
	if (state->responder)
		dns_responder_counters(state->responder, &state->last);
	dns_responder_free(state->responder);
	state->responder = NULL;
	state->phase = DNS_IDLE;
}

static int end(struct fault *fault, enum fault_end how, int64_t *out_again_ns, struct error *err)
{
	struct dns_state *state = fault->state;
	int64_t now_ns;

	(void)err;
	*out_again_ns = 0;
	if (state->phase == DNS_IDLE)
		return 0;
	if (state->phase == DNS_ACTIVE) {
		bool is_soft = state->owner && dns_table_soften(state, NULL) == 0;

		if (!is_soft)
			dns_finish(state);
		fault->effect_ended_ns = clock_now_ns();
		if (!is_soft)
			return 0;
		dns_responder_soften(state->responder);
		state->phase = DNS_DRAINING;
		state->wait_until_ns = fault->effect_ended_ns + DRAIN_SOFT_NS;
	}
	now_ns = clock_now_ns();
	if (how == FAULT_END_NOW && state->wait_until_ns > now_ns + DRAIN_NOW_NS)
		state->wait_until_ns = now_ns + DRAIN_NOW_NS;
	if (now_ns >= state->wait_until_ns || dns_responder_is_empty(state->responder))
		dns_finish(state);
	else
		*out_again_ns = POLL_NS;
	return 0;
}

/* Evidence. */

static int check_in_force(const struct dns_state *state, struct error *err)
{
	uint32_t owner;

	if (dns_responder_is_broken(state->responder))
		return error_set(err, ESTALE, "the responder has stopped");
	if (nft_find_table(state->netfilter, NFPROTO_INET, state->record.table, &owner, NULL) ==
	    -ENOENT)
		return error_set(err, ESTALE, "table %s was removed", state->record.table);
	return 0;
}

static int evidence(struct fault *fault, struct evidence *out, struct error *err)
{
	struct dns_state *state = fault->state;
	struct dns_responder_counters seen = state->last;
	int used;

	if (state->responder)
		dns_responder_counters(state->responder, &seen);
	*out = (struct evidence){.hits = seen.hits, .dropped = seen.dropped, .unit = "queries"};
	used = snprintf(out->detail, sizeof(out->detail), "%llu of %llu queries met",
			(unsigned long long)seen.hits, (unsigned long long)seen.queries);
	if (state->policy.answer < DNS_ANSWER_DROP)
		used += snprintf(out->detail + used, sizeof(out->detail) - (size_t)used,
				 ", %llu answered %s", (unsigned long long)seen.answered,
				 answers[state->policy.answer]);
	if (seen.dropped)
		used += snprintf(out->detail + used, sizeof(out->detail) - (size_t)used,
				 ", %llu dropped", (unsigned long long)seen.dropped);
	if (seen.delayed)
		used += snprintf(out->detail + used, sizeof(out->detail) - (size_t)used,
				 ", %llu delayed", (unsigned long long)seen.delayed);
	if (seen.lost)
		snprintf(out->detail + used, sizeof(out->detail) - (size_t)used,
			 ", %llu lost (too many at once)", (unsigned long long)seen.lost);
	return state->phase == DNS_ACTIVE ? check_in_force(state, err) : 0;
}

static void release(struct fault *fault)
{
	struct dns_state *state = fault->state;

	if (!state)
		return;
	dns_unregister(state);
	dns_finish(state);
	netlink_close(state->netfilter);
	dns_match_free(state->policy.match);
	free(state);
	fault->state = NULL;
}

const struct fault_ops dns_fault = {
	.name = "dns",
	.summary = "wrong, late or no answers to DNS queries for chosen names",
	.params = dns_params,
	.target_kind = TARGET_TRAFFIC,
	/* NET_ADMIN: the table, marks, connection tracking. SYS_ADMIN and SYS_PTRACE: to enter
	 * another network namespace than our own, and to find it again in the guardian. */
	/* BIND_SERVICE: the key to sockets of its own, see sandbox_lists.c */
	.capabilities = 1ULL << CAP_NET_ADMIN | 1ULL << CAP_SYS_ADMIN | 1ULL << CAP_SYS_PTRACE |
			1ULL << CAP_NET_BIND_SERVICE,
	.check = check,
	.probe = probe,
	.plan = plan,
	.inject = inject,
	.end = end,
	.undo = dns_undo,
	.verify = dns_verify,
	.evidence = evidence,
	.release = release,
};
