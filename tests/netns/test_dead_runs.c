/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is found of runs that are dead: of another boot or version, damaged, of a fault that nobody
 * knows, not yet begun, just beginning, not yet quite dead. With the fake fault of fake_worker.h.
 * Needs root.
 */
#include "injector/journal/crc32.h"
#include "tests/support/children.h"
#include "tests/support/fake_worker.h"

#include <poll.h>
#include <sys/stat.h>

/* A dead run without a guardian whose journal file is then changed by `change` */
static void dead_run_with(void (*change)(int fd))
{
	const struct orders orders = {.deadline_after_ns = 60 * NSEC_PER_SEC,
				      .without_guardian = true};
	struct running running = start(&orders);
	char path[128];
	int fd;

	kill(running.worker, SIGKILL);
	reap(&running);
	snprintf(path, sizeof(path), "%s/%s/journal", root, run_id);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	change(fd);
	close(fd);
}

static void change_record(int fd, unsigned at, void (*change)(struct journal_record *record))
{
	struct journal_record record;

	assert_int_equal(pread(fd, &record, sizeof(record), at * 512), sizeof(record));
	change(&record);
	record.crc = crc32_of(&record, offsetof(struct journal_record, crc));
	assert_int_equal(pwrite(fd, &record, sizeof(record), at * 512), sizeof(record));
}

static void other_boot(struct journal_record *record)
{
	struct journal_header header;

	memcpy(&header, record->payload, sizeof(header));
	header.boot_id[0] ^= 1;
	memcpy(record->payload, &header, sizeof(header));
}

static void change_boot(int fd)
{
	change_record(fd, 0, other_boot);
}

static void test_run_of_another_boot_is_tidied_up(void **state)
{
	struct restore_report report;

	(void)state;
	dead_run_with(change_boot);
	report = restore_dead();
	assert_int_equal(report.undone, 0);
	assert_int_equal(report.failed, 0);
	assert_int_equal(undo_calls(), 0);
	assert_int_equal(report.did_count, 1);
	assert_non_null(strstr(report.did[0], "restarted"));
	assert_false(journal_exists(run_id));
	restore_report_free(&report);
}

static void other_version(struct journal_record *record)
{
	record->version++;
}

static void change_version(int fd)
{
	change_record(fd, 0, other_version);
}

static void test_run_of_another_version_is_reported_and_kept(void **state)
{
	struct restore_report report;

	(void)state;
	dead_run_with(change_version);
	report = restore_dead();
	assert_int_equal(report.undone, 0);
	assert_int_equal(report.failed, 1);
	assert_int_equal(undo_calls(), 0);
	assert_non_null(strstr(report.left[0], "format 2"));
	assert_non_null(strstr(report.left[0], "rm -r"));
	assert_true(journal_exists(run_id));
	restore_report_free(&report);
}

static void other_owner(struct journal_record *record)
{
	strcpy(record->owner, "from-later");
}

static void change_owner(int fd)
{
	change_record(fd, 3, other_owner);
}

static void test_record_of_an_unknown_fault_is_reported_and_kept(void **state)
{
	struct restore_report report;

	(void)state;
	dead_run_with(change_owner);
	report = restore_dead();
	assert_int_equal(report.undone, EFFECTS - 1);
	assert_int_equal(report.failed, 1);
	assert_non_null(strstr(report.left[0], "from-later"));
	assert_true(journal_exists(run_id));
	restore_report_free(&report);
}

static void flip_a_bit(int fd)
{
	assert_int_equal(pwrite(fd, "X", 1, 3 * 512 + 100), 1);
}

static void test_damaged_record_is_reported_and_the_rest_undone(void **state)
{
	struct restore_report report;

	(void)state;
	dead_run_with(flip_a_bit);
	report = restore_dead();
	assert_int_equal(report.undone, EFFECTS - 1);
	assert_int_equal(report.failed, 1);
	assert_non_null(strstr(report.left[0], "damaged"));
	assert_int_equal(effects_in_force(), 1);
	assert_true(journal_exists(run_id));
	restore_report_free(&report);
}

static void empty_it(int fd)
{
	assert_int_equal(ftruncate(fd, 100), 0);
}

static void test_unborn_run_is_tidied_up(void **state)
{
	struct restore_report report;

	(void)state;
	dead_run_with(empty_it);
	report = restore_dead();
	assert_int_equal(report.failed, 0);
	assert_int_equal(report.did_count, 1);
	assert_false(journal_exists(run_id));
	restore_report_free(&report);
}

/* Somebody looks for dead runs while this one is made: its header is written when he has seen that
 * there is none, and before he has the lock. */
static void test_run_that_begins_meanwhile_is_left_alone(void **state)
{
	struct journal_header header = {.deadline_ns = clock_now_ns() + 10 * NSEC_PER_SEC};
	struct error err = ERROR_INIT;
	struct journal *journal;
	char path[300], bytes[512];
	int status, fd, lock;
	pid_t other;

	(void)state;
	memcpy(header.run_id, run_id, RUN_ID_SIZE);
	assert_int_equal(proc_identity(getpid(), &header.worker), 0);
	assert_int_equal(journal_create(&header, &journal, &err), 0);
	journal_close(journal);
	snprintf(path, sizeof(path), "%s/%s/journal", journal_root(), run_id);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	empty_it(fd);
	assert_int_equal(journal_lock(run_id, 0, &lock, &err), 0);
	other = fork();
	if (other == 0) {
		struct restore_report report = {0};

		close(lock);
		_exit(restore_dead_runs(&report, &err) < 0 || report.failed || report.did_count);
	}
	poll(NULL, 0, 200);
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	close(lock);
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_int_equal(status, 0);
	assert_true(journal_exists(run_id));
	assert_int_equal(journal_remove(run_id, &err), 0);
	close(fd);
}

/* The more it has, the longer it dies. */
static bool take_memory(void *context)
{
	const size_t memory = 192UL << 20;
	char *much = malloc(memory);

	(void)context;
	if (much)
		memset(much, 1, memory);
	return much;
}

/* The kernel takes its time to end a process: it must not be taken for a live one meanwhile. */
static void test_dying_worker_is_not_live(void **state)
{
	struct journal_header header = {0};
	struct error err = ERROR_INIT;
	struct restore_report report;
	struct journal *journal;
	int status;
	pid_t worker;

	(void)state;
	worker = child_start_ready(take_memory, NULL);
	assert_int_equal(journal_new_run_id(run_id, &err), 0);
	fill_header(&header, 0, INT64_MAX);
	assert_int_equal(proc_identity(worker, &header.worker), 0);
	assert_int_equal(journal_create(&header, &journal, &err), 0);
	assert_int_equal(inject(journal, 0), 0);
	journal_close(journal);
	report = restore_dead();
	assert_int_equal(report.undone, 0); /* live */
	restore_report_free(&report);
	kill(worker, SIGKILL);
	report = restore_dead();
	assert_int_equal(report.undone, 1);
	assert_false(journal_exists(run_id));
	restore_report_free(&report);
	assert_int_equal(waitpid(worker, &status, 0), worker);
}

/* Its guardian was killed, and so is it, though that does not show yet; or it ends by itself. */
static void test_lone_worker_is_waited_for(void **state)
{
	struct journal_header header = {0};
	struct error err = ERROR_INIT;
	struct restore_report report;
	struct journal *journal;
	pid_t worker, guardian;
	int status;

	(void)state;
	guardian = fork();
	if (guardian == 0)
		for (;;)
			pause();
	worker = fork();
	if (worker == 0) {
		sleep_ms(500);
		_exit(0);
	}
	assert_int_equal(journal_new_run_id(run_id, &err), 0);
	fill_header(&header, guardian, INT64_MAX);
	assert_int_equal(proc_identity(worker, &header.worker), 0);
	kill(guardian, SIGKILL);
	assert_int_equal(waitpid(guardian, &status, 0), guardian);
	assert_int_equal(journal_create(&header, &journal, &err), 0);
	assert_int_equal(inject(journal, 0), 0);
	journal_close(journal);
	report = restore_dead();
	assert_int_equal(report.undone, 1);
	assert_int_equal(report.failed, 0);
	assert_false(journal_exists(run_id));
	restore_report_free(&report);
	assert_int_equal(waitpid(worker, &status, 0), worker);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_run_of_another_boot_is_tidied_up),
		TEST(test_run_of_another_version_is_reported_and_kept),
		TEST(test_record_of_an_unknown_fault_is_reported_and_kept),
		TEST(test_damaged_record_is_reported_and_the_rest_undone),
		TEST(test_unborn_run_is_tidied_up),
		TEST(test_run_that_begins_meanwhile_is_left_alone),
		TEST(test_dying_worker_is_not_live),
		TEST(test_lone_worker_is_waited_for),
	};

	return RUN_AS_ROOT(tests);
}
