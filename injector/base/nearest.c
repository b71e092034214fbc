/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * "Did you mean ...?": the nearest known name within a small edit distance. */
#include "injector/base/params.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

/* Steady_State is steady-state to people. */
static char fold(char c)
{
	return c == '_' ? '-' : (char)tolower((unsigned char)c);
}

/* Damerau-Levenshtein distance (adjacent transpositions count once), cut off above 63 chars. */
static unsigned edit_distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	unsigned rows[3][64];
	unsigned *before = rows[0], *above = rows[1], *row = rows[2], *swap;

	if (la > 63 || lb > 63 || la > lb + 3 || lb > la + 3)
		return 99;
	for (unsigned j = 0; j <= lb; j++)
		above[j] = j;
	for (unsigned i = 1; i <= la; i++) {
		row[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			unsigned best = above[j - 1] + (fold(a[i - 1]) != fold(b[j - 1]));

			best = best < above[j] + 1 ? best : above[j] + 1;
			best = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
			if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
			    fold(a[i - 2]) == fold(b[j - 1]) && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			row[j] = best;
		}
		swap = before;
		before = above;
		above = row;
		row = swap;
	}
	return above[lb];
}

static const char *nearer(const char *known, const char *name, const char *best, unsigned *distance)
{
	size_t length = strlen(name);
	unsigned d = edit_distance(known, name), allowed = (unsigned)(length + 1) / 3;

	/* one letter is no misspelling of another; eight may have three wrong */
	if (allowed > 3)
		allowed = 3;
	if (d > allowed || d >= *distance)
		return best;
	*distance = d;
	return known;
}

const char *params_nearest(const struct param *table, const char *name)
{
	unsigned distance = 99;
	const char *best = NULL;

	for (; table->name; table++)
		best = nearer(table->name, name, best, &distance);
	return best;
}

const char *names_nearest(const char *const *names, const char *name)
{
	unsigned distance = 99;
	const char *best = NULL;

	for (; *names; names++)
		best = nearer(*names, name, best, &distance);
	return best;
}
