/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Stand-ins for what the views and reports call in the experiment model, in the place of the real
 * ones. Only for tests whose experiments are made by fake_run.c.
 */
#ifndef SQUALL_TESTS_STAND_INS_H
#define SQUALL_TESTS_STAND_INS_H

#include "injector/experiment/model.h"

#include <stdio.h>

/* NOLINTBEGIN(misc-definitions-in-headers): each test is one program */
int64_t experiment_method_ns(const struct experiment *experiment)
{
	int64_t end_ns = 0;

	for (unsigned i = 0; i < experiment->step_count; i++) {
		int64_t step_ns = experiment->steps[i].at_ns + experiment->steps[i].for_ns;

		end_ns = step_ns > end_ns ? step_ns : end_ns;
	}
	return end_ns;
}

void experiment_describe_step(const struct experiment *experiment, unsigned step, char *out,
			      size_t size)
{
	snprintf(out, size, "%s", experiment->steps[step].ops->summary);
}
/* NOLINTEND */

#endif
