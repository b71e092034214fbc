/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probe `log`: lines that are written to a file from the beginning of the run on. A file that is
 * replaced (rotation) is read to its end and then anew from its beginning; one that is cut short is
 * read from its new beginning. Each attempt reads at most a mebibyte, so that a file that grows
 * faster than it can be read delays nobody.
 */
#include "injector/probes/probe.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MAX       (1 << 20) /* bytes an attempt */
#define LINE_MAX_BYTES 4096	 /* of a line; the rest of it is not looked at */

enum { LOG_PATTERN };
enum { EXPECT_COUNT };

static const struct param log_params[] = {
	[LOG_PATTERN] = {"pattern", PARAM_PATTERN, PARAM_REQUIRED,
			 .doc = "regular expression of the lines that are counted"},
	{0},
};
static const struct param log_expect[] = {
	[EXPECT_COUNT] = {"count", PARAM_COMPARE_NUMBER, .fallback = "0",
			  .doc = "lines that match, since the attempt before"},
	{0},
};

struct log {
	regex_t pattern;
	bool has_pattern, is_known; /* known: it was there once */
	int fd;
	struct stat file; /* of fd */
	off_t at;	  /* read so far */
	char line[LINE_MAX_BYTES];
	size_t length;
	bool is_long; /* the line at hand is longer than `line` */
	char example[80];
};

static int log_check(const struct probe_spec *spec, struct error *err)
{
	if (spec->subject[0][0] != '/')
		return error_set(err, EINVAL, "'%s' must be an absolute path", spec->subject[0]);
	return 0;
}

/* Only what is a file: a device or a pipe would make us wait. */
static int open_file(struct log *log, const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &log->file) < 0)
		return -errno;
	if (!S_ISREG(log->file.st_mode))
		return -EINVAL;
	log->fd = steal_fd(&fd);
	log->at = 0;
	log->length = 0;
	log->is_long = false;
	return 0;
}

static bool take_line(struct log *log)
{
	bool matches = probe_pattern_matches(&log->pattern, log->line, log->length);

	if (matches)
		probe_excerpt(log->line, log->length, log->example, sizeof(log->example));
	log->length = 0;
	log->is_long = false;
	return matches;
}

/* Lines that match among what is there and was not read yet. -errno: it cannot be read. */
static int count_lines(struct log *log, size_t *left)
{
	char block[16384];
	int count = 0;

	while (*left) {
		ssize_t got = pread(log->fd, block, sizeof(block), log->at);

		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		log->at += got;
		*left -= (size_t)got < *left ? (size_t)got : *left;
		for (ssize_t i = 0; i < got; i++) {
			if (block[i] == '\n')
				count += take_line(log);
			else if (log->length < sizeof(log->line))
				log->line[log->length++] = block[i];
			else
				log->is_long = true;
		}
	}
	return count;
}

/* Another file has taken the name, or this one was cut short. */
static bool is_replaced(const struct log *log, const char *path)
{
	struct stat now;

	return stat(path, &now) == 0 &&
	       (now.st_ino != log->file.st_ino || now.st_dev != log->file.st_dev);
}

static int follow(struct log *log, const char *path)
{
	size_t left = READ_MAX;
	struct stat now;
	int count = 0, more, result;

	if (log->fd >= 0) {
		if (fstat(log->fd, &now) == 0 && now.st_size < log->at)
			log->at = 0;
		count = count_lines(log, &left);
		if (count < 0 || !left || !is_replaced(log, path))
			return count;
		close(log->fd);
		log->fd = -1;
	}
	result = open_file(log, path);
	/* one that is being replaced may be missing for a moment */
	if (result < 0)
		return log->is_known && result == -ENOENT ? count : result;
	log->is_known = true;
	more = count_lines(log, &left);
	return more < 0 ? more : count + more;
}

static int log_start(struct probe *probe, struct error *err)
{
	struct log *log = probe->state;
	const char *path = probe->spec->subject[0];
	const struct params *expect = &probe->spec->expect;
	struct compare limit;
	int count;

	(void)err;
	log->example[0] = '\0';
	count = follow(log, path);
	if (count < 0) {
		probe_finish(probe, PROBE_UNKNOWN, NAN, "cannot read %.80s: %s", path,
			     count == -EINVAL ? "it is no regular file" : strerror(-count));
		return 0;
	}
	probe_compare(expect, EXPECT_COUNT, &limit);
	if (compare_holds(&limit, count))
		probe_finish(probe, PROBE_PASS, count, "%d new lines match", count);
	else
		probe_finish(probe, PROBE_FAIL, count, "%d new lines match, expected %s%s%s", count,
			     params_text(expect, EXPECT_COUNT), log->example[0] ? ": " : "",
			     log->example);
	return 0;
}

static int log_open(struct probe *probe, struct error *err)
{
	struct log *log = probe->state = calloc(1, sizeof(*log));
	int result;

	if (!log)
		return error_errno(err, ENOMEM, "cannot prepare the probe");
	log->fd = -1;
	result = probe_pattern_compile(params_text(&probe->spec->params, LOG_PATTERN),
				       &log->pattern, err);
	if (result < 0)
		return result;
	log->has_pattern = true;
	/* what was written before the run is none of its business */
	if (open_file(log, probe->spec->subject[0]) == 0) {
		log->is_known = true;
		log->at = log->file.st_size;
	}
	return 0;
}

/* An attempt ends within start(): there is never one to cancel. */
static void log_cancel(struct probe *probe)
{
	(void)probe;
}

static void log_close(struct probe *probe)
{
	struct log *log = probe->state;

	if (!log)
		return;
	if (log->has_pattern)
		regfree(&log->pattern);
	if (log->fd >= 0)
		close(log->fd);
	free(log);
	probe->state = NULL;
}

const struct probe_ops log_probe = {
	.name = "log",
	.summary = "no (or so many) new lines of a log file match a pattern",
	.subject_doc = "path of the file",
	.params = log_params,
	.expect = log_expect,
	.check = log_check,
	.open = log_open,
	.start = log_start,
	.cancel = log_cancel,
	.close = log_close,
};
