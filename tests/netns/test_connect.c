/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The connect fault on processes that connect to a real listener: the chosen ones fail as told,
 * their neighbours do not, nor do connections that exist, and it is over when it has ended, was
 * killed, or could not begin.
 */
#include "tests/support/children.h"
#include "tests/support/netlab_dial.h"
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"

#include "faults/connect.h"
#include "faults/warden.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/kernel/bpf.h"
#include "injector/kernel/cgroup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A process of the near namespace that connects when it is asked to. */
struct caller {
	pid_t pid;
	int line;
	char text[16]; /* of the pid */
};

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

/* `number`: of the process; 0: any. */
static struct caller call_as(const struct netlab *lab, const char *group, pid_t number)
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

static struct caller call_in(const struct netlab *lab, const char *group)
{
	return call_as(lab, group, 0);
}

static void hang_up(struct caller *caller)
{
	close(caller->line);
	kill(caller->pid, SIGKILL); /* others have inherited the other end */
	while (waitpid(caller->pid, NULL, 0) < 0)
		assert_int_equal(errno, EINTR);
}

static int try_type(const struct caller *caller, const char *address, uint16_t port, int type)
{
	struct order order = {.port = port, .type = type};
	int result;

	snprintf(order.address, sizeof(order.address), "%s", address);
	assert_int_equal(write(caller->line, &order, sizeof(order)), sizeof(order));
	assert_int_equal(read(caller->line, &result, sizeof(result)), sizeof(result));
	return result;
}

static int try(const struct caller *caller, const char *address, uint16_t port)
{
	return try_type(caller, address, port, SOCK_STREAM);
}

static void start_run(struct netlab *lab, struct netlab_fault *fault, const char *run_id,
		      const char *const *settings)
{
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(lab, fault, run_id, settings, &err) < 0 ||
	    connect_fault.inject(&fault->fault, &err) < 0)
		fail_msg("%s; %s", err.text, err.remedy);
}

static void start(struct netlab *lab, struct netlab_fault *fault, const char *const *settings)
{
	start_run(lab, fault, "cccccc", settings);
}

#define START(lab, fault, ...)                                                                     \
	start(lab, fault, (const char *[]){"fault", "connect", __VA_ARGS__, NULL})

/* Programs are told our pids only by kernels since 6.10 when we are in a pid namespace of our own.
 */
static bool can_tell_processes(struct netlab *lab)
{
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	bool can =
		netlab_fault_plan(lab, &fault, "cccccc",
				  (const char *[]){"fault", "connect", "pid", "1", "allow-critical",
						   "true", "error", "EPERM", NULL},
				  &err) == 0;

	can = can || !strstr(err.text, "get_ns_current_pid_tgid");
	netlab_fault_finish(&fault, FAULT_END_NOW);
	return can;
}

static struct evidence evidence_of(struct netlab_fault *fault)
{
	struct evidence seen = {0};
	struct error err = ERROR_INIT;

	if (connect_fault.evidence(&fault->fault, &seen, &err) < 0)
		fail_msg("%s", err.text);
	return seen;
}

static void test_one_process_and_not_the_next(void **state)
{
	struct netlab *lab = *state;
	struct caller one = call_in(lab, NULL), next = call_in(lab, NULL);
	struct netlab_fault fault;

	if (!can_tell_processes(lab))
		stage_skip("processes of a pid namespace cannot be told apart before Linux 6.10");
	START(lab, &fault, "pid", one.text, "error", "ETIMEDOUT");
	assert_int_equal(try(&one, "10.88.0.2", NETLAB_PORT), ETIMEDOUT);
	assert_int_equal(try(&one, "fd88::2", NETLAB_PORT), ETIMEDOUT);
	assert_int_equal(try(&next, "10.88.0.2", NETLAB_PORT), 0);
	assert_int_equal(try(&next, "fd88::2", NETLAB_PORT), 0);
	assert_int_equal(evidence_of(&fault).hits, 2);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_int_equal(try(&one, "10.88.0.2", NETLAB_PORT), 0);
	hang_up(&one);
	hang_up(&next);
}

static void ignore(void *context, struct fault *fault)
{
	(void)context;
	(void)fault;
}

/* What the worker's loop does when it is told. */
static void listen_for_a_second(struct netlab_fault *fault)
{
	struct pollfd told = {.fd = connect_fault.listen(&fault->fault, NULL), .events = POLLIN};

	assert_true(told.fd >= 0);
	assert_int_equal(poll(&told, 1, 1000), 1);
	connect_fault.hear(ignore, NULL);
	assert_int_equal(poll(&told, 1, 0), 0);
}

static void test_who_gets_the_number_of_an_ended_process_is_not_met(void **state)
{
	struct netlab *lab = *state;
	struct caller one = call_in(lab, NULL), other = call_in(lab, NULL), heir;
	struct netlab_fault fault, second;

	if (!can_tell_processes(lab))
		stage_skip("processes of a pid namespace cannot be told apart before Linux 6.10");
	for (unsigned way = 0; way < 2; way++) {
		START(lab, &fault, "pid", one.text, "pid", other.text, "error", "ECONNREFUSED");
		/* the same process twice: each of them lets it go */
		start_run(lab, &second, "dddddd",
			  (const char *[]){"fault", "connect", "pid", one.text, "error",
					   "ETIMEDOUT", NULL});
		hang_up(&one);
		if (way == 0) {
			listen_for_a_second(&fault);
			connect_fault.evidence(&second.fault, &(struct evidence){0}, NULL);
		} else { /* nobody listens */
			evidence_of(&fault);
			evidence_of(&second);
		}
		heir = call_as(lab, NULL, one.pid);
		assert_int_equal(heir.pid, one.pid);
		assert_int_equal(try(&heir, "10.88.0.2", NETLAB_PORT), 0);
		assert_int_equal(try(&other, "10.88.0.2", NETLAB_PORT), ECONNREFUSED);
		assert_non_null(strstr(evidence_of(&fault).detail, "1 of 2 processes have ended"));
		netlab_fault_finish(&second, FAULT_END_SOFT);
		netlab_fault_finish(&fault, FAULT_END_SOFT);
		one = heir;
	}
	hang_up(&one);
	hang_up(&other);
}

static void test_who_ended_before_it_begins_is_not_met(void **state)
{
	struct netlab *lab = *state;
	struct caller one = call_in(lab, NULL), heir;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	if (!can_tell_processes(lab))
		stage_skip("processes of a pid namespace cannot be told apart before Linux 6.10");
	if (netlab_fault_plan(lab, &fault, "cccccc",
			      (const char *[]){"fault", "connect", "pid", one.text, "error",
					       "ETIMEDOUT", NULL},
			      &err) < 0)
		fail_msg("%s", err.text);
	hang_up(&one);
	heir = call_as(lab, NULL, one.pid);
	for (unsigned pulse = 0; pulse < 2; pulse++) {
		if (connect_fault.inject(&fault.fault, &err) < 0)
			fail_msg("%s", err.text);
		assert_int_equal(try(&heir, "10.88.0.2", NETLAB_PORT), 0);
		assert_non_null(strstr(evidence_of(&fault).detail, "1 of 1 processes have ended"));
		netlab_fault_end(&fault, FAULT_END_SOFT);
	}
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	hang_up(&heir);
}

static pid_t spared;

static int refuse_spared(pid_t pid, struct error *err)
{
	return pid == spared ? error_set(err, EPERM, "process %d is protected", pid) : 0;
}

static const struct fault_warden warden = {.process = refuse_spared};

/* It may have become another program since the plan. */
static void test_the_site_is_asked_again_each_time(void **state)
{
	struct netlab *lab = *state;
	struct caller one = call_in(lab, NULL);
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	if (!can_tell_processes(lab))
		stage_skip("processes of a pid namespace cannot be told apart before Linux 6.10");
	START(lab, &fault, "pid", one.text, "error", "ETIMEDOUT");
	netlab_fault_end(&fault, FAULT_END_SOFT);
	fault_warden_use(&warden);
	spared = one.pid;
	assert_int_equal(connect_fault.inject(&fault.fault, &err), -EPERM);
	assert_non_null(strstr(err.text, "is protected"));
	assert_int_equal(try(&one, "10.88.0.2", NETLAB_PORT), 0);
	fault_warden_use(NULL);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	hang_up(&one);
}

static void leave_group(void)
{
	struct cgroup_mounts mounts;

	assert_int_equal(cgroup_find_mounts(&mounts, NULL), 0);
	group_write(mounts.unified, "cgroup.procs", "0");
}

static void test_a_group_with_a_protected_process_is_not_met_as_a_whole(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	struct caller one, other;
	char group[128];

	group_make("sqco-web", group);
	one = call_in(lab, group);
	START(lab, &fault, "cgroup", "/sqco-web", "error", "ETIMEDOUT");
	netlab_fault_end(&fault, FAULT_END_SOFT);
	other = call_in(lab, group);
	/* one more than the limits allow */
	fault.env.targets_more = 0;
	assert_int_equal(connect_fault.inject(&fault.fault, &err), -E2BIG);
	assert_int_equal(try(&one, "10.88.0.2", NETLAB_PORT), 0);
	fault.env.targets_more = 1;
	fault_warden_use(&warden);
	spared = other.pid;
	assert_int_equal(connect_fault.inject(&fault.fault, &err), -EPERM);
	assert_int_equal(try(&other, "10.88.0.2", NETLAB_PORT), 0);
	spared = 0;
	assert_int_equal(connect_fault.inject(&fault.fault, &err), 0);
	assert_int_equal(try(&other, "10.88.0.2", NETLAB_PORT), ETIMEDOUT);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	fault_warden_use(NULL);
	hang_up(&other);
	/* squall's own kind is never met, nor a way into the machine: the others alone are */
	other = call_in(lab, group);
	group_write(group, "cgroup.procs", "0");
	if (can_tell_processes(lab)) {
		START(lab, &fault, "cgroup", "/sqco-web", "error", "ETIMEDOUT");
		assert_non_null(strstr(fault.plan, "not the whole group"));
		assert_int_equal(connect_to(&(struct order){"127.0.0.1", 1, SOCK_STREAM}),
				 ECONNREFUSED);
		assert_int_equal(try(&one, "10.88.0.2", NETLAB_PORT), ETIMEDOUT);
		netlab_fault_finish(&fault, FAULT_END_SOFT);
	}
	leave_group();
	hang_up(&other);
	hang_up(&one);
	group_remove(group);
}

static void test_every_error_for_a_whole_group(void **state)
{
	static const struct {
		const char *word;
		int error;
	} cases[] = {{"ETIMEDOUT", ETIMEDOUT},
		     {"ECONNREFUSED", ECONNREFUSED},
		     {"EHOSTUNREACH", EHOSTUNREACH},
		     {"ENETUNREACH", ENETUNREACH},
		     {"EPERM", EPERM}};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct caller one, next, late;
	char group[128];

	group_make("sqco-web", group);
	one = call_in(lab, group);
	next = call_in(lab, NULL);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		START(lab, &fault, "cgroup", "/sqco-web", "error", cases[i].word);
		assert_int_equal(try(&one, "10.88.0.2", NETLAB_PORT), cases[i].error);
		assert_int_equal(try(&next, "10.88.0.2", NETLAB_PORT), 0);
		late = call_in(lab, group); /* started meanwhile */
		assert_int_equal(try(&late, "10.88.0.2", NETLAB_PORT), cases[i].error);
		hang_up(&late);
		netlab_fault_finish(&fault, FAULT_END_NOW);
		assert_int_equal(try(&one, "10.88.0.2", NETLAB_PORT), 0);
	}
	hang_up(&one);
	hang_up(&next);
	group_remove(group);
}

static void test_addresses_ports_and_exceptions(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct caller one;
	char group[128];

	group_make("sqco-web", group);
	one = call_in(lab, group);
	START(lab, &fault, "cgroup", "/sqco-web", "error", "EHOSTUNREACH", "to",
	      "10.88.0.0/30:7001", "to", "fd88::/64", "except", "fd88::3");
	assert_int_equal(try(&one, "10.88.0.2", NETLAB_PORT), EHOSTUNREACH);
	/* as a socket of the other family writes it */
	assert_int_equal(try(&one, "::ffff:10.88.0.2", NETLAB_PORT), EHOSTUNREACH);
	assert_int_equal(try(&one, "::ffff:10.88.0.2", NETLAB_OTHER_PORT), 0);
	assert_int_equal(try(&one, "10.88.0.2", NETLAB_OTHER_PORT), 0);
	assert_int_equal(try(&one, "127.0.0.1", NETLAB_PORT), 0);
	assert_int_equal(try(&one, "fd88::2", NETLAB_PORT), EHOSTUNREACH);
	assert_int_equal(try(&one, "fd88::3", NETLAB_PORT), 0);
	assert_int_equal(try_type(&one, "10.88.0.2", NETLAB_PORT, SOCK_DGRAM), 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	/* all of IPv6 is nothing of IPv4, however a socket writes it */
	START(lab, &fault, "cgroup", "/sqco-web", "error", "EHOSTUNREACH", "to", "::/0");
	assert_int_equal(try(&one, "fd88::2", NETLAB_PORT), EHOSTUNREACH);
	assert_int_equal(try(&one, "::ffff:10.88.0.2", NETLAB_PORT), 0);
	assert_int_equal(try(&one, "10.88.0.2", NETLAB_PORT), 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	START(lab, &fault, "cgroup", "/sqco-web", "error", "ECONNREFUSED", "to", "*:7000-7001",
	      "protocol", "any");
	assert_int_equal(try(&one, "10.88.0.2", NETLAB_PORT), ECONNREFUSED);
	assert_int_equal(try_type(&one, "10.88.0.3", NETLAB_PORT, SOCK_DGRAM), ECONNREFUSED);
	assert_int_equal(try(&one, "10.88.0.2", NETLAB_OTHER_PORT), 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	hang_up(&one);
	group_remove(group);
}

/* As many as can be named, of those that take the most jumps. */
static void test_the_longest_program(void **state)
{
	enum { EACH = 50 };
	const char *words[4 * EACH + 7] = {"fault", "connect", "cgroup", "/sqco-web"};
	char addresses[EACH][40];
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct caller one;
	unsigned count = 4;
	char group[128];

	group_make("sqco-web", group);
	one = call_in(lab, group);
	for (unsigned i = 0; i < EACH; i++) {
		snprintf(addresses[i], sizeof(addresses[i]), "[fd88::%x]:7001-7002", 2 + i);
		words[count++] = "to";
		words[count++] = addresses[i];
		words[count++] = "except";
		words[count++] = "[fd99::1]:1-2";
	}
	words[count++] = "error";
	words[count++] = "ENETUNREACH";
	start(lab, &fault, words);
	assert_int_equal(try(&one, "fd88::2", NETLAB_PORT), ENETUNREACH);
	assert_int_equal(try(&one, "10.88.0.2", NETLAB_PORT), 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	hang_up(&one);
	group_remove(group);
}

static void test_a_share_that_changes(void **state)
{
	enum { COUNT = 300 };
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	unsigned failed[2] = {0};
	struct caller one;
	char group[128];

	group_make("sqco-web", group);
	one = call_in(lab, group);
	START(lab, &fault, "cgroup", "/sqco-web", "error", "ECONNREFUSED", "probability", "50%");
	for (unsigned phase = 0; phase < 2; phase++) {
		for (unsigned i = 0; i < COUNT; i++)
			failed[phase] += try_type(&one, "10.88.0.2", NETLAB_PORT, SOCK_STREAM) ==
					 ECONNREFUSED;
		fault.fault.level_ppb = 0;
		assert_int_equal(connect_fault.set_level(&fault.fault, &err), 0);
	}
	assert_in_range(failed[0], COUNT / 2 - 60, COUNT / 2 + 60); /* 7 sigma */
	assert_int_equal(failed[1], 0);
	assert_int_equal(evidence_of(&fault).hits, failed[0]);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	hang_up(&one);
	group_remove(group);
}

static void test_killed_and_then_restored(void **state)
{
	struct netlab *lab = *state;
	char group[128], byte;
	struct netlab_fault fault;
	struct caller one;
	int64_t killed_ns;
	int ends[2];
	pid_t child;

	group_make("sqco-web", group);
	one = call_in(lab, group);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		START(lab, &fault, "cgroup", "/sqco-web", "error", "ETIMEDOUT");
		if (write(ends[1], "r", 1) == 1)
			pause();
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(try(&one, "10.88.0.2", NETLAB_PORT), ETIMEDOUT);
	kill(child, SIGKILL);
	killed_ns = clock_now_ns();
	while (try(&one, "10.88.0.2", NETLAB_PORT) != 0)
		assert_true(clock_now_ns() < killed_ns + NSEC_PER_SEC);
	assert_int_equal(waitpid(child, NULL, 0), child);
	netlab_undo_all("cccccc");
	netlab_undo_all("cccccc");
	netlab_run("rm -r %s/cccccc", lab->root);
	close(ends[0]);
	hang_up(&one);
	group_remove(group);
}

/* A descriptor that somebody else has inherited keeps the fault alive; undo ends it all the same.
 */
static void test_undo_ends_what_outlives_its_process(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct caller one;
	char group[128];
	pid_t heir;

	group_make("sqco-web", group);
	one = call_in(lab, group);
	START(lab, &fault, "cgroup", "/sqco-web", "error", "ETIMEDOUT");
	heir = fork();
	if (heir == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	netlab_fault_end(&fault, FAULT_END_NOW);
	assert_int_equal(try(&one, "10.88.0.2", NETLAB_PORT), ETIMEDOUT);
	netlab_undo_all(fault.run_id);
	assert_int_equal(try(&one, "10.88.0.2", NETLAB_PORT), 0);
	kill(heir, SIGKILL);
	waitpid(heir, NULL, 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	hang_up(&one);
	group_remove(group);
}

/* As `bpftool link detach id` does it. */
static void detach_link(uint32_t id)
{
	union bpf_attr attributes;
	int fd;

	memset(&attributes, 0, sizeof(attributes));
	attributes.link_id = id;
	fd = bpf_system_call(BPF_LINK_GET_FD_BY_ID, &attributes);
	assert_true(fd >= 0);
	memset(&attributes, 0, sizeof(attributes));
	attributes.link_detach.link_fd = (uint32_t)fd;
	assert_int_equal(bpf_system_call(BPF_LINK_DETACH, &attributes), 0);
	close(fd);
}

static void test_what_is_left_is_named_so_that_it_can_be_ended(void **state)
{
	struct netlab *lab = *state;
	struct journal_record record = {.owner = "connect", .type = CONNECT_RECORD_LINKS};
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	char group[128], left[512] = "", *at = left;
	bool is_gone = true;
	struct caller one;
	unsigned id;

	group_make("sqco-web", group);
	one = call_in(lab, group);
	START(lab, &fault, "cgroup", "/sqco-web", "error", "ETIMEDOUT");
	memcpy(record.payload, &((struct connect_state *)fault.fault.state)->record,
	       sizeof(struct connect_record));
	assert_int_equal(connect_fault.verify(&record, &is_gone, left, sizeof(left), &err), 0);
	assert_false(is_gone);
	print_message("%s\n", left);
	for (unsigned i = 0; i < 2; i++) {
		at = strstr(at, "bpftool link detach id ");
		assert_non_null(at);
		assert_int_equal(sscanf(at, "bpftool link detach id %u", &id), 1);
		detach_link(id);
		at++;
	}
	assert_int_equal(try(&one, "10.88.0.2", NETLAB_PORT), 0);
	assert_int_equal(connect_fault.verify(&record, &is_gone, left, sizeof(left), &err), 0);
	assert_true(is_gone);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	hang_up(&one);
	group_remove(group);
}

static void test_the_group_goes_away(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence seen;
	struct error err = ERROR_INIT;
	struct caller one;
	char group[128];

	group_make("sqco-web", group);
	one = call_in(lab, group);
	START(lab, &fault, "cgroup", "/sqco-web", "error", "ETIMEDOUT");
	hang_up(&one);
	group_remove(group);
	for (unsigned i = 0; i < 100; i++) { /* the kernel detaches a moment later */
		if (connect_fault.evidence(&fault.fault, &seen, &err) == -ESTALE)
			break;
		pause_ms(50);
	}
	assert_int_equal(connect_fault.evidence(&fault.fault, &seen, &err), -ESTALE);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Failing: each step makes a descriptor. */

static void test_a_failure_at_each_step_leaves_nothing(void **state)
{
	struct netlab *lab = *state;
	unsigned failed = 0;
	struct caller one;
	char group[128];

	group_make("sqco-web", group);
	one = call_in(lab, group);
	for (unsigned count = 0, is_injected = false; !is_injected; count++) {
		struct netlab_fault fault;
		struct error err = ERROR_INIT;

		if (netlab_fault_plan(lab, &fault, "ffffff",
				      (const char *[]){"fault", "connect", "cgroup", "/sqco-web",
						       "error", "ETIMEDOUT", NULL},
				      &err) < 0)
			fail_msg("%s", err.text);
		netlab_allow_descriptors(count);
		is_injected = connect_fault.inject(&fault.fault, &err) == 0;
		netlab_allow_descriptors(UINT_MAX);
		failed += !is_injected;
		assert_true(is_injected || err.text[0]);
		netlab_fault_finish(&fault, FAULT_END_NOW);
		assert_int_equal(try(&one, "10.88.0.2", NETLAB_PORT), 0);
	}
	assert_true(failed >= 4); /* maps, programs, links */
	hang_up(&one);
	group_remove(group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_process_and_not_the_next),
		cmocka_unit_test(test_who_gets_the_number_of_an_ended_process_is_not_met),
		cmocka_unit_test(test_who_ended_before_it_begins_is_not_met),
		cmocka_unit_test(test_the_site_is_asked_again_each_time),
		cmocka_unit_test(test_a_group_with_a_protected_process_is_not_met_as_a_whole),
		cmocka_unit_test(test_every_error_for_a_whole_group),
		cmocka_unit_test(test_addresses_ports_and_exceptions),
		cmocka_unit_test(test_the_longest_program),
		cmocka_unit_test(test_a_share_that_changes),
		cmocka_unit_test(test_killed_and_then_restored),
		cmocka_unit_test(test_undo_ends_what_outlives_its_process),
		cmocka_unit_test(test_what_is_left_is_named_so_that_it_can_be_ended),
		cmocka_unit_test(test_the_group_goes_away),
		cmocka_unit_test(test_a_failure_at_each_step_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, netlab_setup, netlab_teardown);
}
