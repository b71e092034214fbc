/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file fault under a site policy: whom it tells to read the file again is asked about like a
 * process that a fault would kill, when it is planned and whenever a signal is sent.
 */
#include "tests/netns/file_service.h"
#include "tests/support/children.h"

static const char *by_pidfile(const char *signal)
{
	static char text[200];

	snprintf(text, sizeof(text), "reload-signal: %s, reload-pidfile: %s", signal, pidfile);
	return text;
}

static void assert_refused(struct stage *stage, const char *policy, const char *where,
			   const char *reload, const char *expected)
{
	const struct squall_how how = {.policy = policy};
	cleanup_free char *before = describe();

	squall_assert_refused(
		squall_start(stage, &how, "run --json %s",
			     write_experiment(stage, service->wrong, "1s", where, reload)),
		expected);
	assert_same(stage, before);
}

static void test_who_is_protected_is_told_nothing(void **state)
{
	struct stage *stage = *state;
	char text[200];

	start_service(stage, &nginx);
	assert_refused(stage, "version: 1\nprotect: {processes: [nginx]}\n", "", by_pidfile("HUP"),
		       "(nginx) is protected: refused by the site policy");
	assert_refused(stage, "version: 1\nprotect: {processes: [\"/usr/sbin/nginx\"]}\n", "",
		       by_pidfile("TERM"), "(nginx) is protected: refused by the site policy");
	assert_refused(stage, "version: 1\nallow: {units: [orders.service]}\n", "",
		       by_pidfile("HUP"), "(nginx) of ");
	/* of whom a file speaks, with no policy at all */
	stage_write(stage, "service/one", "1\n");
	snprintf(text, sizeof(text), "reload-pidfile: %s/one", folder);
	assert_refused(stage, NULL, "", text, "is pid 1, on which the whole system hangs");
	stop_service();
	stage_assert_clean(stage);
}

static void assert_good(void)
{
	cleanup_free char *text = netlab_output("cat %s", config);

	assert_non_null(strstr(text, service->good));
}

/* Somebody else is in the pid file when the service shall read the good file again. */
static void test_a_pid_file_that_changes_reaches_nobody_who_is_protected(void **state)
{
	static const struct squall_how how = {
		.policy = "version: 1\nprotect: {processes: [\"/*/test_file_policy\"]}\n"};
	struct stage *stage = *state;
	cleanup_free char *before = NULL, *text = NULL;
	pid_t victim;

	start_service(stage, &nginx);
	before = describe();
	victim = child_start(CHILD_SLEEPS, NULL);
	for (unsigned round = 0; round < 2; round++) {
		struct squall *squall =
			squall_start(stage, &how, "run --json %s",
				     write_experiment(stage, nginx.wrong, round ? "1m" : "1s", "",
						      by_pidfile("HUP")));

		squall_await_injected(squall);
		netlab_run("mv %s %s.kept", pidfile, pidfile);
		stage_write(stage, "service/pid", "%d\n", victim);
		if (round == 0) { /* the worker is who must not */
			squall_assert_exit(squall, 6);
			text = squall_output(squall);
			assert_non_null(strstr(text, "(test_file_polic) is protected"));
		} else { /* the guardian, and then a command */
			assert_int_equal(kill(squall->worker, SIGKILL), 0);
			squall_await_exit(squall);
			assert_true(process_await_gone(squall->guardian, PATIENCE_MS));
			assert_int_equal(squall_call(stage, &how, "restore"), 6);
		}
		assert_int_equal(kill(victim, 0), 0);
		assert_good();
		netlab_run("mv %s.kept %s", pidfile, pidfile);
		assert_int_equal(squall_call(stage, &how, "restore"), 0);
		await_answer(stage, 200, "after the restore");
		assert_same(stage, before);
	}
	child_stop(victim);
	stop_service();
	stage_assert_clean(stage);
}

/* Its processes alone see the bad version: then it is about them. */
static void test_who_is_protected_keeps_his_files_in_his_own_mounts(void **state)
{
	struct stage *stage = *state;
	char where[64];
	pid_t alone;

	start_service(stage, &nginx);
	alone = child_start(CHILD_SLEEPS_APART, NULL);
	snprintf(where, sizeof(where), ", namespace: \"pid:%d\"", alone);
	assert_refused(stage, "version: 1\nprotect: {processes: [\"test_file*\"]}\n", where,
		       by_pidfile("HUP"),
		       "(test_file_polic) is protected: refused by the site policy");
	child_stop(alone);
	stop_service();
	stage_assert_clean(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, service_teardown)
		TEST(test_who_is_protected_is_told_nothing),
		TEST(test_a_pid_file_that_changes_reaches_nobody_who_is_protected),
		TEST(test_who_is_protected_keeps_his_files_in_his_own_mounts),
	};

	return STAGE_RUN(tests);
}
