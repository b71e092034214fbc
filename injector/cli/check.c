/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `squall check`: says everything that is wrong with experiment files, with position and source
 * line. Touches nothing and needs no privileges. Every problem begins with a plain
 * `file:line:column: message` that editors understand; the source line and the caret below it are
 * for terminals. */
#include "injector/cli/commands.h"

#include "injector/base/json.h"
#include "injector/base/log.h"
#include "injector/base/page.h"
#include "injector/base/quantity.h"
#include "injector/cli/options.h"
#include "injector/cli/problems.h"
#include "injector/experiment/load.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define EXIT_BAD 2 /* as for a run that is refused because of its file */

static const char usage[] =
	"usage: squall check [--json] [--set NAME=VALUE]... FILE...\n"
	"\n"
	"Says whether experiment files are valid, without touching anything. FILE may be -\n"
	"for standard input. No privileges are needed.\n"
	"\n"
	"  --set       gives a variable of the files another value\n"
	"  --json      one JSON object with all problems\n"
	"  --help      this text\n"
	"\n"
	"Exit code: 0 all files are valid, 2 at least one is not.\n";

struct file {
	const char *path, *name;
	struct experiment_text text; /* owned */
	struct yaml_problems problems;
	struct error error; /* when it could not be read */
	unsigned steps, probes;
	char duration[QUANTITY_TEXT_SIZE];
	bool is_good;
};

static void file_free(struct file *file)
{
	experiment_text_free(&file->text);
	yaml_problems_free(&file->problems);
}

static void check_file(const char *path, const struct option_text *set, struct file *file)
{
	struct experiment *experiment = NULL;

	*file = (struct file){.path = path, .name = experiment_file_name(path)};
	for (unsigned i = 0; i < set->count && i < INPUTS_MAX_SETTING; i++)
		file->text.inputs.settings[file->text.inputs.setting_count++] = set->list[i];
	if (experiment_read(path, &file->text, &file->error) < 0)
		return;
	if (experiment_parse(&file->text, path, &experiment, &file->problems, &file->error) < 0)
		return;
	file->is_good = true;
	file->steps = experiment->step_count;
	file->probes = experiment->probe_count;
	quantity_format_duration(experiment_method_ns(experiment), file->duration);
	experiment_free(experiment);
	free(experiment);
}

static void show(struct page *page, const struct file *file)
{
	if (file->is_good) {
		page_put(page, TONE_GOOD, "ok");
		page_put(page, TONE_NORMAL, "  %s", file->name);
		page_put(page, TONE_QUIET, "  %u step%s, %u probe%s, %s", file->steps,
			 file->steps == 1 ? "" : "s", file->probes, file->probes == 1 ? "" : "s",
			 file->duration);
		page_line(page);
	} else if (file->problems.count) {
		problems_write(&file->problems, file->path, file->text.bytes, file->text.length,
			       page->out);
	} else {
		struct yaml_problem unreadable = {0};
		struct yaml_problems one = {.list = &unreadable, .count = 1};

		snprintf(unreadable.text, sizeof(unreadable.text), "%.400s%s%.190s",
			 file->error.text, file->error.remedy[0] ? "; " : "", file->error.remedy);
		problems_write(&one, file->path, "", 0, page->out);
	}
}

static json_t *file_json(const struct file *file)
{
	json_t *root = json_object(), *list = json_array();

	for (unsigned i = 0; i < file->problems.count; i++) {
		const struct yaml_problem *problem = &file->problems.list[i];
		json_t *item = json_object();

		if (problem->file && file->problems.files)
			json_object_set_new(item, "file",
					    json_text(file->problems.files[problem->file].path));
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
	const char *settings[INPUTS_MAX_SETTING];
	struct option_text texts[] = {
		{.name = "set", .list = settings, .capacity = INPUTS_MAX_SETTING}, {.name = NULL}};
	struct options options = {
		.help = usage, .texts = texts, .has_json = true, .max_operands = -1};
	struct page page;
	json_t *files = NULL;
	bool any_bad = false;
	int result = options_parse(&options, argc, argv, err);

	if (result < 0 || options.helped)
		return result;
	if (!options.operand_count) {
		error_set(err, EINVAL, "check: no file is given");
		return error_remedy(err, "write: squall check FILE...");
	}
	if (options.json)
		files = json_array();
	page_init(&page, stdout, log_has_colour(STDOUT_FILENO), 0);
	for (int i = 0; i < options.operand_count; i++) {
		struct file file;

		check_file(options.operands[i], &texts[0], &file);
		any_bad |= !file.is_good;
		if (options.json)
			json_array_append_new(files, file_json(&file));
		else
			show(&page, &file);
		file_free(&file);
	}
	if (options.json) {
		result = json_print(files, stdout, true, err);
		if (result < 0)
			return result;
	}
	return any_bad ? EXIT_BAD : 0;
}
