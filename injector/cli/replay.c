/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall replay: runs again what a stored result was made from, with the same variables and the
 * same seed. The result is a file like any experiment: it is opened with the rights of who called,
 * and understood by a process that has none.
 */
#include "injector/cli/commands.h"

#include "injector/base/cleanup.h"
#include "injector/cli/options.h"
#include "injector/cli/results.h"
#include "injector/cli/source.h"
#include "injector/kernel/descriptors.h"
#include "injector/kernel/trusted_file.h"
#include "injector/report/stored.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
	"usage: squall replay [--json] [--quiet] RUN|FILE|last [-- COMMAND [ARGUMENT...]]\n\n"
	"Runs again what a stored result was made from: the same experiment and included files,\n"
	"the same values of variables, the same seed. Targets are looked for anew, and secrets "
	"are\n"
	"read from their files again. 'squall diff' compares the two results.\n\n"
	"  --json    one event a line on standard output\n"
	"  --quiet   neither progress nor summary, only the exit code\n"
	"  --help    this text\n\n"
	"Exit codes as of 'squall run'.\n";

struct replay {
	struct source source;
	FILE *file;
	char path[512];
	json_t *root;			    /* owned */
	char *settings[INPUTS_MAX_SETTING]; /* owned */
	int (*read)(void *context, const char *path, size_t max, char **out_text,
		    size_t *out_length, struct error *err);
	void *context; /* of read: files that are not stored */
};

static const json_t *part(const struct replay *replay, const char *name)
{
	return json_object_get(json_object_get(replay->root, "experiment"), name);
}

/* Included files as they were; anything else (secrets) as it is. */
static int read_stored(void *context, const char *path, size_t max, char **out_text,
		       size_t *out_length, struct error *err)
{
	const struct replay *replay = context;
	const json_t *at;
	size_t i;

	json_array_foreach (part(replay, "sources"), i, at) {
		const char *text = stored_text(at, "text");

		if (strcmp(stored_text(at, "path"), path) != 0)
			continue;
		if (strlen(text) > max)
			return error_set(err, EFBIG, "%s is too large", path);
		*out_text = strdup(text);
		*out_length = strlen(text);
		return *out_text ? 0 : error_errno(err, ENOMEM, "cannot read %s", path);
	}
	return replay->read(replay->context, path, max, out_text, out_length, err);
}

static int take_variables(struct replay *replay, struct error *err)
{
	struct experiment_inputs *inputs = &replay->source.text.inputs;
	const json_t *at;
	size_t i;

	json_array_foreach (part(replay, "variables"), i, at) {
		char **setting = &replay->settings[inputs->setting_count];

		if (!json_is_string(json_object_get(at, "value")))
			continue;
		if (inputs->setting_count == INPUTS_MAX_SETTING)
			return error_set(err, E2BIG, "%s has too many variables", replay->path);
		if (asprintf(setting, "%s=%s", stored_text(at, "name"), stored_text(at, "value")) <
		    0) {
			*setting = NULL;
			return error_errno(err, ENOMEM, "cannot replay");
		}
		inputs->settings[inputs->setting_count++] = *setting;
	}
	return 0;
}

static int refuse(const struct replay *replay, struct error *err)
{
	const json_t *words = part(replay, "words");

	error_set(err, EINVAL, "%s does not hold the experiment that it is the result of",
		  replay->path);
	if (json_is_string(words))
		return error_remedy(err, "it was: squall inject %s", json_string_value(words));
	return error_remedy(err, "it was written by an older squall; run the file again");
}

static int load(void *context, struct experiment **out, struct error *err)
{
	struct replay *replay = context;
	struct experiment_text *text = &replay->source.text;
	const json_t *first;
	int result = stored_read(replay->file, replay->path, &replay->root, err);

	if (result < 0)
		return result;
	first = json_array_get(part(replay, "sources"), 0);
	if (!*stored_text(first, "text"))
		return refuse(replay, err);
	result = take_variables(replay, err);
	if (result < 0)
		return result;
	replay->source.path = stored_text(first, "path");
	text->bytes = strdup(stored_text(first, "text"));
	if (!text->bytes)
		return error_errno(err, ENOMEM, "cannot replay %s", replay->path);
	text->length = strlen(text->bytes);
	replay->read = text->inputs.read;
	replay->context = text->inputs.context;
	text->inputs.read = read_stored;
	text->inputs.context = replay;
	result = source_load(&replay->source, out, err);
	if (result == 0 && stored_has(replay->root, "seed")) {
		(*out)->seed = stored_number(replay->root, "seed");
		(*out)->has_seed = true;
	}
	return result;
}

static void replay_free(struct replay *replay)
{
	if (replay->file && replay->file != stdin)
		fclose(replay->file);
	source_free(&replay->source);
	for (unsigned i = 0; i < INPUTS_MAX_SETTING; i++)
		free(replay->settings[i]);
	json_decref(replay->root);
}

/* The bytes of the result, for their digest in the audit; nothing else looks at them here. */
static void take_content(const struct replay *replay, char **out, size_t *out_length)
{
	struct stat status;
	ssize_t got;

	if (geteuid() != 0 || replay->file == stdin || fstat(fileno(replay->file), &status) < 0 ||
	    !S_ISREG(status.st_mode) || status.st_size > STORED_MAX)
		return;
	*out = malloc((size_t)status.st_size + 1);
	got = *out ? pread(fileno(replay->file), *out, (size_t)status.st_size, 0) : 0;
	*out_length = got > 0 ? (size_t)got : 0;
}

static int take(int argc, char **argv, struct options *options, struct replay *replay,
		struct run_options *run, struct error *err)
{
	int separator = options_separator(argc, argv);
	int result = options_parse(options, separator, argv, err);

	if (result < 0 || options->helped)
		return result;
	if (!options->operand_count || separator + 1 == argc) {
		error_set(err, EINVAL, "replay: the %s is missing",
			  options->operand_count ? "COMMAND behind '--'" : "RUN");
		return error_remedy(err, "squall replay --help");
	}
	if (separator < argc)
		run->command = argv + separator + 1;
	run->words = options->operands[0];
	run->file = run->words;
	run->is_json = options->json;
	run->is_quiet = options->quiet;
	descriptors_leave_callers();
	replay->file = results_open(options->operands[0], replay->path, sizeof(replay->path), err);
	if (!replay->file)
		return err->code ? -err->code : -EIO;
	run->file = replay->path;
	if (replay->file != stdin)
		result = trusted_file_check(fileno(replay->file), replay->path, err);
	return result < 0 ? result : source_prepare(&replay->source, err);
}

int cli_replay(int argc, char **argv, struct error *err)
{
	struct options options = {
		.help = help, .has_json = true, .has_quiet = true, .max_operands = 1};
	struct replay replay = {.source.text.inputs.read = experiment_read_to_run};
	struct run_options run = {
		.load = load, .context = &replay, .name = argv[0], .has_launcher = true};
	cleanup_free char *content = NULL;
	int result = take(argc, argv, &options, &replay, &run, err);

	if (replay.file)
		take_content(&replay, &content, &run.length);
	run.content = content;
	if (result < 0)
		options_refused(result, argv[0], run.file, run.content, run.length, err);
	else if (!options.helped)
		result = run_start(&run, err);
	replay_free(&replay);
	return result;
}
