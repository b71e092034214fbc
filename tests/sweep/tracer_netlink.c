/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kernel refuses a netlink request that changes something: as it leaves, its type is made one
 * that there is not, so that the kernel itself executes nothing and answers with an error; the
 * error in the answer is then the one that was asked for. The request is as it was before once it
 * is sent. Of a batch the first message is made invalid, and with it all of them are refused.
 */
#include "tests/sweep/tracee.h"

#include "injector/base/cleanup.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

#include <linux/ptrace.h>

#define NO_SUCH_MESSAGE 0xf0 /* of any subsystem */

static bool copy_in(pid_t pid, unsigned long long at, void *out, size_t size)
{
	struct iovec here = {.iov_base = out, .iov_len = size};
	struct iovec there = {.iov_base = (void *)(uintptr_t)at, .iov_len = size};

	return process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)size;
}

static bool copy_out(pid_t pid, unsigned long long at, const void *from, size_t size)
{
	struct iovec here = {.iov_base = (void *)(uintptr_t)from, .iov_len = size};
	struct iovec there = {.iov_base = (void *)(uintptr_t)at, .iov_len = size};

	return process_vm_writev(pid, &here, 1, &there, 1, 0) == (ssize_t)size;
}

/* -1: no netlink socket */
static int protocol_of(pid_t pid, int fd)
{
	cleanup_fd int process = (int)syscall(SYS_pidfd_open, pid, 0);
	cleanup_fd int socket = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, fd, 0);
	int domain = 0, protocol = -1;
	socklen_t size = sizeof(int);

	if (socket < 0 || getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
	    domain != AF_NETLINK ||
	    getsockopt(socket, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) < 0)
		return -1;
	return protocol;
}

static bool is_change(int protocol, unsigned type)
{
	switch (protocol) {
	case NETLINK_ROUTE: /* new, delete, get, set */
		return type >= RTM_BASE && (type & 3) != (RTM_GETLINK & 3);
	case NETLINK_NETFILTER:
		return type == NFNL_MSG_BATCH_BEGIN ||
		       type == (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE);
	case NETLINK_SOCK_DIAG:
		return type == SOCK_DESTROY;
	}
	return false;
}

bool trace_find_change(const struct tracee *tracee, const struct ptrace_syscall_info *info,
		       struct change *out)
{
	unsigned long long at = info->entry.args[1], end = at + info->entry.args[2];
	struct nlmsghdr header;
	int protocol;

	if (info->entry.nr != SYS_sendto || end < at + sizeof(header) ||
	    !copy_in(tracee->pid, at, &header, sizeof(header)))
		return false;
	protocol = protocol_of(tracee->pid, (int)info->entry.args[0]);
	if (protocol < 0 || !is_change(protocol, header.nlmsg_type))
		return false;
	if (protocol == NETLINK_NETFILTER && header.nlmsg_type == NFNL_MSG_BATCH_BEGIN) {
		at += NLMSG_ALIGN(header.nlmsg_len);
		if (end < at + sizeof(header) || !copy_in(tracee->pid, at, &header, sizeof(header)))
			return false;
	}
	*out = (struct change){.fd = (int)info->entry.args[0],
			       .protocol = protocol,
			       .type = header.nlmsg_type,
			       .sequence = header.nlmsg_seq,
			       .at = at + offsetof(struct nlmsghdr, nlmsg_type)};
	return true;
}

void trace_refuse_change(struct tracee *tracee, const struct change *change)
{
	uint16_t none = (uint16_t)((change->type & 0xff00) | NO_SUCH_MESSAGE);

	if (!copy_out(tracee->pid, change->at, &none, sizeof(none)))
		return;
	tracee->refused = *change;
	tracee->is_sending = true;
	tracee->is_refused = true;
}

/* In each acknowledgement of the datagram that is of that request. */
static void answer(struct trace *trace, struct tracee *tracee, unsigned long long at, size_t size)
{
	const int error = -trace->plan->fail_errno;
	struct {
		struct nlmsghdr header;
		int error;
	} ack;

	while (size >= sizeof(ack) && copy_in(tracee->pid, at, &ack, sizeof(ack)) &&
	       ack.header.nlmsg_len >= sizeof(ack.header)) {
		size_t length = NLMSG_ALIGN(ack.header.nlmsg_len);

		if (ack.header.nlmsg_type == NLMSG_ERROR && ack.error != 0 &&
		    ack.header.nlmsg_seq == tracee->refused.sequence &&
		    copy_out(tracee->pid, at + offsetof(__typeof__(ack), error), &error,
			     sizeof(error))) {
			trace->result->refused++;
			tracee->is_refused = false;
		}
		at += length;
		size -= length < size ? length : size;
	}
}

void trace_end_of_call(struct trace *trace, struct tracee *tracee)
{
	struct user_regs_struct registers;
	struct msghdr message;
	struct iovec area;

	if (tracee->is_sending) {
		uint16_t type = (uint16_t)tracee->refused.type;

		tracee->is_sending = false;
		copy_out(tracee->pid, tracee->refused.at, &type, sizeof(type));
		return;
	}
	if (!tracee->is_refused || ptrace(PTRACE_GETREGS, tracee->pid, NULL, &registers) < 0 ||
	    registers.orig_rax != SYS_recvmsg || (int)registers.rdi != tracee->refused.fd ||
	    (long long)registers.rax <= 0)
		return;
	if (copy_in(tracee->pid, registers.rsi, &message, sizeof(message)) && message.msg_iovlen &&
	    copy_in(tracee->pid, (uintptr_t)message.msg_iov, &area, sizeof(area)))
		answer(trace, tracee, (uintptr_t)area.iov_base, (size_t)registers.rax);
}
