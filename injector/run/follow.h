/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true`: host names of traffic targets are looked up again and again, here in the
 * unprivileged process, each in a thread of its own so that a name server that hangs holds nobody
 * up. What they are now is told the worker, which decides.
 */
#ifndef SQUALL_RUN_FOLLOW_H
#define SQUALL_RUN_FOLLOW_H

#include "injector/experiment/model.h"

struct conductor;
struct follow;

/* Calls fn for each host name that is followed, in the order by which the worker numbers those of a
 * target. */
int follow_each(const struct experiment_target *target,
		int (*fn)(void *context, unsigned host, unsigned parameter,
			  const struct param_value *value, struct error *err),
		void *context, struct error *err);

/* NULL when there is nothing to follow. */
int follow_new(struct conductor *conductor, struct follow **out, struct error *err);
/* From now on. */
void follow_begin(struct follow *follow);
void follow_end(struct follow *follow);
void follow_free(struct follow *follow);

#endif
