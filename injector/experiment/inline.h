/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An experiment of one step from command-line words: squall inject network to=10.0.5.7:443
 * delay=100ms for=30s. The same tables as in a file, so the same names, values and messages.
 */
#ifndef SQUALL_EXPERIMENT_INLINE_H
#define SQUALL_EXPERIMENT_INLINE_H

#include "injector/experiment/model.h"

enum inline_param {
	INLINE_FOR,
	INLINE_EVERY,
	INLINE_ACTIVE,
	INLINE_REPEAT,
	INLINE_RAMP,
	INLINE_SEED,
	INLINE_TARGETS,
	INLINE_COUNT,
};
/* The keys that are neither the fault's nor its target's; ends with a NULL name. */
void inline_params(struct param out[INLINE_COUNT + 1]);

/* `words` are key=value: parameters of the fault, keys of its selector (lists with commas) and
 * those of inline_params(), of which `for` is mandatory unless the fault is instant or `repeat`
 * says it. The deadline is when the step ends and 30 s more. 0: *out is valid (caller:
 * experiment_free + free); -EINVAL and others: `err` has the first thing wrong, with the remedy.
 * Never touches the machine. */
int inline_experiment(const char *fault, char *const words[], unsigned count,
		      struct experiment **out, struct error *err);

#endif
