/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The site policy: any text is a policy or a list of problems with places, and a policy can be
 * asked everything.
 */
#include "injector/policy/policy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy *policy = NULL;
	struct yaml_problems problems = {0};
	struct error err = ERROR_INIT;

	if (policy_parse((const char *)data, size, "fuzz", &policy, &problems, &err) == 0) {
		char text[300];

		require(policy && !problems.count);
		policy_check_user(policy, 0, &err);
		policy_check_time(policy, 1795780800000000000LL, 3600000000000LL, &err);
		policy_check_fault(policy, "network", &err);
		policy_check_limits(policy, 1, &err);
		policy_check_reach(policy, 1, &err);
		policy_describe(policy, text, sizeof(text));
		policy_free(policy);
	} else {
		require(!policy && problems.count && err.code);
	}
	yaml_problems_free(&problems);
	return 0;
}
