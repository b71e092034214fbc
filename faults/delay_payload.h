/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Packets by what is in them: one of several texts stands somewhere in the data, as the string
 * match of iptables has it (xt_string.c in net/netfilter). Each packet by itself: a text that is
 * cut between two is in neither.
 */
#ifndef SQUALL_DELAY_PAYLOAD_H
#define SQUALL_DELAY_PAYLOAD_H

#include "injector/base/error.h"
#include "injector/kernel/tap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DELAY_PAYLOAD_TEXTS 8
#define DELAY_PAYLOAD_SIZE  128

struct delay_payload {
	unsigned count; /* 0: every packet */
	struct delay_payload_text {
		uint8_t size;
		uint8_t bytes[DELAY_PAYLOAD_SIZE];
	} texts[DELAY_PAYLOAD_TEXTS];
};

/* A text as it stands in the packet, or "hex:" and its bytes. -EINVAL: it is too long, or there are
 * too many. */
int delay_payload_add(struct delay_payload *payload, const char *text, struct error *err);
/* Of a packet as the tap gave it: in what is behind the header of TCP or UDP, of other protocols
 * behind that of IP, and in the whole frame of what is no IP. */
bool delay_payload_is_in(const struct delay_payload *payload, const void *packet, size_t length,
			 enum tap_kind kind);

#endif
