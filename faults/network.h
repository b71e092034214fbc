/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The network fault, shared by its files. A packet in scope meets our nf_tables chain (owned: it
 * vanishes with the worker) as the last one at its interface's hook; the chain drops it, forwards
 * it to our ifb with netem, or forwards it to our delay line. Nothing of the user's is touched.
 */
#ifndef SQUALL_NETWORK_H
#define SQUALL_NETWORK_H

#include "faults/fault.h"
#include "faults/network_effect.h"
#include "faults/network_scope.h"
#include "faults/target_session.h"
#include "injector/kernel/namespace.h"
#include "injector/kernel/netlink.h"
#include "injector/base/quantity.h"
#include "injector/kernel/link.h"
#include "injector/kernel/nft.h"
#include "injector/kernel/nft_batch.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

extern const struct fault_ops network_fault;

/* network_params.c: see there what they mean. */
enum network_param {
	NETWORK_TARGET,
	NETWORK_DELAY,
	NETWORK_JITTER,
	NETWORK_DELAY_CORRELATION,
	NETWORK_DISTRIBUTION,
	NETWORK_DISTRIBUTION_FILE,
	NETWORK_DISTRIBUTION_SAMPLES, /* also what was in the file */
	NETWORK_DISTRIBUTION_LOST,    /* the same */
	NETWORK_PARTITION,
	NETWORK_REJECT_WITH,
	NETWORK_RESET_CONNECTIONS,
	NETWORK_LOSS,
	NETWORK_LOSS_CORRELATION,
	NETWORK_GEMODEL_P,
	NETWORK_GEMODEL_R,
	NETWORK_GEMODEL_1_H,
	NETWORK_GEMODEL_1_K,
	NETWORK_STATE_P13,
	NETWORK_STATE_P31,
	NETWORK_STATE_P32,
	NETWORK_STATE_P23,
	NETWORK_STATE_P14,
	NETWORK_LOSS_EVERY,
	NETWORK_LOSS_EVERY_FIRST,
	NETWORK_ECN,
	NETWORK_DUPLICATE,
	NETWORK_DUPLICATE_CORRELATION,
	NETWORK_CORRUPT,
	NETWORK_CORRUPT_CORRELATION,
	NETWORK_REORDER,
	NETWORK_REORDER_CORRELATION,
	NETWORK_REORDER_GAP,
	NETWORK_RATE,
	NETWORK_BURST,
	NETWORK_PEAK_RATE,
	NETWORK_PEAK_BURST,
	NETWORK_PACKET_OVERHEAD,
	NETWORK_CELL_SIZE,
	NETWORK_CELL_OVERHEAD,
	NETWORK_SLOT,
	NETWORK_SLOT_MAX,
	NETWORK_SLOT_JITTER,
	NETWORK_SLOT_DISTRIBUTION,
	NETWORK_SLOT_PACKETS,
	NETWORK_SLOT_BYTES,
	NETWORK_SEGMENT,
	NETWORK_SEED,
	NETWORK_LIMIT,
	NETWORK_AFTER_BYTES,
	NETWORK_PAYLOAD,
	NETWORK_DIRECTION,
	NETWORK_ALLOW_BYPASS,
};
extern const struct param network_params[];
int network_check(const struct params *params, struct error *err);
/* network_target.c */
int network_check_target(const struct params *params, const struct params *target,
			 const struct param_value **out_blamed, struct error *err);
/* It only ends connections, at once. */
bool network_is_instant(const struct params *params);
/* network_samples.c: see fault_ops.load. */
int network_load(struct params *params, const struct fault_files *files, struct error *err);

/* How packets are taken out of an interface. */
enum network_hook {
	NETWORK_TABLE, /* an owned nf_tables table, at the netdev hooks */
	NETWORK_GATE,  /* tc filters, see network_gate.h */
};

/* How packets are affected. */
enum network_way {
	NETWORK_FILTER, /* nf_tables alone: drops */
	NETWORK_NETEM,	/* ifb with netem */
	NETWORK_LINE,	/* delay line in user space, drops by nf_tables */
};

/* What tells an interface from a later one with its number, beside its name. */
struct network_identity {
	char kind[16];
	uint8_t address[LINK_ADDRESS_SIZE]; /* zeros: it has none, or it is not known */
};

/* One direction of one interface. Where interfaces are followed, a place for one: free while it has
 * no index and nothing of one that has left. */
struct network_path {
	int index; /* of the interface; 0: none */
	char interface[16];
	int lower, master; /* indexes of the interfaces below and above it, or 0 */
	bool is_ingress, is_loopback;
	bool owns_clsact;    /* NETWORK_GATE: it is there for runs of ours alone */
	bool carries_groups; /* what a delay line gives back is still known by its group */
	bool has_looking;    /* a chain looks at what leaves, see network_group_rules.c */
	uint32_t mtu;
	struct delay_line *line; /* NETWORK_LINE */
	int ifb_index;		 /* NETWORK_NETEM: a queue of its own; 0: it has none */
	/* network_links.c */
	bool is_attached;  /* packets come by it in the present injection */
	bool is_lost;	   /* the interface has gone, at least for a while */
	bool has_counters; /* in the table, from whoever had the place before */
	int64_t uncut_ns;  /* since when it is to be let go and cannot be; 0: it is not */
	int uncut_result;  /* why */
	bool is_bare;	   /* the interface is there, and what was ours at it is not */
	int bare_index;	   /* of the last one in this place that was bare, and when that was */
	int64_t bare_ns;
	int left_index; /* it has left, and what its line still holds may come out; 0: no */
	bool is_gone;	/* with the interface itself */
	int64_t drain_until_ns;
	uint32_t records[2]; /* NETWORK_GATE: of the journal, for this interface; 0: none */
	struct network_identity identity; /* when they were written */
};

static inline bool network_path_is_free(const struct network_path *path)
{
	return !path->index && !path->left_index;
}

/* What an undo record says. One struct for all types; unused fields are zero. */
enum network_record_type {
	NETWORK_RECORD_TABLE = 1, /* nf_tables table; gone with its owner */
	NETWORK_RECORD_LINK,	  /* ifb */
	NETWORK_RECORD_IPV4,	  /* an IPv4 setting of an interface */
	NETWORK_RECORD_FILTER,	  /* NETWORK_GATE: filters of an interface, named as the table */
	NETWORK_RECORD_CLSACT,	  /* NETWORK_GATE: the clsact they are in, if it was added */
	NETWORK_RECORD_GROUP,	  /* BPF programs at control groups, named in `link` */
	NETWORK_RECORD_HOLD,	  /* veth of a delay line; gone some time after its process */
};
struct network_record {
	struct namespace_id namespace_id;
	char namespace_name[64]; /* as in the experiment, for people; empty: the own one */
	char table[32];
	char link[16];
	char alias[48];
	uint32_t group;
	int32_t index; /* of the interface; NETWORK_RECORD_LINK: how many ifbs, each of a path; 0:
			  one */
	uint32_t setting, old_value, our_value;
	uint64_t namespace_cookie;	  /* tells it from a later one with its inode; 0: unknown */
	struct network_identity identity; /* of the interface, NETWORK_RECORD_CLSACT */
};
_Static_assert(sizeof(struct network_record) <= JOURNAL_PAYLOAD, "an undo record is one record");

#define NETWORK_LINK_GROUP 0x7371U    /* "sq": marks our interfaces for `ip link show group` */
#define NETWORK_MAX_HOOK   2147483647 /* after every other chain */
/* On packets that come back from a delay line: one more than its rank. */
#define NETWORK_MARK	  0x73710000U
#define NETWORK_MARK_BITS 0xffff0000U
#define NETWORK_RANK_MAX  250
/* Where our chains stand among all others at the hook. Drops come before anybody's forwarding: a
 * lost packet is lost however late it would have been. Those that forward stand by rank. */
#define NETWORK_PRIORITY_LOSS  (NETWORK_MAX_HOOK - 2 - NETWORK_RANK_MAX)
#define NETWORK_PRIORITY_DELAY (NETWORK_MAX_HOOK - 1)
#define NETWORK_PRIORITY_BACK  NETWORK_MAX_HOOK
#define NETWORK_TABLE_MOULD    "squall_%s_%u"

enum network_phase { NETWORK_IDLE, NETWORK_ACTIVE, NETWORK_EMPTYING, NETWORK_DRAINING };

/* What delay lines took in and did. */
struct network_line_counts {
	uint64_t taken, dropped;
	uint64_t spared; /* without the payload that is meant, and not taken */
	struct netem_fates fates;
};
/* The same of the queues of an ifb: behind where packets are cut, if they are. */
struct network_queue_counts {
	uint64_t sent, waiting;
	uint64_t dropped; /* by intent or because it was full */
	bool has_fates;	  /* else what was marked is among them (netem before Linux 7.2) */
	struct netem_fates fates;
};

struct network_gate;
struct network_group;
struct network_listener;
struct network_state {
	enum network_way way;
	enum network_phase phase;
	struct network_effect effect;
	struct network_path *paths; /* owned */
	unsigned path_count;
	enum network_way planned_way; /* `way` is that of the present injection */
	bool is_followed;	      /* names of the target may get other addresses */
	bool follows_interfaces;
	unsigned path_limit;			 /* places, where interfaces are followed */
	struct network_line_counts left_counts;	 /* by the lines of those that have left */
	struct network_queue_counts left_queues; /* and by queues of their own */
	int64_t left_processor_ns;
	unsigned generation, sets; /* that hold them in the table */
	unsigned rank;		   /* among those on the same interfaces, see network_compose.c */
	bool has_line;		   /* there can be a delay line */
	bool has_ifb;		   /* the kernel has it */
	bool has_hole;		   /* the ifb is down, and swallows what leaves and is to be lost */
	uint64_t after_bytes;	   /* that a flow carries before it is met; 0: none */
	uint64_t unseen;	   /* packets of flows that nobody counts any more, as last read */
	bool allows_bypass;	   /* tc filters need not be met by what comes from an ifb */
	struct netlink *route;
	struct netlink *diag; /* when connections that exist are to be ended; else NULL */
	uint64_t connections_reset;
	struct netlink *netfilter; /* owns the table; NULL after an end that had to close it */
	enum network_hook hook;
	struct network_gate *gate;    /* NETWORK_GATE */
	struct network_group *group;  /* whose packets, see network_group.h; NULL: everybody's */
	struct network_record record; /* names and namespace, shared by all records */
	struct session_connection control[SESSION_CONNECTIONS];
	unsigned control_count;
	int ifb_index;	       /* 0: there is none, or each path has its own */
	uint64_t run_seed;     /* what is drawn from when the step has no seed of its own */
	bool has_kernel_seed;  /* netem keeps one: else every run draws others */
	unsigned change_count; /* of the live effect: each has its own sequence of a seed */
	int64_t wait_until_ns; /* end of the current phase, at the latest */
	unsigned idle_polls;
	struct evidence evidence;		/* of the table, as last read */
	int64_t injected_ns, ended_ns;		/* ended_ns: 0 as long as it lasts */
	int64_t processor_ns;			/* of the delay line, as last read */
	uint64_t queue_bytes;			/* NETWORK_NETEM: the most that may wait in it */
	struct network_queue_counts queue;	/* NETWORK_NETEM, as last read */
	struct network_line_counts line_counts; /* the same of delay lines */
	bool owns_loopback_settings;		/* changed lo's settings, which undo gives back */
	uint32_t loopback_old[2];		/* route_localnet, accept_local as they were */
	struct network_state *next;		/* live ones of this process */
	/* network_listen.c */
	struct fault *fault; /* that it is the state of */
	struct network_listener *listener;
	int namespace_fd;	/* of the target; -1: this process' own */
	bool is_touched;	/* somebody may have changed something: look */
	bool has_missed;	/* something was announced that it did not hear */
	pid_t namespace_keeper; /* of a namespace without a name: some process in it */
};

/* network_watch.c: what was injected is still there and can do what it is for. -ESTALE: not, and
 * why; then packets in scope pass undisturbed or, worse, are all lost. */
int network_check_in_force(struct network_state *state, struct error *err);

/* network_listen.c: fault_ops.listen and .hear */
int network_listen(struct fault *fault, struct error *err);
void network_hear(void (*concerned)(void *context, struct fault *fault), void *context);
void network_unlisten(struct network_state *state);

/* network_plan.c */
int network_plan(struct fault *fault, struct plan *plan, struct error *err);
#define NETWORK_HOOK_REMEDY                                                                        \
	"needs Linux 5.16 or newer with CONFIG_NF_TABLES_NETDEV, CONFIG_NETFILTER_EGRESS and "     \
	"nft_fwd_netdev (modprobe nft_fwd_netdev)"

/* network_evidence.c. The counters of the table, while it is there, into state->evidence. */
int network_read_counters(struct network_state *state, struct error *err);
int network_evidence(struct fault *fault, struct evidence *out, struct error *err);

/* network_way.c: the hook and the way, from what this kernel can do. */
int network_choose_way(struct network_state *state, struct plan *plan, struct error *err);

/* network_describe.c: evidence in words; which traffic, and what of it is left out. */
void network_describe_evidence(const struct network_state *state, struct evidence *evidence);
int network_list_targets(const struct network_state *state, const struct target *target,
			 struct plan *plan);
int network_list_excluded(const struct network_state *state, const struct target *target,
			  struct plan *plan, struct error *err);

/* network_follow.c: fault_ops.follow */
int network_follow(struct fault *fault, char *out_note, size_t size, struct error *err);

/* network_links.c: fault_ops.follow_interfaces. Paths of an interface: those that it can have, in
 * places that are free or new; `plan` may be NULL. */
int network_add_paths(struct network_state *state, const struct fault *fault,
		      const struct target_interface *interface, struct plan *plan,
		      struct error *err);
int network_follow_interfaces(struct fault *fault, int64_t until_ns, int *out_index,
			      struct error *err);
/* An injection begins: whoever left in the one before has left. */
void network_forget_left(struct network_state *state);
/* What was ours at the interface of a path is not there any more, though the interface is: it was
 * away for a moment, and nobody has told. Then it is let go at the next look, and taken in again.
 * False: it is not followed, or was so a moment ago: then somebody takes it away. */
bool network_take_again(struct network_state *state, unsigned at);
/* -ESTALE: one cannot be let go, though packets still come by it. */
int network_check_left(const struct network_state *state, struct error *err);
/* network_plan.c: the owner of the table, or what else ends the effect at the death of its process:
 * before the taps do. */
int network_open_netfilter(struct network_state *state, int namespace_fd, struct error *err);
/* Whatever has a lower descriptor goes after that. */
int network_last_descriptor(const struct network_state *state);

/* network_bypass.c: filters and chains of the user's on the way. Some would not be met any more
 * behind an ifb: `out_avoid` is set unless that is allowed. */
int network_find_bypassed(struct network_state *state, struct plan *plan, bool *out_avoid,
			  struct error *err);
int network_list_filters(struct network_state *state, struct plan *plan, struct error *err);
/* The same of one path, which comes in mid-run: -EOPNOTSUPP. */
int network_check_bypassed(struct network_state *state, unsigned at, struct error *err);

/* network_connections.c: those in scope. Plan: how many, and whether the kernel can. */
int network_plan_connections(struct network_state *state, const struct target *target,
			     struct plan *plan, struct error *err);
/* Ends them, and counts them in `connections_reset`. */
int network_reset_connections(struct network_state *state, const struct target *target,
			      struct error *err);
void network_describe_connections(const struct network_state *state, struct evidence *evidence);
/* Those of SSH in scope, when nobody knows which one controls us. */
int network_list_sessions(const struct network_state *state, const struct target *target,
			  struct plan *plan);

/* network_neighbours.c: notes on what else is met on the way. */
int network_list_stacked(const struct network_state *state, struct plan *plan);

/* network_compose.c. May change the way of this or another planned step. */
int network_compose(struct network_state *state, struct plan *plan);
/* What that means for who shares an interface "with another ..."; `loses_first`: one of them. */
int network_list_shared(const struct network_state *state, const char *with, bool loses_first,
			struct plan *plan);
/* Once the groups of this step are known, too. */
int network_compose_groups(const struct network_state *state, struct plan *plan);
/* The rank of one that is injected now. */
int network_find_rank(struct network_state *state, unsigned *out, struct error *err);
/* A path that comes in mid-run, behind and before other faults: -EEXIST when its place is taken. */
int network_check_rank(struct network_state *state, unsigned at, struct error *err);
/* One interface and direction is in both. */
bool network_shares_path(const struct network_state *a, const struct network_state *b);

/* What is lost, or refused, never comes to another step's delay. */
static inline bool network_loses_first(const struct network_state *state)
{
	return state->way == NETWORK_FILTER || state->effect.refusal.is_on;
}
/* What has the mark of such a rank, or a higher one, has been here. */
static inline uint32_t network_mark(const struct network_state *state)
{
	return NETWORK_MARK | (network_loses_first(state) ? 0xffff : state->rank + 1);
}
/* What a line gives back comes in: a packet where it was taken, the answer to one at the other
 * direction. */
static inline bool network_path_returns_by_ingress(const struct network_state *state,
						   const struct network_path *path)
{
	return state->way == NETWORK_LINE && path->is_ingress != state->effect.refusal.is_on;
}

/* Something that leaves is to be lost, and not by netem. */
bool network_needs_hole(const struct network_state *state);

enum { NETWORK_DROP, NETWORK_REJECT, NETWORK_RESET };	/* words of NETWORK_PARTITION */
enum { NETWORK_EGRESS, NETWORK_INGRESS, NETWORK_BOTH }; /* words of NETWORK_DIRECTION */
/* Reads the counters a last time and takes the table away, or what leads to a delay line: the
 * effect ends here. Cannot fail: when the transaction does, the table's owner is closed. */
void network_cut(struct network_state *state);
/* The lines, once they are empty, and what of the table led back from them. */
void network_clear(struct network_state *state);

/* network_restore.c */
int network_undo(const struct journal_record *record, struct error *err);
int network_verify(const struct journal_record *record, bool *out_gone, char *out_left,
		   size_t left_size, struct error *err);
/* Live states of this process, so that undo can use their sockets instead of entering namespaces.
 */
void network_register(struct network_state *state);
void network_unregister(struct network_state *state);
/* The value of a setting of lo before a live step of this process changed it, else `value`. */
uint32_t network_inherit_setting(const struct network_state *state, unsigned setting,
				 uint32_t value);
struct network_state *network_first_live(void);
/* By namespace and (not NULL) table. */
struct network_state *network_live(const struct namespace_id *namespace_id, const char *table);

/* network_explain.c: fault_ops.explain */
void network_explain(const struct params *params, char *out, size_t size);

#endif
