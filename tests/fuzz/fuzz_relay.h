/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A relay of DNS queries whose clock and descriptors are the fuzzer's, and which takes everybody
 * for redirected but who comes from port 9.
 */
#ifndef SQUALL_FUZZ_RELAY_H
#define SQUALL_FUZZ_RELAY_H

#include "faults/dns.h"
#include "faults/dns_relay.h"
#include "injector/base/quantity.h"

#define FAKE_TIMERS DNS_HELD_MAX
#include "tests/fuzz/fuzz_time.h"

#include "tests/fuzz/fuzz_ends.h"

#include <sys/random.h>

static struct params params;
static struct dns_policy policy;
static struct dns_relay relay;
static struct dns_socket socket_ = {.relay = &relay, .family = AF_INET, .port = 53};

/* A random answer is the same one when it is asked for again. */
ssize_t getrandom(void *out, size_t size, unsigned flags)
{
	(void)flags;
	memset(out, 7, size);
	return (ssize_t)size;
}

static void prepare(void)
{
	require(params_init(&params, dns_params, NULL) == 0);
	require(params_add(&params, DNS_NAME, "a", 0, 0, NULL) == 0);
	require(dns_match_new(&params, &dns_keys, &policy.match, NULL) == 0);
	policy.share_ppb = SHARE_ONE;
	policy.addresses =
		(struct dns_addresses){policy.v4, policy.v6, DNS_ADDRESSES_MAX, DNS_ADDRESSES_MAX};
	relay.policy = &policy;
}

bool dns_relay_find_server(struct dns_relay *of, int protocol, const struct dns_socket *at,
			   const struct sockaddr_storage *from, struct sockaddr_storage *out)
{
	(void)of, (void)protocol, (void)at;
	*out = *from;
	out->ss_family = AF_INET;
	return ((const struct sockaddr_in *)from)->sin_port != 9;
}

/* The first byte says what happens to queries for "a". */
static void begin(const uint8_t *data, size_t size)
{
	if (!policy.match)
		prepare();
	fake_time_begin();
	input = data + 1;
	input_end = data + size;
	policy.answer = (data[0] & 7) % (DNS_ANSWER_NONE + 1);
	policy.delay_ns = data[0] & 0x08 || policy.answer == DNS_ANSWER_NONE ? NSEC_PER_SEC : 0;
	relay.base.is_soft = data[0] & 0x10;
	is_unreachable = data[0] & 0x20;
}

static void require_nothing_left(int descriptor_before)
{
	require(relay.held_count == 0 && !relay.held && relay.base.awaited == 0);
	require(fake_timer_count == 0);
	require(next_descriptor() == descriptor_before);
}

#endif
