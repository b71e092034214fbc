/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/policy_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct policy *policy_of(const char *text)
{
	struct yaml_problems problems;
	struct policy *policy = NULL;
	struct error err = ERROR_INIT;

	if (policy_parse(text, strlen(text), "policy.yaml", &policy, &problems, &err) < 0)
		fail_msg("%s", err.text);
	return policy;
}

void policy_refused(int result, const struct error *err, const char *expected)
{
	assert_true(result < 0);
	if (!strstr(err->text, expected))
		fail_msg("'%s' does not say '%s'", err->text, expected);
}
