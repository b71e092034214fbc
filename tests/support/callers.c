/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/callers.h"

#include "tests/support/children.h"

#include "faults/connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

const char *connect_run_id;

struct order {
	char address[48];
	uint16_t port;
	int type;
};

static int connect_to(const struct order *order)
{
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(order->port)};
	struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(order->port)};
	bool is_v6 = strchr(order->address, ':') != NULL;
	int fd = socket(is_v6 ? AF_INET6 : AF_INET, order->type | SOCK_CLOEXEC, 0), result;

	inet_pton(is_v6 ? AF_INET6 : AF_INET, order->address,
		  is_v6 ? (void *)&to6.sin6_addr : (void *)&to4.sin_addr);
	result = is_v6 ? connect(fd, (void *)&to6, sizeof(to6))
		       : connect(fd, (void *)&to4, sizeof(to4));
	result = result < 0 ? errno : 0;
	close(fd);
	return result;
}

static _Noreturn void serve(const struct netlab *lab, int line)
{
	struct order order;

	const char ready = 'r';

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* a session of its own: what shares ours is protected */
	if (setsid() < 0 || setns(lab->near_fd, CLONE_NEWNET) < 0 || write(line, &ready, 1) != 1)
		_exit(1);
	while (read(line, &order, sizeof(order)) == sizeof(order)) {
		int result = connect_to(&order);

		if (write(line, &result, sizeof(result)) != sizeof(result))
			break;
	}
	_exit(0);
}

struct caller caller_as(const struct netlab *lab, const char *group, pid_t number)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&number, .set_tid_size = 1};
	struct caller caller;
	int ends[2];
	char ready;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	caller.pid = number ? (pid_t)syscall(SYS_clone3, &args, sizeof(args)) : fork();
	assert_true(caller.pid >= 0);
	if (caller.pid == 0)
		serve(lab, ends[1]);
	close(ends[1]);
	caller.line = ends[0];
	assert_int_equal(read(caller.line, &ready, 1), 1);
	snprintf(caller.text, sizeof(caller.text), "%d", caller.pid);
	if (group)
		group_write(group, "cgroup.procs", caller.text);
	return caller;
}

struct caller caller_in(const struct netlab *lab, const char *group)
{
	return caller_as(lab, group, 0);
}

void caller_hang_up(struct caller *caller)
{
	close(caller->line);
	kill(caller->pid, SIGKILL); /* others have inherited the other end */
	while (waitpid(caller->pid, NULL, 0) < 0)
		assert_int_equal(errno, EINTR);
}

int caller_connect(const char *address, uint16_t port, int type)
{
	struct order order = {.port = port, .type = type};

	snprintf(order.address, sizeof(order.address), "%s", address);
	return connect_to(&order);
}

int caller_try_type(const struct caller *caller, const char *address, uint16_t port, int type)
{
	struct order order = {.port = port, .type = type};
	int result;

	snprintf(order.address, sizeof(order.address), "%s", address);
	assert_int_equal(write(caller->line, &order, sizeof(order)), sizeof(order));
	assert_int_equal(read(caller->line, &result, sizeof(result)), sizeof(result));
	return result;
}

int caller_try(const struct caller *caller, const char *address, uint16_t port)
{
	return caller_try_type(caller, address, port, SOCK_STREAM);
}

void connect_start_run(struct netlab *lab, struct netlab_fault *fault, const char *run_id,
		       const char *const *settings)
{
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(lab, fault, run_id, settings, &err) < 0 ||
	    connect_fault.inject(&fault->fault, &err) < 0)
		fail_msg("%s; %s", err.text, err.remedy);
}

void connect_start(struct netlab *lab, struct netlab_fault *fault, const char *const *settings)
{
	connect_start_run(lab, fault, connect_run_id, settings);
}

bool connect_tells_processes(struct netlab *lab)
{
	struct caller caller = caller_in(lab, NULL);
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	bool can = netlab_fault_plan(lab, &fault, connect_run_id,
				     (const char *[]){"fault", "connect", "pid", caller.text,
						      "error", "EPERM", NULL},
				     &err) == 0;

	if (!can && !strstr(err.text, "get_ns_current_pid_tgid"))
		fail_msg("%s", err.text);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	caller_hang_up(&caller);
	return can;
}

struct evidence connect_evidence(struct netlab_fault *fault)
{
	struct evidence seen = {0};
	struct error err = ERROR_INIT;

	if (connect_fault.evidence(&fault->fault, &seen, &err) < 0)
		fail_msg("%s", err.text);
	return seen;
}
