/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is reported of a run that is over, as people and CI servers get it.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Lines may be broken anywhere between two words, and Markdown protects its signs. */
static void make_one_line(char *text)
{
	char *out = text;

	for (const char *at = text; *at; at++) {
		bool is_blank = isspace((unsigned char)*at);

		if (*at == '\\' || (is_blank && (out == text || out[-1] == ' ')))
			continue;
		*out++ = is_blank ? ' ' : *at;
	}
	*out = '\0';
}

void stage_assert_reports(struct stage *stage, const char *verdict, const char *why)
{
	static const char *const formats[] = {"text", "markdown", "html", "junit"};
	const char *const wanted[] = {verdict, why, "restored"};

	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		struct squall *report =
			squall_start(stage, NULL, "report --format %s last", formats[i]);
		cleanup_free char *text = NULL;

		squall_assert_exit(report, 0);
		text = squall_output(report);
		make_one_line(text);
		for (size_t j = 0; j < sizeof(wanted) / sizeof(*wanted); j++)
			if (!strcasestr(text, wanted[j]))
				fail_msg("'%s' is not in the %s report: %s", wanted[j], formats[i],
					 text);
	}
}
