/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Cuts a TCP segment into smaller ones, as TCP itself would have sent them: the same headers, each
 * with its sequence number, its own checksums, and the flags that belong to the beginning or the
 * end of the data there alone. What was handed down as one (segmentation offload) is cut as well.
 */
#ifndef SQUALL_DELAY_CUT_H
#define SQUALL_DELAY_CUT_H

#include "injector/kernel/tap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct delay_cut {
	const uint8_t *packet;	      /* not owned */
	size_t ip, tcp, payload, end; /* offsets */
	size_t at;		      /* what has not been cut yet */
	uint32_t size;
	uint16_t count; /* of pieces so far */
	bool is_ipv6;
};

/* False: it stays whole. It is not TCP, or a fragment; it has no more data than `size`; it is set
 * up or broken off by it (SYN, RST), has urgent data or an option that signs it; or its checksum is
 * wrong already. `packet`, as a tap gives it, stays where it is. */
bool delay_cut_begin(struct delay_cut *cut, const void *packet, size_t length, enum tap_kind kind,
		     uint32_t size);
/* The next piece, as a tap takes it, no longer than the whole; its length. 0: there is none. */
size_t delay_cut_next(struct delay_cut *cut, void *out);

#endif
