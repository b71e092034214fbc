/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a fault is. One file faults/NAME.c defines one `const struct fault_ops NAME_fault`, listed
 * by one line in faults.def. Everything here runs in the worker (inject, end, evidence), in the
 * guardian or in `squall restore` (undo, verify), as root; nothing here reads a YAML file.
 *
 * Order that every fault keeps:
 *   inject: journal_undo() -> make everything inert -> LAST message starts the effect
 *   end:    FIRST message ends the effect -> then what is inert is tidied by undo(record)
 */
#ifndef SQUALL_FAULT_H
#define SQUALL_FAULT_H

#include "faults/command.h"
#include "faults/target.h"
#include "injector/base/error.h"
#include "injector/base/loop.h"
#include "injector/base/params.h"
#include "injector/journal/journal.h"

#include <stdbool.h>
#include <stdint.h>

/* What a fault may use of the process it runs in. */
struct fault_env {
	const char *run_id;
	struct journal *journal;
	unsigned injections_left; /* planned, each pulse by itself, and not yet begun */
	unsigned targets_more; /* so many may be touched beside the planned ones, by the limits */
	uint64_t seed; /* of the run: what is random comes from it, so that it can be repeated */
	bool allow_critical; /* reserved for the experiment's own switch */
	/* who called sudo: files that a file names are read as that user, commands run as it */
	uint32_t invoking_uid, invoking_gid;
	/* for the whole run: hosts and processes that must not be touched */
	struct process_identity conductor, worker, guardian;
};

/* Lines of a plan, for people and for --json. */
enum plan_kind {
	PLAN_TARGET, /* what will be touched: "process 4711 nginx (www-data)" */
	PLAN_CHANGE, /* one change of the kernel's state, in order */
	PLAN_NOTE,   /* side effects, what is excluded, what would be better */
	PLAN_WAY,    /* the mechanism chosen, in one line */
	PLAN_KIND_COUNT,
};
struct plan {
	void (*line)(void *context, enum plan_kind kind, const char *text);
	void *context;
};
int plan_add(struct plan *plan, enum plan_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Proof that a fault bit. All counts since inject. */
struct evidence {
	uint64_t hits;	      /* packets matched, processes signalled */
	uint64_t dropped;     /* packets lost on purpose; by netem with ecn: or marked */
	uint64_t passed;      /* packets that went on all the same, copies of them too */
	uint64_t delayed;     /* packets that were kept for a while */
	int64_t processor_ns; /* what it took of a processor: of what runs in user space for it
				 alone */
	const char *unit;     /* "packets", "processes" (static) */
	char detail[160];     /* one line: "1234 packets delayed, 12 dropped on eth0" */
};

/* One step of the method, alive in the worker. */
struct fault {
	const struct fault_ops *ops;
	unsigned step; /* index in the method; goes into the journal */
	/* of all faults of the run, for names and what is drawn: a step whose target is in several
	 * network namespaces has one in each. The first one's is the step. */
	unsigned number;
	const struct params *params; /* of ops->params */
	struct target *target;	     /* resolved and pinned; shared between steps, not owned */
	const struct fault_env *env;
	uint32_t command;  /* number of its command, if ops->command() says that it has one */
	void *state;	   /* owned by ops, freed by release() */
	int64_t level_ppb; /* strength: SHARE_ONE as the parameters say; inject() begins at it */
	int64_t effect_started_ns, effect_ended_ns; /* set by inject() and end() */
};

enum fault_end {
	FAULT_END_SOFT, /* planned end: let what is queued pass in order first */
	FAULT_END_NOW,	/* abort: the effect ends with the first system call */
};

/* What this machine can do; filled by probe() for `doctor`. */
struct fault_support {
	bool usable;
	char way[160];	  /* which mechanism will be used: "nftables owner table + ifb + netem" */
	char reason[256]; /* why (not), in the kernel's words where it spoke */
	char remedy[256]; /* what the user can do; may be empty */
};

struct fault_ops {
	const char *name;	      /* key in the method of an experiment */
	const char *summary;	      /* one line for `squall faults` */
	const struct param *params;   /* ends with a NULL name */
	enum target_kind target_kind; /* the selector table its target uses */
	bool needs_no_interface;      /* of traffic: it does its work though no route leads there */
	bool sees_packets;	      /* of traffic: single ones may be selected (tcp-flags) */
	const struct target_use *use; /* of traffic: which keys; NULL: every one */
	uint64_t capabilities;	      /* bits 1 << CAP_*: what inject/end/undo need in the worker */
	/* What this target needs beyond that, of `capabilities_more` and nothing else; called
	 * before it is resolved. NULL: nothing. */
	uint64_t capabilities_more;
	uint64_t (*more_capabilities)(const struct fault *fault);
	/* What it changes is there after a restart of the machine, too: the journal of its run is
	 * kept where it is found again, and its records are undone then. The others' are not: what
	 * they change is the kernel's, and gone. */
	bool outlives_reboot;
	/* With these parameters it has no end: `for` is refused (kill). NULL: it lasts. Called on
	 * parameters that passed check(). */
	bool (*is_instant)(const struct params *params);

	/* Replaces what parameters name (files) by what is in it, as values that the worker parses
	 * again; called where the experiment is read, before check(), never in the worker. May be
	 * NULL. */
	int (*load)(struct params *params, const struct fault_files *files, struct error *err);
	/* What whoever uses the target will feel, in whole sentences, for people who have not read
	 * the manual. On parameters that passed check(). NULL: the summary is all there is to say.
	 */
	void (*explain)(const struct params *params, char *out, size_t size);
	/* The same, behind it, of what depends on the target; "" where nothing is to be said. NULL:
	 * nothing ever is. */
	void (*explain_target)(const struct params *target, char *out, size_t size);
	/* The parameters make sense together; called unprivileged by `check` as well. May be NULL.
	 */
	int (*check)(const struct params *params, struct error *err);
	/* What of the target makes no sense for it, beyond what is said above; *out_blamed: the
	 * value of the target that is at fault. On parameters that passed check(); called
	 * unprivileged by `check` as well, where names are not looked up yet. May be NULL. */
	int (*check_target)(const struct params *params, const struct params *target,
			    const struct param_value **out_blamed, struct error *err);
	/* The command that inject(), end() and undo() may start (faults/command.h): its arguments,
	 * which point into the parameters, NULL after them; false: none. On parameters that passed
	 * check(). NULL: it never has one. */
	bool (*command)(const struct params *params, char *argv[FAULT_COMMAND_ARGUMENTS + 1]);
	/* Can this machine do it? Must leave nothing behind. */
	int (*probe)(struct fault_support *out, struct error *err);
	/* Chooses the way, allocates fault->state, opens what needs privileges later dropped
	 * (sockets in other namespaces); lists the changes. No side effect on the machine. */
	int (*plan)(struct fault *fault, struct plan *plan, struct error *err);
	/* Journals, then acts; returns when the effect is in force. On failure everything this call
	 * did is undone or journalled. */
	int (*inject)(struct fault *fault, struct error *err);
	/* Changes the live fault to fault->level_ppb (a ramp), losing and reordering no packet by
	 * the change itself; the undo record stays as it is. NULL: it has no levels, ramps are
	 * refused. */
	int (*set_level)(struct fault *fault, struct error *err);
	/* The endpoints of the target are others now (target_follow.h): the live fault takes them
	 * over as one, no packet that was and stays in scope passing it meanwhile; one that is not
	 * in force gets ready for them. `out_note`: what people should know, or "". On failure it
	 * is as it was. NULL: `follow` is refused. */
	int (*follow)(struct fault *fault, char *out_note, size_t size, struct error *err);
	/* The interfaces of the target are others now: the live fault comes to act on those that
	 * are new, and lets go those that are not the target's any more or have been away. 1: it
	 * was `until_ns`, something is left to do, and it wants to be called again soon; each call
	 * does something. Upon failure *out_index is the one that cannot be had (0: none of them),
	 * which the caller takes from the target, and calls again. NULL: they are not followed. */
	int (*follow_interfaces)(struct fault *fault, int64_t until_ns, int *out_index,
				 struct error *err);
	/* Ends the effect. When work remains that needs time (a soft end, a queue that drains),
	 * sets *out_again_ns to the delay after which it wants to be called again; 0: finished. May
	 * be called with FAULT_END_NOW while a soft end is under way. NULL: undo() ends the effect.
	 */
	int (*end)(struct fault *fault, enum fault_end how, int64_t *out_again_ns,
		   struct error *err);
	/* Of what outlives a reboot, and may wait for disks and for others: ends the effect of one
	 * record and starts what undo() then waits for, so that the effects of all records end
	 * before any is waited for. What fails here is for undo(). NULL: undo() alone does it. */
	void (*undo_effect)(const struct journal_record *record);
	/* Undoes one journalled record, from the record alone, in any process, any number of times.
	 * Acts only on what is still ours; "already gone" is success. May wait up to a second, and
	 * longer if it outlives a reboot: those come last. */
	int (*undo)(const struct journal_record *record, struct error *err);
	/* Reads the kernel back: *out_gone true when nothing of the record is left. On false,
	 * `out_left` names what is left and gives the command that removes it by hand; so it may
	 * on failure, when the command does no harm where nothing is left. */
	int (*verify)(const struct journal_record *record, bool *out_gone, char *out_left,
		      size_t left_size, struct error *err);
	/* -ESTALE with a sentence: it is not in force any more, by no doing of ours (`out` is
	 * filled all the same); the run is stopped. Other failures: nothing is known this time. */
	int (*evidence)(struct fault *fault, struct evidence *out, struct error *err);
	/* Being told at once what evidence() would find later. listen(), after inject(): a
	 * descriptor that is readable when there is something to hear(), one for all faults of this
	 * kind; -ESTALE: as above; other failures: nobody tells. hear() calls `concerned`, who may
	 * end faults, for each that may not be in force any more. Both may be NULL. */
	int (*listen)(struct fault *fault, struct error *err);
	void (*hear)(void (*concerned)(void *context, struct fault *fault), void *context);
	/* Frees fault->state. The effect has ended before. */
	void (*release)(struct fault *fault);
};

/* Whether a key of the selector table is of use for it; all else is refused, and not listed. */
bool fault_takes(const struct fault_ops *ops, unsigned key);
/* -EINVAL: the target is to be followed, and the fault cannot. */
int fault_check_follow(const struct fault_ops *ops, const struct params *target, struct error *err);
/* check_target(), and before it what of the target the fault does not take. */
int fault_check_target(const struct fault_ops *ops, const struct params *params,
		       const struct params *target, const struct param_value **out_blamed,
		       struct error *err);

/* All faults, NULL-terminated, in the order of faults.def. */
const struct fault_ops *const *fault_all(void);
/* NULL when unknown. */
const struct fault_ops *fault_find(const char *name);

#endif
