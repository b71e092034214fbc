/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * System calls by purpose. A process gets the groups it needs, nothing by habit. What is missing
 * answers EPERM, so a forgotten call shows up as an error with a name, not as a death.
 */
#include "injector/kernel/sandbox_lists.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* Conditions compare 32 bits where the kernel takes an int: the upper half is whatever was there.
 */
#define INT 0xffffffffULL

#define ALLOW(name)                                                                                \
	{                                                                                          \
		.call = SCMP_SYS(name), .text = #name                                              \
	}
#define ALLOW_ONE(name, words, at, bits, equal)                                                    \
	{                                                                                          \
		.call = SCMP_SYS(name), .text = words, .arg_count = 1, .args = {                   \
			{.arg = (at), .mask = (bits), .value = (equal)}                            \
		}                                                                                  \
	}
#define ALLOW_BOTH(name, words, at, bits, equal, at2, bits2, equal2)                               \
	{                                                                                          \
		.call = SCMP_SYS(name), .text = words, .arg_count = 2, .args = {                   \
			{.arg = (at), .mask = (bits), .value = (equal)},                           \
			{.arg = (at2), .mask = (bits2), .value = (equal2)}                         \
		}                                                                                  \
	}
#define END                                                                                        \
	{                                                                                          \
		.call = SANDBOX_END                                                                \
	}

/* The texts are made here, where the words are still as they are written */
#define ALLOW_IF(name, at, bits, equal) ALLOW_ONE(name, #name "(" #equal ")", at, bits, equal)
#define SOCKET(family, type)                                                                       \
	ALLOW_BOTH(socket, "socket(" #family ", " #type ")", 0, INT, family, 1, 0xf, type)
#define NETLINK_SOCKET(protocol)                                                                   \
	ALLOW_BOTH(socket, "socket(AF_NETLINK, " #protocol ")", 0, INT, AF_NETLINK, 2, INT,        \
		   protocol)
#define IOCTL(request) ALLOW_ONE(ioctl, "ioctl(" #request ")", 1, INT, request)

/* clang-format off */

/* Being a process: who am I, signals to itself, leaving. tgkill to itself is added by sandbox.c. */
static const struct sandbox_rule process[] = {
	ALLOW(exit), ALLOW(exit_group), ALLOW(getpid), ALLOW(gettid), ALLOW(getppid),
	ALLOW(getsid), ALLOW(getpgrp), ALLOW(getpgid), ALLOW(getuid), ALLOW(geteuid),
	ALLOW(getgid), ALLOW(getegid), ALLOW(getresuid), ALLOW(getresgid), ALLOW(getgroups),
	ALLOW(capget), ALLOW(uname), ALLOW(sysinfo), ALLOW(getrusage), ALLOW(getrandom),
	ALLOW(restart_syscall), ALLOW(rt_sigaction), ALLOW(rt_sigprocmask), ALLOW(rt_sigreturn),
	ALLOW(rt_sigtimedwait), ALLOW(rt_sigsuspend), ALLOW(rt_sigpending), ALLOW(sigaltstack),
	ALLOW_IF(prctl, 0, INT, PR_SET_NAME), ALLOW_IF(prctl, 0, INT, PR_GET_NAME),
	ALLOW_IF(prctl, 0, INT, PR_SET_TIMERSLACK), ALLOW_IF(prctl, 0, INT, PR_CAPBSET_READ),
	ALLOW_IF(prctl, 0, INT, PR_GET_DUMPABLE), ALLOW_IF(prlimit64, 2, ~0ULL, 0),
	ALLOW(getrlimit), END,
};

/* Memory */
static const struct sandbox_rule memory[] = {
	ALLOW(mmap), ALLOW(munmap), ALLOW(mprotect), ALLOW(mremap), ALLOW(madvise), ALLOW(brk),
	ALLOW(membarrier), END,
};

/* Locks and threads already there */
static const struct sandbox_rule locks[] = {
	ALLOW(futex), ALLOW(set_robust_list), ALLOW(rseq), ALLOW(sched_yield),
	ALLOW(sched_getaffinity), END,
};

/* New threads, never processes (clone3 answers ENOSYS, see sandbox.c; then glibc takes clone) */
static const struct sandbox_rule threads[] = {
	ALLOW_IF(clone, 0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM),
	ALLOW(set_tid_address), ALLOW(sched_setscheduler), ALLOW(sched_getscheduler),
	ALLOW(sched_getparam), ALLOW(sched_get_priority_max), ALLOW(sched_get_priority_min),
	ALLOW(sched_setaffinity), END,
};

/* Time and waiting */
static const struct sandbox_rule waiting[] = {
	ALLOW(clock_gettime), ALLOW(clock_getres), ALLOW(clock_nanosleep), ALLOW(nanosleep),
	ALLOW(gettimeofday), ALLOW(time), ALLOW(timerfd_create), ALLOW(timerfd_settime),
	ALLOW(timerfd_gettime), ALLOW(epoll_create1), ALLOW(epoll_ctl), ALLOW(epoll_wait),
	ALLOW(epoll_pwait), ALLOW(epoll_pwait2), ALLOW(poll), ALLOW(ppoll), ALLOW(select),
	ALLOW(pselect6), ALLOW(eventfd2), ALLOW(signalfd4), ALLOW(pipe2), END,
};

/* Descriptors and terminals (what size, is it one) */
static const struct sandbox_rule descriptors[] = {
	ALLOW(read), ALLOW(write), ALLOW(readv), ALLOW(writev), ALLOW(pread64), ALLOW(pwrite64),
	ALLOW(preadv), ALLOW(pwritev), ALLOW(close), ALLOW(close_range), ALLOW(dup), ALLOW(dup2),
	ALLOW(dup3), ALLOW(fcntl), ALLOW(lseek), IOCTL(TCGETS), IOCTL(TIOCGWINSZ),
	IOCTL(FIONREAD), IOCTL(FIONBIO), END,
};

/* The mode of the terminal, for single keys; never TIOCSTI, which types into somebody's shell */
static const struct sandbox_rule terminal[] = {
	IOCTL(TCSETS), IOCTL(0x402c542b), /* TCSETS2, which has no header of its own; glibc 2.42 */
	IOCTL(TIOCGPGRP), END,
};

/* Files: look */
static const struct sandbox_rule files_read[] = {
	ALLOW(openat), ALLOW(open), ALLOW(openat2), ALLOW(fstat), ALLOW(newfstatat), ALLOW(stat),
	ALLOW(lstat), ALLOW(statx), ALLOW(readlink), ALLOW(readlinkat), ALLOW(getdents64),
	ALLOW(access), ALLOW(faccessat), ALLOW(faccessat2), ALLOW(statfs), ALLOW(fstatfs),
	ALLOW(getcwd), ALLOW(fadvise64), END,
};

/* Files: the result, whose room was reserved by the worker, who has opened it */
static const struct sandbox_rule files_result[] = {
	ALLOW(ftruncate), END,
};

/* Files: the journal */
static const struct sandbox_rule files_write[] = {
	ALLOW(ftruncate), ALLOW(fallocate), ALLOW(fsync), ALLOW(fdatasync), ALLOW(flock),
	ALLOW(rename), ALLOW(renameat), ALLOW(renameat2), ALLOW(unlink), ALLOW(unlinkat),
	ALLOW(mkdir), ALLOW(mkdirat), ALLOW(rmdir), ALLOW(linkat), ALLOW(fchmod), ALLOW(umask),
	END,
};

/* A file that is exchanged for a copy of itself: owner, attributes, times */
static const struct sandbox_rule files_exchange[] = {
	ALLOW(fchown), ALLOW(flistxattr), ALLOW(fgetxattr), ALLOW(fsetxattr),
	ALLOW(fremovexattr), ALLOW(llistxattr), ALLOW(lgetxattr), ALLOW(utimensat),
	END,
};

/* Being told of files: who opens one that is exchanged, which name of a namespace goes */
static const struct sandbox_rule files_told[] = {
	ALLOW(inotify_init1), ALLOW(inotify_add_watch), END,
};

/* A mount in another mount namespace, and back to where we were */
static const struct sandbox_rule mounts[] = {
	ALLOW_IF(setns, 1, INT, CLONE_NEWNS), ALLOW_IF(unshare, 0, INT, CLONE_FS),
	ALLOW(open_tree), ALLOW(move_mount), ALLOW(umount2), ALLOW(fchdir), ALLOW(chroot), END,
};

/* Using sockets of whatever family could be opened */
static const struct sandbox_rule socket_use[] = {
	ALLOW(connect), ALLOW(bind), ALLOW(sendto), ALLOW(recvfrom), ALLOW(sendmsg),
	ALLOW(recvmsg), ALLOW(sendmmsg), ALLOW(recvmmsg), ALLOW(shutdown), ALLOW(getsockname),
	ALLOW(getpeername), ALLOW(setsockopt), ALLOW(getsockopt),
	ALLOW_IF(socketpair, 0, INT, AF_UNIX), END,
};

/* Local sockets: the system log, name services, interface names */
static const struct sandbox_rule socket_local[] = {
	ALLOW_IF(socket, 0, INT, AF_UNIX), END,
};

/* TCP and UDP for probes, and to answer DNS queries and HTTP requests; never raw. Without AF_NETLINK getaddrinfo takes both families for usable.
 */
static const struct sandbox_rule socket_internet[] = {
	SOCKET(AF_INET, SOCK_STREAM), SOCKET(AF_INET, SOCK_DGRAM), SOCKET(AF_INET6, SOCK_STREAM),
	SOCKET(AF_INET6, SOCK_DGRAM), END,
};

/* Answering whoever connects: redirected DNS queries and HTTP requests */
static const struct sandbox_rule socket_serving[] = {
	ALLOW(listen), ALLOW(accept4), END,
};

/* The kernel's configuration: links and qdiscs, nftables, sockets */
static const struct sandbox_rule socket_netlink[] = {
	NETLINK_SOCKET(NETLINK_ROUTE), NETLINK_SOCKET(NETLINK_NETFILTER),
	NETLINK_SOCKET(NETLINK_SOCK_DIAG), END,
};

/* Interfaces by name; other network namespaces (a change made there is undone there) */
static const struct sandbox_rule network[] = {
	IOCTL(SIOCGIFINDEX), IOCTL(SIOCGIFNAME), IOCTL(SIOCGIFFLAGS), IOCTL(SIOCGIFHWADDR),
	IOCTL(NS_GET_NSTYPE), IOCTL(NS_GET_USERNS), ALLOW_IF(setns, 1, INT, CLONE_NEWNET), END,
};

/* The delay line's tap */
static const struct sandbox_rule tap[] = {
	IOCTL(TUNSETIFF), IOCTL(TUNGETIFF), IOCTL(TUNGETFEATURES), IOCTL(TUNSETOFFLOAD),
	IOCTL(TUNSETVNETHDRSZ), IOCTL(TUNGETVNETHDRSZ), IOCTL(TUNSETVNETLE), IOCTL(TUNSETSNDBUF),
	IOCTL(TUNSETQUEUE), IOCTL(TUNSETLINK), IOCTL(SIOCSIFHWADDR), IOCTL(SIOCSIFFLAGS),
	IOCTL(SIOCSIFMTU), END,
};

/* Where a delay line holds much: a network namespace of our own, behind a pair of interfaces */
static const struct sandbox_rule hold[] = {
	ALLOW_IF(unshare, 0, INT, CLONE_NEWNET), END,
};

/* BPF programs */
static const struct sandbox_rule bpf[] = {
	ALLOW(bpf), END,
};

/* Finding and detaching the BPF links of a process that is gone */
static const struct sandbox_rule bpf_links[] = {
	ALLOW_IF(bpf, 0, INT, BPF_LINK_GET_NEXT_ID), ALLOW_IF(bpf, 0, INT, BPF_LINK_GET_FD_BY_ID),
	ALLOW_IF(bpf, 0, INT, BPF_PROG_GET_FD_BY_ID), ALLOW_IF(bpf, 0, INT, BPF_OBJ_GET_INFO_BY_FD),
	ALLOW_IF(bpf, 0, INT, BPF_LINK_DETACH), END,
};

/* Children: waiting, and signals by pidfd alone (a number may be somebody else's by now) */
static const struct sandbox_rule children[] = {
	ALLOW(wait4), ALLOW(waitid), ALLOW(pidfd_open), ALLOW(pidfd_send_signal), END,
};

/* Files: open for reading and nothing else, where openat2 would hide its flags */
#define ONLY_READING (O_ACCMODE | O_CREAT | O_TRUNC)
static const struct sandbox_rule files_hand_out[] = {
	ALLOW_ONE(openat, "openat(O_RDONLY)", 2, ONLY_READING, O_RDONLY),
	ALLOW_ONE(open, "open(O_RDONLY)", 1, ONLY_READING, O_RDONLY),
	ALLOW(read), ALLOW(pread64), ALLOW(lseek), ALLOW(close), ALLOW(fstat), ALLOW(newfstatat),
	ALLOW(stat), ALLOW(lstat), ALLOW(statx), ALLOW(readlink), ALLOW(readlinkat), END,
};

/* Answering the one who asks, who is known already. No sockets: names of users and groups that no
 * file tells are none here, so that a file which such a group may write is not trusted. */
static const struct sandbox_rule socket_answer[] = {
	ALLOW(recvfrom), ALLOW(sendmsg), END,
};

/* Connections that others have made: their bytes, and being given them. */
static const struct sandbox_rule socket_pumping[] = {
	ALLOW(read), ALLOW(write), ALLOW(recvfrom), ALLOW(sendto), ALLOW(recvmsg), ALLOW(sendmsg),
	ALLOW(shutdown), ALLOW(getsockopt), ALLOW(close),
	ALLOW_BOTH(setsockopt, "setsockopt(SO_LINGER)", 1, INT, SOL_SOCKET, 2, INT, SO_LINGER),
	ALLOW_BOTH(setsockopt, "setsockopt(TCP_LINGER2)", 1, INT, IPPROTO_TCP, 2, INT, TCP_LINGER2),
	END,
};

/* Waiting for them */
static const struct sandbox_rule waiting_for_sockets[] = {
	ALLOW(clock_gettime), ALLOW(timerfd_settime), ALLOW(epoll_ctl), ALLOW(epoll_wait),
	ALLOW(epoll_pwait), ALLOW(poll), ALLOW(ppoll), END,
};

#define CAP(name) (1ULL << CAP_##name)

/* Each stands for what faults do: no fault has one of them for anything else. */
const uint64_t sandbox_keys[SANDBOX_KEYS] = {CAP(SYS_NICE), CAP(BPF), CAP(NET_BIND_SERVICE), CAP(CHOWN),
					     CAP(SYS_CHROOT)};

#define ALWAYS	     0
#define TO_DELAY     CAP(SYS_NICE)	   /* network: the delay line in real time */
#define TO_ANSWER    CAP(NET_BIND_SERVICE) /* dns, http, port */
#define TO_TRAFFIC   (TO_DELAY | TO_ANSWER)
#define TO_PROGRAMS  CAP(BPF)		   /* network, connect */
#define TO_FILES     CAP(CHOWN)		   /* file */
#define TO_MOUNTS    CAP(SYS_CHROOT)	   /* file with a namespace */

const struct sandbox_group sandbox_conductor_groups[] = {
	{"being a process", process, ALWAYS},
	{"memory", memory, ALWAYS},
	{"locks", locks, ALWAYS},
	{"threads", threads, ALWAYS},
	{"time and waiting", waiting, ALWAYS},
	{"descriptors and terminals", descriptors, ALWAYS},
	{"keys of a terminal", terminal, ALWAYS},
	{"looking at files", files_read, ALWAYS},
	{"storing the result", files_result, ALWAYS},
	{"using sockets", socket_use, ALWAYS},
	{"opening local sockets", socket_local, ALWAYS},
	{"opening TCP and UDP sockets", socket_internet, ALWAYS},
	{"children, by pidfd", children, ALWAYS},
	{NULL},
};

const struct sandbox_group sandbox_worker_groups[] = {
	{"being a process", process, ALWAYS},
	{"memory", memory, ALWAYS},
	{"locks", locks, ALWAYS},
	{"threads", threads, TO_TRAFFIC},
	{"time and waiting", waiting, ALWAYS},
	{"descriptors and terminals", descriptors, ALWAYS},
	{"looking at files", files_read, ALWAYS},
	{"the journal", files_write, ALWAYS},
	{"exchanging files", files_exchange, TO_FILES},
	{"being told of files", files_told, ALWAYS},
	{"mounts of another namespace", mounts, TO_MOUNTS},
	{"using sockets", socket_use, ALWAYS},
	{"opening local sockets", socket_local, ALWAYS},
	{"opening TCP and UDP sockets", socket_internet, TO_ANSWER},
	{"answering whoever connects", socket_serving, TO_ANSWER},
	{"netlink: links, qdiscs, nftables", socket_netlink, TO_TRAFFIC},
	{"interfaces and network namespaces", network, TO_TRAFFIC},
	{"the tap of a delay line", tap, TO_DELAY},
	{"a network namespace for what it holds", hold, TO_DELAY},
	{"BPF programs", bpf, TO_PROGRAMS},
	{"processes, by pidfd", children, ALWAYS},
	{NULL},
};

const struct sandbox_group sandbox_guardian_groups[] = {
	{"being a process", process, ALWAYS},
	{"memory", memory, ALWAYS},
	{"locks", locks, ALWAYS},
	{"time and waiting", waiting, ALWAYS},
	{"descriptors and terminals", descriptors, ALWAYS},
	{"looking at files", files_read, ALWAYS},
	{"the journal", files_write, ALWAYS},
	{"exchanging files", files_exchange, TO_FILES},
	{"being told of files", files_told, TO_FILES},
	{"mounts of another namespace", mounts, TO_MOUNTS},
	{"using sockets", socket_use, ALWAYS},
	{"opening local sockets", socket_local, ALWAYS},
	{"netlink: links, qdiscs, nftables", socket_netlink, TO_TRAFFIC},
	{"interfaces and network namespaces", network, TO_TRAFFIC},
	{"ending BPF links of the dead", bpf_links, TO_PROGRAMS},
	{"processes, by pidfd", children, ALWAYS},
	{NULL},
};

const struct sandbox_group sandbox_reader_groups[] = {
	{"being a process", process, ALWAYS},
	{"memory", memory, ALWAYS},
	{"locks", locks, ALWAYS},
	{"opening files for reading", files_hand_out, ALWAYS},
	{"answering the conductor", socket_answer, ALWAYS},
	{NULL},
};

const struct sandbox_group sandbox_tls_groups[] = {
	{"being a process", process, ALWAYS},
	{"memory", memory, ALWAYS},
	{"locks", locks, ALWAYS},
	{"using sockets that it is given", socket_pumping, ALWAYS},
	{"waiting for them", waiting_for_sockets, ALWAYS},
	{NULL},
};

const int sandbox_deadly[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(init_module),
	SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load), SANDBOX_END,
};
/* clang-format on */

unsigned sandbox_choice(uint64_t capabilities)
{
	unsigned choice = 0;

	for (unsigned at = 0; at < SANDBOX_KEYS; at++)
		if (capabilities & sandbox_keys[at])
			choice |= 1U << at;
	return choice;
}

bool sandbox_group_applies(const struct sandbox_group *group, unsigned choice)
{
	if (!group->with)
		return true;
	for (unsigned at = 0; at < SANDBOX_KEYS; at++)
		if (group->with & sandbox_keys[at] && choice >> at & 1)
			return true;
	return false;
}
