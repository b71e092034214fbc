/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The way of a packet into delay_hold.h's namespace and out of it, in two BPF programs. A queue of
 * the kernel keeps what IPv4 has received; so a whole frame, whatever it holds, is put behind
 * another Ethernet header and an IPv4 header of ours, and taken out again.
 */
#ifndef SQUALL_DELAY_HOLD_PROGRAM_H
#define SQUALL_DELAY_HOLD_PROGRAM_H

#include "injector/base/error.h"

#include <net/ethernet.h>
#include <stdint.h>

/* Bytes put in front: 14 of Ethernet, 20 of IPv4. */
#define HOLD_WRAP_SIZE 34

/* For what the tap is about to take (its egress): wraps it, addressed to `mac`, and sends it to the
 * device `index`. What it cannot wrap goes on into the tap: frames near 64 KiB, segmentation
 * offload other than plain TCP, what carries a checksum over all of it. */
int hold_wrap_load(int index, const uint8_t mac[ETH_ALEN], int *out_program_fd, struct error *err);
/* For what leaves the namespace (egress of its only device): the frame as it was. What has not been
 * wrapped is dropped. -EOPNOTSUPP: this kernel cannot take it out (before 6.3). */
int hold_unwrap_load(int *out_program_fd, struct error *err);

#endif
