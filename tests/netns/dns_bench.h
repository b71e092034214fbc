/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The dns fault between a real server and who asks it: started, counted, and what innocent names
 * are answered. To be included by one test program each.
 */
#ifndef SQUALL_TESTS_DNS_BENCH_H
#define SQUALL_TESTS_DNS_BENCH_H

#define BENCH_FAULT "dns"
#include "tests/netns/redirect_bench.h"
#include "tests/support/dns_server.h"

#include "faults/dns.h"

#include <string.h>

static inline int set_up(void **state)
{
	netlab_setup(state);
	dns_servers_start(*state);
	return 0;
}

static inline int tear_down(void **state)
{
	dns_servers_stop();
	return netlab_teardown(state);
}

/* The server's own answer. */
static inline void assert_served(const struct netlab *lab, const struct dns_ask *ask)
{
	struct dns_reply reply = dns_ask(lab, ask);

	if (reply.rcode != 0 || reply.answers != 1)
		fail_msg("%s at %s%s: rcode %d, %u answers", ask->name,
			 ask->server ? ask->server : "10.88.0.2", ask->over_tcp ? " (tcp)" : "",
			 reply.rcode, reply.answers);
	assert_string_equal(reply.address,
			    ask->type == DNS_TYPE_AAAA ? "2001:db8::1" : "192.0.2.1");
}

#define ASSERT_SERVED(lab, ...) assert_served(lab, &(struct dns_ask){__VA_ARGS__})

#endif
