/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The way of a packet through the delay line's tap, in two BPF programs at the hooks of that tap.
 * Where it returns (ingress) it is sent on where nftables took it. What a packet has not in its
 * bytes is lost on the way: bits of its mark that say whose it is are kept by a tag of ours, which
 * is put on where it goes in (egress) and taken off where it returns.
 */
#ifndef SQUALL_DELAY_RETURN_H
#define SQUALL_DELAY_RETURN_H

#include "injector/base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define DELAY_TAG_AT   12 /* in the frame: behind the addresses, as any VLAN tag */
#define DELAY_TAG_SIZE 4

#define DELAY_WAY_BACK "squall_delay_return" /* the filter with this program */

struct delay_return {
	int index; /* the device it came from, its egress or ingress; 0: a chain of nf_tables sends
		      it on */
	bool is_ingress;
	uint32_t mark; /* lets our table pass it once; 0: it does not come by there (nf_tables at
			  egress) */
	/* The mark's bits to keep, all in the upper half; 0: none. They return as such bits of the
	 * priority, beside `mark`, which has all the place in the mark. The upper half of `mark` is
	 * what tells that a packet has come from such a line already. */
	uint32_t carries;
};

int delay_return_load(const struct delay_return *way, int *out_program_fd, struct error *err);
/* The one that puts the tag on. */
int delay_carry_load(const struct delay_return *way, int *out_program_fd, struct error *err);

#endif
