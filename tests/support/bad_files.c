/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/experiment/yaml.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/bad_files.h"

static bool matches(const char *expected, const char *text)
{
	size_t length = strlen(expected);

	if (expected[length - 1] == '*')
		return strncmp(expected, text, length - 1) == 0;
	return strcmp(expected, text) == 0;
}

void bad_files_check(const struct bad *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct experiment *experiment = NULL;
		struct yaml_problems problems;
		struct error err = ERROR_INIT;
		int result = yaml_parse_experiment(cases[i].text, strlen(cases[i].text), "x.yaml",
						   &experiment, &problems, &err);

		if (result != -EINVAL || !problems.count)
			fail_msg("accepted (%d):\n%s", result, cases[i].text);
		assert_null(experiment);
		for (unsigned j = 1; j < problems.count; j++) /* each case shows one thing */
			fail_msg("one more: %d:%d: %s\n%s", problems.list[j].line,
				 problems.list[j].column, problems.list[j].text, cases[i].text);
		if (problems.list[0].line != cases[i].line ||
		    problems.list[0].column != cases[i].column ||
		    !matches(cases[i].message, problems.list[0].text))
			fail_msg("%s\n     got %d:%d: %s\nexpected %d:%d: %s", cases[i].text,
				 problems.list[0].line, problems.list[0].column,
				 problems.list[0].text, cases[i].line, cases[i].column,
				 cases[i].message);
		yaml_problems_free(&problems);
	}
}
