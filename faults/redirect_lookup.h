/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Connections are led to a responder where they arrive: a BPF program (redirect_lookup_program.c)
 * is asked which socket of a network namespace a new one is for, before the kernel looks for the
 * server itself. Addresses and ports stay as they are, so firewalls, routes and connection tracking
 * have no part in it. The link of the program is held by its descriptor, and vanishes with the
 * worker.
 *
 * What responders send to the servers would come to the programs again: it is told by its source in
 * a map that all programs of the process share.
 */
#ifndef SQUALL_REDIRECT_LOOKUP_H
#define SQUALL_REDIRECT_LOOKUP_H

#include "faults/redirect.h"
#include "faults/target.h"

#include <stdbool.h>
#include <stdint.h>

/* Keys and values of that map. Addresses are of 16 bytes, IPv4 as ::ffff:10.0.0.1; ports in network
 * order. */
struct redirect_pass_key {
	uint8_t address[16];
	uint16_t port;
	uint16_t is_listener; /* where a responder is; else where it sends from */
	uint32_t space;	      /* inode of the network namespace */
};
struct redirect_pass_value {
	uint32_t mark; /* whose it is: see redirect_new_mark() */
	uint16_t port; /* and for whom: the client at the beginning of all */
	uint16_t unused;
	uint8_t address[16];
};

/* How a responder makes its connections known; its thread alone uses it. */
struct redirect_pass {
	int map; /* not owned; -1: they need not be known */
	uint32_t space, mark;
	struct netlink *route; /* tells whose an address is */
};

struct redirect_lookup {
	int link, sockets; /* descriptors, -1; the sockets that are chosen are in a map */
	struct redirect_pass pass;
};
#define REDIRECT_LOOKUP_CLOSED                                                                     \
	(struct redirect_lookup)                                                                   \
	{                                                                                          \
		.link = -1, .sockets = -1, .pass = {.map = -1 }                                    \
	}

/* redirect_pass.c. A TCP socket to the server, which is known before it connects: from the client's
 * address if that is of this machine, else from the server's own; -1: cannot. It may still be
 * connecting. */
int redirect_connect_inside(const struct redirect_pass *pass, uint32_t priority,
			    struct redirect_way *way);
/* It is closed, and somebody else may have its port. */
void redirect_pass_forget(const struct redirect_pass *pass, const struct redirect_way *way);
/* The client as its address is rewritten on the way back to us; of one that was made just now. */
bool redirect_is_translated(const struct redirect_pass *pass, const struct redirect_way *way,
			    const struct redirect_way *other);
int redirect_pass_set_listener(const struct redirect_pass *pass, int family, uint16_t port,
			       bool is_there);

/* redirect_lookup_program.c */
#define REDIRECT_LOOKUP_VALUES 25 /* of each list: all jumps of one program fit */
struct redirect_lookup_scope {
	const struct target *target;
	const struct redirect_pass *pass;
	int sockets; /* map: 0 IPv4, 1 IPv6 */
};
int redirect_lookup_program_load(const struct redirect_lookup_scope *scope, const char *name,
				 int *out_fd, struct error *err);

#endif
