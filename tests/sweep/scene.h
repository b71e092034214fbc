/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What experiments of the sweep find to break: the two namespaces of a netlab with foreign qdiscs,
 * filters and tables in them, processes, a control group, a configuration file. In a text, @NAME@
 * stands for:
 *
 *   @PID@      a process that counts      @GROUP@   a control group with two processes in it
 *   @SIGNALS@  one that counts SIGUSR1    @FOLDER@  a folder with the file service.conf, and
 *   @APART@    one that has mounts of               service.pid, which names SIGNALS
 *              its own                    @LATE@    interfaces, one of which appears when the
 *   @DOOMED@   one that may be killed               first step is in force
 *   @CLIENTS@  "clients", and there are some: who asks for names and pages all the while
 *
 * An experiment whose name begins with "clsact-" is run as if the kernel had no egress hook of
 * nf_tables (SQUALL_HOOK): then filters and a clsact outlive the worker. It is restored by a squall
 * that is not told of it. With "hold-" its delay lines let the kernel keep the packets. One that
 * begins with "user-" is run as by a user, through sudo. The unit sweep.service reads service.conf
 * when it is reloaded (manager.h).
 *
 * Traffic goes to 10.88.0.2:7001 and 127.0.0.1:7001 (see tests/support/netlab.h).
 */
#ifndef SQUALL_TESTS_SCENE_H
#define SQUALL_TESTS_SCENE_H

#include "tests/support/netlab.h"
#include "tests/sweep/machine_state.h"

#define SCENE_CHILDREN 6
#define SCENE_APART    4 /* of children */
#define SCENE_MANAGER  5
#define SCENE_GROUP    "/sweep-group"
#define SCENE_FOLDER   "/run/sweep"

struct scene {
	struct netlab *lab;
	pid_t children[SCENE_CHILDREN]; /* PID, SIGNALS, two in the group, APART, the manager */
	pid_t doomed;			/* another one of the same number after its death */
	bool has_late_link;		/* the experiment that was written last names it */
	bool is_link_there;
	bool has_clients; /* the same: somebody asks for names and pages until the hit */
	pid_t clients;	  /* 0: nobody asks */
	char *variable;	  /* static: of the environment of its run; NULL: none */
	struct machine_state before;
};

/* In a world. Fails by abort(). */
void scene_make(struct scene *scene);
/* The state of now is the one to come back to: after something was left behind and told. */
void scene_take_as_it_is(struct scene *scene);
/* A copy of an experiment with the names replaced, for squall to read; static path. It is the one
 * that is run next. */
const char *scene_write_experiment(struct scene *scene, const char *path);
/* Around each run: whom it may kill lives, the late interface is away. At its first step, and when
 * it is over, the interface comes, the same one each time. */
void scene_begin(struct scene *scene);
void scene_let_link_come(void *scene);
/* scene_clients.c: if it has clients, from before the run to the hit or the end. Their flows are
 * made as long as they are there; what is compared is of a machine without them. */
void scene_start_clients(struct scene *scene);
void scene_end_clients(struct scene *scene);
/* Of its method; each of them begins with "at". */
unsigned scene_count_steps(const char *path);
/* Traffic goes as fast as without a fault: one round trip each, in 20 ms. */
bool scene_is_traffic_well(const struct scene *scene);
/* All is as before. Looks again and again for most_ns: the kernel frees some things a moment later.
 * What differs in the end is in *out, which the caller frees. */
bool scene_is_restored(struct scene *scene, int64_t most_ns, char **out);
/* Results of runs are there to stay, and each run looks at all of them: of thousands that were
 * killed every next one would take more calls than the one before. */
void scene_forget_results(void);
/* Kills whatever else is alive in this world. */
void scene_kill_strangers(const struct scene *scene);
/* Reaps what has been reparented to us. */
void scene_reap(const struct scene *scene);

#endif
