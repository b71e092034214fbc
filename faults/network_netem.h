/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The ifb of a step, with netem; or several. What happens to a packet may depend on others (a rate,
 * a model, a seed) or on the interface's MTU: then each path has its own, as it has its own delay
 * line. Else one serves them all.
 */
#ifndef SQUALL_NETWORK_NETEM_H
#define SQUALL_NETWORK_NETEM_H

#include "faults/network.h"

/* Each path has its own. */
bool network_netem_is_split(const struct network_state *state);
int network_hole_build(struct network_state *state, struct error *err);
int network_netem_build(struct network_state *state, struct error *err);
/* Where packets of a path go to. */
int network_netem_device(const struct network_state *state, unsigned at);
bool network_netem_has(const struct network_state *state, int index);
/* The queue of one path, in mid-run; it is not said when there is none of its own. */
int network_netem_add(struct network_state *state, unsigned at, struct error *err);
void network_netem_soften_one(struct network_state *state, unsigned at);
bool network_netem_is_drained(struct network_state *state, unsigned at);
/* With what is still in it, which is counted. */
void network_netem_remove(struct network_state *state, unsigned at);
/* Before it is built: keeps what waits within a part of the memory. The most it can take, in bytes.
 */
uint64_t network_netem_bound(struct network_state *state);
/* state->effect.at has changed. */
int network_netem_change(struct network_state *state, struct error *err);
/* Lets what is queued pass in order, and new packets behind it without delay. */
int network_netem_soften(struct network_state *state, struct error *err);
/* The largest packet of the interfaces, link-layer header included. */
uint32_t network_mtu(const struct network_state *state);
/* Nothing queued and nothing on its way, in that one or in any of the step. */
int network_netem_is_empty(struct netlink *netlink, int index, bool *out_empty, struct error *err);
bool network_netem_all_empty(struct network_state *state);
int network_netem_count(struct network_state *state, struct network_queue_counts *out,
			struct error *err);

/* Throws away what still waits, with the ifb, and says how many packets that were. */
uint64_t network_netem_abandon(struct network_state *state);
/* The MTU of an interface may have changed: so does what is cut before the queue. */
int network_netem_resize(struct network_state *state, struct error *err);
/* The queues are there and work. -ENODEV, -ENOENT: not. */
int network_netem_check(struct network_state *state, struct error *err);

#endif
