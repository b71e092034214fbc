/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A worker that was killed and hangs in the kernel, as its guardian sees it, and whoever restores
 * when that is dead. With the fake fault of fake_worker.h. Needs root.
 */
#include "tests/support/fake_worker.h"
#include "tests/support/frozen_disk.h"
#include "tests/support/squall_runner.h"

/* Killed at its deadline, it does not go: undone under it, but as long as what it is at may still
 * be done the journal stays, and the guardian. */
static void test_hanging_worker_is_undone_and_waited_for(void **state)
{
	char disk[96], file[128], why[160];
	const struct orders orders = {
		.deadline_after_ns = NSEC_PER_SEC, .obeys = true, .makes = file};
	struct running running;

	(void)state;
	snprintf(disk, sizeof(disk), "%s/disk", base);
	snprintf(file, sizeof(file), "%s/new", disk);
	if (!frozen_disk_make(disk, why, sizeof(why)))
		stage_skip(why);
	running = start(&orders);
	frozen_disk_freeze(disk);
	kill(running.worker, SIGTERM);
	assert_true(frozen_disk_await_sleep(running.worker));
	for (unsigned i = 0; i < 400 && effects_in_force(); i++)
		sleep_ms(50);
	assert_int_equal(effects_in_force(), 0);
	sleep_ms(3000); /* all its attempts */
	assert_true(journal_exists(run_id));
	assert_false(proc_pidfd_has_exited(running.guardian_death));
	frozen_disk_thaw();
	hit(0, 0, 5000);
	reap(&running);
	frozen_disk_remove(disk);
}

/* Killed, but it does not go, and its guardian is dead: what it has done is undone under it. The
 * journal stays: what it is at in the kernel may still be done. */
static void test_hanging_worker_is_told_and_its_journal_kept(void **state)
{
	struct journal_header header = {0};
	struct error err = ERROR_INIT;
	struct restore_report report;
	struct journal *journal;
	char disk[96], file[128], why[160];
	pid_t worker;
	int status;

	(void)state;
	snprintf(disk, sizeof(disk), "%s/disk", base);
	snprintf(file, sizeof(file), "%s/new", disk);
	if (!frozen_disk_make(disk, why, sizeof(why)))
		stage_skip(why);
	frozen_disk_freeze(disk);
	worker = fork();
	if (worker == 0)
		_exit(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0);
	assert_true(frozen_disk_await_sleep(worker));
	assert_int_equal(journal_new_run_id(run_id, &err), 0);
	fill_header(&header, 0, INT64_MAX);
	assert_int_equal(proc_identity(worker, &header.worker), 0);
	assert_int_equal(journal_create(&header, &journal, &err), 0);
	assert_int_equal(inject(journal, 0), 0);
	journal_close(journal);
	kill(worker, SIGKILL);
	for (unsigned i = 0; i < 2; i++) {
		report = restore_dead();
		assert_int_equal(report.undone, i == 0);
		assert_int_equal(report.failed, 1);
		assert_non_null(strstr(report.left[0], "was killed, but hangs in the kernel; when "
						       "it has gone, run: squall restore"));
		assert_int_equal(effects_in_force(), 0);
		assert_true(journal_exists(run_id));
		restore_report_free(&report);
	}
	frozen_disk_remove(disk);
	assert_int_equal(waitpid(worker, &status, 0), worker);
	report = restore_dead();
	assert_int_equal(report.failed, 0);
	assert_false(journal_exists(run_id));
	restore_report_free(&report);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_hanging_worker_is_undone_and_waited_for),
		TEST(test_hanging_worker_is_told_and_its_journal_kept),
	};

	return RUN_AS_ROOT(tests);
}
