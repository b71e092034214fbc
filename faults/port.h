/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The port fault, shared by its files. Ports are held by sockets of the worker and by nothing else:
 * they are free again when it closes them or dies. No packet is sent for it, neither when a port is
 * taken nor when it is given back: the sockets are in TCP's repair mode, which is made for moving
 * connections between machines (tcp(7), TCP_REPAIR) and needs CAP_NET_ADMIN in the namespace.
 */
#ifndef SQUALL_PORT_H
#define SQUALL_PORT_H

#include "faults/fault.h"
#include "injector/kernel/namespace.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

extern const struct fault_ops port_fault;

enum port_param { PORT_TARGET, PORT_ACTION, PORT_IN_USE, PORT_LEAVE };
enum port_action { PORT_EXHAUST, PORT_OCCUPY };

#define PORT_RECORD_HELD 1
struct port_record { /* what an undo record says: sockets of that process, nothing else */
	struct process_identity holder;
	uint32_t step;
	char what[32]; /* for people */
};
_Static_assert(sizeof(struct port_record) <= JOURNAL_PAYLOAD, "an undo record is one record");

/* A port to occupy, or a far side towards which none is to be left. */
struct port_place {
	int protocol;
	struct sockaddr_storage address;
};

struct port_hold {
	int namespace_fd; /* not owned */
	const struct port_place *places;
	unsigned place_count;
	unsigned leave; /* ports that stay free towards each far side */
	int *fds;	/* owned; the first `held` are open */
	unsigned capacity;

	pthread_t thread; /* of exhausting */
	bool is_running;
	int wake_fd;
	_Atomic unsigned held, full; /* of the places, no port is left */
	_Atomic int failure;	     /* errno that ended it */
};

/* port_hold.c. Room for so many descriptors; the limit of the process is raised, which needs all of
 * root's rights: when it is planned. */
int port_hold_prepare(struct port_hold *hold, unsigned capacity, struct error *err);
/* Binds each place, and does not listen: who connects there is refused. On failure nothing is held.
 */
int port_hold_occupy(struct port_hold *hold, bool is_in_use, struct error *err);
/* Connects, until none is left, from a thread of its own: that takes a second, and ports that
 * others give back are taken as well. Returns when it is done, or after `patience_ns`. */
int port_hold_exhaust(struct port_hold *hold, int64_t patience_ns, struct error *err);
/* Gives everything back. */
void port_hold_end(struct port_hold *hold);
void port_hold_free(struct port_hold *hold);

struct port_state {
	bool is_on;
	struct port_record record;
	struct port_place *places; /* owned */
	unsigned place_count;
	struct port_hold hold;
	unsigned last;		/* ports, when it ended */
	pid_t namespace_keeper; /* see target_namespace.h */
	struct port_state *next;
};

/* port_plan.c */
int port_check(const struct params *params, struct error *err);
extern const struct target_use port_use;
int port_check_target(const struct params *params, const struct params *target,
		      const struct param_value **out_blamed, struct error *err);
int port_plan(struct fault *fault, struct plan *plan, struct error *err);

#endif
