/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/cli/source.h"

#include "injector/base/cleanup.h"
#include "injector/base/quantity.h"
#include "injector/cli/problems.h"
#include "injector/kernel/sandbox.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int source_load(void *context, struct experiment **out, struct error *err)
{
	struct source *source = context;
	struct yaml_problems problems = {0};
	int result = experiment_parse(&source->text, source->path, out, &problems, err);

	file_reader_stop(&source->reader);
	if (result < 0 && problems.count) {
		problems_print(&problems, source->path, source->text.bytes, source->text.length);
		err->text[0] = '\0'; /* all has been said */
	}
	yaml_problems_free(&problems);
	return result;
}

static int read_by_reader(void *context, const char *path, size_t max, char **out_text,
			  size_t *out_length, struct error *err)
{
	const struct source *source = context;
	cleanup_fd int fd = file_reader_open(&source->reader, path, err);

	return fd < 0 ? fd : experiment_read_input(fd, path, max, out_text, out_length, err);
}

/* By their words: includes, files of variables and of addresses, certificates and keys. */
static bool may_name_files(const char *text)
{
	return strstr(text, "include") || strstr(text, "-file") || strstr(text, "tls-");
}

/* Only where it is needed: the user who called sudo can read for himself. */
int source_prepare(struct source *source, struct error *err)
{
	const char *text = source->text.bytes; /* NULL: not known yet */
	struct invoking_user user;
	int result;

	if (geteuid() != 0 || (text && !may_name_files(text)))
		return 0;
	result = sandbox_invoking_user(&user, err);
	if (result < 0 || user.uid != 0)
		return result;
	result = file_reader_start(&source->reader, err);
	source->text.inputs.read = read_by_reader;
	source->text.inputs.context = source;
	return result;
}

void source_free(struct source *source)
{
	file_reader_stop(&source->reader);
	experiment_text_free(&source->text);
}

int source_take_seed(const char *text, struct run_options *run, struct error *err)
{
	if (!text)
		return 0;
	if (quantity_parse_integer(text, &run->seed, NULL) < 0 || run->seed < 0 ||
	    run->seed > EXPERIMENT_MAX_SEED)
		return error_set(err, EINVAL, "--seed: '%.40s' is no number from 0 to %lld", text,
				 EXPERIMENT_MAX_SEED);
	run->has_seed = true;
	return 0;
}
