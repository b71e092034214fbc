/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the small commands have in common: --help, --json, options with a text, operands, being
 * root.
 */
#ifndef SQUALL_CLI_OPTIONS_H
#define SQUALL_CLI_OPTIONS_H

#include "injector/base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct option_text {	  /* an option with a text behind it */
	const char *name; /* NULL ends a list */
	char letter;	  /* its short form; 0: none */
	const char *text; /* found: the last one given, or NULL */
	/* found: all that were given, where there is room for them */
	const char **list;
	unsigned capacity, count; /* count: also of those without room */
};

#define OPTIONS_MAX_TEXTS 16

struct options {
	const char *help;	   /* the whole text of --help */
	struct option_text *texts; /* NULL: none */
	bool has_json;		   /* --json is allowed */
	bool has_quiet;		   /* --quiet is allowed */
	int max_operands;	   /* -1: any number */

	bool json, quiet, helped; /* found */
	char **operands;
	int operand_count;
};

/* Parses by getopt_long. With --help the text is printed, .helped set, and nothing else matters. */
int options_parse(struct options *options, int argc, char **argv, struct error *err);
/* Index of "--", or argc: getopt permutes and forgets where it was. */
int options_separator(int argc, char **argv);
/* -EPERM with a remedy for everybody but root. */
int options_need_root(const char *command, const char *why, struct error *err);
/* Who calls, for lines of the audit that are written without a run. Of root's processes only. */
void options_tell_audit(const char *command, const char *file, const void *content, size_t length);
/* What is refused, or fails, before anything began is a line of the audit as well, where root
 * called; `file` and `content` as for audit_caller(). Does nothing unless `result` says so, and
 * returns it. */
int options_refused(int result, const char *command, const char *file, const void *content,
		    size_t length, const struct error *err);
/* Flushes standard output: a full disk or a closed pipe is an error like any other. */
int options_flush(struct error *err);

#endif
