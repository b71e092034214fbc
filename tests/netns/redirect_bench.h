/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A fault that redirects (BENCH_FAULT, its name), started here or in a process that is to be
 * killed. To be included by one test program each.
 */
#ifndef SQUALL_TESTS_REDIRECT_BENCH_H
#define SQUALL_TESTS_REDIRECT_BENCH_H

#include "tests/support/netlab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#ifndef BENCH_RUNS
#define BENCH_RUNS "bbbb" /* their numbers begin with it */
#endif

#define SETTINGS(...)                                                                              \
	(const char *[])                                                                           \
	{                                                                                          \
		"fault", BENCH_FAULT, __VA_ARGS__, NULL                                            \
	}

static inline void start(struct netlab *lab, struct netlab_fault *fault,
			 const char *const *settings)
{
	static unsigned runs; /* one that fails leaves its journal */
	struct error err = ERROR_INIT;
	char run_id[RUN_ID_SIZE];

	snprintf(run_id, sizeof(run_id), BENCH_RUNS "%02u", ++runs % 100);
	if (netlab_fault_plan(lab, fault, run_id, settings, &err) < 0 ||
	    fault->fault.ops->inject(&fault->fault, &err) < 0)
		fail_msg("%s (%s)", err.text, err.remedy);
}

#define START(lab, fault, ...) start(lab, fault, SETTINGS(__VA_ARGS__))

#endif
