/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The parameters of the dns fault: what they may be, and what they mean together.
 */
#include "faults/dns.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define SERVERS_MAX 1000

const char *const dns_answers[] = {
	[DNS_ANSWER_NXDOMAIN] = "nxdomain", [DNS_ANSWER_SERVFAIL] = "servfail",
	[DNS_ANSWER_REFUSED] = "refused",   [DNS_ANSWER_EMPTY] = "empty",
	[DNS_ANSWER_ADDRESS] = "address",   [DNS_ANSWER_RANDOM] = "random",
	[DNS_ANSWER_DROP] = "drop",	    [DNS_ANSWER_NONE] = NULL,
};

const struct param dns_params[] = {
	[DNS_TARGET] =
		{.name = "target",
		 .type = PARAM_TARGET,
		 .flags = PARAM_REQUIRED,
		 .doc = "the servers (port 53 unless given), and whose queries: its namespace"},
	[DNS_NAME] = {.name = "name",
		      .type = PARAM_TEXT,
		      .flags = PARAM_LIST,
		      .doc = "exactly these names; \"*\": every name",
		      .example = "shop.test"},
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
			.words = dns_answers,
			.doc = "what is answered; empty: the name exists, without such a record; "
			       "random: another address each time, of networks that nobody has; "
			       "default: nxdomain, or with a delay the truth"},
	[DNS_ADDRESS] = {.name = "address",
			 .type = PARAM_ENDPOINT,
			 .flags = PARAM_LIST | PARAM_NONE_ELSE,
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

const struct dns_match_keys dns_keys = {
	.name = DNS_NAME, .domain = DNS_DOMAIN, .pattern = DNS_PATTERN, .type = DNS_TYPE};

static int add_address(struct dns_policy *policy, const struct param_value *value,
		       struct error *err)
{
	const struct endpoint *endpoint = &value->endpoint;
	struct dns_addresses *to = &policy->addresses;
	bool is_v4 = endpoint->family == AF_INET;

	if (endpoint->family == AF_UNSPEC || endpoint->is_name || endpoint->port_first ||
	    endpoint->prefix != (is_v4 ? 32 : 128))
		return error_set(err, EINVAL, "address: '%s' is not one address", value->text);
	if ((is_v4 ? to->count4 : to->count6) == DNS_ADDRESSES_MAX)
		return error_set(err, E2BIG, "address: more than %d of one family",
				 DNS_ADDRESSES_MAX);
	if (is_v4)
		memcpy(&policy->v4[to->count4++], endpoint->address, 4);
	else
		memcpy(&policy->v6[to->count6++], endpoint->address, 16);
	return 0;
}

int dns_read_policy(const struct params *params, struct dns_policy *policy, struct error *err)
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
		result = add_address(policy, params_value(params, DNS_ADDRESS, i), err);
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

int dns_check(const struct params *params, struct error *err)
{
	struct dns_policy policy = {0};
	int result = dns_match_check(params, &dns_keys, err);

	return result < 0 ? result : dns_read_policy(params, &policy, err);
}

const struct target_use dns_use = {
	.takes = TARGET_TAKES(TO) | TARGET_TAKES(TO_FILE) | TARGET_TAKES(PROTOCOL) |
		 TARGET_TAKES(PROTOCOL_NUMBER) | TARGET_TAKES(INTERFACE) | TARGET_TAKES_OWNERS,
	.chosen = "queries are chosen by server, name and asker",
	.spoken = "DNS is asked over udp and tcp alone",
	.protocols = {IPPROTO_UDP, IPPROTO_TCP},
	.endpoints_max = SERVERS_MAX,
	.example = "10.0.0.53",
};
