/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * "All of these probes have passed for so long": the steady state before and the recovery after are
 * the same question. Pure bookkeeping over samples.
 */
#ifndef SQUALL_RUN_STREAK_H
#define SQUALL_RUN_STREAK_H

#include "injector/experiment/model.h"

#include <stdbool.h>
#include <stdint.h>

struct streak {
	const struct experiment_requirement *requirement;
	int64_t *passing_since_ns; /* one each required probe; 0: not passing; owned */
};

int streak_init(struct streak *streak, const struct experiment_requirement *requirement,
		struct error *err);
void streak_free(struct streak *streak);
/* Forgets everything: a new observation begins. */
void streak_reset(struct streak *streak);
bool streak_requires(const struct streak *streak, unsigned probe);
/* It passes at present. */
bool streak_has(const struct streak *streak, unsigned probe);
/* Notes a sample; attempts started before `from_ns` are ignored. */
void streak_note(struct streak *streak, unsigned probe, const struct probe_sample *sample,
		 int64_t from_ns);
/* When all will have held for as long as they must, if nothing changes; 0: one does not pass. */
int64_t streak_due_ns(const struct streak *streak);
/* When the present streak of all began (CLOCK_BOOTTIME); 0: at least one does not pass. */
int64_t streak_since_ns(const struct streak *streak);

#endif
