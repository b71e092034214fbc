/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For a delay line with much to carry: the kernel keeps the packets, and only their numbers come
 * to us. To copy each byte out of the kernel and in again takes most of the time that the line's
 * tap costs; this takes none for them.
 *
 *   tap, egress: BPF, wraps the packet -> veth | another network namespace of ours: IPv4, before
 *   routing: queue -> our thread lets it go -> sent out again, BPF unwraps it | veth, ingress:
 *   where all that returns is sent on (delay_return.h)
 *
 * Only TCP goes this way, all else through the tap as before, so that packets of one flow do not
 * overtake each other. And only what leaves in the order in which it came, whole and undamaged: a
 * delay, and nothing else, of what leaves by a device with a usual MTU. (What arrives may have a
 * checksum by the hardware or not, packet by packet, and the former cannot be wrapped.)
 *
 * Everything dies with the process: the namespace with its last descriptor, and the veth with it,
 * when the kernel gets to that; who journals its name can take it away earlier. Nothing leads there
 * any more then: the tap has gone.
 */
#ifndef SQUALL_DELAY_HOLD_H
#define SQUALL_DELAY_HOLD_H

#include "injector/base/error.h"
#include "injector/kernel/netlink.h"
#include "injector/kernel/packet_queue.h"

#include <stdbool.h>
#include <stdint.h>

struct delay_hold;

struct delay_hold_config {
	struct netlink *netlink; /* in the tap's namespace; outlives the hold */
	int tap_index;
	const char *name, *alias; /* of the veth there */
	int return_fd;		  /* program that sends on what comes out of it */
};

/* Makes all of it; packets do not come before delay_hold_open(). CAP_SYS_ADMIN, CAP_NET_ADMIN,
 * CAP_BPF. Upon failure nothing of it is left: this kernel lacks a part (NFQUEUE, veth, dup), or
 * is before 6.3. */
int delay_hold_new(const struct delay_hold_config *config, struct delay_hold **out,
		   struct error *err);
/* Of its veth. */
int delay_hold_index(const struct delay_hold *hold);
/* Where the packets' numbers come. */
const struct packet_queue *delay_hold_queue(const struct delay_hold *hold);
/* Packets dropped since it was made: because too many waited, and because the kernel or we had no
 * time for them. */
void delay_hold_drops(const struct delay_hold *hold, uint64_t *out_full, uint64_t *out_late);
/* From now on TCP that the tap would take comes here. */
int delay_hold_open(struct delay_hold *hold, struct error *err);
/* And from now on it goes to the tap again; what waits here still leaves in its time. */
void delay_hold_shut(struct delay_hold *hold);
/* Its veth is there and up, and what leads to it and from it is in place. */
int delay_hold_check(const struct delay_hold *hold, struct error *err);
/* What still waits is lost, and what the tap would take from now on comes to the tap. Also for
 * NULL. Nothing receives from its queue any more. */
void delay_hold_free(struct delay_hold *hold);

#endif
