/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The connect fault on processes that connect to a real listener: the chosen ones fail as told,
 * their neighbours do not, nor do connections that exist, and it is over when it has ended, was
 * killed, or could not begin.
 */
#include "tests/support/callers.h"
#include "tests/support/children.h"
#include "tests/support/netlab_dial.h"
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"

#include "faults/connect.h"
#include "injector/base/clock.h"
#include "injector/kernel/bpf.h"
#include "injector/kernel/cgroup.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

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
	one = caller_in(lab, group);
	next = caller_in(lab, NULL);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CONNECT_START(lab, &fault, "cgroup", "/sqco-web", "error", cases[i].word);
		assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_PORT), cases[i].error);
		assert_int_equal(caller_try(&next, "10.88.0.2", NETLAB_PORT), 0);
		late = caller_in(lab, group); /* started meanwhile */
		assert_int_equal(caller_try(&late, "10.88.0.2", NETLAB_PORT), cases[i].error);
		caller_hang_up(&late);
		netlab_fault_finish(&fault, FAULT_END_NOW);
		assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_PORT), 0);
	}
	caller_hang_up(&one);
	caller_hang_up(&next);
	group_remove(group);
}

static void test_addresses_ports_and_exceptions(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct caller one;
	char group[128];

	group_make("sqco-web", group);
	one = caller_in(lab, group);
	CONNECT_START(lab, &fault, "cgroup", "/sqco-web", "error", "EHOSTUNREACH", "to",
		      "10.88.0.0/30:7001", "to", "fd88::/64", "except", "fd88::3");
	assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_PORT), EHOSTUNREACH);
	/* as a socket of the other family writes it */
	assert_int_equal(caller_try(&one, "::ffff:10.88.0.2", NETLAB_PORT), EHOSTUNREACH);
	assert_int_equal(caller_try(&one, "::ffff:10.88.0.2", NETLAB_OTHER_PORT), 0);
	assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_OTHER_PORT), 0);
	assert_int_equal(caller_try(&one, "127.0.0.1", NETLAB_PORT), 0);
	assert_int_equal(caller_try(&one, "fd88::2", NETLAB_PORT), EHOSTUNREACH);
	assert_int_equal(caller_try(&one, "fd88::3", NETLAB_PORT), 0);
	assert_int_equal(caller_try_type(&one, "10.88.0.2", NETLAB_PORT, SOCK_DGRAM), 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	/* all of IPv6 is nothing of IPv4, however a socket writes it */
	CONNECT_START(lab, &fault, "cgroup", "/sqco-web", "error", "EHOSTUNREACH", "to", "::/0");
	assert_int_equal(caller_try(&one, "fd88::2", NETLAB_PORT), EHOSTUNREACH);
	assert_int_equal(caller_try(&one, "::ffff:10.88.0.2", NETLAB_PORT), 0);
	assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_PORT), 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	CONNECT_START(lab, &fault, "cgroup", "/sqco-web", "error", "ECONNREFUSED", "to",
		      "*:7000-7001", "protocol", "any");
	assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_PORT), ECONNREFUSED);
	assert_int_equal(caller_try_type(&one, "10.88.0.3", NETLAB_PORT, SOCK_DGRAM), ECONNREFUSED);
	assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_OTHER_PORT), 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	caller_hang_up(&one);
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
	one = caller_in(lab, group);
	for (unsigned i = 0; i < EACH; i++) {
		snprintf(addresses[i], sizeof(addresses[i]), "[fd88::%x]:7001-7002", 2 + i);
		words[count++] = "to";
		words[count++] = addresses[i];
		words[count++] = "except";
		words[count++] = "[fd99::1]:1-2";
	}
	words[count++] = "error";
	words[count++] = "ENETUNREACH";
	connect_start(lab, &fault, words);
	assert_int_equal(caller_try(&one, "fd88::2", NETLAB_PORT), ENETUNREACH);
	assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_PORT), 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	caller_hang_up(&one);
	group_remove(group);
}

static void test_a_share_that_changes(void **state)
{
	enum { COUNT = 300 };
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	unsigned failed[2] = {0}, connected = 0;
	struct caller one;
	char group[128];
	int result;

	group_make("sqco-web", group);
	one = caller_in(lab, group);
	CONNECT_START(lab, &fault, "cgroup", "/sqco-web", "error", "ECONNREFUSED", "probability",
		      "50%");
	for (unsigned phase = 0; phase < 2; phase++) {
		for (unsigned i = 0; i < COUNT; i++) {
			result = caller_try(&one, "10.88.0.2", NETLAB_PORT);
			failed[phase] += result == ECONNREFUSED;
			connected += result == 0;
			if (result && result != ECONNREFUSED)
				print_message("attempt %u: %s\n", i, strerror(result));
		}
		fault.fault.level_ppb = 0;
		assert_int_equal(connect_fault.set_level(&fault.fault, &err), 0);
	}
	print_message("failed %u and %u, connected %u of %u, hits %llu\n", failed[0], failed[1],
		      connected, 2 * COUNT, (unsigned long long)connect_evidence(&fault).hits);
	assert_in_range(failed[0], COUNT / 2 - 60, COUNT / 2 + 60); /* 7 sigma */
	assert_int_equal(failed[1], 0);
	assert_int_equal(connect_evidence(&fault).hits, failed[0]);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	caller_hang_up(&one);
	group_remove(group);
}

static void test_killed_and_then_restored(void **state)
{
	struct netlab *lab = *state;
	char group[128];
	struct caller one;
	int64_t killed_ns;
	pid_t child;

	group_make("sqco-web", group);
	one = caller_in(lab, group);
	child = netlab_fault_start_apart(lab, connect_run_id,
					 (const char *[]){"fault", "connect", "cgroup", "/sqco-web",
							  "error", "ETIMEDOUT", NULL});
	assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_PORT), ETIMEDOUT);
	kill(child, SIGKILL);
	killed_ns = clock_now_ns();
	while (caller_try(&one, "10.88.0.2", NETLAB_PORT) != 0)
		assert_true(clock_now_ns() < killed_ns + NSEC_PER_SEC);
	assert_int_equal(waitpid(child, NULL, 0), child);
	netlab_undo_all(connect_run_id);
	netlab_undo_all(connect_run_id);
	netlab_run("rm -r %s/%s", lab->root, connect_run_id);
	caller_hang_up(&one);
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
	one = caller_in(lab, group);
	CONNECT_START(lab, &fault, "cgroup", "/sqco-web", "error", "ETIMEDOUT");
	heir = fork();
	if (heir == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	netlab_fault_end(&fault, FAULT_END_NOW);
	assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_PORT), ETIMEDOUT);
	netlab_undo_all(fault.run_id);
	assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_PORT), 0);
	kill(heir, SIGKILL);
	waitpid(heir, NULL, 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	caller_hang_up(&one);
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
	one = caller_in(lab, group);
	CONNECT_START(lab, &fault, "cgroup", "/sqco-web", "error", "ETIMEDOUT");
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
	assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_PORT), 0);
	assert_int_equal(connect_fault.verify(&record, &is_gone, left, sizeof(left), &err), 0);
	assert_true(is_gone);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	caller_hang_up(&one);
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
	one = caller_in(lab, group);
	CONNECT_START(lab, &fault, "cgroup", "/sqco-web", "error", "ETIMEDOUT");
	caller_hang_up(&one);
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
	one = caller_in(lab, group);
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
		assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_PORT), 0);
	}
	assert_true(failed >= 4); /* maps, programs, links */
	caller_hang_up(&one);
	group_remove(group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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

	connect_run_id = "cccccc";
	return cmocka_run_group_tests(tests, netlab_setup, netlab_teardown);
}
