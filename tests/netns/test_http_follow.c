/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true` of an http fault: the name of its server gets other addresses, its control group
 * is made again. No new connection to a server that stays in scope passes meanwhile, and those
 * through the fault go on.
 */
#include "tests/netns/http_bench.h"

#include "tests/netns/redirect_follow_bench.h"

#define GROUP "sqhf-ours"
#define UP    "GET /up HTTP/1.1\r\nHost: x\r\n\r\n"

static int answer_of(const struct netlab *lab, const char *address)
{
	const int fd = dial(lab, address);
	char got[1024];

	say(fd, UP);
	hear(fd, "\r\n\r\n", got, sizeof(got));
	close(fd);
	return atoi(got + strlen("HTTP/1.1 "));
}

static void assert_answer(const struct netlab *lab, const char *address, int wanted)
{
	const int code = answer_of(lab, address);

	if (code != wanted)
		fail_msg("%s: %d instead of %d", address, code, wanted);
}

/* Another request on a connection; all of its answer is read. */
static void assert_again(int fd, const char *wanted)
{
	char got[1024];

	say(fd, UP);
	hear(fd, "\r\n\r\n", got, sizeof(got));
	assert_memory_equal(got + strlen("HTTP/1.1 "), wanted, 3);
	if (strcmp(wanted, "200") == 0 && !strstr(got, "\r\n\r\nup"))
		hear(fd, "up", got, sizeof(got));
}

static void test_the_fault_moves_with_the_name_of_its_server(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	START(lab, &fault, "follow", "true", "host", "store.test:80 10.88.0.2", "path", "/up",
	      "answer", "503");
	assert_non_null(strstr(fault.plan, "followed: store.test (now 10.88.0.2), every 5s"));
	assert_answer(lab, "10.88.0.2", 503);
	assert_answer(lab, "10.88.0.3", 200);
	move(&fault, "10.88.0.3 fd88::2");
	assert_answer(lab, "10.88.0.3", 503);
	assert_answer(lab, "fd88::2", 503);
	assert_answer(lab, "10.88.0.2", 200);
	assert_curl(lab, "200", "http://10.88.0.3:81/up"); /* the port is the name's */
	move(&fault, "10.88.0.2");
	assert_answer(lab, "10.88.0.2", 503);
	assert_answer(lab, "10.88.0.3", 200);
	assert_answer(lab, "fd88::2", 200);
	assert_int_equal(netlab_evidence(&fault).hits, 4);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_answer(lab, "10.88.0.2", 200);
	netlab_same(lab, before);
}

static void test_what_is_under_way_goes_on_when_its_server_leaves(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char got[1024];
	int fd;

	START(lab, &fault, "follow", "true", "host", "store.test 10.88.0.2", "path", "/up", "delay",
	      "300ms");
	fd = dial(lab, "10.88.0.2");
	say(fd, UP);
	move(&fault, "10.88.0.3");
	hear(fd, "\r\n\r\nup", got, sizeof(got));
	say(fd, UP);
	hear(fd, "\r\n\r\nup", got, sizeof(got));
	close(fd);
	assert_int_equal(netlab_evidence(&fault).delayed, 2);
	assert_answer(lab, "10.88.0.2", 200);
	assert_int_equal(netlab_evidence(&fault).delayed, 2);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_no_connection_passes_while_addresses_change(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct changing changing;
	unsigned passed = 0;

	START(lab, &fault, "follow", "true", "host", "store.test:80 10.88.0.2", "except",
	      "10.88.0.9", "path", "/up", "answer", "503");
	begin_changing(&changing, &fault);
	for (unsigned i = 0; !passed && (i < 500 || changing.changes < 20); i++)
		passed += answer_of(lab, "10.88.0.2") != 503;
	end_changing(&changing, 20);
	assert_int_equal(passed, 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_a_name_that_is_left_out_gets_more_addresses(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	bool is_changed;
	struct error err = ERROR_INIT;

	netlab_fault_must_plan(lab, &fault, "fo110w",
			       SETTINGS("follow", "true", "host", "store.test 10.88.0.2 10.88.0.3",
					"path", "/up", "answer", "503"));
	fault.target.is_resolved = false; /* as the worker is told of it, before */
	assert_int_equal(target_add_host(&fault.target, TRAFFIC_EXCEPT, "spared.test", &err), 0);
	assert_int_equal(target_tell_addresses(&fault.target, 1, "10.88.0.9", &err), 0);
	assert_int_equal(target_end_addresses(&fault.target, 1, &is_changed, &err), 0);
	fault.target.is_resolved = true;
	assert_int_equal(fault.fault.ops->inject(&fault.fault, &err), 0);
	assert_answer(lab, "10.88.0.3", 503);
	assert_int_equal(try_move(&fault, 1, "10.88.0.3", &err), 0);
	assert_answer(lab, "10.88.0.3", 200);
	assert_answer(lab, "10.88.0.2", 503);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static bool is_over(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN | POLLHUP};
	char byte;

	return poll(&polled, 1, 2000) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

static void test_connections_to_new_addresses_are_ended_and_none_of_ours(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int through, direct, again;

	if (!netlab_can_end_connections(lab))
		skip();
	direct = dial(lab, "10.88.0.3");
	assert_again(direct, "200");
	START(lab, &fault, "follow", "true", "host", "store.test 10.88.0.2", "path", "/up",
	      "answer", "503", "reset-connections", "true");
	through = dial(lab, "10.88.0.2");
	assert_again(through, "503");
	assert_again(direct, "200");
	move(&fault, "10.88.0.3");
	assert_true(is_over(direct));
	assert_again(through, "503");
	again = dial(lab, "10.88.0.2");
	assert_again(again, "200");
	move(&fault, "10.88.0.2");
	assert_true(is_over(again));
	assert_again(through, "503");
	assert_string_equal(netlab_evidence(&fault).unit, "requests and connections");
	assert_int_equal(((struct http_state *)fault.fault.state)->reset, 2);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	close(direct);
	close(through);
	close(again);
}

static void test_killed_after_it_has_followed_nothing_is_left(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);

	kill_after_move(lab,
			SETTINGS("follow", "true", "host", "store.test 10.88.0.2", "path", "/up",
				 "answer", "503"),
			"10.88.0.3 fd88::2");
	assert_answer(lab, "10.88.0.3", 200);
	netlab_same(lab, before);
}

static void test_a_group_that_is_made_again_is_met_again(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	START(lab, &fault, "cgroup", "/" GROUP, "follow", "true", "to", "10.88.0.2", "path", "/up",
	      "answer", "503");
	group_enter();
	assert_answer(lab, "10.88.0.2", 503);
	group_leave();
	group_stop();
	follow_group(&fault, "was removed: it is waited for");
	assert_int_equal(fault.fault.ops->evidence(&fault.fault, &(struct evidence){0}, NULL), 0);
	assert_answer(lab, "10.88.0.2", 200);
	group_start(GROUP);
	follow_group(&fault, "is there again");
	assert_answer(lab, "10.88.0.2", 200);
	group_enter();
	assert_answer(lab, "10.88.0.2", 503);
	group_leave();
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_same(lab, before);
}

static int set_up_group(void **state)
{
	group_bench_begin(GROUP);
	return set_up(state);
}

static int tear_down_group(void **state)
{
	group_end();
	return tear_down(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_the_fault_moves_with_the_name_of_its_server),
		TEST(test_what_is_under_way_goes_on_when_its_server_leaves),
		TEST(test_no_connection_passes_while_addresses_change),
		TEST(test_a_name_that_is_left_out_gets_more_addresses),
		TEST(test_connections_to_new_addresses_are_ended_and_none_of_ours),
		TEST(test_killed_after_it_has_followed_nothing_is_left),
		cmocka_unit_test_setup_teardown(test_a_group_that_is_made_again_is_met_again,
						set_up_group, tear_down_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
