/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Refusing a packet: the answer that a host or router on the way would send. It goes back by the
 * interface that the packet was taken from, in the other direction, so that it is right for what is
 * sent here, forwarded, bridged and translated alike, and for every kernel: `reject` of nf_tables
 * is not to be had at egress of family netdev, and at the output hook of family inet it speaks so
 * soon that a socket still inside connect() puts an ICMP error off until its next attempt, a second
 * later (sock_owned_by_user() in tcp_v4_err(); measured).
 */
#ifndef SQUALL_DELAY_REFUSE_H
#define SQUALL_DELAY_REFUSE_H

#include "injector/kernel/tap.h"

#include <stdbool.h>
#include <stddef.h>

/* So much later an ICMP answer goes back, as from a router on the way: by then whoever called
 * connect() has left the socket to the kernel, also where the answer is written before the client
 * goes on (one processor, a kernel that is preempted at any time: with Linux 7.2 in an emulated
 * machine three clients in a row waited for a second). */
#define REFUSAL_NS 1000000

/* What an ICMP answer says is out of reach. */
enum refusal_reason { REFUSAL_PORT, REFUSAL_HOST, REFUSAL_NETWORK, REFUSAL_ADMIN };

struct refusal {
	bool is_on;
	bool resets; /* TCP is answered by a reset; whatever else by ICMP, as everything without */
	enum refusal_reason reason;
};

/* Puts the answer in the place of a packet as the tap gave it (behind its header, at most
 * TAP_FRAME_MAX bytes); its length. 0: it gets none, as the RFCs have it: what is no IP, itself an
 * error, a reset or a later fragment, and what was sent to many or by nobody. The source of the
 * answer is who the packet was meant for. */
size_t delay_refuse(void *packet, size_t length, enum tap_kind kind, const struct refusal *refusal);

#endif
