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

enum connect_counter {			  /* keys of the counter map, whose values have 64 bits */
		       CONNECT_SEEN,	  /* calls within the scope */
		       CONNECT_HIT,	  /* of these, with an error */
		       CONNECT_THRESHOLD, /* a random number of 32 bits below it is a hit */
		       CONNECT_COUNTERS,
};

enum connect_param {
	CONNECT_TARGET,
	CONNECT_TO,
	CONNECT_EXCEPT,
	CONNECT_PROTOCOL,
	CONNECT_ERROR,
	CONNECT_PROBABILITY,
};

struct connect_state {
	struct connect_record record;
	struct cgroup group;
	int group_fd;
	uint64_t group_id; /* of one that is followed */
	bool is_whole_group;
	bool is_on;
	int programs[2]; /* descriptors, to attach them again; -1: that will not be */
	int process_map, counter_map, links[2]; /* descriptors; -1 */
	int watch;				/* epoll, of the processes in the map; -1 */
	unsigned gone;				/* processes that have ended, of the target's */
	uint64_t last[CONNECT_COUNTERS];	/* counters, as last read */
};

/* connect_follow.c: fault_ops.follow */
int connect_follow(struct fault *fault, char *out_note, size_t size, struct error *err);
/* Its group is followed, and not there at this moment. */
bool connect_is_waiting(const struct fault *fault);
/* Attaches the programs to the group, if it is there. On failure nothing is. */
int connect_link(struct connect_state *state, const struct fault *fault, const int programs[2],
		 struct error *err);

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

/* connect_program.c: loads the program of one family. */
int connect_program_load(const struct connect_scope *scope, int family, const char *name,
			 int *out_fd, struct error *err);

/* connect_explain.c: fault_ops.explain */
void connect_explain(const struct params *params, char *out, size_t size);

/* connect_load.c: makes the maps of the state, and a program for each family. */
int connect_load(struct connect_state *state, const struct fault *fault, int out_fds[2],
		 struct error *err);
void connect_close_pair(int fds[2]);
/* Maps and links: the effect ends. */
void connect_close(struct connect_state *state);

/* connect_watch.c: a number that is free again becomes somebody else's, so it leaves the map as
 * soon as its process has ended. From then on ended processes are seen: */
int connect_watch(struct connect_state *state, const struct target *target, struct error *err);
/* Looks for them now. */
void connect_drop_ended(struct connect_state *state);
void connect_watch_end(struct connect_state *state);
/* fault_ops.listen, .hear */
int connect_listen(struct fault *fault, struct error *err);
void connect_hear(void (*concerned)(void *context, struct fault *fault), void *context);

/* A random number of 32 bits below it is a hit. */
uint64_t connect_threshold(const struct fault *fault);

#endif
