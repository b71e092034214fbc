/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/repeats.h"

#include "tests/sweep/tracer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define REPEATS 2
#define PAIRS	512 /* more than there are system calls */

/* clang-format off */

/* What is written to files and sent; names and attributes of files; mounts; processes; what the
 * kernel is told to do. */
static const int telling[] = {
	SYS_write, SYS_writev, SYS_pwrite64, SYS_pwritev, SYS_pwritev2, SYS_sendto,
	CALL_NETLINK_CHANGE, SYS_sendmsg, SYS_sendmmsg, SYS_recvmsg, SYS_sendfile,
	SYS_copy_file_range, SYS_ioctl, SYS_bpf, SYS_truncate, SYS_ftruncate, SYS_fallocate,
	SYS_fsync, SYS_fdatasync, SYS_sync, SYS_syncfs, SYS_sync_file_range, SYS_flock, SYS_creat,
	/* an openat(2) that creates or empties is recorded as one */
	SYS_link, SYS_linkat, SYS_symlink, SYS_symlinkat, SYS_mknod, SYS_mknodat, SYS_unlink,
	SYS_unlinkat, SYS_mkdir, SYS_mkdirat, SYS_rmdir, SYS_rename, SYS_renameat, SYS_renameat2,
	SYS_chmod, SYS_fchmod, SYS_fchmodat, SYS_chown, SYS_lchown, SYS_fchown, SYS_fchownat,
	SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr,
	SYS_fremovexattr, SYS_utime, SYS_utimes, SYS_futimesat, SYS_utimensat, SYS_mount,
	SYS_umount2, SYS_pivot_root, SYS_open_tree, SYS_move_mount, SYS_mount_setattr, SYS_fsopen,
	SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_setns, SYS_kill, SYS_tkill, SYS_tgkill,
	SYS_rt_sigqueueinfo, SYS_pidfd_send_signal, SYS_fork, SYS_vfork, SYS_clone, SYS_clone3,
	SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group,
};

/* What ends with the process, or only looks. */
static const int quiet[] = {
	/* looking */
	SYS_open, SYS_openat, SYS_openat2, SYS_read, SYS_readv, SYS_pread64, SYS_preadv, SYS_lseek,
	SYS_stat, SYS_lstat, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_statfs, SYS_fstatfs,
	SYS_access, SYS_faccessat, SYS_faccessat2, SYS_readlink, SYS_readlinkat, SYS_getdents64,
	SYS_getcwd, SYS_llistxattr, SYS_flistxattr, SYS_lgetxattr, SYS_fgetxattr, SYS_recvfrom,
	SYS_recvmmsg, SYS_getsockopt, SYS_getsockname, SYS_getpeername, SYS_fadvise64,
	SYS_inotify_init1, SYS_inotify_add_watch,
	/* descriptors: the kernel closes them in whatever order, and lets go what hangs on them */
	SYS_close, SYS_close_range, SYS_dup, SYS_dup2, SYS_dup3, SYS_fcntl, SYS_pipe, SYS_pipe2,
	SYS_socket, SYS_socketpair, SYS_bind, SYS_listen, SYS_accept4, SYS_connect, SYS_shutdown,
	SYS_setsockopt, SYS_epoll_create1, SYS_epoll_ctl, SYS_eventfd2, SYS_signalfd4,
	SYS_timerfd_create, SYS_timerfd_settime, SYS_memfd_create, SYS_pidfd_open,
	/* waiting */
	SYS_poll, SYS_ppoll, SYS_select, SYS_pselect6, SYS_epoll_wait, SYS_epoll_pwait,
	SYS_epoll_pwait2, SYS_nanosleep, SYS_clock_nanosleep, SYS_pause, SYS_restart_syscall,
	SYS_sched_yield, SYS_futex, SYS_wait4, SYS_waitid, SYS_rt_sigtimedwait, SYS_rt_sigsuspend,
	/* memory, time, random numbers */
	SYS_brk, SYS_mmap, SYS_mremap, SYS_munmap, SYS_mprotect, SYS_madvise, SYS_mlock,
	SYS_mlockall, SYS_munlockall, SYS_membarrier, SYS_getrandom, SYS_clock_gettime,
	SYS_clock_getres, SYS_gettimeofday, SYS_time, SYS_times, SYS_sysinfo, SYS_uname,
	/* itself: who it is, what it may, where it is; what it then does elsewhere is telling */
	SYS_getpid, SYS_gettid, SYS_getppid, SYS_getsid, SYS_getpgid, SYS_getpgrp, SYS_getuid,
	SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getresuid, SYS_getresgid, SYS_getgroups,
	SYS_getrusage, SYS_getpriority, SYS_setpriority, SYS_setsid, SYS_setpgid, SYS_setgroups,
	SYS_setresuid, SYS_setresgid, SYS_setuid, SYS_setgid, SYS_capget, SYS_capset, SYS_prctl,
	SYS_arch_prctl, SYS_seccomp, SYS_prlimit64, SYS_getrlimit, SYS_setrlimit, SYS_umask,
	SYS_chdir, SYS_fchdir, SYS_chroot, SYS_unshare, SYS_alarm, SYS_setitimer, SYS_rt_sigaction,
	SYS_rt_sigprocmask, SYS_rt_sigpending, SYS_rt_sigreturn, SYS_sigaltstack, SYS_rseq,
	SYS_set_robust_list, SYS_set_tid_address, SYS_sched_getaffinity, SYS_sched_setaffinity,
	SYS_sched_getparam, SYS_sched_setparam, SYS_sched_getscheduler, SYS_sched_setscheduler,
	SYS_sched_get_priority_min, SYS_sched_get_priority_max, SYS_ptrace,
};
/* clang-format on */

static bool is_in(int call, const int *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == call)
			return true;
	return false;
}

bool call_is_telling(int call)
{
	return is_in(call, telling, sizeof(telling) / sizeof(*telling));
}

int call_of_no_list(const int *calls, unsigned count)
{
	for (unsigned i = 0; i < count && i < TRACE_CALLS_MAX; i++)
		if (!call_is_telling(calls[i]) &&
		    !is_in(calls[i], quiet, sizeof(quiet) / sizeof(*quiet)))
			return calls[i];
	return -1;
}

bool *calls_without_repeats(const int *calls, unsigned count, unsigned *out_chosen)
{
	static unsigned char seen[PAIRS][PAIRS];
	bool *is_chosen;
	int before = 0;

	if (count > TRACE_CALLS_MAX)
		count = TRACE_CALLS_MAX;
	is_chosen = calloc(count + 1, sizeof(bool));
	if (!is_chosen)
		abort();
	memset(seen, 0, sizeof(seen));
	*out_chosen = 0;
	for (unsigned i = 0; i < count; i++) {
		int call = calls[i];
		unsigned char *tries = &seen[before % PAIRS][call % PAIRS];

		if (call_is_telling(call) || call_is_telling(before))
			memset(seen, 0, sizeof(seen));
		is_chosen[i] = *tries < REPEATS;
		*tries += is_chosen[i];
		*out_chosen += is_chosen[i];
		before = call;
	}
	return is_chosen;
}
