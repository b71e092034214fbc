/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `squall check`: says everything that is wrong with experiment files, with position and source
 * line. Touches nothing and needs no privileges. Every problem begins with a plain
 * `file:line:column: message` that editors understand; the source line and the caret below it are
 * for terminals. */
#include "injector/cli/commands.h"

#include "injector/base/cleanup.h"
#include "injector/base/json.h"
#include "injector/base/log.h"
#include "injector/base/page.h"
#include "injector/base/printable.h"
#include "injector/base/quantity.h"
#include "injector/cli/options.h"
#include "injector/experiment/load.h"

#include <errno.h>
#include <string.h>

#define EXIT_BAD 2 /* as for a run that is refused because of its file */

static const char usage[] =
	"Usage: squall check [--json] FILE...\n"
	"\n"
	"Says whether experiment files are valid, without touching anything. FILE may be -\n"
	"for standard input. No privileges are needed.\n"
	"\n"
	"  --json      one JSON object with all problems\n"
	"  -h, --help  this text\n"
	"\n"
	"Exit code: 0 all files are valid, 2 at least one is not.\n";

struct file {
	const char *name;
	char *text; /* owned */
	size_t length;
	struct yaml_problems problems;
	struct error error; /* when it could not be read */
	unsigned steps, probes;
	char duration[QUANTITY_TEXT_SIZE];
	bool is_good;
};

static void file_free(struct file *file)
{
	free(file->text);
	yaml_problems_free(&file->problems);
}

static void check_file(const char *path, struct file *file)
{
	struct experiment *experiment = NULL;

	*file = (struct file){.name = strcmp(path, "-") == 0 ? EXPERIMENT_STDIN_NAME : path};
	if (experiment_read(path, &file->text, &file->length, &file->error) < 0)
		return;
	if (yaml_parse_experiment(file->text, file->length, file->name, &experiment,
				  &file->problems, &file->error) < 0)
		return;
	file->is_good = true;
	file->steps = experiment->step_count;
	file->probes = experiment->probe_count;
	quantity_format_duration(experiment_method_ns(experiment), file->duration);
	experiment_free(experiment);
	free(experiment);
}

/* Line `number` of the text, without its end; NULL when there is none. */
static const char *find_line(const struct file *file, int number, size_t *out_length)
{
	const char *at = file->text, *end = file->text + file->length, *stop;

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

/* The source line and a caret below the column (counted in characters, as libyaml does). */
static void show_source(struct page *page, const struct file *file,
			const struct yaml_problem *problem)
{
	cleanup_free char *line = NULL, *before = NULL;
	size_t length, at = 0;
	const char *start = find_line(file, problem->line, &length);
	unsigned shift;

	if (!start || problem->column < 1)
		return;
	line = strndup(start, length);
	if (!line)
		return;
	for (int column = 1; column < problem->column && line[at]; column++)
		for (at++; ((unsigned char)line[at] & 0xc0) == 0x80;)
			at++;
	before = strndup(line, at);
	if (!before)
		return;
	printable_clean(line, page->utf8);
	printable_clean(before, page->utf8);
	shift = printable_width(before);
	/* a long line is shown from where the problem is in sight */
	if (shift + 12 > page->width) {
		page_put(page, TONE_QUIET, "  %5d | ...\n", problem->line);
		page->column = 0;
		return;
	}
	page_put(page, TONE_QUIET, "  %5d | ", problem->line);
	page_put(page, TONE_NORMAL, "%s", line);
	page_line(page);
	page_put(page, TONE_QUIET, "        | ");
	page_put(page, TONE_BAD, "%*s^", (int)shift, "");
	page_line(page);
}

static void show_problem(struct page *page, const struct file *file,
			 const struct yaml_problem *problem, bool is_terminal)
{
	char text[sizeof(problem->text)], name[1024];

	snprintf(name, sizeof(name), "%s", file->name);
	snprintf(text, sizeof(text), "%s", problem->text);
	printable_clean(name, page->utf8);
	printable_clean(text, page->utf8);
	/* not wrapped and not cut: a machine may read it */
	if (problem->line > 0)
		fprintf(page->out, "%s:%d:%d: %s\n", name, problem->line, problem->column, text);
	else
		fprintf(page->out, "%s: %s\n", name, text);
	if (is_terminal && problem->line > 0)
		show_source(page, file, problem);
}

static void show(struct page *page, const struct file *file, bool is_terminal)
{
	struct yaml_problem unreadable = {0};

	for (unsigned i = 0; i < file->problems.count; i++)
		show_problem(page, file, &file->problems.list[i], is_terminal);
	if (file->is_good) {
		page_put(page, TONE_GOOD, "ok");
		page_put(page, TONE_NORMAL, "  %s", file->name);
		page_put(page, TONE_QUIET, "  %u step%s, %u probe%s, %s", file->steps,
			 file->steps == 1 ? "" : "s", file->probes, file->probes == 1 ? "" : "s",
			 file->duration);
		page_line(page);
	} else if (!file->problems.count) {
		snprintf(unreadable.text, sizeof(unreadable.text), "%s%s%s", file->error.text,
			 file->error.remedy[0] ? "; " : "", file->error.remedy);
		show_problem(page, file, &unreadable, false);
	}
}

static json_t *file_json(const struct file *file)
{
	json_t *root = json_object(), *list = json_array();

	for (unsigned i = 0; i < file->problems.count; i++) {
		const struct yaml_problem *problem = &file->problems.list[i];
		json_t *item = json_object();

		json_object_set_new(item, "line", json_integer(problem->line));
		json_object_set_new(item, "column", json_integer(problem->column));
		json_object_set_new(item, "text", json_text(problem->text));
		json_array_append_new(list, item);
	}
	if (!file->is_good && !file->problems.count) {
		json_t *item = json_object();

		json_object_set_new(item, "line", json_integer(0));
		json_object_set_new(item, "column", json_integer(0));
		json_object_set_new(item, "text", json_text(file->error.text));
		json_array_append_new(list, item);
	}
	json_object_set_new(root, "file", json_text(file->name));
	json_object_set_new(root, "valid", json_boolean(file->is_good));
	json_object_set_new(root, "problems", list);
	return root;
}

int cli_check(int argc, char **argv, struct error *err)
{
	struct options options;
	struct page page;
	json_t *files = NULL;
	bool any_bad = false;
	int result = options_parse(argc, argv, usage, &options, err);

	if (result < 0 || options.help)
		return result;
	if (options.first >= argc) {
		error_set(err, EINVAL, "check: no file is given");
		return error_remedy(err, "write: squall check FILE...");
	}
	if (options.json)
		files = json_array();
	page_init(&page, stdout, log_has_colour(STDOUT_FILENO), 0);
	for (int i = options.first; i < argc; i++) {
		struct file file;

		check_file(argv[i], &file);
		any_bad |= !file.is_good;
		if (options.json)
			json_array_append_new(files, file_json(&file));
		else
			show(&page, &file, isatty(STDOUT_FILENO));
		file_free(&file);
	}
	if (options.json) {
		result = json_print(files, stdout, true, err);
		if (result < 0)
			return result;
	}
	return any_bad ? EXIT_BAD : 0;
}
