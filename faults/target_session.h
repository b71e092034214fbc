/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The connection the operator sits on, which no fault cuts unless the target says `allow-lockout`.
 */
#ifndef SQUALL_TARGET_SESSION_H
#define SQUALL_TARGET_SESSION_H

#include <stdint.h>

#define SESSION_CONNECTIONS 8

/* A TCP connection, addresses in network order. */
struct session_connection {
	int family;
	uint8_t local[16], remote[16];
	uint16_t local_port, remote_port;
};

/* The connections that control this process: held by an sshd among our ancestors, or named by
 * SSH_CONNECTION, ours or an ancestor's, and found established; both ends of those that are from
 * this machine to itself. At most `capacity`; returns how many. Needs a look at the ancestors'
 * descriptors: in the plan. */
unsigned target_session_find(struct session_connection *out, unsigned capacity);

#endif
