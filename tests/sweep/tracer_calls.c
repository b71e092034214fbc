/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/tracee.h"

#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

/* -1 is no system call: the kernel executes nothing, and what we say at the exit is the answer. */
void trace_fail_call(struct trace *trace, struct tracee *tracee)
{
	struct user_regs_struct registers;

	if (ptrace(PTRACE_GETREGS, tracee->pid, NULL, &registers) < 0)
		return;
	trace->result->failed++;
	tracee->is_failing = true;
	tracee->brk_asked = 0;
	if (registers.orig_rax == SYS_brk) {
		/* its way to fail is to change nothing and say where the end is, as brk(0) does */
		tracee->brk_asked = registers.rdi;
		registers.rdi = 0;
	} else {
		registers.orig_rax = (unsigned long long)-1;
	}
	ptrace(PTRACE_SETREGS, tracee->pid, NULL, &registers);
}

void trace_answer_call(const struct trace *trace, struct tracee *tracee)
{
	struct user_regs_struct registers;

	tracee->is_failing = false;
	if (ptrace(PTRACE_GETREGS, tracee->pid, NULL, &registers) < 0)
		return;
	if (tracee->brk_asked) /* the kernel keeps it, and libc compares the answer with it */
		registers.rdi = tracee->brk_asked;
	else if (registers.orig_rax != SYS_brk)
		registers.rax = (unsigned long long)-trace->plan->fail_errno;
	ptrace(PTRACE_SETREGS, tracee->pid, NULL, &registers);
}
