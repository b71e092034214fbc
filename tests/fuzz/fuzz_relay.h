/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A relay of DNS queries whose clock and descriptors are the fuzzer's, and which takes everybody
 * for redirected but who comes from port 9.
 */
#ifndef SQUALL_FUZZ_RELAY_H
#define SQUALL_FUZZ_RELAY_H

#include "faults/dns_relay.h"
#include "injector/base/quantity.h"

#define FAKE_TIMERS DNS_HELD_MAX
#include "tests/fuzz/fuzz_time.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct params params;
static struct dns_policy policy;
static struct dns_relay relay;
static struct dns_socket socket_ = {.relay = &relay, .family = AF_INET, .port = 53};
static bool is_unreachable; /* each server */
static const uint8_t *input, *input_end;

/* A random answer is the same one when it is asked for again. */
ssize_t getrandom(void *out, size_t size, unsigned flags)
{
	(void)flags;
	memset(out, 7, size);
	return (ssize_t)size;
}

static void prepare(void)
{
	static const struct param table[] = {
		{.name = "name", .type = PARAM_TEXT, .flags = PARAM_LIST},
		{.name = "domain", .type = PARAM_TEXT, .flags = PARAM_LIST},
		{.name = "pattern", .type = PARAM_PATTERN, .flags = PARAM_LIST},
		{.name = "type", .type = PARAM_WORD, .words = dns_match_types, .flags = PARAM_LIST},
		{.name = NULL},
	};
	static const struct dns_match_keys keys = {0, 1, 2, 3};

	require(params_init(&params, table, NULL) == 0);
	require(params_add(&params, 0, "a", 0, 0, NULL) == 0);
	require(dns_match_new(&params, &keys, &policy.match, NULL) == 0);
	policy.share_ppb = SHARE_ONE;
	policy.addresses =
		(struct dns_addresses){policy.v4, policy.v6, DNS_ADDRESSES_MAX, DNS_ADDRESSES_MAX};
	relay.policy = &policy;
}

static uint8_t take_byte(void)
{
	return input < input_end ? *input++ : 0;
}

static size_t take_bytes(const uint8_t **out, size_t most)
{
	size_t there = (size_t)(input_end - input);

	*out = input;
	there = there < most ? there : most;
	input += there;
	return there;
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
	relay.is_soft = data[0] & 0x10;
	is_unreachable = data[0] & 0x20;
}

static int next_descriptor(void)
{
	int fd = dup(STDIN_FILENO);

	require(fd >= 0);
	close(fd);
	return fd;
}

static void require_nothing_left(int descriptor_before)
{
	require(relay.held_count == 0 && !relay.held && relay.awaited == 0);
	require(fake_timer_count == 0);
	require(next_descriptor() == descriptor_before);
}

#endif
