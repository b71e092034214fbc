/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The life of a fault that redirects traffic to a responder (responder.h), by means that vanish
 * with the worker: an nf_tables table where it is sent (redirect_table.c), or a program where it
 * arrives (redirect_lookup.c). Order: responder -> journal -> the means (the effect starts);
 * nothing more is redirected (the effect ends) -> what is under way arrives -> connections, the
 * means and the responder go. The record is mostly there to look.
 */
#ifndef SQUALL_REDIRECT_STATE_H
#define SQUALL_REDIRECT_STATE_H

#include "faults/redirect.h"
#include "faults/redirect_lookup.h"
#include "faults/responder.h"

#define REDIRECT_RECORD_TABLE  1
#define REDIRECT_RECORD_LOOKUP 2
struct redirect_record { /* what an undo record says */
	struct namespace_id namespace_id;
	char namespace_name[64];   /* as in the experiment, for people; empty: the own one */
	char table[32];		   /* of family inet; the name of the program */
	uint64_t namespace_cookie; /* tells it from a later one with its inode; 0: unknown */
	uint16_t port; /* TCP, where to; connection tracking is to forget it. 0: it has a
			* zone of its own, which nobody meets again */
};
_Static_assert(sizeof(struct redirect_record) <= JOURNAL_PAYLOAD, "an undo record is one record");

struct redirect_state;

/* How traffic is led to the responder. */
struct redirect_means {
	unsigned record;     /* type of its undo records */
	int64_t settle_ns;   /* so long what is under way may not have come yet */
	const char *returns; /* why what is passed on came back */
	/* What is not in the record yet is added. */
	int (*plan)(struct redirect_state *state, const struct fault *fault, struct error *err);
	/* Before the responder starts. What is to be let go of behind its connections when the
	 * process is killed has descriptors up to *out_floor. */
	int (*open)(struct redirect_state *state, const struct fault *fault, int *out_floor,
		    struct error *err);
	int (*commit)(struct fault *fault, struct error *err);
	/* Nothing is redirected any more; what was goes on. */
	int (*soften)(struct redirect_state *state);
	void (*close)(struct redirect_state *state); /* also what was not opened */
	int (*check)(struct redirect_state *state, struct error *err); /* -ESTALE */
	int (*undo)(const struct redirect_record *what, struct error *err);
	int (*verify)(const struct redirect_record *what, bool *out_gone, char *out_left,
		      size_t left_size, struct error *err);
};
extern const struct redirect_means redirect_by_table, redirect_by_lookup;

enum redirect_phase { REDIRECT_IDLE, REDIRECT_ACTIVE, REDIRECT_DRAINING };

/* What a fault of this kind is. */
struct redirect_kind {
	const char *asked;	/* what is met: "queries" */
	const char *redirected; /* "queries", "new connections" */
	uint16_t port;		/* of a server without one */
	uint32_t mark_base;	/* see redirect_new_mark() */
	bool has_zone;		/* connection tracking is left with nothing to forget */
	const struct redirect_means *means;
	const char *needs; /* of the kernel: the remedy */
	/* Of a table: its chains and their rules; that of `chain` lead to the responder, and it
	 * alone. */
	const char *chain;
	void (*add_rules)(const struct redirect_rules *rules);
	/* Of a lookup: the socket that awaits connections of a family; -1: none. */
	int (*listener)(const struct responder *responder, int family);
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
	struct redirect_lookup lookup;
	uint32_t mark;
	pid_t namespace_keeper; /* see target_namespace.h */
	int64_t wait_until_ns, settled_ns;
	uint64_t placed;	     /* which interfaces its rules are about; redirect_follow.c */
	struct redirect_state *next; /* live ones of this process */
};

/* redirect_table.c and redirect_plan.c. Can this machine do it? */
int redirect_probe(const struct redirect_kind *kind, struct fault_support *out, struct error *err);
/* On a state of zeros, which is known to redirect_undo() from now on, and to be given to
 * redirect_release() also on failure. Can it be done, and is everything there? */
int redirect_plan(struct redirect_state *state, const struct redirect_kind *kind,
		  const struct fault *fault, struct error *err);
int redirect_table_plan(struct redirect_state *state, const struct fault *fault, struct error *err);
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
/* At once for everything that begins. */
int redirect_commit(struct fault *fault, struct error *err);
/* -ESTALE: it is to be in force, and somebody has ended it. */
int redirect_check_in_force(struct redirect_state *state, const struct target *target,
			    struct error *err);
/* redirect_follow.c: fault_ops.follow, .follow_interfaces: of the rules alone, as one transaction.
 * What was redirected goes on. */
int redirect_follow(struct fault *fault, char *out_note, size_t size, struct error *err);
int redirect_follow_interfaces(struct fault *fault, int64_t until_ns, int *out_index,
			       struct error *err);
/* -E2BIG: so much cannot be followed. */
int redirect_check_followed(const struct fault *fault, struct error *err);
/* The rules are about those that the target has now. */
void redirect_note_interfaces(struct redirect_state *state, const struct target *target);

/* redirect_undo() knows it from now on. */
void redirect_register(struct redirect_state *state);
/* Ends it, and closes what was opened; to be freed then. */
void redirect_release(struct redirect_state *state);
/* Those of this process, also when they are not in force. */
void redirect_each_live(void (*fn)(void *context, const struct redirect_state *state),
			void *context);

/* redirect_lookup.c */
/* What comes to its responder by a table is not for the programs of this process. */
void redirect_lookup_spare(const struct redirect_state *state);
void redirect_lookup_spare_end(const struct redirect_state *state);
/* Of the machine: "" or why not. */
void redirect_lookup_probe(char *out_reason, size_t size);
/* "PROGRAM", which is somebody else's in that namespace; "": none. */
int redirect_lookup_find_other(const struct redirect_state *state, char *out, size_t size,
			       struct error *err);

#endif
