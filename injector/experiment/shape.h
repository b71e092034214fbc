/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The shape of a step over its time: pulses (now it is there, now not) and a ramp of its strength.
 * Pure: the file is checked by it, the worker is driven by it, and views are drawn from it. All
 * times count from the beginning of the step.
 */
#ifndef SQUALL_EXPERIMENT_SHAPE_H
#define SQUALL_EXPERIMENT_SHAPE_H

#include "injector/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Injections of all steps together: each takes up to JOURNAL_INJECTION of the JOURNAL_CAPACITY
 * records. */
#define SHAPE_MAX_INJECTIONS 320
#define SHAPE_MAX_STAIRS     100
#define SHAPE_RAMP_EVERY_NS  100000000LL

struct shape {
	int64_t every_ns;  /* pulses: from the beginning of one to that of the next; 0: none */
	int64_t active_ns; /* how long each lasts; 0 when the fault is instant */
	unsigned count;	   /* of pulses */
	int64_t over_ns;   /* ramp: how long it takes; 0: none */
	int64_t from_ppb, to_ppb;
	unsigned stairs; /* in so many equal steps; 0: evenly */
};

/* What is wrong belongs to this key. */
enum shape_key { SHAPE_EVERY, SHAPE_ACTIVE, SHAPE_REPEAT, SHAPE_RAMP };

/* Is it sensible for a step that lasts `for_ns` (0: instant or until told)? */
int shape_check(const struct shape *shape, int64_t for_ns, bool is_instant, enum shape_key *out_key,
		struct error *err);
/* Pulses that begin within `for_ns`. */
int64_t shape_pulses_within(const struct shape *shape, int64_t for_ns);
/* From the beginning to the end: `for_ns`, or that of the last pulse. */
int64_t shape_lasts_ns(const struct shape *shape, int64_t for_ns);
unsigned shape_injections(const struct shape *shape);
/* The strength at that time, in parts per billion. */
int64_t shape_level_ppb(const struct shape *shape, int64_t since_ns);
/* When it should be changed next; -1: it stays. */
int64_t shape_next_level_ns(const struct shape *shape, int64_t since_ns);
/* Is it there at some time from `from_ns` until before `to_ns`? */
bool shape_is_active_within(const struct shape *shape, int64_t from_ns, int64_t to_ns);
/* ", for 2s every 10s, from 0% to 100% in 30s"; empty when it is neither. */
void shape_describe(const struct shape *shape, char *out, size_t size);

#endif
