/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * glibc's regcomp() writes repetitions out: "((a{255}){255}){255}" and "(((a+)+)+)+..." take all
 * memory of the machine. So the size is estimated first, without building anything.
 */
#include "injector/base/pattern.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MAX_ALLOWED 1000 /* single characters after repetitions are written out */
#define DEPTH_MAX	 32

struct estimate {
	struct level {
		double done, last; /* sizes: all before the last part, and the last part */
	} levels[DEPTH_MAX];
	unsigned depth;
};

static void add_part(struct estimate *estimate, double size)
{
	struct level *level = &estimate->levels[estimate->depth];

	level->done += level->last;
	level->last = size;
}

/* Behind a bracket expression: "[]a]", "[^]a]" and "[[:alpha:]]" contain brackets. */
static const char *skip_brackets(const char *at)
{
	at++;
	if (*at == '^')
		at++;
	if (*at == ']')
		at++;
	for (; *at && *at != ']'; at++) {
		if (at[0] == '[' && (at[1] == ':' || at[1] == '.' || at[1] == '=')) {
			char end[] = {at[1], ']', '\0'};
			const char *close = strstr(at + 2, end);

			if (close)
				at = close + 1;
		}
	}
	return *at ? at + 1 : at;
}

/* "{m}", "{m,}", "{m,n}", "{,n}": how often, or 0 when it is no repetition. */
static double read_interval(const char *at, const char **out_end)
{
	char *end;
	double most = strtoul(at + 1, &end, 10), second;

	if (*end == ',') {
		second = strtoul(end + 1, &end, 10);
		most = second > most ? second : most;
	}
	if (*end != '}')
		return 0;
	*out_end = end + 1;
	return most + 1;
}

static void repeat(struct estimate *estimate, double factor)
{
	estimate->levels[estimate->depth].last *= factor;
}

static void close_group(struct estimate *estimate)
{
	const struct level *level = &estimate->levels[estimate->depth];

	if (estimate->depth == 0) { /* a plain ')' */
		add_part(estimate, 1);
		return;
	}
	estimate->depth--;
	add_part(estimate, level->done + level->last + 1);
}

static int estimate_size(const char *text, double *out, struct error *err)
{
	struct estimate estimate = {0};
	const char *at = text;

	while (*at) {
		double factor;

		switch (*at) {
		case '\\':
			if (at[1] >= '1' && at[1] <= '9')
				return error_set(err, EINVAL,
						 "'%s': back-references (\\%c) are not allowed",
						 text, at[1]);
			at += at[1] ? 2 : 1;
			add_part(&estimate, 1);
			continue;
		case '[':
			at = skip_brackets(at);
			add_part(&estimate, 1);
			continue;
		case '(':
			if (++estimate.depth == DEPTH_MAX)
				return error_set(err, EINVAL, "'%s' is nested too deeply", text);
			estimate.levels[estimate.depth] = (struct level){0};
			break;
		case ')':
			close_group(&estimate);
			break;
		case '*': /* of what stands before it, which may be repeated further: a+*+ */
		case '?':
			repeat(&estimate, 1);
			break;
		case '+': /* a+ becomes aa* */
			repeat(&estimate, 2);
			break;
		case '{':
			factor = read_interval(at, &at);
			if (factor > 0) {
				repeat(&estimate, factor);
				continue;
			}
			add_part(&estimate, 1);
			break;
		default:
			add_part(&estimate, 1);
		}
		at++;
	}
	while (estimate.depth) /* never closed: regcomp() says so, but writes it out first */
		close_group(&estimate);
	*out = estimate.levels[0].done + estimate.levels[0].last;
	return 0;
}

int pattern_check(const char *text, struct error *err)
{
	char reason[128];
	double size = 0;
	regex_t compiled;
	int result = estimate_size(text, &size, err), code;

	if (result < 0)
		return result;
	if (size > SIZE_MAX_ALLOWED)
		return error_set(
			err, EINVAL,
			"'%s' repeats too much: written out it has more than %d characters", text,
			SIZE_MAX_ALLOWED);
	code = regcomp(&compiled, text, REG_EXTENDED | REG_NOSUB);
	if (code) {
		regerror(code, &compiled, reason, sizeof(reason));
		return error_set(err, EINVAL, "'%s' is not a regular expression: %s", text, reason);
	}
	regfree(&compiled);
	return 0;
}
