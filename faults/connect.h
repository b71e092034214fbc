/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The connect fault, shared by its files: BPF programs at the connect hooks of a control group,
 * held by the descriptors of their links, answer connect(2) with an error.
 */
#ifndef SQUALL_CONNECT_H
#define SQUALL_CONNECT_H

#include "faults/fault.h"
#include "injector/kernel/cgroup.h"

extern const struct fault_ops connect_fault;

#define CONNECT_RECORD_LINKS 1
struct connect_record {	  /* what an undo record says */
	char program[16]; /* name of the programs, by which their links are found */
};

/* Which calls, and what they get. */
struct connect_scope {
	const struct params *params;
	unsigned to_key; /* parameter with the endpoints; none: every address */
	unsigned except_key;
	int protocol;	 /* IPPROTO_TCP, IPPROTO_UDP, 0: both */
	int error;	 /* errno */
	int process_map; /* descriptor: keys are the thread group ids that are meant; -1: all in the
			  * group */
	int counter_map; /* descriptor */
	uint64_t namespace_device, namespace_inode; /* of our pids; 0: the initial namespace */
};

enum connect_counter {			  /* keys of the counter map, whose values have 64 bits */
		       CONNECT_SEEN,	  /* calls within the scope */
		       CONNECT_HIT,	  /* of these, with an error */
		       CONNECT_THRESHOLD, /* a random number of 32 bits below it is a hit */
		       CONNECT_COUNTERS,
};

/* connect_program.c: loads the program of one family. */
int connect_program_load(const struct connect_scope *scope, int family, const char *name,
			 int *out_fd, struct error *err);

#endif
