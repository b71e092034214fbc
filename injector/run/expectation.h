/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What was expected while the faults last, and what was seen of it. Part of a result: fed with the
 * same events, judged at the end, and counted together in a score.
 */
#ifndef SQUALL_RUN_EXPECTATION_H
#define SQUALL_RUN_EXPECTATION_H

#include "injector/run/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct run_result;

struct expectation_result {
	int64_t began_ns, ended_ns; /* of the faults that are meant; 0: not (yet) */
	unsigned attempts, passed;  /* meanwhile, of the probe that must hold */
	int64_t detected_ns;	    /* since the beginning; -1: not */
	bool is_failing;	    /* the probe that must detect, at its last attempt */
	bool is_met;		    /* by expectation_judge() */
	char text[200];		    /* the whole in a sentence, by expectation_judge() */
};

extern const char *const expectation_kind_names[]; /* "holds", "detected-within", "degrades-to" */

/* An event that came after the result has taken it in. */
void expectation_event(struct run_result *result, const struct event *event);
/* Until when it makes sense to go on watching; 0: nothing is pending. */
int64_t expectation_pending_ns(const struct run_result *result);
/* Fills is_met and text of all. */
void expectation_judge(struct run_result *result);
/* The probe is judged by an expectation, and not by every attempt of it. */
bool expectation_has_probe(const struct experiment *experiment, unsigned probe);
/* 0..100: the share of what was expected that was seen, by weight; -1: nothing could be judged, or
 * the run did not come to its end (aborted, interrupted). */
int expectation_score(const struct run_result *result);

#endif
