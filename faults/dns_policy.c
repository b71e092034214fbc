/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/dns_policy.h"

#include "injector/base/quantity.h"

#include <sys/random.h>

static bool is_chosen(const struct dns_policy *policy)
{
	uint32_t number = 0;

	if (policy->share_ppb >= SHARE_ONE)
		return true;
	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number))
		return false;
	return (uint64_t)number * SHARE_ONE >> 32 < (uint64_t)policy->share_ppb;
}

/* A wrong address is given to who asks for one; other types pass, but for those that carry
 * addresses along (RFC 9460): a client that takes them would miss the fault. */
static bool concerns_addresses(uint16_t type)
{
	return type == DNS_TYPE_A || type == DNS_TYPE_AAAA || type == DNS_TYPE_HTTPS ||
	       type == DNS_TYPE_SVCB;
}

enum dns_fate dns_policy_decide(const struct dns_policy *policy, const uint8_t *message,
				size_t size, uint8_t *out, size_t *out_size)
{
	static const enum dns_code codes[] = {
		[DNS_ANSWER_NXDOMAIN] = DNS_NXDOMAIN, [DNS_ANSWER_SERVFAIL] = DNS_SERVFAIL,
		[DNS_ANSWER_REFUSED] = DNS_REFUSED,   [DNS_ANSWER_EMPTY] = DNS_NOERROR,
		[DNS_ANSWER_ADDRESS] = DNS_NOERROR,
	};
	struct dns_question question;

	if (!dns_message_read(message, size, &question) ||
	    !dns_match_holds(policy->match, &question))
		return DNS_PASSES;
	if (policy->answer == DNS_ANSWER_ADDRESS && !concerns_addresses(question.type))
		return DNS_PASSES;
	if (!is_chosen(policy))
		return DNS_PASSES;
	if (policy->answer == DNS_ANSWER_DROP)
		return DNS_DROPPED;
	if (policy->answer == DNS_ANSWER_NONE)
		return DNS_WAITS;
	*out_size = dns_message_answer(
		message, &question, codes[policy->answer],
		policy->answer == DNS_ANSWER_ADDRESS ? &policy->addresses : NULL, out);
	return DNS_ANSWERED;
}
