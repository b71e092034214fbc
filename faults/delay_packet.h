/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bytes of a packet as a tap hands them over: a virtio header, a link-layer header (unless the
 * tap is of IP), IP. Every length is checked: the bytes come from anybody.
 */
#ifndef SQUALL_DELAY_PACKET_H
#define SQUALL_DELAY_PACKET_H

#include "injector/kernel/tap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes on the wire, link-layer headers included: what was not cut yet counts as if it were. `tag`:
 * bytes of ours in each packet, which are on no wire (delay_return.h). */
uint64_t delay_packet_wire_length(const void *packet, size_t length, size_t tag);
/* Where IP begins, behind the link-layer header and VLAN tags; 0: it is not IP. */
size_t delay_packet_find_ip(const void *packet, size_t length, enum tap_kind kind);
/* Turns one bit over, of what is behind the virtio header and on the wire. `draw` is below the bits
 * there are. */
uint32_t delay_packet_bits(size_t length, size_t tag);
void delay_packet_damage(void *packet, size_t length, size_t tag, uint32_t draw);
/* Marks an IP packet that may be marked "congestion experienced" (RFC 3168). False: it may not. */
bool delay_packet_mark(void *packet, size_t length, enum tap_kind kind);

#endif
