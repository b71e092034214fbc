/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Starts a run: forks worker and launcher while there are still rights to give them, then becomes
 * the unprivileged conductor in this very process, which is the one the user sees and signals.
 */
#ifndef SQUALL_RUN_RUN_H
#define SQUALL_RUN_RUN_H

#include "injector/experiment/model.h"
#include "injector/run/result.h"

#include <stdbool.h>

struct run_options {
	/* Makes the experiment, after all rights are given up: file contents are not parsed by
	 * root. The result is owned by the caller of run_start(). */
	int (*load)(void *context, struct experiment **out, struct error *err);
	void *context;
	bool has_seed; /* instead of that of the experiment, or of one that is drawn */
	int64_t seed;
	bool is_one_fault; /* given in words: loading it is a matter of microseconds */
	const char *name;  /* of the command, for the audit */
	const char *file;  /* where the experiment came from and what it says; NULL: words */
	const void *content;
	size_t length;
	const char *words;   /* of squall inject; NULL: a file */
	const char *metrics; /* a file for them, an absolute path; NULL: none */
	bool plan_only;
	bool is_json;	      /* events on standard output, one JSON object a line */
	bool is_quiet;	      /* no progress, no summary */
	bool has_launcher;    /* the experiment may have command probes */
	char *const *command; /* run -- COMMAND; NULL: none */
};

/* Root only. Returns the exit code (enum verdict), or -errno when nothing was injected. */
int run_start(const struct run_options *options, struct error *err);

#endif
