/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An experiment of one step from command-line words: squall inject network to=10.0.5.7:443
 * delay=100ms for=30s. The same tables as in a file, so the same names, values and messages.
 */
#ifndef SQUALL_EXPERIMENT_INLINE_H
#define SQUALL_EXPERIMENT_INLINE_H

#include "injector/experiment/model.h"

/* `words` are key=value: parameters of the fault, keys of its selector (lists with commas), `for`
 * (mandatory unless the fault is instant) and `targets` (limit, default 16). The deadline is `for`
 * and 30 s more. 0: *out is valid (caller: experiment_free + free); -EINVAL and others: `err` has
 * the first thing wrong, with the remedy. Never touches the machine. */
int inline_experiment(const char *fault, char *const words[], unsigned count,
		      struct experiment **out, struct error *err);

#endif
