/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The second way to take packets out of an interface, for kernels whose nf_tables has no egress
 * hook (before 5.16): a cls_bpf filter at the interface's clsact. Its program is a gate: it does
 * nothing but a tail call through an array of programs that the worker alone holds. When the worker
 * dies, by whatever way, the kernel empties the array (bpf_fd_array_map_clear()), the call fails
 * and every packet passes; the filter that remains is inert until it is swept.
 *
 * Behind the gate stands the program of the step: exclusions, scope, counting, loss. Towards an ifb
 * only the action `mirred` leads (a packet redirected there by BPF is dropped, ifb_xmit()), so the
 * filter of a netem step is not direct-action; all others are.
 */
#ifndef SQUALL_NETWORK_GATE_H
#define SQUALL_NETWORK_GATE_H

#include "faults/network.h"
#include "injector/kernel/qdisc.h"

/* After everybody's filters, as the chains of nf_tables. */
#define GATE_PRIORITY_BACK  0xffff
#define GATE_PRIORITY_DELAY 0xfffe
#define GATE_PRIORITY_LOSS  (GATE_PRIORITY_DELAY - 1 - NETWORK_RANK_MAX)
/* In tc_index of what leaves through an ifb: filters see it again when it comes back. */
#define GATE_INDEX 0x7371

/* A set of endpoints as BPF maps. A tree of addresses gives the class of ports that goes with the
 * longest prefix (0: every port); the tree of ports, one for all sets, says whether a port is in a
 * class. */
struct gate_set {
	int addresses[2];    /* maps for IPv4, IPv6; -1: none */
	uint32_t port_class; /* of "*:PORT"; 0: none */
	bool has_everything;
};
struct gate_scope {
	struct gate_set to, except;
	struct gate_set local, except_local; /* of this side, without ports */
	uint32_t local_class;		     /* of local-port; 0: every one */
	uint32_t except_local_class;	     /* of except-local-port; 0: none */
	int ports;			     /* map; -1: no port is given */
};
#define GATE_SCOPE_NONE                                                                            \
	{                                                                                          \
		.to.addresses = {-1, -1}, .except.addresses = {-1, -1},                            \
		.local.addresses = {-1, -1}, .except_local.addresses = {-1, -1}, .ports = -1       \
	}
int gate_scope_new(const struct params *target, struct gate_scope *out, struct error *err);
void gate_scope_close(struct gate_scope *scope);

/* The program of one path. Counters: an array of two values a path, gate_count and gate_setting. */
struct gate_count {
	uint64_t hits, lost;
};
struct gate_setting {
	uint64_t loss; /* of 2^32 */
	uint64_t reserved;
};
/* Not owned. */
struct gate_maps {
	int counters;
	int after; /* bytes of each flow, see network_after.h; -1: they do not matter */
};
int gate_code_load(const struct network_state *state, unsigned at, const struct gate_scope *scope,
		   const struct target *target, struct gate_maps maps, int *out_program_fd,
		   struct error *err);
/* The gate itself: tail call to entry `at`, or nothing. */
int gate_code_load_gate(int programs_map, unsigned at, bool is_direct, int *out_program_fd,
			struct error *err);
/* Takes the marks off again: the last filter of all. */
int gate_code_load_back(int *out_program_fd, struct error *err);

/* Can this kernel do it? Called in a namespace thrown away afterwards; `index` an ifb or 0. */
int network_gate_try(struct netlink *netlink, int index, struct error *err);

/* Plan: loads the maps, and lists what would be changed. */
int network_gate_prepare(struct network_state *state, const struct target *target,
			 struct error *err);
int network_gate_list(const struct network_state *state, struct plan *plan, struct error *err);
/* Filters first; opening the gates is the last thing, and starts the effect. */
int network_gate_start(struct network_state *state, const struct fault *fault, struct error *err);
/* state->effect.at has changed: the loss of a NETWORK_FILTER step. */
int network_gate_change(struct network_state *state, struct error *err);
/* The target's endpoints are others now: from one packet to the next, path by path. */
int network_gate_follow(struct network_state *state, struct error *err);
/* One more path in mid-run, and one less. */
int network_gate_add_path(struct network_state *state, const struct fault *fault, unsigned at,
			  struct error *err);
int network_gate_cut_path(struct network_state *state, unsigned at);
/* Whose end is that of the effect. */
int network_gate_descriptor(const struct network_state *state);
/* The effect ends. */
void network_gate_shut(struct network_state *state);
int network_gate_counters(struct network_state *state, struct evidence *out, struct error *err);
/* -ENOENT: somebody removed a filter. */
int network_gate_check(struct network_state *state, struct error *err);
void network_gate_free(struct network_state *state);

/* network_gate_clsact.c: what is there: a clsact of somebody else's, or none, or one that a run of
 * ours has added (then the last one to go takes it away). */
#define GATE_OWNER_MARK "+" /* ends the name of a filter whose run does so */
int network_gate_look_for_clsact(struct netlink *netlink, const struct network_path *path,
				 bool *out_exists, bool *out_is_ours, struct error *err);
/* Uses the one of the path's interface, or adds it; the records of what is at it come first. */
int network_gate_add_clsact(struct network_state *state, const struct fault *fault,
			    struct network_path *path, struct error *err);
/* -ENOSPC: another interface would take from the journal what injections to come will need. */
int network_gate_check_room(const struct fault *fault, struct error *err);
/* What is left of ours at an interface that has been let go; false: not all of it. */
bool network_gate_remove_interface(struct network_state *state, const struct fault *fault,
				   int index);
/* Of that name, with or without the mark, at that priority (0: any). */
int network_gate_find_filter(struct netlink *netlink, int index, enum qdisc_hook hook,
			     const char *name, uint32_t priority, bool *out_found,
			     struct error *err);

/* From the record alone. */
int network_gate_undo_filters(const struct network_record *record, struct netlink *netlink,
			      struct error *err);
int network_gate_undo_clsact(const struct network_record *record, struct netlink *netlink,
			     struct error *err);
/* Those that are left, as tc names them in `filter delete dev LINK ...`; none when they are gone.
 */
struct gate_filters {
	unsigned count;
	char names[4][64]; /* the gate and the way back, in each direction */
};
int network_gate_filters_left(const struct network_record *record, struct netlink *netlink,
			      struct gate_filters *out, struct error *err);
/* `out_shared`: one that is not gone holds filters of others, which go on without it. */
int network_gate_clsact_gone(const struct network_record *record, struct netlink *netlink,
			     bool *out_gone, bool *out_shared, struct error *err);

#endif
