/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/experiment/load.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/sandbox.h"

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
	if (stat.st_size > EXPERIMENT_FILE_MAX)
		return error_set(err, EFBIG, "%s is larger than an experiment may be (1 MiB)",
				 path);
	return steal_fd(&fd);
}

static int read_all(int fd, const char *name, struct experiment_text *out, struct error *err)
{
	cleanup_free char *text = malloc(EXPERIMENT_FILE_MAX + 2);
	size_t length = 0;
	ssize_t got;

	if (!text)
		return error_errno(err, ENOMEM, "cannot read %s", name);
	/* one byte more than allowed tells that there is more */
	do {
		got = read(fd, text + length, EXPERIMENT_FILE_MAX + 1 - length);
		if (got < 0 && errno != EINTR)
			return error_errno(err, errno, "cannot read %s", name);
		length += got > 0 ? (size_t)got : 0;
	} while (got != 0 && length <= EXPERIMENT_FILE_MAX);
	if (length > EXPERIMENT_FILE_MAX)
		return error_set(err, EFBIG, "%s is larger than an experiment may be (1 MiB)",
				 name);
	text[length] = '\0';
	*out = (struct experiment_text){.bytes = steal_pointer(&text), .length = length};
	return 0;
}

const char *experiment_file_name(const char *path)
{
	return strcmp(path, "-") == 0 ? EXPERIMENT_STDIN_NAME : path;
}

int experiment_read(const char *path, struct experiment_text *out, struct error *err)
{
	cleanup_fd int fd = -1;

	if (strcmp(path, "-") == 0)
		return read_all(STDIN_FILENO, EXPERIMENT_STDIN_NAME, out, err);
	fd = open_file(path, err);
	if (fd < 0)
		return fd;
	return read_all(fd, path, out, err);
}

int experiment_parse(const struct experiment_text *text, const char *path, struct experiment **out,
		     struct yaml_problems *problems, struct error *err)
{
	return yaml_parse_experiment(text->bytes, text->length, experiment_file_name(path), out,
				     problems, err);
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
	return result;
}

void experiment_text_free(struct experiment_text *text)
{
	free(text->bytes);
	*text = (struct experiment_text){0};
}
