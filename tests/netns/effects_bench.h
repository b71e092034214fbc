/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One effect of the network fault by its statistics: a steady flow in a laboratory of its own, by
 * the delay line or by netem, and the same tests for both. Bounds are five standard errors of what
 * was asked for; a delay may besides be late on a busy machine, never early. To be included by one
 * test program each.
 */
#ifndef SQUALL_TESTS_EFFECTS_BENCH_H
#define SQUALL_TESTS_EFFECTS_BENCH_H

#include "tests/support/netlab_ways.h"
#include "tests/support/squall_runner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT 4000
#define MSEC  1e6

static const struct netlab_flow steady = {
	.count = COUNT, .size = 200, .at_once = 20, .pause_us = 1000, .quiet_ms = 200};

struct both {
	struct netlab *lab;
	bool is_line;
};

static inline int setup_way(void **state, bool is_line)
{
	struct both *both = calloc(1, sizeof(*both));
	void *lab = NULL;

	assert_non_null(both);
	both->is_line = is_line;
	if (is_line)
		setenv("SQUALL_NETEM", "off", 1);
	else
		unsetenv("SQUALL_NETEM");
	assert_int_equal(netlab_setup(&lab), 0);
	both->lab = lab;
	*state = both;
	return 0;
}

static inline int setup_line(void **state)
{
	return setup_way(state, true);
}

static inline int setup_netem(void **state)
{
	return setup_way(state, false);
}

static inline int teardown(void **state)
{
	struct both *both = *state;
	void *lab = both->lab;

	free(both);
	return netlab_teardown(&lab);
}

#define SEE(flow, ...)                                                                             \
	netlab_see(((struct both *)*state)->lab, flow, (const char *[]){__VA_ARGS__, NULL})

/* How many evidence says of a delay line that were `what`; netem counts only what it drops. */
static inline unsigned told_of(const struct netlab_seen *seen, const char *what)
{
	const char *detail = seen->told.detail, *at = strstr(detail, what);

	if (!at || at - detail < 2)
		fail_msg("'%s' does not say how many were %s", detail, what);
	for (at--; at > detail && at[-1] >= '0' && at[-1] <= '9';)
		at--;
	return (unsigned)strtoul(at, NULL, 10);
}

static inline double median(const struct netlab_seen *seen)
{
	return seen->arrived ? seen->delays_ns[seen->arrived / 2] : 0;
}

/* Two emulated processors hand on packets of one flow at once: netem alone was seen to let 19 of
 * 4000 overtake there, without any change, and 52 when the host was busy. */
static inline void assert_in_order(const struct netlab_seen *seen)
{
	assert_true(seen->overtaken <= (getenv("SQUALL_IN_VM") ? COUNT / 40 : 0));
}

#define LINE(name)  cmocka_unit_test_setup_teardown(name, setup_line, teardown)
#define NETEM(name) cmocka_unit_test_setup_teardown(name, setup_netem, teardown)

/* An emulated machine is slow, and those of the delay line are run outside of it, too. */
static inline int run_effects(const struct CMUnitTest *line, size_t line_count,
			      const struct CMUnitTest *netem, size_t netem_count)
{
	int failed = 0;

	if (!is_emulated())
		failed += _cmocka_run_group_tests("delay line", line, line_count, NULL, NULL);
	return failed + _cmocka_run_group_tests("netem", netem, netem_count, NULL, NULL);
}

#define RUN_EFFECTS(line, netem)                                                                   \
	run_effects(line, sizeof(line) / sizeof(*(line)), netem, sizeof(netem) / sizeof(*(netem)))

#endif
