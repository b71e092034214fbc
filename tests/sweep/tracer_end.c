/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/tracee.h"

#include "injector/kernel/proc.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static void let_one_go(pid_t pid)
{
	int status;

	kill(pid, SIGSTOP);
	for (unsigned i = 0; i < 100; i++) {
		if (waitpid(pid, &status, WNOHANG | __WALL) == pid)
			break;
		usleep(1000);
	}
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	kill(pid, SIGCONT);
}

void trace_let_go(struct trace *trace)
{
	for (unsigned role = 0; role < ROLE_COUNT; role++)
		if (trace->tracees[role].is_alive && !trace->tracees[role].is_let_go)
			let_one_go(trace->tracees[role].pid);
}

static int let_go_if_traced(pid_t pid, void *context)
{
	const pid_t *tracer = context;
	char status[4096], ours[32];

	snprintf(ours, sizeof(ours), "\nTracerPid:\t%d\n", *tracer);
	if (proc_read_file(pid, "status", status, sizeof(status)) > 0 && strstr(status, ours))
		let_one_go(pid);
	return 0;
}

void trace_let_unknown_go(void)
{
	pid_t own = getpid();

	proc_each(let_go_if_traced, &own);
}
