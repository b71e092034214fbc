/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each way on which a network fault handles packets, so that one test runs on all of them: taken
 * out of the interface by the nf_tables table or by tc filters, delayed by netem or by the delay
 * line.
 */
#ifndef SQUALL_TESTS_NETLAB_WAYS_H
#define SQUALL_TESTS_NETLAB_WAYS_H

#include "tests/support/netlab_flow.h"

/* Setups of a test: they choose the way and leave *state alone. */
int netlab_by_line(void **state);
int netlab_by_line_and_filters(void **state);
int netlab_by_netem(void **state);
int netlab_by_netem_and_filters(void **state);

#define BY_WAY(test, way)                                                                          \
	{                                                                                          \
#test "_by_" #way, test, netlab_by_##way, NULL, NULL                               \
	}
#define BY_LINE(test)	BY_WAY(test, line)
#define BY_NETEM(test)	BY_WAY(test, netem)
#define BY_LINES(test)	BY_LINE(test), BY_WAY(test, line_and_filters)
#define BY_NETEMS(test) BY_NETEM(test), BY_WAY(test, netem_and_filters)

/* Two arrays of tests in one lab. An emulated machine is slow, and those of the delay line are run
 * outside of it, too. */
#define NETLAB_RUN_WAYS(line, netem)                                                               \
	((is_emulated() ? 0                                                                        \
			: cmocka_run_group_tests_name("delay line", line, netlab_setup,            \
						      netlab_teardown_ways)) +                     \
	 cmocka_run_group_tests_name("netem", netem, netlab_setup, netlab_teardown_ways))

/* Skips a test that this kernel has no way for: before it holds anything. */
void netlab_need_way(void);

/* Plans and injects, or fails the test; skips it where netem was chosen, and there is none. */
void netlab_start(struct netlab *lab, struct netlab_fault *out, const char *const *settings);
/* A course by its number: 1 is the bit of what comes back from far, 2 that of IPv6. */
#define NETLAB_COURSES 4
/* [is IPv6][is far] */
extern const char *const netlab_ends[2][2];
/* The same of such a course, to and from .2 of far; `settings` say neither `to` nor `direction`. */
void netlab_start_course(struct netlab *lab, struct netlab_fault *out, unsigned course,
			 const char *const *settings);
/* What becomes of the flow with a fault in force on its course: of everything to and from its far
 * end unless the settings begin with "to"; no `direction` is among them. The plan must name the
 * way that was chosen. */
struct netlab_seen netlab_see(struct netlab *lab, const struct netlab_flow *flow,
			      const char *const *settings);

#endif
