/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/experiment/load.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/sandbox.h"
#include "injector/kernel/trusted_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const char *kind_of(mode_t mode)
{
	return S_ISDIR(mode)	? "a directory"
	       : S_ISFIFO(mode) ? "a named pipe"
	       : S_ISSOCK(mode) ? "a socket"
				: "a device";
}

static int open_file(const char *path, struct error *err)
{
	/* O_NONBLOCK: opening a named pipe must not wait for its writer */
	cleanup_fd int fd =
		sandbox_open_as_caller(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, err);
	struct stat stat;

	if (fd < 0)
		return fd;
	if (fstat(fd, &stat) < 0)
		return error_errno(err, errno, "cannot read %s", path);
	if (!S_ISREG(stat.st_mode)) {
		error_set(err, EINVAL, "%s is %s, not a file", path, kind_of(stat.st_mode));
		error_remedy(err, "write - to read from standard input");
		return -EINVAL;
	}
	return steal_fd(&fd);
}

static int too_large(const char *name, size_t max, struct error *err)
{
	if (max == EXPERIMENT_FILE_MAX)
		return error_set(err, EFBIG, "%s is larger than an experiment may be (2 MiB)",
				 name);
	return error_set(err, EFBIG, "%s is larger than a value may be (%zu bytes)", name, max);
}

int experiment_read_input(int fd, const char *name, size_t max, char **out_text, size_t *out_length,
			  struct error *err)
{
	cleanup_free char *text = NULL;
	size_t length = 0;
	struct stat stat;
	ssize_t got;

	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && (size_t)stat.st_size > max)
		return too_large(name, max, err);
	text = malloc(max + 2);
	if (!text)
		return error_errno(err, ENOMEM, "cannot read %s", name);
	/* one byte more than allowed tells that there is more */
	do {
		got = read(fd, text + length, max + 1 - length);
		if (got < 0 && errno != EINTR)
			return error_errno(err, errno, "cannot read %s", name);
		length += got > 0 ? (size_t)got : 0;
	} while (got != 0 && length <= max);
	if (length > max)
		return too_large(name, max, err);
	text[length] = '\0';
	*out_text = steal_pointer(&text);
	*out_length = length;
	return 0;
}

int experiment_read_as_caller(void *context, const char *path, size_t max, char **out_text,
			      size_t *out_length, struct error *err)
{
	cleanup_fd int fd = open_file(path, err);

	(void)context;
	return fd < 0 ? fd : experiment_read_input(fd, path, max, out_text, out_length, err);
}

int experiment_read_to_run(void *context, const char *path, size_t max, char **out_text,
			   size_t *out_length, struct error *err)
{
	cleanup_fd int fd = open_file(path, err);
	int result = fd < 0 ? fd : trusted_file_check(fd, path, err);

	(void)context;
	return result < 0 ? result
			  : experiment_read_input(fd, path, max, out_text, out_length, err);
}

const char *experiment_file_name(const char *path)
{
	return strcmp(path, "-") == 0 ? EXPERIMENT_STDIN_NAME : path;
}

int experiment_read(const char *path, struct experiment_text *out, struct error *err)
{
	if (!out->inputs.read)
		out->inputs.read = experiment_read_as_caller;
	if (strcmp(path, "-") == 0)
		return experiment_read_input(STDIN_FILENO, EXPERIMENT_STDIN_NAME,
					     EXPERIMENT_FILE_MAX, &out->bytes, &out->length, err);
	return out->inputs.read(out->inputs.context, path, EXPERIMENT_FILE_MAX, &out->bytes,
				&out->length, err);
}

int experiment_parse(struct experiment_text *text, const char *path, struct experiment **out,
		     struct yaml_problems *problems, struct error *err)
{
	return yaml_parse_with(text->bytes, text->length, experiment_file_name(path), &text->inputs,
			       out, problems, err);
}

int experiment_load(const char *path, struct experiment **out, struct yaml_problems *problems,
		    struct error *err)
{
	struct experiment_text text = {0};
	int result;

	*problems = (struct yaml_problems){0};
	result = experiment_read(path, &text, err);
	if (result == 0)
		result = experiment_parse(&text, path, out, problems, err);
	experiment_text_free(&text);
	problems->files = NULL;
	return result;
}

void experiment_text_free(struct experiment_text *text)
{
	free(text->bytes);
	inputs_free(&text->inputs);
	*text = (struct experiment_text){0};
}
