/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/cli/problems.h"

#include "injector/base/log.h"
#include "injector/base/page.h"
#include "injector/base/printable.h"
#include "injector/experiment/load.h"

#include <string.h>
#include <unistd.h>

struct source {
	const char *name, *text;
	size_t length;
};

/* Line `number` of the text, without its end; NULL when there is none. */
static const char *find_line(const struct source *source, int number, size_t *out_length)
{
	const char *at = source->text, *end = source->text + source->length, *stop;

	for (int line = 1; at && at < end; line++) {
		stop = memchr(at, '\n', (size_t)(end - at));
		if (line == number) {
			*out_length = (size_t)((stop ? stop : end) - at);
			return at;
		}
		at = stop ? stop + 1 : NULL;
	}
	return NULL;
}

static size_t step_back(const char *text, size_t at, unsigned characters)
{
	for (; characters && at; characters--)
		for (at--; at && ((unsigned char)text[at] & 0xc0) == 0x80;)
			at--;
	return at;
}

/* The source line and a caret below the column (counted in characters, as libyaml does). */
static void show_source(struct page *page, const struct source *source,
			const struct yaml_problem *problem)
{
	char line[2048], before[2048]; /* more than any page is wide, in bytes */
	size_t length, at = 0, head = 0;
	const char *cut = "";
	const char *start = find_line(source, problem->line, &length);
	unsigned shift;

	if (!start || problem->column < 1)
		return;
	for (int column = 1; column < problem->column && at < length; column++)
		for (at++; at < length && ((unsigned char)start[at] & 0xc0) == 0x80;)
			at++;
	if (at + 12 > page->width) { /* what is too long loses its head */
		head = step_back(start, at, page->width / 2);
		cut = head ? "..." : "";
	}
	snprintf(line, sizeof(line), "%s%.*s", cut, (int)(length - head), start + head);
	snprintf(before, sizeof(before), "%s%.*s", cut, (int)(at - head), start + head);
	printable_clean(line, page->utf8);
	printable_clean(before, page->utf8);
	shift = printable_width(before);
	if (shift + 12 > page->width)
		return; /* a line whose problem is out of sight would not help */
	page_put(page, TONE_QUIET, "  %5d | ", problem->line);
	page_put(page, TONE_NORMAL, "%s", line);
	page_line(page);
	page_put(page, TONE_QUIET, "        | ");
	page_put(page, TONE_BAD, "%*s^", (int)shift, "");
	page_line(page);
}

static void show_problem(struct page *page, const struct source *source,
			 const struct yaml_problem *problem, bool is_terminal)
{
	char text[sizeof(problem->text)], name[1024];

	snprintf(name, sizeof(name), "%s", source->name);
	snprintf(text, sizeof(text), "%s", problem->text);
	printable_clean(name, page->utf8);
	printable_clean(text, page->utf8);
	/* not wrapped and not cut: a machine may read it */
	if (problem->line > 0)
		fprintf(page->out, "%s:%d:%d: %s\n", name, problem->line, problem->column, text);
	else
		fprintf(page->out, "%s: %s\n", name, text);
	if (is_terminal && problem->line > 0)
		show_source(page, source, problem);
}

void problems_write(const struct yaml_problems *problems, const char *path, const char *text,
		    size_t length, FILE *out)
{
	struct source source = {
		.name = experiment_file_name(path), .text = text ? text : "", .length = length};
	int fd = fileno(out);
	bool is_terminal = fd >= 0 && isatty(fd);
	struct page page;

	page_init(&page, out, fd >= 0 && log_has_colour(fd), 0);
	for (unsigned i = 0; i < problems->count; i++) {
		unsigned file = problems->list[i].file;
		struct source included = {0};

		if (file && problems->files)
			included = (struct source){problems->files[file].path,
						   problems->files[file].text,
						   problems->files[file].length};
		show_problem(&page, included.name ? &included : &source, &problems->list[i],
			     is_terminal);
	}
	fflush(out);
}

void problems_print(const struct yaml_problems *problems, const char *path, const char *text,
		    size_t length)
{
	problems_write(problems, path, text, length, stderr);
}
