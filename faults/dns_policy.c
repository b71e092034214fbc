/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/dns_policy.h"

#include "injector/base/quantity.h"

#include <string.h>
#include <sys/random.h>

void dns_policy_scale(struct dns_policy *policy, int64_t level_ppb)
{
	__atomic_store_n(&policy->weaker_ppb, SHARE_ONE - level_ppb, __ATOMIC_RELAXED);
}

static int64_t scaled(const struct dns_policy *policy, int64_t value)
{
	int64_t level_ppb = SHARE_ONE - __atomic_load_n(&policy->weaker_ppb, __ATOMIC_RELAXED);

	return (int64_t)((__int128)value * level_ppb / SHARE_ONE);
}

int64_t dns_policy_delay_ns(const struct dns_policy *policy)
{
	return policy->answer == DNS_ANSWER_NONE ? scaled(policy, policy->delay_ns)
						 : policy->delay_ns;
}

static bool is_chosen(const struct dns_policy *policy)
{
	const int64_t share_ppb = policy->answer == DNS_ANSWER_NONE
					  ? policy->share_ppb
					  : scaled(policy, policy->share_ppb);
	uint32_t number = 0;

	if (share_ppb >= SHARE_ONE)
		return true;
	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number))
		return false;
	return (uint64_t)number * SHARE_ONE >> 32 < (uint64_t)share_ppb;
}

/* A wrong address is given to who asks for one; other types pass, but for those that carry
 * addresses along (RFC 9460): a client that takes them would miss the fault. */
static bool concerns_addresses(uint16_t type)
{
	return type == DNS_TYPE_A || type == DNS_TYPE_AAAA || type == DNS_TYPE_HTTPS ||
	       type == DNS_TYPE_SVCB;
}

/* Of networks that nobody has (RFC 2544, RFC 3849): a random one of the world would send somebody
 * what he did not ask for. */
static void draw(struct in_addr *v4, struct in6_addr *v6)
{
	static const uint8_t benchmarks[2] = {198, 18}, documents[4] = {0x20, 0x01, 0x0d, 0xb8};
	uint8_t random[16] = {0};

	(void)!getrandom(random, sizeof(random), GRND_NONBLOCK);
	memcpy(v6, random, sizeof(*v6));
	memcpy(v6, documents, sizeof(documents));
	memcpy(v4, random, sizeof(*v4));
	((uint8_t *)v4)[0] = benchmarks[0];
	((uint8_t *)v4)[1] = benchmarks[1] | (random[1] & 1);
}

enum dns_fate dns_policy_decide(const struct dns_policy *policy, const uint8_t *message,
				size_t size, uint8_t *out, size_t *out_size)
{
	static const enum dns_code codes[] = {
		[DNS_ANSWER_NXDOMAIN] = DNS_NXDOMAIN, [DNS_ANSWER_SERVFAIL] = DNS_SERVFAIL,
		[DNS_ANSWER_REFUSED] = DNS_REFUSED,   [DNS_ANSWER_EMPTY] = DNS_NOERROR,
		[DNS_ANSWER_ADDRESS] = DNS_NOERROR,   [DNS_ANSWER_RANDOM] = DNS_NOERROR,
	};
	const bool is_random = policy->answer == DNS_ANSWER_RANDOM;
	const bool gives_addresses = is_random || policy->answer == DNS_ANSWER_ADDRESS;
	struct in_addr v4;
	struct in6_addr v6;
	const struct dns_addresses drawn = {.v4 = &v4, .v6 = &v6, .count4 = 1, .count6 = 1};
	struct dns_question question;

	if (!dns_message_read(message, size, &question) ||
	    !dns_match_holds(policy->match, &question))
		return DNS_PASSES;
	if (gives_addresses && !concerns_addresses(question.type))
		return DNS_PASSES;
	if (!is_chosen(policy))
		return DNS_PASSES;
	if (policy->answer == DNS_ANSWER_DROP)
		return DNS_DROPPED;
	if (policy->answer == DNS_ANSWER_NONE)
		return DNS_WAITS;
	if (is_random)
		draw(&v4, &v6);
	*out_size = dns_message_answer(message, &question, codes[policy->answer],
				       is_random	 ? &drawn
				       : gives_addresses ? &policy->addresses
							 : NULL,
				       out);
	return DNS_ANSWERED;
}
