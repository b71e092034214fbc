/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/tracee.h"

#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

/* Files, sockets, memory, processes: what the kernel may refuse at any time. Not close(): a failed
 * one closes, too. */
bool trace_can_fail(int call)
{
	static const int calls[] = {
		SYS_open,	 SYS_openat,	 SYS_openat2,
		SYS_creat,	 SYS_read,	 SYS_pread64,
		SYS_write,	 SYS_pwrite64,	 SYS_fstat,
		SYS_newfstatat,	 SYS_getdents64, SYS_unlink,
		SYS_unlinkat,	 SYS_mkdir,	 SYS_mkdirat,
		SYS_rmdir,	 SYS_rename,	 SYS_renameat2,
		SYS_flock,	 SYS_fallocate,	 SYS_fsync,
		SYS_fdatasync,	 SYS_ftruncate,	 SYS_readlink,
		SYS_readlinkat,	 SYS_socket,	 SYS_bind,
		SYS_connect,	 SYS_sendto,	 SYS_sendmsg,
		SYS_recvfrom,	 SYS_recvmsg,	 SYS_setsockopt,
		SYS_getsockname, SYS_ioctl,	 SYS_setns,
		SYS_fcntl,	 SYS_pidfd_open, SYS_pidfd_send_signal,
		SYS_bpf,	 SYS_brk,	 SYS_mmap,
		SYS_mremap,	 SYS_mount,	 SYS_umount2,
		SYS_linkat,	 SYS_fchmod,	 SYS_fchown,
		SYS_setxattr,	 SYS_fsetxattr,	 SYS_utimensat,
		SYS_statx,	 SYS_llistxattr, SYS_lgetxattr,
	};

	for (unsigned i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (calls[i] == call)
			return true;
	return false;
}

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
