/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary, a real nginx and a real HAProxy: a bad configuration and a reload are seen in
 * the answers, and whatever happens to squall, the original comes back and is read again.
 */
#include "tests/netns/file_service.h"

/* --- tests --- */

static void reload_with_wrong_one(struct stage *stage, const struct service *which)
{
	cleanup_free char *before = NULL;
	struct squall *squall;

	start_service(stage, which);
	before = describe();
	squall = start_run(stage, which->wrong, is_emulated() ? "8s" : "2s");
	await_answer(stage, 500, "with the wrong configuration");
	squall_assert_exit(squall, 0);
	await_answer(stage, 200, "afterwards");
	assert_same(stage, before);
	stop_service();
	stage_assert_clean(stage);
}

static void test_nginx_reads_the_wrong_one_and_the_good_one_again(void **state)
{
	reload_with_wrong_one(*state, &nginx);
}

static void test_haproxy_reads_the_wrong_one_and_the_good_one_again(void **state)
{
	reload_with_wrong_one(*state, &haproxy);
}

/* It is read, rejected, and the last good one goes on serving. */
static void reload_with_broken_one(struct stage *stage, const struct service *which)
{
	cleanup_free char *before = NULL;
	struct squall *squall;

	start_service(stage, which);
	before = describe();
	/* long enough for the service to start its reading */
	squall = start_run(stage, which->broken, is_emulated() ? "12s" : "2s");
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(answer(stage), 200);
	/* 0 says that it was read: a file that nobody opened fails the run */
	squall_assert_exit(squall, 0);
	await_answer(stage, 200, "afterwards");
	assert_same(stage, before);
	stop_service();
	stage_assert_clean(stage);
}

static void test_nginx_rejects_a_broken_one(void **state)
{
	reload_with_broken_one(*state, &nginx);
}

static void test_haproxy_rejects_a_broken_one(void **state)
{
	reload_with_broken_one(*state, &haproxy);
}

static void test_killed_worker_the_guardian_puts_it_back(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL;
	struct squall *squall;

	start_service(stage, &nginx);
	before = describe();
	squall = start_run(stage, nginx.wrong, "60s");
	await_answer(stage, 500, "in force");
	assert_int_equal(kill(squall->worker, SIGKILL), 0);
	await_answer(stage, 200, "without any command");
	squall_assert_exit(squall, 4);
	assert_same(stage, before);
	stop_service();
	assert_true(process_await_gone(squall->guardian, PATIENCE_MS));
	stage_assert_clean(stage);
}

static void test_killed_guardian_the_worker_puts_it_back(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL;
	struct squall *squall;

	start_service(stage, &haproxy);
	before = describe();
	squall = start_run(stage, haproxy.wrong, "60s");
	await_answer(stage, 500, "in force");
	assert_int_equal(kill(squall->guardian, SIGKILL), 0);
	squall_assert_exit(squall, 4);
	await_answer(stage, 200, "afterwards");
	assert_same(stage, before);
	stop_service();
	stage_assert_clean(stage);
}

static void test_everybody_killed_restore_puts_it_back_once(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL, *said = NULL;
	struct squall *squall, *restore;

	start_service(stage, &nginx);
	before = describe();
	squall = start_run(stage, nginx.wrong, "60s");
	await_answer(stage, 500, "in force");
	kill_all(squall);
	squall_await_exit(squall);
	assert_still_wrong(stage);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	await_answer(stage, 200, "after squall restore");
	assert_same(stage, before);
	restore = squall_start(stage, NULL, "restore");
	squall_assert_exit(restore, 0);
	said = squall_output(restore);
	assert_string_equal(said, "Nothing to restore.\n");
	assert_same(stage, before);
	stop_service();
	stage_assert_clean(stage);
}

/* The service died of it: there is nobody to be told, and that is no reason to leave the file. */
static void test_a_dead_service_does_not_keep_the_file_bad(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL;
	struct squall *squall;

	start_service(stage, &nginx);
	before = describe();
	squall = start_run(stage, nginx.wrong, "60s");
	await_answer(stage, 500, "in force");
	stop_service();
	assert_int_equal(squall_call(stage, NULL, "stop"), 0);
	squall_assert_exit(squall, 4);
	assert_same(stage, before);
	stage_assert_clean(stage);
}

static void test_a_deployment_in_the_middle_is_kept(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL, *said = NULL, *now = NULL;
	struct squall *squall;
	char *command;

	start_service(stage, &nginx);
	before = describe();
	squall = start_run(stage, nginx.wrong, "60s");
	await_answer(stage, 500, "in force");
	stage_write(stage, "service/new.conf", "deployed\n");
	netlab_run("mv %s/new.conf %s", folder, config);
	squall_assert_exit(squall, 6);
	now = netlab_output("cat %s", config);
	assert_string_equal(now, "deployed\n");
	said = squall_output(squall);
	command = strstr(said, "mv -T ");
	if (!command)
		fail_msg("no command to type in: %s", said);
	command[strcspn(command, "\"")] = '\0';
	printf("# typed: %s\n", command);
	/* in JSON the quotes of a pid file are escaped: the part that moves the file is typed */
	*strstr(command, " && ") = '\0';
	assert_int_equal(system(command), 0);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	assert_same(stage, before);
	assert_int_equal(kill(service_pid(), SIGHUP), 0);
	await_answer(stage, 200, "afterwards");
	stop_service();
	stage_assert_clean(stage);
}

/* `ip netns exec` has given nginx a mount namespace of its own. */
static struct squall *start_run_inside(struct stage *stage)
{
	cleanup_free char *outside = NULL, *inside = NULL;
	struct squall *squall;
	char where[64];

	snprintf(where, sizeof(where), ", namespace: \"pid:%d\"", service_pid());
	squall = start_run_in(stage, nginx.wrong, "60s", where);
	await_answer(stage, 500, "with the wrong configuration mounted");
	outside = netlab_output("cat %s", config);
	inside = netlab_output("nsenter -m -t %d cat %s", service_pid(), config);
	assert_non_null(strstr(outside, nginx.good));
	assert_non_null(strstr(inside, nginx.wrong));
	return squall;
}

static void test_only_one_process_tree_sees_it(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL;
	struct squall *squall;

	start_service(stage, &nginx);
	before = describe();
	squall = start_run_inside(stage);
	assert_int_equal(squall_call(stage, NULL, "stop"), 0);
	squall_assert_exit(squall, 4);
	await_answer(stage, 200, "afterwards");
	assert_same(stage, before);
	stop_service();
	stage_assert_clean(stage);
}

static void test_a_mount_is_undone_when_everybody_was_killed(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL, *inside = NULL;
	struct squall *squall;

	start_service(stage, &nginx);
	before = describe();
	squall = start_run_inside(stage);
	kill_all(squall);
	squall_await_exit(squall);
	assert_still_wrong(stage);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	await_answer(stage, 200, "after squall restore");
	inside = netlab_output("nsenter -m -t %d cat %s", service_pid(), config);
	assert_non_null(strstr(inside, nginx.good));
	assert_same(stage, before);
	stop_service();
	stage_assert_clean(stage);
}

static void test_a_mount_is_undone_by_the_guardian(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL;
	struct squall *squall;

	start_service(stage, &nginx);
	before = describe();
	squall = start_run_inside(stage);
	assert_int_equal(kill(squall->worker, SIGKILL), 0);
	await_answer(stage, 200, "without any command");
	squall_assert_exit(squall, 4);
	assert_same(stage, before);
	stop_service();
	assert_true(process_await_gone(squall->guardian, PATIENCE_MS));
	stage_assert_clean(stage);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, service_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_nginx_reads_the_wrong_one_and_the_good_one_again),
		TEST(test_haproxy_reads_the_wrong_one_and_the_good_one_again),
		TEST(test_nginx_rejects_a_broken_one),
		TEST(test_haproxy_rejects_a_broken_one),
		TEST(test_killed_worker_the_guardian_puts_it_back),
		TEST(test_killed_guardian_the_worker_puts_it_back),
		TEST(test_everybody_killed_restore_puts_it_back_once),
		TEST(test_a_dead_service_does_not_keep_the_file_bad),
		TEST(test_a_deployment_in_the_middle_is_kept),
		TEST(test_only_one_process_tree_sees_it),
		TEST(test_a_mount_is_undone_when_everybody_was_killed),
		TEST(test_a_mount_is_undone_by_the_guardian),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return getenv("SQUALL_MUST_RUN") ? 1 : 77;
	}
	return STAGE_RUN(tests);
}
