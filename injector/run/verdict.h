/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The verdict: what happened, in one word and one sentence. A pure function of the result.
 */
#ifndef SQUALL_RUN_VERDICT_H
#define SQUALL_RUN_VERDICT_H

#include "injector/run/result.h"

#include <stddef.h>

/* `allow_idle`: a fault that hit nothing does not fail the run. Writes one sentence, no full stop.
 */
enum verdict verdict_decide(const struct run_result *result, bool allow_idle, char *out_why,
			    size_t size);

#endif
