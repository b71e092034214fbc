/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The thread of a delay line: reads packets from a tap, keeps them in a queue, writes them back
 * into the same tap when they are due. It alone touches the queue; the other side talks to it
 * through atomic counters and a wake-up.
 */
#ifndef SQUALL_DELAY_THREAD_H
#define SQUALL_DELAY_THREAD_H

#include "faults/delay_queue.h"
#include "faults/delay_payload.h"
#include "faults/delay_refuse.h"
#include "injector/base/error.h"
#include "injector/kernel/netem.h"
#include "injector/kernel/packet_queue.h"
#include "injector/kernel/tap.h"

#include <stddef.h>
#include <stdint.h>

struct delay_thread;

/* Nothing runs yet. `budget` outlives the thread. */
int delay_thread_new(struct delay_budget *budget, uint64_t seed, struct delay_thread **out,
		     struct error *err);
/* `tap_fd` is read and written until delay_thread_free() returns; it stays the caller's. */
int delay_thread_start(struct delay_thread *thread, int tap_fd, const struct tap *tap,
		       struct error *err);
/* Before it is started: what comes is refused, and only the answers wait. */
void delay_thread_refuse(struct delay_thread *thread, const struct refusal *refusal);
/* Before it is started: the others are sent on at once, and whole. */
void delay_thread_pick(struct delay_thread *thread, const struct delay_payload *payload);
/* Before it is started: TCP is cut into pieces of so many bytes; 0: it is not. */
void delay_thread_cut(struct delay_thread *thread, uint32_t segment);
/* While it runs: packets come from there as well, see delay_hold.h. Stays the caller's, for as long
 * as the thread runs. */
void delay_thread_hold(struct delay_thread *thread, const struct packet_queue *hold);
/* More packets wait there than is good. */
bool delay_thread_is_crowded(const struct delay_thread *thread);
/* Ends the thread; what waits is lost. Also for one that was not started, or NULL. */
void delay_thread_free(struct delay_thread *thread);

/* Takes effect at once. Its tables are copied. */
void delay_thread_set(struct delay_thread *thread, const struct netem_config *config);
/* Nothing is on its way: not in the tap, not in the queue, not between. */
bool delay_thread_is_empty(const struct delay_thread *thread);
/* The tap is gone and the thread has ended by itself. */
bool delay_thread_is_broken(const struct delay_thread *thread);

struct delay_thread_counters {
	uint64_t bulk, kept, received, sent, lost, dropped_full, dropped_error, foreign, spared,
		queued, memory;
	struct netem_fates fates;
	int64_t processor_ns;
};
void delay_thread_counters(const struct delay_thread *thread, struct delay_thread_counters *out);

#endif
