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
	{"found incompatible YAML document", "; leave the line with %YAML out"},
	{"found unexpected ':'", "; a key is written 'key: value', with a space"},
	{"did not find expected node content", "; a value is missing here"},
	{"could not find expected ':'", "; a key is written 'key: value', with a space"},
};

/* The 0-based line of the first quote without a second one in its line, up to `line`; no texts of
 * several lines are in quotes in the experiments of most people. */
static bool find_open_quote(const char *text, size_t length, size_t line, size_t *out_line)
{
	const char *end = text + length;

	for (size_t number = 0; number < line && text < end; number++) {
		const char *at = text;
		char quote = '\0';

		for (; at < end && *at != '\n'; at++) {
			if (quote == '"' && *at == '\\' && at + 1 < end && at[1] != '\n')
				at++;
			else if (quote && *at == quote)
				quote = '\0';
			else if (!quote && *at == '#' && (at == text || at[-1] == ' '))
				break;
			else if (!quote && (*at == '"' || *at == '\'') &&
				 (at == text || strchr(" [{,", at[-1])))
				quote = *at;
		}
		if (quote) {
			*out_line = number;
			return true;
		}
		at = memchr(at, '\n', (size_t)(end - at));
		if (!at)
			return false;
		text = at + 1;
	}
	return false;
}

bool hint_find_no_break_space(const char *text, size_t length, size_t first, size_t last,
			      size_t *out_line, size_t *out_column)
{
	for (size_t line = first; line <= last; line++) {
		const char *begin = find_position(text, length, line, 0), *at = begin;
		size_t column = 0;

		for (; at + 1 < text + length && *at != '\n'; at++) {
			if ((at[0] & 0xff) == 0xc2 && (at[1] & 0xff) == 0xa0 &&
			    (at == begin || strchr(" :-,{[", at[-1]))) {
				*out_line = line;
				*out_column = column;
				return true;
			}
			column += ((unsigned char)at[1] & 0xc0) != 0x80;
		}
	}
	return false;
}

void hint_for_syntax(const char *text, size_t length, const char *problem, size_t line,
		     size_t column, char *out, size_t size)
{
	size_t quote;

	const char *at = find_position(text, length, line, column);
	char here = at < text + length ? *at : '\0';
	bool in_brackets = strstr(problem, "expected ',' or") || strstr(problem, "node content");

	out[0] = '\0';
	if (find_open_quote(text, length, line, &quote)) {
		snprintf(out, size, "; is the quote in line %zu closed?", quote + 1);
		return;
	}
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
