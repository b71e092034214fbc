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
#include "injector/run/result.h"

struct metrics;

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
