/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What becomes of a query: it passes, is answered here, is dropped, and when.
 */
#ifndef SQUALL_DNS_POLICY_H
#define SQUALL_DNS_POLICY_H

#include "faults/dns_match.h"

enum dns_answer { /* words of the parameter `answer`, in its order */
		  DNS_ANSWER_NXDOMAIN,
		  DNS_ANSWER_SERVFAIL,
		  DNS_ANSWER_REFUSED,
		  DNS_ANSWER_EMPTY,
		  DNS_ANSWER_ADDRESS,
		  DNS_ANSWER_RANDOM, /* another address each time */
		  DNS_ANSWER_DROP,
		  DNS_ANSWER_NONE, /* that of the server */
};

struct dns_policy {
	struct dns_match *match; /* owned */
	enum dns_answer answer;
	int64_t delay_ns; /* before the answer, whoever gives it */
	int64_t share_ppb;
	int64_t weaker_ppb; /* that much below full strength; changed while it is in use */
	struct in_addr v4[DNS_ADDRESSES_MAX];
	struct in6_addr v6[DNS_ADDRESSES_MAX];
	struct dns_addresses addresses; /* points to the two above */
};

enum dns_fate {
	DNS_PASSES, /* none of our business, or not chosen: unchanged and at once */
	DNS_WAITS,  /* passes, but after delay_ns */
	DNS_ANSWERED,
	DNS_DROPPED,
};

/* A ramp: a delay alone is that much shorter, an answer is given to that many fewer. */
void dns_policy_scale(struct dns_policy *policy, int64_t level_ppb);
int64_t dns_policy_delay_ns(const struct dns_policy *policy);
/* For DNS_ANSWERED the answer is in `out` (DNS_ANSWER_MAX bytes). */
enum dns_fate dns_policy_decide(const struct dns_policy *policy, const uint8_t *message,
				size_t size, uint8_t *out, size_t *out_size);

#endif
