/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Processes as /proc and pidfds show them. Readers return 0 or -errno without words (a process that
 * vanishes while it is read is everyday life: -ESRCH); the callers know what the failure means.
 * Nothing here chooses or judges: that is faults/target_process.c and faults/protect.c.
 */
#ifndef SQUALL_KERNEL_PROC_H
#define SQUALL_KERNEL_PROC_H

#include "injector/journal/journal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_COMM_SIZE 64 /* 15 characters for processes, longer for kernel workers */

struct proc_stat {
	pid_t pid, parent, session;
	char comm[PROC_COMM_SIZE];
	char state; /* R S D T t Z X I, proc(5) */
	bool is_kernel_thread;
	bool is_exiting; /* its main thread is on its way out; it may still hold what it had */
	bool is_dead; /* only its parent has not noticed; a leader whose threads live on is none */
	uint64_t user_ticks; /* time spent in user mode */
	uint64_t start_time; /* clock ticks after boot */
};

/* For tests: another tree than /proc. Its numbers name no real processes, so nothing is ever sent
 * to them: pidfds of such a tree are plain directory descriptors. NULL: /proc again. */
void proc_set_root(const char *root);
const char *proc_root(void);

/* A whole file of one process, NUL-terminated, cut at size - 1; the length or -errno. */
ssize_t proc_read_file(pid_t pid, const char *name, char *out, size_t size);

int proc_read_stat(pid_t pid, struct proc_stat *out);
/* The name without the newline; cheaper than proc_read_stat(). */
int proc_read_comm(pid_t pid, char *out, size_t size);
/* The command line, arguments separated by single spaces, cut at size - 1; empty for kernel threads
 * and zombies. Bytes are as the process wrote them: see proc_make_printable(). */
int proc_read_command(pid_t pid, char *out, size_t size);
/* Path of the executable; the " (deleted)" of a replaced binary is cut off. Needs CAP_SYS_PTRACE
 * for processes of others; -ENOENT for kernel threads. */
int proc_read_exe(pid_t pid, char *out, size_t size);
/* The effective user. */
int proc_read_uid(pid_t pid, uid_t *out);
/* Path below the mount of one hierarchy: controller "" is cgroup v2, else "name=systemd",
 * "freezer". -ENOENT when the process is in no such hierarchy. */
int proc_read_cgroup(pid_t pid, const char *controller, char *out, size_t size);
/* Its pid in the innermost pid namespace it lives in: 1 for the init of a container. */
int proc_read_inner_pid(pid_t pid, pid_t *out);

/* Is the whole process stopped by a signal, or about to be? */
enum proc_stop {
	PROC_RUNNING,  /* every thread sleeps or runs, no stop signal is on its way */
	PROC_STOPPED,  /* its threads are in state T */
	PROC_TRACED,   /* a debugger holds it: state t */
	PROC_STOPPING, /* a stop signal is pending, or some threads have obeyed and others not yet
			*/
	PROC_UNCLEAR,  /* a thread is in state R or D: it may be on its way into the stop */
};
/* -ESRCH also for zombies. */
int proc_read_stop(pid_t pid, enum proc_stop *out);

/* 1: killed, or ending by itself, so that it does nothing any more of its own; 0: not so; -ESRCH.
 */
int proc_is_dying(pid_t pid);

/* Calls fn for every process (thread group) until it returns non-zero; returns that, 0 or -errno.
 */
int proc_each(int (*fn)(pid_t pid, void *context), void *context);

/* The parents of pid up to pid 1, nearest first; returns how many were stored. */
unsigned proc_ancestors(pid_t pid, pid_t *out, unsigned capacity);

int proc_identity(pid_t pid, struct process_identity *out);
/* 1: that very process lives (zombies do not); 0: it is gone or its number belongs to another one
 * now; -errno: it cannot be told (/proc is hidden from us), which must not be taken for gone. */
int proc_is_same(const struct process_identity *identity);

/* Opens a descriptor and proves that `out` describes the process it stands for: descriptor first,
 * then the read, then signal 0. -ESRCH: gone, or not a process but a thread. */
int proc_pin(pid_t pid, struct proc_stat *out, int *out_pidfd);
int proc_pidfd_open(pid_t pid); /* descriptor or -errno */
/* signal 0 only asks whether it is there (a zombie is). */
int proc_pidfd_signal(int pidfd, int signal);
/* Has it exited (zombie or reaped)? */
bool proc_pidfd_has_exited(int pidfd);

/* Replaces everything that could disturb a terminal or is no ASCII by '?'. */
void proc_make_printable(char *text);

#endif
