/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TCP connections that a traffic target selects and that exist already, and ending them by force,
 * as `ss -K` does it. It cannot be undone, and leaves nothing to undo: like a kill it has no
 * record.
 */
#ifndef SQUALL_TARGET_CONNECTIONS_H
#define SQUALL_TARGET_CONNECTIONS_H

#include "faults/target.h"
#include "faults/target_session.h"
#include "injector/kernel/connection.h"

struct target_connections {
	struct connection *found; /* owned */
	unsigned count;
	unsigned spared_count; /* in scope, but of the session that controls us */
};

/* Of the session that controls us; none with `allow-lockout`. */
struct target_spared {
	const struct session_connection *connections;
	unsigned count;
};

/* Those of its namespace, by far side, this side and control group, without the cloud's metadata;
 * `usual_port`: of an endpoint without one, 0: any. The caller drops them. -EOPNOTSUPP: the kernel
 * does not say whose a connection is. */
int target_connections_find(struct netlink *diag, const struct target *target, uint16_t usual_port,
			    const struct target_spared *spared, struct target_connections *out,
			    struct error *err);
/* Counts those that were still there. */
int target_connections_end(struct netlink *diag, const struct target_connections *connections,
			   uint64_t *inout_count, struct error *err);
void target_connections_drop(struct target_connections *connections);

#endif
