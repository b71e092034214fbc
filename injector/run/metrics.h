/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The run as metrics for the textfile collector of Prometheus' node exporter: every few seconds,
 * and soon after something has happened. A listener; the writing is done by another process
 * (file_writer.h).
 */
#ifndef SQUALL_RUN_METRICS_H
#define SQUALL_RUN_METRICS_H

#include "injector/base/loop.h"
#include "injector/kernel/file_writer.h"
#include "injector/kernel/sandbox.h"
#include "injector/run/result.h"

#define METRICS_FILES 2 /* of the caller, of the site */

struct metrics;

/* metrics_files.c: the writers of both, NULL: none, and the notes by which others set the files
 * right should the run be killed. The caller's file is written with the caller's rights; the site's
 * is the site's, whoever calls. As root. */
int metrics_start_writers(struct file_writer writers[METRICS_FILES],
			  const struct invoking_user *user, const char *of_caller,
			  const char *of_site, struct error *err);

/* Keeps pointers to all; the writers (pid 0: none) stay the caller's. */
int metrics_new(const struct run_result *result, struct loop *loop,
		const struct file_writer *writers, unsigned writer_count, struct metrics **out,
		struct error *err);
/* Must come behind the result among the listeners. */
struct event_listener metrics_listener(struct metrics *metrics);
void metrics_free(struct metrics *metrics); /* NULL is fine */

/* The text itself; caller frees. NULL: no memory. Probes that do not fit are left out, and
 * counted. */
char *metrics_text(const struct metrics *metrics, size_t *out_length);

#endif
