/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Packets that the kernel keeps until they are let go: NFQUEUE (net/netfilter/nfnetlink_queue.c).
 * Of each one its number and length come here, its bytes stay where they are. By the bare socket:
 * libnetfilter_queue would be one more thing to install for four messages.
 */
#ifndef SQUALL_PACKET_QUEUE_H
#define SQUALL_PACKET_QUEUE_H

#include "injector/base/error.h"

#include <stdint.h>

#define PACKET_QUEUE_BATCH 64
#define PACKET_QUEUE_MAX   65536

struct packet_queue {
	int fd;	      /* non-blocking */
	int count_fd; /* what the kernel counts; -1: it does not */
	uint16_t number;
};

/* Binds to that queue of the network namespace that this thread is in; what is queued there is
 * dropped when it is closed, or its process dies. Packets of segmentation offload come whole. At
 * most `unread` of them wait to be received, and what is more is dropped and counted. -EBUSY:
 * somebody else has it. -EPROTONOSUPPORT, -EOPNOTSUPP, ...: this kernel has none.
 * CAP_NET_ADMIN. */
int packet_queue_open(struct packet_queue *queue, uint16_t number, unsigned unread,
		      struct error *err);
void packet_queue_close(struct packet_queue *queue);

struct held_packet {
	uint32_t id;	 /* ascending */
	uint32_t length; /* bytes from its IP header on */
};
/* Those that have come, PACKET_QUEUE_BATCH at most, without waiting. Returns how many, or -errno:
 * it is broken. */
int packet_queue_receive(const struct packet_queue *queue, struct held_packet *out);
/* Lets go all up to that one, in their order; they are on their way when this returns. */
int packet_queue_release(const struct packet_queue *queue, uint32_t last_id);
/* Drops that one. */
int packet_queue_drop(const struct packet_queue *queue, uint32_t id);
/* So many may wait in all, no more than PACKET_QUEUE_MAX on newer kernels whatever is said here
 * (they keep them in a hash table that does not grow beyond); what is more is
 * dropped and counted. */
int packet_queue_limit(const struct packet_queue *queue, uint32_t packets);
/* Dropped since it was opened: by the limit, and because nobody received them in time. */
void packet_queue_drops(const struct packet_queue *queue, uint64_t *out_full, uint64_t *out_unread);

#endif
