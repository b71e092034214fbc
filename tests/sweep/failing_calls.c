/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which system calls fail in a trace, and which do not, and why. One that is in neither list is
 * nobody's decision: test_restore_failures names it and fails.
 */
#include "tests/sweep/tracer.h"

#include <stddef.h>
#include <sys/syscall.h>

/* Files, rooms and mounts, sockets, events, processes, memory, rights: what the kernel may refuse
 * at any time. */
static const int can_fail[] = {
	SYS_open,
	SYS_openat,
	SYS_openat2,
	SYS_creat,
	SYS_read,
	SYS_pread64,
	SYS_write,
	SYS_pwrite64,
	SYS_fstat,
	SYS_newfstatat,
	SYS_statx,
	SYS_statfs,
	SYS_fstatfs,
	SYS_access,
	SYS_faccessat,
	SYS_faccessat2,
	SYS_getdents64,
	SYS_inotify_init1,
	SYS_inotify_add_watch,
	SYS_unlink,
	SYS_unlinkat,
	SYS_mkdir,
	SYS_mkdirat,
	SYS_rmdir,
	SYS_rename,
	SYS_renameat,
	SYS_renameat2,
	SYS_linkat,
	SYS_readlink,
	SYS_readlinkat,
	SYS_flock,
	SYS_fallocate,
	SYS_fsync,
	SYS_fdatasync,
	SYS_ftruncate,
	SYS_fcntl,
	SYS_dup2,
	SYS_close_range,
	SYS_fchmod,
	SYS_fchown,
	SYS_utimensat,
	SYS_setxattr,
	SYS_fsetxattr,
	SYS_fremovexattr,
	SYS_llistxattr,
	SYS_flistxattr,
	SYS_lgetxattr,
	SYS_fgetxattr,
	SYS_chdir,
	SYS_fchdir,
	SYS_chroot,
	SYS_unshare,
	SYS_setns,
	SYS_mount,
	SYS_umount2,
	SYS_open_tree,
	SYS_move_mount,
	SYS_socket,
	SYS_socketpair,
	SYS_pipe2,
	SYS_bind,
	SYS_listen,
	SYS_connect,
	SYS_shutdown,
	SYS_sendto,
	CALL_NETLINK_CHANGE,
	SYS_sendmsg,
	SYS_recvfrom,
	SYS_recvmsg,
	SYS_setsockopt,
	SYS_getsockopt,
	SYS_getsockname,
	SYS_ioctl,
	SYS_bpf,
	SYS_epoll_create1,
	SYS_epoll_ctl,
	SYS_eventfd2,
	SYS_timerfd_create,
	SYS_timerfd_settime,
	SYS_signalfd4,
	SYS_fork,
	SYS_vfork,
	SYS_clone,
	SYS_clone3,
	SYS_pidfd_open,
	SYS_pidfd_send_signal,
	SYS_brk,
	SYS_mmap,
	SYS_mremap,
	SYS_mprotect,
	SYS_getrandom,
	SYS_seccomp,
	SYS_prctl,
	SYS_capset,
	SYS_prlimit64,
	SYS_setgroups,
	SYS_setresuid,
	SYS_setresgid,
	SYS_setuid,
	SYS_setgid,
	SYS_sched_setscheduler,
	SYS_sched_getaffinity,
};

static const struct {
	int call;
	const char *why;
} cannot_fail[] = {
	{SYS_close, "a failed one closes, too"},
	{SYS_munmap, "memory that is given back: whoever does it cannot do without"},
	{SYS_madvise, "memory that is given back: whoever does it cannot do without"},
	{SYS_poll, "waiting takes nothing that could be refused"},
	{SYS_ppoll, "waiting takes nothing that could be refused"},
	{SYS_epoll_pwait, "waiting takes nothing that could be refused"},
	{SYS_nanosleep, "waiting takes nothing that could be refused"},
	{SYS_clock_nanosleep, "waiting takes nothing that could be refused"},
	{SYS_restart_syscall, "waiting takes nothing that could be refused"},
	{SYS_rt_sigtimedwait, "waiting takes nothing that could be refused"},
	{SYS_sched_yield, "waiting takes nothing that could be refused"},
	{SYS_epoll_wait, "waiting takes nothing that could be refused"},
	{SYS_futex, "waiting takes nothing that could be refused"},
	{SYS_wait4, "waiting takes nothing that could be refused"},
	{SYS_waitid, "waiting takes nothing that could be refused"},
	{SYS_lseek, "a file that is open is one to seek in, or never was"},
	{SYS_getpid, "of the caller itself: always granted"},
	{SYS_gettid, "of the caller itself: always granted"},
	{SYS_getppid, "of the caller itself: always granted"},
	{SYS_getuid, "of the caller itself: always granted"},
	{SYS_geteuid, "of the caller itself: always granted"},
	{SYS_getgid, "of the caller itself: always granted"},
	{SYS_uname, "of the caller itself: always granted"},
	{SYS_umask, "of the caller itself: always granted"},
	{SYS_clock_gettime, "of the caller itself: always granted"},
	{SYS_capget, "of the caller itself: always granted"},
	{SYS_sched_getparam, "of the caller itself: always granted"},
	{SYS_sched_getscheduler, "of the caller itself: always granted"},
	{SYS_rt_sigaction, "of the caller itself: always granted"},
	{SYS_rt_sigprocmask, "of the caller itself: always granted"},
	{SYS_setsid, "granted to whoever leads no group, as a child never does"},
	{SYS_arch_prctl, "of libc, before main() or a thread begins"},
	{SYS_rseq, "of libc, before main() or a thread begins"},
	{SYS_set_robust_list, "of libc, before main() or a thread begins"},
	{SYS_set_tid_address, "of libc, before main() or a thread begins"},
	{SYS_exit_group, "it does not return"},
	{SYS_exit, "it does not return"},
};

bool trace_can_fail(int call)
{
	for (unsigned i = 0; i < sizeof(can_fail) / sizeof(*can_fail); i++)
		if (can_fail[i] == call)
			return true;
	return false;
}

const char *trace_why_never_fails(int call)
{
	for (unsigned i = 0; i < sizeof(cannot_fail) / sizeof(*cannot_fail); i++)
		if (cannot_fail[i].call == call)
			return cannot_fail[i].why;
	return NULL;
}
