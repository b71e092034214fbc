/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * DNS messages of strangers through the reader, the matcher and the writer of answers; and each
 * answer must be one: readable by the reader when it is turned into a query again.
 */
#include "faults/dns.h"
#include "injector/base/quantity.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct params params;
static struct dns_policy policy;

static void prepare(void)
{
	if (params_init(&params, dns_params, NULL) < 0 ||
	    params_add(&params, DNS_NAME, "gone.test", 0, 0, NULL) < 0 ||
	    params_add(&params, DNS_DOMAIN, "test", 0, 0, NULL) < 0 ||
	    params_add(&params, DNS_PATTERN, "^a[0-9]*\\.", 0, 0, NULL) < 0 ||
	    dns_match_new(&params, &dns_keys, &policy.match, NULL) < 0)
		abort();
	policy.answer = DNS_ANSWER_ADDRESS;
	policy.share_ppb = SHARE_ONE;
	policy.addresses =
		(struct dns_addresses){policy.v4, policy.v6, DNS_ADDRESSES_MAX, DNS_ADDRESSES_MAX};
}

static void check_answer(const uint8_t *query, const uint8_t *answer, size_t size)
{
	struct dns_question asked, answered;
	uint8_t copy[DNS_ANSWER_MAX];

	if (size < 12 || size > DNS_ANSWER_MAX || memcmp(query, answer, 2) != 0 ||
	    !(answer[2] & 0x80))
		abort();
	memcpy(copy, answer, size);
	copy[2] &= 0x7f;
	if (!dns_message_read(query, DNS_ANSWER_MAX, &asked) ||
	    !dns_message_read(copy, size, &answered) || strcmp(asked.name, answered.name) != 0 ||
	    asked.type != answered.type || asked.end != answered.end ||
	    memcmp(query + 12, answer + 12, asked.end - 12) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint8_t answer[DNS_ANSWER_MAX], padded[DNS_ANSWER_MAX] = {0}, *message;
	struct dns_question question;
	size_t answer_size = 0;

	if (!policy.match)
		prepare();
	message = malloc(size ? size : 1); /* exactly as long: reading beyond is seen */
	if (!message)
		return 0;
	memcpy(message, bytes, size);
	memcpy(padded, bytes, size < sizeof(padded) ? size : sizeof(padded));
	if (dns_policy_decide(&policy, message, size, answer, &answer_size) == DNS_ANSWERED)
		check_answer(padded, answer, answer_size);
	if (dns_message_read(message, size, &question)) {
		if (question.end > size || strlen(question.name) >= DNS_NAME_SIZE)
			abort();
		answer_size = dns_message_answer(message, &question, DNS_NXDOMAIN, NULL, answer);
		check_answer(padded, answer, answer_size);
	}
	free(message);
	return 0;
}
