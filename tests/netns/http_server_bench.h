/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The http fault where requests arrive, in the namespace of the servers of http_bench.h. To be
 * included by one test program each, behind BENCH_RUNS: programs that are attached are found by
 * their names in the whole machine.
 */
#ifndef SQUALL_TESTS_HTTP_SERVER_BENCH_H
#define SQUALL_TESTS_HTTP_SERVER_BENCH_H

#include "tests/netns/http_bench.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* Where the servers are is where the fault acts. */
static inline struct netlab *at_server(const struct netlab *lab)
{
	static struct netlab turned;

	turned = *lab;
	memcpy(turned.near, lab->far, sizeof(turned.near));
	memcpy(turned.far, lab->near, sizeof(turned.far));
	turned.near_fd = lab->far_fd;
	turned.far_fd = lab->near_fd;
	return &turned;
}

/* Asked from the other machine, and from the servers' own. */
static inline void assert_both(const struct netlab *lab, const char *wanted, const char *arguments)
{
	assert_curl(lab, wanted, arguments);
	assert_curl(at_server(lab), wanted, arguments);
}

static inline void start_second(struct netlab *lab, struct netlab_fault *second,
				const struct netlab_fault *first, const char *const *settings)
{
	struct error err = ERROR_INIT;

	if (netlab_fault_plan_step(at_server(lab), second, first, 1, settings, &err) < 0 ||
	    http_fault.inject(&second->fault, &err) < 0)
		fail_msg("%s", err.text);
}

static inline void finish_both(struct netlab_fault *first, struct netlab_fault *second)
{
	netlab_fault_end(second, FAULT_END_SOFT);
	second->journal = NULL; /* the first one's */
	netlab_fault_finish(second, FAULT_END_SOFT);
	netlab_fault_finish(first, FAULT_END_SOFT);
}

/* Requests are passed on over lo. */
static inline int set_up_server(void **state)
{
	int result = set_up(state);

	netlab_run("ip -n %s link set lo up", ((struct netlab *)*state)->far);
	return result;
}

#endif
