/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bytes of a file before YAML sees them. libyaml would guess UTF-16, and it counts U+0085,
 * U+2028 and U+2029 as line ends, which no editor does: positions would be wrong.
 */
#include "injector/experiment/text.h"

#include "injector/base/utf8.h"

#include <stdint.h>
#include <string.h>

static bool is_control(uint32_t code)
{
	return (code < 0x20 && code != '\n' && code != '\r') || (code >= 0x7f && code < 0xa0);
}

/* Line and paragraph separators, and the direction marks of CVE-2021-42574 ("Trojan Source"). */
static bool is_misleading(uint32_t code)
{
	return code == 0x2028 || code == 0x2029 || (code >= 0x202a && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069) || code == 0xfeff || code == 0xfffe ||
	       code == 0xffff;
}

static bool add_problem(uint32_t code, int line, int column, struct problem_list *problems)
{
	if (code == UTF8_BROKEN)
		problems_add(problems, line, column, "the file is not UTF-8 text");
	else if (code == 0)
		problems_add(problems, line, column,
			     "a NUL byte; an experiment is a text file in UTF-8");
	else if (is_control(code))
		problems_add(problems, line, column, "a control character (code %u)", code);
	else
		problems_add(problems, line, column,
			     "an invisible character (U+%04X) that can make the text look like "
			     "another; remove it",
			     code);
	return false;
}

bool text_check(const char *text, size_t length, struct problem_list *problems)
{
	int line = 1, column = 1, tab_line = 0, tab_column = 0, tabs = 0;
	unsigned size;

	if (length > EXPERIMENT_FILE_MAX) {
		problems_add(problems, 0, 0, "the file has %zu bytes; at most %d are allowed",
			     length, EXPERIMENT_FILE_MAX);
		return false;
	}
	for (size_t at = 0; at < length; at += size, column++) {
		uint32_t code = utf8_decode(text + at, length - at, &size);

		if (code == '\t') {
			if (!tabs++) {
				tab_line = line;
				tab_column = column;
			}
		} else if (code == '\n' ||
			   (code == '\r' && !(at + 1 < length && text[at + 1] == '\n'))) {
			line++;
			column = 0;
		} else if (code == 0xfeff && at == 0) {
			column = 0; /* a byte order mark, with which some editors begin */
		} else if (code == UTF8_BROKEN || is_control(code) || is_misleading(code)) {
			return add_problem(code, line, column, problems);
		}
	}
	if (tabs == 1)
		problems_add(problems, tab_line, tab_column, "a tab character; use spaces");
	else if (tabs)
		problems_add(problems, tab_line, tab_column,
			     "a tab character (and %d more below); use spaces", tabs - 1);
	return tabs == 0;
}
