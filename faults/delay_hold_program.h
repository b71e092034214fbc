/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The way of a packet into delay_hold.h's namespace and out of it, in two BPF programs. A queue of
 * the kernel keeps what IPv4 has received; so the packet gets an IPv4 header of ours in front of
 * its own, and loses it again.
 */
#ifndef SQUALL_DELAY_HOLD_PROGRAM_H
#define SQUALL_DELAY_HOLD_PROGRAM_H

#include "injector/base/error.h"

#include <net/ethernet.h>
#include <stdint.h>

/* The largest MTU of a device whose packets can all be wrapped. */
#define HOLD_MTU_MAX 15000

/* For what the tap is about to take (its egress): wraps TCP over IPv4 or IPv6, addressed to `mac`,
 * and sends it to the device `index`. All other packets go on into the tap. */
int hold_wrap_load(int index, const uint8_t mac[ETH_ALEN], int *out_program_fd, struct error *err);
/* For what leaves the namespace (egress of its only device): the frame as it was. What has not been
 * wrapped is dropped. -EOPNOTSUPP: this kernel cannot take it out (before 6.3). */
int hold_unwrap_load(int *out_program_fd, struct error *err);

#endif
