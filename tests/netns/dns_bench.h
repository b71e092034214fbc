/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The dns fault between a real server and who asks it: started, counted, and what innocent names
 * are answered. To be included by one test program each.
 */
#ifndef SQUALL_TESTS_DNS_BENCH_H
#define SQUALL_TESTS_DNS_BENCH_H

#include "tests/support/dns_server.h"

#include "faults/dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

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

static inline void start(struct netlab *lab, struct netlab_fault *fault,
			 const char *const *settings)
{
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(lab, fault, "ddddd1", settings, &err) < 0 ||
	    dns_fault.inject(&fault->fault, &err) < 0)
		fail_msg("%s", err.text);
}

#define START(lab, fault, ...)                                                                     \
	start(lab, fault, (const char *[]){"fault", "dns", __VA_ARGS__, NULL})

static inline struct evidence evidence_of(struct netlab_fault *fault)
{
	struct evidence seen = {0};
	struct error err = ERROR_INIT;

	if (dns_fault.evidence(&fault->fault, &seen, &err) < 0)
		fail_msg("%s", err.text);
	return seen;
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
