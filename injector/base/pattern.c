/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * glibc's regcomp() writes repetitions out: "((a{255}){255}){255}" and "(((a+)+)+)+..." take all
 * memory of the machine. And it follows, for each of its nodes, all that can be reached without a
 * character (calc_eclosure_iter() in posix/regcomp.c), which is copied for each anchor
 * (duplicate_node_closure()): "(\b(a*)*){50}" takes it for ever. So what it will have to do is
 * estimated first, without building anything.
 */
#include "injector/base/pattern.h"

#include <errno.h>
#include <regex.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MAX_ALLOWED 1000 /* single characters after repetitions are written out */
#define DEPTH_MAX	 32
/* The rest is measured: just within all of them it takes a few hundredths of a second. */
#define STACK_MAX   4  /* repetitions of repetitions: "((a+)*)?" has three */
#define ANCHORS_MAX 20 /* "^", "\b" and such, and as many that may be nothing, written out */
#define LOOPS_MAX   8  /* repetitions of what may be nothing, written out, beside an anchor */
#define PATHS_MAX   16 /* anchors times such repetitions */

struct part {
	double size, anchors, optional, loops;
	unsigned stack;
	bool may_be_nothing;
};

struct estimate {
	struct level {
		struct part done, last; /* all before the last part, and the last part */
		bool has_empty_branch;
	} levels[DEPTH_MAX];
	unsigned depth;
};

static const struct part nothing = {.may_be_nothing = true};
static const struct part character = {.size = 1};
static const struct part anchor = {.size = 1, .anchors = 1, .may_be_nothing = true};

static struct part join(const struct part *left, const struct part *right)
{
	return (struct part){
		.size = left->size + right->size,
		.anchors = left->anchors + right->anchors,
		.optional = left->optional + right->optional,
		.loops = left->loops + right->loops,
		.stack = left->stack > right->stack ? left->stack : right->stack,
		.may_be_nothing = left->may_be_nothing && right->may_be_nothing,
	};
}

static void open_level(struct level *level)
{
	*level = (struct level){.done = nothing, .last = nothing};
}

static void add_part(struct estimate *estimate, struct part part)
{
	struct level *level = &estimate->levels[estimate->depth];

	level->done = join(&level->done, &level->last);
	level->last = part;
}

static void add_branch(struct estimate *estimate)
{
	struct level *level = &estimate->levels[estimate->depth];

	add_part(estimate, nothing);
	level->has_empty_branch |= level->done.may_be_nothing;
	level->done.may_be_nothing = true;
	level->done.size++;
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

struct interval {
	double least, most;
	bool is_open; /* between two numbers, or without an end */
};

/* "{m}", "{m,}", "{m,n}", "{,n}"; false: it is no repetition. */
static bool read_interval(const char *at, struct interval *out, const char **out_end)
{
	char *end;

	*out = (struct interval){.least = strtoul(at + 1, &end, 10)};
	out->most = out->least;
	if (*end == ',') {
		out->most = strtoul(end + 1, &end, 10);
		out->most = out->most > out->least ? out->most : out->least;
		out->is_open = true;
	}
	if (*end != '}')
		return false;
	*out_end = end + 1;
	return true;
}

/* `factor`: how often it is written out; `ways`: how many of them can be left out, or entered again
 */
static void repeat(struct estimate *estimate, double factor, double ways, bool may_be_nothing)
{
	struct part *last = &estimate->levels[estimate->depth].last;

	last->size *= factor;
	last->anchors *= factor;
	last->optional = last->optional * factor + (may_be_nothing || ways > 1 ? factor : 0);
	last->loops = last->loops * factor + (last->may_be_nothing ? ways : 0);
	last->stack++;
	last->may_be_nothing |= may_be_nothing;
}

static void close_group(struct estimate *estimate)
{
	struct level *level = &estimate->levels[estimate->depth];
	struct part whole = join(&level->done, &level->last);

	if (estimate->depth == 0) { /* a plain ')' */
		add_part(estimate, character);
		return;
	}
	whole.size++;
	whole.may_be_nothing |= level->has_empty_branch;
	estimate->depth--;
	add_part(estimate, whole);
}

/* "\b", "\B", "\<", "\>", "\`" and "\'" are GNU's. */
static bool is_anchor(char escaped)
{
	return escaped && strchr("bB<>`'", escaped);
}

static int estimate_part(const char *text, struct part *out, struct error *err)
{
	struct estimate estimate = {0};
	const char *at = text;
	struct interval interval;

	open_level(&estimate.levels[0]);
	while (*at) {
		switch (*at) {
		case '\\':
			if (at[1] >= '1' && at[1] <= '9')
				return error_set(err, EINVAL,
						 "'%s': back-references (\\%c) are not allowed",
						 text, at[1]);
			add_part(&estimate, is_anchor(at[1]) ? anchor : character);
			at += at[1] ? 2 : 1;
			continue;
		case '[':
			at = skip_brackets(at);
			add_part(&estimate, character);
			continue;
		case '(':
			if (++estimate.depth == DEPTH_MAX)
				return error_set(err, EINVAL, "'%s' is nested too deeply", text);
			open_level(&estimate.levels[estimate.depth]);
			break;
		case ')':
			close_group(&estimate);
			break;
		case '|':
			add_branch(&estimate);
			break;
		case '^':
		case '$':
			add_part(&estimate, anchor);
			break;
		case '*': /* of what stands before it, which may be repeated further: a+*+ */
		case '?':
			repeat(&estimate, 1, 1, true);
			break;
		case '+': /* a+ becomes aa* */
			repeat(&estimate, 2, 1, false);
			break;
		case '{':
			if (read_interval(at, &interval, &at)) {
				repeat(&estimate, interval.most + 1,
				       interval.is_open ? interval.most + 1 : 0,
				       interval.least == 0);
				continue;
			}
			add_part(&estimate, character);
			break;
		default:
			add_part(&estimate, character);
		}
		at++;
	}
	while (estimate.depth) /* never closed: regcomp() says so, but writes it out first */
		close_group(&estimate);
	*out = join(&estimate.levels[0].done, &estimate.levels[0].last);
	return 0;
}

static int refuse_costly(const char *text, struct error *err)
{
	struct part whole;
	int result = estimate_part(text, &whole, err);

	if (result < 0)
		return result;
	if (whole.size > SIZE_MAX_ALLOWED)
		return error_set(
			err, EINVAL,
			"'%s' repeats too much: written out it has more than %d characters", text,
			SIZE_MAX_ALLOWED);
	if (whole.stack > STACK_MAX)
		return error_set(err, EINVAL,
				 "'%s' repeats too much: more than %d repetitions of each other",
				 text, STACK_MAX);
	if ((whole.anchors > ANCHORS_MAX && whole.optional > ANCHORS_MAX) ||
	    (whole.anchors > 0 &&
	     (whole.loops > LOOPS_MAX || whole.anchors * whole.loops > PATHS_MAX)))
		return error_set(
			err, EINVAL,
			"'%s' repeats too much: anchors, or beside one what may be nothing", text);
	return 0;
}

int pattern_check(const char *text, struct error *err)
{
	char reason[128];
	regex_t compiled;
	int result = refuse_costly(text, err), code;

	if (result < 0)
		return result;
	code = regcomp(&compiled, text, REG_EXTENDED | REG_NOSUB);
	if (code) {
		regerror(code, &compiled, reason, sizeof(reason));
		return error_set(err, EINVAL, "'%s' is not a regular expression: %s", text, reason);
	}
	regfree(&compiled);
	return 0;
}
