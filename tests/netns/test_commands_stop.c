/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall stop against live and dead runs of the fake worker.
 */
#include "tests/netns/command_bench.h"

#include "injector/restore/stop.h"

static const struct orders deaf = {.deadline_after_ns = 60 * NSEC_PER_SEC, .is_deaf = true};

static void test_stop_ends_the_only_run(void **state)
{
	struct running running = start(&obedient);
	struct error err = ERROR_INIT;
	char out[4096];

	(void)state;
	assert_int_equal(COMMAND(cli_stop), 0);
	assert_non_null(strstr(out, "stopped, everything restored"));
	assert_int_equal(effects_in_force(), 0);
	assert_false(journal_exists(run_id));
	assert_int_equal(reap(&running), 0); /* it left by itself */
}

static void test_stop_of_a_worker_without_manners(void **state)
{
	struct running running = start(&ordinary); /* dies of SIGTERM */
	struct error err = ERROR_INIT;
	char out[4096];

	(void)state;
	assert_int_equal(COMMAND(cli_stop, run_id), 0);
	assert_int_equal(effects_in_force(), 0);
	reap(&running);
}

static void test_stop_kills_what_does_not_obey(void **state)
{
	struct running running = start(&deaf);
	struct restore_report report = {0};
	struct error err = ERROR_INIT;
	struct stop stop;
	int status;

	(void)state;
	assert_int_equal(stop_begin(run_id, &stop, &err), 0);
	assert_int_equal(stop_finish(&stop, 300 * NSEC_PER_MSEC, &report, &err), 0);
	assert_true(stop.was_killed);
	assert_true(stop.took_ns >= 300 * NSEC_PER_MSEC);
	assert_int_equal(report.failed, 0);
	assert_int_equal(effects_in_force(), 0);
	assert_false(journal_exists(run_id));
	status = reap(&running);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_stop_names_the_runs_when_there_are_several(void **state)
{
	struct error err = ERROR_INIT;
	struct running one, other;
	char first[RUN_ID_SIZE], out[4096];

	(void)state;
	assert_int_equal(COMMAND(cli_stop), -ENOENT);
	one = start(&obedient);
	memcpy(first, run_id, sizeof(first));
	other = start(&obedient);
	assert_int_equal(COMMAND(cli_stop), -ENOTUNIQ);
	assert_non_null(strstr(err.text, first));
	assert_non_null(strstr(err.text, run_id));
	assert_int_equal(COMMAND(cli_stop, first), 0);
	assert_true(journal_exists(run_id)); /* each removes only its own */
	assert_int_equal(COMMAND(cli_stop, run_id), 0);
	assert_int_equal(COMMAND(cli_stop, WORD("zzzzzz")), -ENOENT);
	assert_int_equal(COMMAND(cli_stop, WORD("../etc")), -EINVAL);
	reap(&one);
	reap(&other);
}

/* The number in the header belongs to another process by now: it must not be touched. */
static void test_stop_never_signals_a_stranger(void **state)
{
	struct journal_header header = {.deadline_ns = INT64_MAX};
	struct error err = ERROR_INIT;
	struct journal *journal;
	pid_t stranger = fork();
	char out[4096];

	(void)state;
	if (stranger == 0)
		for (;;)
			pause();
	assert_int_equal(journal_new_run_id(run_id, &err), 0);
	fill_header(&header, 0, INT64_MAX);
	assert_int_equal(proc_identity(stranger, &header.worker), 0);
	header.worker.start_time--;
	assert_int_equal(journal_create(&header, &journal, &err), 0);
	assert_int_equal(inject(journal, 0), 0);
	journal_close(journal);
	assert_int_equal(COMMAND(cli_stop, run_id), 0);
	assert_int_equal(effects_in_force(), 0); /* a dead run is finished all the same */
	assert_int_equal(waitpid(stranger, NULL, WNOHANG), 0);
	kill(stranger, SIGKILL);
	waitpid(stranger, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_stop_ends_the_only_run),
		TEST(test_stop_of_a_worker_without_manners),
		TEST(test_stop_kills_what_does_not_obey),
		TEST(test_stop_names_the_runs_when_there_are_several),
		TEST(test_stop_never_signals_a_stranger),
	};

	return RUN_AS_ROOT(tests);
}
