/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/base/log.h"

#include "injector/base/error.h"
#include "injector/base/printable.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum log_level max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	max_level = level;
}

bool log_has_colour(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && !getenv("NO_COLOR") && term && strcmp(term, "dumb") != 0;
}

static void print(enum log_level level, const char *label, const char *colour, const char *format,
		  va_list args)
{
	char line[2048];
	bool coloured;

	if (level > max_level)
		return;
	vsnprintf(line, sizeof(line), format, args);
	printable_clean(line, printable_has_utf8());
	coloured = *label && log_has_colour(STDERR_FILENO);
	/* One write a line: messages of several processes never mix within a line. */
	fprintf(stderr, "squall: %s%s%s%s\n", coloured ? colour : "", label,
		coloured ? "\033[0m" : "", line);
	fflush(stderr);
}

#define DEFINE_LOG(name, level, label, colour)                                                     \
	void name(const char *format, ...)                                                         \
	{                                                                                          \
		va_list args;                                                                      \
		va_start(args, format);                                                            \
		print(level, label, colour, format, args);                                         \
		va_end(args);                                                                      \
	}

DEFINE_LOG(log_error, LOG_LEVEL_ERROR, "error: ", "\033[31m")
DEFINE_LOG(log_warning, LOG_LEVEL_WARNING, "warning: ", "\033[33m")
DEFINE_LOG(log_info, LOG_LEVEL_INFO, "", "")
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG, "debug: ", "")

void log_failure(const struct error *err)
{
	char remedy[sizeof(err->remedy)];

	log_error("%s", err->text);
	if (err->remedy[0] && max_level >= LOG_LEVEL_ERROR) {
		snprintf(remedy, sizeof(remedy), "%s", err->remedy);
		printable_clean(remedy, printable_has_utf8());
		fprintf(stderr, "        %s\n", remedy);
	}
}
