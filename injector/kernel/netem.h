/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What netem (net/sched/sch_netem.c) can do to packets, in natural units and its own terms, and the
 * messages that tell the kernel. The delay line takes the same description.
 */
#ifndef SQUALL_NETEM_H
#define SQUALL_NETEM_H

#include "injector/base/error.h"
#include "injector/kernel/netlink.h"

#include <linux/pkt_sched.h>
#include <stdbool.h>
#include <stdint.h>

/* <linux/pkt_sched.h> of 6.6; older headers lack it */
#define NETEM_ATTRIBUTE_SEED 14

#define NETEM_TABLE_SIZE 4096
/* The largest entry a table can have, in jitters. */
#define NETEM_TABLE_REACH 4
/* netem computes with 2 * jitter in 32 bits of nanoseconds (tabledist() in net/sched/sch_netem.c,
 * which newer kernels enforce): beyond that only a delay line can. */
#define NETEM_JITTER_MAX_NS 2000000000LL

/* The shape of a jitter: its inverse distribution function at equal steps, in jitters from the
 * delay, times NETEM_DIST_SCALE. */
struct netem_table {
	int16_t values[NETEM_TABLE_SIZE];
};

enum netem_loss {
	NETEM_LOSS_RANDOM, /* loss_ppb, loss_correlation_ppb */
	NETEM_LOSS_GEMODEL,
	NETEM_LOSS_STATE,
};

/* Gilbert-Elliott: from good to bad, from bad to good, the loss while bad and while good. */
struct netem_gemodel {
	uint64_t p_ppb, r_ppb, bad_ppb, good_ppb; /* bad: 1-h, good: 1-k */
};

/* The four states: 1 received in a gap, 2 received in a burst, 3 lost in a burst, 4 lost alone. */
struct netem_state {
	uint64_t p13_ppb, p31_ppb, p32_ppb, p23_ppb, p14_ppb;
};

/* What became of packets besides being delayed or dropped. */
struct netem_fates {
	uint64_t marked, duplicated, corrupted, reordered;
};
static inline void netem_add_fates(struct netem_fates *sum, const struct netem_fates *more)
{
	sum->marked += more->marked;
	sum->duplicated += more->duplicated;
	sum->corrupted += more->corrupted;
	sum->reordered += more->reordered;
}

/* Shares are parts per billion (SHARE_ONE is all). */
struct netem_config {
	int64_t delay_ns, jitter_ns;
	uint64_t delay_correlation_ppb;
	const struct netem_table *table; /* of the jitter; NULL: even */

	enum netem_loss loss_model;
	uint64_t loss_ppb, loss_correlation_ppb;
	struct netem_gemodel gemodel;
	struct netem_state state;
	/* One of so many is lost besides, first the packet of that number (at most as great); not
	 * netem's: the delay line counts. 0: none */
	uint32_t loss_every, loss_every_first;
	bool has_ecn; /* a packet that can be marked is marked instead of lost */

	uint64_t duplicate_ppb, duplicate_correlation_ppb;
	uint64_t corrupt_ppb, corrupt_correlation_ppb;
	uint64_t reorder_ppb, reorder_correlation_ppb;
	uint32_t reorder_gap; /* 0: no reordering */

	uint64_t rate_bytes; /* bytes a second; 0: no rate */
	int32_t packet_overhead;
	uint32_t cell_size;
	int32_t cell_overhead;
	uint32_t burst; /* bytes; not netem's: a token bucket (tbf) does it. 0: none */
	/* How fast a burst passes, by a second bucket; 0: at once. And what that one holds: more
	 * than a packet, or 0: one packet. */
	uint64_t peak_bytes;
	uint32_t peak_burst;

	int64_t slot_min_ns, slot_max_ns;     /* both 0: no slots */
	const struct netem_table *slot_table; /* not NULL: of what the time varies around */
	int64_t slot_jitter_ns;		      /* slot_min_ns, which is slot_max_ns; else 0 */
	uint32_t slot_packets, slot_bytes;    /* 0: any number */

	bool has_seed; /* kernels before 6.6 ignore it */
	uint64_t seed;
	uint32_t limit; /* packets */
};

/* Those that a description points to. */
struct netem_tables {
	struct netem_table jitter, slot;
};
/* A copy with tables of its own, as far as it has any. */
void netem_copy(const struct netem_config *config, struct netem_config *out,
		struct netem_tables *out_tables);

/* Some packets are lost (or marked) by a model, at random or by their number. */
bool netem_loses(const struct netem_config *config);

/* Adds netem below `parent` (TC_H_ROOT or a class); -EEXIST if something is there. */
int netem_add(struct netlink *netlink, int index, uint32_t parent, uint32_t handle,
	      const struct netem_config *config, struct error *err);
/* Changes it in place; what waits in it stays. */
int netem_change(struct netlink *netlink, int index, uint32_t parent, uint32_t handle,
		 const struct netem_config *config, struct error *err);
/* Does this kernel's netem at the root of an interface keep the seed it was given? */
int netem_reads_seed(struct netlink *netlink, int index, uint32_t parent, bool *out,
		     struct error *err);

#endif
