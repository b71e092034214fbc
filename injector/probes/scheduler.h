/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Runs all probes of an experiment on one loop: starts each at its interval, spread so that probes
 * with the same interval do not fire together, at most one attempt of a probe at a time (an attempt
 * slower than the interval skips ticks, and the skip is counted), enforces time-outs.
 */
#ifndef SQUALL_PROBE_SCHEDULER_H
#define SQUALL_PROBE_SCHEDULER_H

#include "injector/probes/probe.h"

struct probe_scheduler;

/* Called for every finished attempt. */
typedef void (*probe_sample_fn)(void *context, unsigned probe, const struct probe_sample *sample);

/* Opens all probes (ops->open). Call before dropping privileges and before the sandbox. Keeps
 * pointers into `specs`. */
int probe_scheduler_new(const struct probe_spec *specs, unsigned count, struct loop *loop,
			struct launcher *launcher, probe_sample_fn fn, void *context,
			struct probe_scheduler **out, struct error *err);
/* Starts the first attempt of every probe at once. */
int probe_scheduler_start(struct probe_scheduler *scheduler, struct error *err);
/* No further attempts; those in flight are cancelled without a sample. */
void probe_scheduler_stop(struct probe_scheduler *scheduler);
uint64_t probe_scheduler_skipped(const struct probe_scheduler *scheduler, unsigned probe);
void probe_scheduler_free(struct probe_scheduler *scheduler);

#endif
