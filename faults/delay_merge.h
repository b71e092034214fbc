/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Datagrams of one flow that leave at the same moment as one packet with segmentation offload
 * (VIRTIO_NET_HDR_GSO_UDP_L4), as a program makes it with UDP_SEGMENT: one system call and one way
 * through the stack for all of them. Whoever cuts it (the device, the kernel in front of it, the
 * socket that receives it) makes the very packets out of it that went in: only those are taken of
 * which that is certain. Looks at bytes and trusts none of them; copies no payload.
 */
#ifndef SQUALL_DELAY_MERGE_H
#define SQUALL_DELAY_MERGE_H

#include "injector/kernel/tap.h"

#include <linux/if_ether.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Datagrams in one packet: what the kernels before 6.8 take (UDP_MAX_SEGMENTS). */
#define DELAY_MERGE_MAX 64

#define DELAY_MERGE_HEADERS                                                                        \
	(TAP_HEADER_SIZE + ETH_HLEN + (int)sizeof(struct ipv6hdr) + (int)sizeof(struct udphdr))

struct delay_merge {
	/* The packets as they came, which stay the caller's. */
	struct iovec packets[DELAY_MERGE_MAX];
	unsigned count;

	size_t total;	  /* bytes of the packet that they make */
	bool is_complete; /* nothing can be added: the last was shorter, or the first is of no use
			   */
	/* Of the first, unless that is of no use. */
	size_t ip, udp, payload; /* offsets */
	size_t payload_size;
	bool is_ipv6;

	/* of what is written */
	unsigned char headers[DELAY_MERGE_HEADERS];
	struct iovec parts[DELAY_MERGE_MAX + 1];
};

/* Begins anew with this packet, as the tap gave it; it stays where it is until it is written. */
void delay_merge_begin(struct delay_merge *merge, const void *packet, size_t length,
		       enum tap_kind kind);
/* False: it does not belong to it, nothing has changed. */
bool delay_merge_add(struct delay_merge *merge, const void *packet, size_t length);
/* One packet for all of them, to be written at once: returns its parts. */
const struct iovec *delay_merge_finish(struct delay_merge *merge, int *out_count);

#endif
