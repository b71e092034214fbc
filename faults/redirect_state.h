/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The life of a fault that redirects traffic to a responder (responder.h) by an nf_tables table
 * that vanishes with the worker. Order: responder -> journal -> the table (the effect starts); the
 * redirecting rules away (the effect ends) -> what is under way arrives -> connections, the table
 * and the responder go. The record is mostly there to look, as the table goes with its owner.
 */
#ifndef SQUALL_REDIRECT_STATE_H
#define SQUALL_REDIRECT_STATE_H

#include "faults/redirect.h"
#include "faults/responder.h"

#define REDIRECT_RECORD_TABLE 1
struct redirect_record { /* what an undo record says */
	struct namespace_id namespace_id;
	char namespace_name[64];   /* as in the experiment, for people; empty: the own one */
	char table[32];		   /* of family inet */
	uint64_t namespace_cookie; /* tells it from a later one with its inode; 0: unknown */
	uint16_t port; /* TCP, where to; connection tracking is to forget it. 0: it has a
			* zone of its own, which nobody meets again */
};
_Static_assert(sizeof(struct redirect_record) <= JOURNAL_PAYLOAD, "an undo record is one record");

struct redirect_state;

enum redirect_phase { REDIRECT_IDLE, REDIRECT_ACTIVE, REDIRECT_DRAINING };

/* What a fault of this kind is. */
struct redirect_kind {
	const char *asked;	/* what is met: "queries" */
	const char *redirected; /* "queries", "new connections" */
	uint16_t port;		/* of a server without one */
	uint32_t mark_base;	/* see redirect_new_mark() */
	bool has_zone;		/* of connection tracking, of its own */
	const char *needs;	/* of the kernel: the remedy */
	/* Its chains and their rules; that of `chain` lead to the responder, and it alone. */
	const char *chain;
	void (*add_rules)(const struct redirect_rules *rules);
	int (*new_responder)(const struct fault *fault, struct responder **out, struct error *err);
	/* The effect starts: redirect_commit(), and what goes with it. */
	int (*commit)(struct fault *fault, struct error *err);
	/* The responder goes: what it has counted is to be kept. */
	void (*keep_counters)(struct redirect_state *state);
};

/* What the state of such a fault begins with; allocated with the rest of that. */
struct redirect_state {
	const struct redirect_kind *kind;
	enum redirect_phase phase;
	struct responder *responder; /* while in force; owned */
	struct netlink *owner;	     /* the same; of the table */
	struct netlink *netfilter, *route;
	struct redirect_record record;
	uint32_t mark;
	pid_t namespace_keeper; /* see target_namespace.h */
	int64_t wait_until_ns;
	struct redirect_state *next; /* live ones of this process */
};

/* redirect_plan.c. Can this machine do it? */
int redirect_probe(const struct redirect_kind *kind, struct fault_support *out, struct error *err);
/* On a state of zeros, which is known to redirect_undo() from now on, and to be given to
 * redirect_release() also on failure. Can it be done, and is everything there? */
int redirect_plan(struct redirect_state *state, const struct redirect_kind *kind,
		  const struct fault *fault, struct error *err);
/* Whose traffic. */
int redirect_list_servers(const struct redirect_kind *kind, const struct target *target,
			  struct plan *plan);
/* `listens`: where, and what becomes of what comes there. */
int redirect_list_changes(const struct redirect_state *state, const char *listens,
			  struct plan *plan);

/* fault_ops.inject, .end, .undo, .verify */
int redirect_inject(struct fault *fault, struct error *err);
int redirect_end(struct fault *fault, enum fault_end how, int64_t *out_again_ns, struct error *err);
int redirect_undo(const struct journal_record *record, struct error *err);
int redirect_verify(const struct journal_record *record, bool *out_gone, char *out_left,
		    size_t left_size, struct error *err);
/* The table as one transaction. */
int redirect_commit(struct fault *fault, struct error *err);
/* -ESTALE: it is to be in force, and somebody has ended it. */
int redirect_check_in_force(struct redirect_state *state, const struct target *target,
			    struct error *err);
/* redirect_undo() knows it from now on. */
void redirect_register(struct redirect_state *state);
/* Ends it, and closes what was opened; to be freed then. */
void redirect_release(struct redirect_state *state);

#endif
