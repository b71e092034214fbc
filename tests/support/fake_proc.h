/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A /proc tree made of plain files, and control groups made of plain directories.
 */
#ifndef SQUALL_TESTS_FAKE_PROC_H
#define SQUALL_TESTS_FAKE_PROC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Numbers no running process has (the kernel's limit is 4194304, machines use far less). */
#define FAKE_PID 4190000

struct fake_process {
	pid_t pid, parent, session;
	const char *comm;
	char state;	  /* 0: S */
	unsigned flags;	  /* PF_* */
	unsigned threads; /* 0: 1 */
	uint64_t start_time, user_ticks;
	const char *command; /* arguments separated by '\n'; NULL: empty */
	const char *exe;     /* NULL: none */
	const char *cgroup;  /* text of the file; NULL: "0::/\n" */
	const char *status;  /* text of the file; NULL: NSpid with the pid alone */
};

/* Makes the tree and calls proc_set_root(). */
void fake_proc_open(void);
/* Removes it; /proc counts again. */
void fake_proc_close(void);
/* The same for cmocka. */
int fake_proc_set_up(void **state);
int fake_proc_tear_down(void **state);
const char *fake_proc_path(void);

void fake_proc_add(const struct fake_process *process);
void fake_proc_add_thread(pid_t pid, pid_t tid, char state);
/* A file below the tree, directories included. */
void fake_proc_write(const char *name, const void *data, size_t size);
void fake_proc_remove(pid_t pid);

#endif
