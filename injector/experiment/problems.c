/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Collects problems and puts them in the order of the files. Texts carry pieces of the file to a
 * terminal, so nothing in them may control one.
 */
#include "injector/experiment/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void make_printable(char *text)
{
	for (char *at = text; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
}

/* A cut text ends with "..." and with a whole character. */
static void end_cut_text(char *text, size_t size)
{
	size_t at = size - sizeof("...");

	while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
		at--;
	strcpy(text + at, "...");
}

static struct yaml_problem *next_problem(struct problem_list *list)
{
	struct yaml_problems *found = &list->found;
	struct yaml_problem *grown;

	if (found->count == PROBLEMS_MAX) {
		list->is_full = true;
		return NULL;
	}
	/* one more than needed: problems_finish() may add a last word */
	if ((found->count & (found->count + 1)) == 0) {
		grown = realloc(found->list, (found->count + 1) * 2 * sizeof(*grown));
		if (!grown) {
			list->is_out_of_memory = true;
			return NULL;
		}
		found->list = grown;
	}
	return &found->list[found->count++];
}

void problems_add(struct problem_list *list, int line, int column, const char *format, ...)
{
	struct yaml_problem *problem = next_problem(list);
	va_list args;
	int length;

	if (!problem)
		return;
	problem->line = line | (TREE_FILE(line) ? 0 : (int)(list->file << TREE_LINE_BITS));
	problem->column = column;
	va_start(args, format);
	length = vsnprintf(problem->text, sizeof(problem->text), format, args);
	va_end(args);
	if (length >= (int)sizeof(problem->text))
		end_cut_text(problem->text, sizeof(problem->text));
	make_printable(problem->text);
}

static bool is_before(const struct yaml_problem *a, const struct yaml_problem *b)
{
	return a->line != b->line ? a->line < b->line : a->column < b->column;
}

void problems_finish(struct problem_list *list)
{
	struct yaml_problems *found = &list->found;

	/* insertion sort: stable, and nearly sorted already */
	for (unsigned i = 1; i < found->count; i++) {
		struct yaml_problem moved = found->list[i];
		unsigned at = i;

		for (; at > 0 && is_before(&moved, &found->list[at - 1]); at--)
			found->list[at] = found->list[at - 1];
		found->list[at] = moved;
	}
	for (unsigned i = 0; i < found->count; i++) {
		found->list[i].file = TREE_FILE(found->list[i].line);
		found->list[i].line = TREE_LINE(found->list[i].line);
	}
	if (list->is_full && found->count) {
		found->list[found->count] = (struct yaml_problem){.line = 0};
		snprintf(found->list[found->count].text, sizeof(found->list->text),
			 "there are more problems than these %d", PROBLEMS_MAX);
		found->count++;
		list->is_full = false;
	}
}

void yaml_problems_free(struct yaml_problems *problems)
{
	free(problems->list);
	*problems = (struct yaml_problems){0};
}
