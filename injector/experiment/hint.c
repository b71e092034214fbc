/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Most syntax errors in experiments are a comparison, a wildcard or an IPv6 address that YAML takes
 * for something of its own, or a slip of the indentation. libyaml's text alone does not tell.
 */
#include "injector/experiment/hint.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *find_position(const char *text, size_t length, size_t line, size_t column)
{
	const char *at = text, *end = text + length;

	while (line-- > 0) {
		at = memchr(at, '\n', (size_t)(end - at));
		if (!at)
			return end;
		at++;
	}
	while (column > 0 && at < end && *at != '\n') {
		at++;
		while (at < end && ((unsigned char)*at & 0xc0) == 0x80)
			at++;
		column--;
	}
	return at;
}

static const struct {
	const char *problem, *hint;
} general[] = {
	{"did not find expected alphabetic or numeric",
	 "; a value that begins with '*' or '&' goes in quotes: \"*:443\""},
	{"did not find expected comment or line break",
	 "; a comparison with '>' goes in quotes: \"> 5\""},
	{"did not find expected whitespace or line break",
	 "; a value that begins with '!' goes in quotes: \"!ack\""},
	{"mapping values are not allowed", "; a value that contains ': ' goes in quotes, and keys "
					   "of one mapping stand in one column"},
	{"did not find expected key",
	 "; check the indentation: keys of one mapping stand in one column"},
	{"did not find expected '-' indicator",
	 "; check the indentation: the entries of a list stand in one column"},
	{"found unexpected end of stream", "; a closing quote is missing"},
	{"could not find expected ':'", "; a key is written 'key: value', with a space"},
};

void hint_for_syntax(const char *text, size_t length, const char *problem, size_t line,
		     size_t column, char *out, size_t size)
{
	const char *at = find_position(text, length, line, column);
	char here = at < text + length ? *at : '\0';
	bool in_brackets = strstr(problem, "expected ',' or") || strstr(problem, "node content");

	out[0] = '\0';
	if (strstr(problem, "cannot start any token") && here) {
		snprintf(out, size, "; a value that begins with '%c' goes in quotes", here);
		return;
	}
	if (in_brackets && here == ':' && at > text && (at[-1] == ']' || at[-1] == '[')) {
		snprintf(out, size, "%s", HINT_IPV6);
		return;
	}
	if (strstr(problem, "expected ',' or")) {
		snprintf(out, size, "; the bracket is not closed, or a comma is missing");
		return;
	}
	for (size_t i = 0; i < sizeof(general) / sizeof(*general); i++)
		if (strstr(problem, general[i].problem)) {
			snprintf(out, size, "%s", general[i].hint);
			return;
		}
}
