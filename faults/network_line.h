/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The delay lines of all paths of a step.
 */
#ifndef SQUALL_NETWORK_LINE_H
#define SQUALL_NETWORK_LINE_H

#include "faults/network.h"

int network_line_prepare(struct network_state *state, int namespace_fd, const char *run_id,
			 unsigned step, struct error *err);
int network_line_start(struct network_state *state, const struct fault *fault, struct error *err);
/* The line of one path, in mid-run. */
int network_line_add(struct network_state *state, const struct fault *fault, unsigned at,
		     struct error *err);
void network_line_remove(struct network_state *state, unsigned at);
/* Each path has one. */
bool network_line_is_prepared(const struct network_state *state);
/* What leaves goes through the egress hook again, for faults behind this one. */
bool network_line_reenters(const struct network_state *state);
/* The device that packets of a path are forwarded to. */
int network_line_device(const struct network_state *state, unsigned path, int *out_index,
			struct error *err);
/* Their devices are there and up. -ENODEV: not. */
int network_line_check(const struct network_state *state, struct error *err);
/* state->effect.at has changed. */
void network_line_change(struct network_state *state);
void network_line_soften(struct network_state *state);
bool network_line_is_empty(const struct network_state *state);
void network_line_count(const struct network_state *state, struct network_line_counts *out);
/* Looks whether one carries so much that another way is better; now and then. */
void network_line_tend(struct network_state *state, const struct fault *fault);
/* Processor time of their threads since they were started; also when they have ended. */
int64_t network_line_processor_ns(struct network_state *state);
void network_line_stop(struct network_state *state);

#endif
