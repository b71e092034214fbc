/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/held_calls.h"

#include "tests/support/children.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define CHOICES_MAX 4

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LOW_HALF 4
#else
#define LOW_HALF 0
#endif

static struct held_choice chosen[CHOICES_MAX];
static unsigned chosen_count;
static int pair[2] = {-1, -1}; /* hands the listener over; [0] is the test's */
static int listener = -1;

static void close_old(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void held_calls_choose(const struct held_choice *choices, unsigned count)
{
	assert_in_range(count, 1, CHOICES_MAX);
	memcpy(chosen, choices, count * sizeof(*choices));
	chosen_count = count;
	close_old(&listener);
	close_old(&pair[0]);
	close_old(&pair[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static int listen_to_chosen(void)
{
	struct sock_filter code[CHOICES_MAX * 5 + 1];
	struct sock_fprog program = {.filter = code};

	for (unsigned i = 0; i < chosen_count; i++) {
		const uint32_t flags = chosen[i].with_flags ? chosen[i].with_flags : UINT32_MAX;
		const uint32_t argument = offsetof(struct seccomp_data, args) +
					  chosen[i].argument * sizeof(uint64_t) + LOW_HALF;
		const struct sock_filter one[] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)chosen[i].number, 0, 3),
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument),
			BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flags, 0,
				 chosen[i].with_flags ? 1 : 0),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		};

		memcpy(code + program.len, one, sizeof(one));
		program.len += sizeof(one) / sizeof(*one);
	}
	code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &program);
}

/* A control message with one descriptor. */
union passing {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr header;
};

void held_calls_prepare(const struct stage *stage)
{
	const int fd = listen_to_chosen();
	union passing passing = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
					    .cmsg_level = SOL_SOCKET,
					    .cmsg_type = SCM_RIGHTS}};
	struct iovec part = {.iov_base = (char[]){'l'}, .iov_len = 1};
	const struct msghdr message = {.msg_iov = &part,
				       .msg_iovlen = 1,
				       .msg_control = &passing,
				       .msg_controllen = sizeof(passing)};

	(void)stage;
	memcpy(CMSG_DATA(&passing.header), &fd, sizeof(fd));
	if (fd < 0 || sendmsg(pair[1], &message, 0) != 1)
		_exit(99);
	close(fd);
}

static bool can_read(int fd, int ms)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};

	return poll(&poller, 1, ms) == 1 && (poller.revents & POLLIN);
}

static void receive_listener(void)
{
	union passing passing = {0};
	char byte;
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &passing,
				 .msg_controllen = sizeof(passing)};

	assert_true(can_read(pair[0], STAGE_WAIT_MS));
	assert_int_equal(recvmsg(pair[0], &message, MSG_CMSG_CLOEXEC), 1);
	assert_int_equal(passing.header.cmsg_len, CMSG_LEN(sizeof(int)));
	memcpy(&listener, CMSG_DATA(&passing.header), sizeof(listener));
}

static bool next_call(struct held_call *out, int ms)
{
	struct seccomp_notif told = {0};

	if (listener < 0)
		receive_listener();
	/* ENOENT: the process was killed meanwhile */
	if (!can_read(listener, ms) || ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &told) < 0)
		return false;
	*out = (struct held_call){.id = told.id, .pid = (pid_t)told.pid, .number = told.data.nr};
	return true;
}

struct held_call held_calls_await(void)
{
	struct held_call call = {0};

	if (!next_call(&call, STAGE_WAIT_MS))
		fail_msg("none of the chosen calls is made");
	return call;
}

void held_calls_let_go(const struct held_call *call)
{
	struct seccomp_notif_resp answer = {.id = call->id,
					    .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer); /* fails when it was killed */
}

int held_calls_await_exit(struct squall *squall)
{
	const int64_t until = clock_now_ns() + 3 * STAGE_WAIT_MS * NSEC_PER_MSEC;
	struct held_call call;

	while (child_state(squall->pid) != 'Z' && clock_now_ns() < until)
		if (next_call(&call, 10))
			held_calls_let_go(&call);
	return squall_await_exit(squall);
}
