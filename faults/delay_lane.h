/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One queue of a tap: packets are read from it, decided on, kept for their time and written back.
 * Used by one thread; the counters are read by others.
 */
#ifndef SQUALL_DELAY_LANE_H
#define SQUALL_DELAY_LANE_H

#include "faults/delay_effect.h"
#include "faults/delay_merge.h"
#include "faults/delay_payload.h"
#include "faults/delay_queue.h"
#include "faults/delay_refuse.h"
#include "injector/base/error.h"
#include "injector/kernel/packet_queue.h"
#include "injector/kernel/tap.h"

#include <stdatomic.h>
#include <stdint.h>

/* Packets handled in one direction before the other gets its turn: neither may starve. */
#define DELAY_LANE_BATCH  64
#define DELAY_LANE_PIECES 4096 /* the same of what is sent, where packets are cut */

struct delay_lane {
	int tap_fd; /* not owned */
	struct tap tap;
	struct delay_queue *queue;    /* owned */
	struct refusal refusal;	      /* set before anything comes */
	uint32_t segment;	      /* the same: TCP is cut into so many bytes; 0: it is not */
	struct delay_payload payload; /* the same: which packets are met */
	bool had_rate;
	/* The other source of packets, see delay_hold.h; NULL until it is there. Not owned. */
	const struct packet_queue *_Atomic hold;
	uint64_t held_bytes; /* of memory, about */
	uint32_t held_count;
	uint64_t held_blocks; /* that the budget counts for them */
	bool is_hold_shut;    /* too many wait: what comes is dropped until some have left */
	struct delay_budget *budget;
	struct delay_merge merge; /* while a batch is sent */
	bool keeps_single;	  /* the kernel did not take one that was merged */

	_Atomic uint64_t bulk;	 /* bytes received of TCP that the stack handed down as one */
	_Atomic uint64_t kept;	 /* packets received, by the kernel */
	_Atomic bool is_crowded; /* the kernel keeps nearly as many as it can */
	_Atomic uint64_t received, sent, lost, marked, duplicated, corrupted, reordered;
	_Atomic uint64_t dropped_full, dropped_error, foreign;
	_Atomic uint64_t spared; /* without the payload that is meant: sent on at once */

	struct delay_effect effect;			      /* its last member is large */
	unsigned char spare[TAP_HEADER_SIZE + TAP_FRAME_MAX]; /* while a packet is doubled */
	unsigned char whole[TAP_HEADER_SIZE + TAP_FRAME_MAX]; /* while one is cut */
};

/* `budget` outlives the lane. */
int delay_lane_init(struct delay_lane *lane, struct delay_budget *budget, uint64_t seed,
		    struct error *err);
void delay_lane_free(struct delay_lane *lane);

/* What waits leaves as the new effect has it, in order. */
void delay_lane_set(struct delay_lane *lane, const struct netem_config *config, int64_t now_ns);
/* Reads until the tap's queue is empty or a batch is full, and the same of what the kernel keeps.
 * Returns the packets read of both, or -EBADFD: the tap is gone. */
int delay_lane_receive(struct delay_lane *lane);
/* Lets go what is due, a batch of each source at most. Returns the packets that left, or -EBADFD.
 */
int delay_lane_send(struct delay_lane *lane, int64_t now_ns);

#endif
