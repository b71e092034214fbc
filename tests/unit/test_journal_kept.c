/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Journals that outlive a reboot: where they lie, what a loss of power leaves of them, and which
 * records are still acted upon on another boot. Runs without root in directories of its own.
 */
#include "tests/support/journal_bench.h"

#include "faults/fault.h"
#include "injector/base/cleanup.h"
#include "injector/journal/crc32.h"
#include "injector/restore/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static unsigned undone_lasting, undone_passing;

/* --- two faults that only count; both are always gone --- */

static int undo_lasting(const struct journal_record *record, struct error *err)
{
	(void)record, (void)err;
	undone_lasting++;
	return 0;
}

static int undo_passing(const struct journal_record *record, struct error *err)
{
	(void)record, (void)err;
	undone_passing++;
	return 0;
}

static const struct fault_ops lasting = {
	.name = "lasting", .outlives_reboot = true, .undo = undo_lasting};
static const struct fault_ops passing = {.name = "passing", .undo = undo_passing};

const struct fault_ops *fault_find(const char *name)
{
	return strcmp(name, "lasting") == 0   ? &lasting
	       : strcmp(name, "passing") == 0 ? &passing
					      : NULL;
}

/* --- runs --- */

static struct journal *make(const char *run_id, bool is_kept, const char *boot_id)
{
	struct journal_header header = {.deadline_ns = 42};
	struct error err = ERROR_INIT;
	struct journal *journal;

	snprintf(header.run_id, sizeof(header.run_id), "%s", run_id);
	snprintf(header.boot_id, sizeof(header.boot_id), "%s", boot_id);
	if ((is_kept ? journal_create_kept : journal_create)(&header, &journal, &err) < 0)
		fail_msg("%s", err.text);
	return journal;
}

static void add(struct journal *journal, const char *owner)
{
	struct error err = ERROR_INIT;

	if (journal_undo(journal, owner, 0, 1, "x", 1, &err) < 0)
		fail_msg("%s", err.text);
}

static const char *path_of(const char *root, const char *run_id)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/%s/journal", root, run_id);
	return path;
}

static void append(const char *run_id, const void *bytes, size_t size)
{
	int fd = open(path_of(journal_bench.kept, run_id), O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

static int set_up(void **state)
{
	undone_lasting = undone_passing = 0;
	return journal_bench_set_up_kept(state);
}

static void expect(const char *run_id, unsigned failed, const char *words)
{
	struct restore_report report = {0};
	struct error err = ERROR_INIT;

	if (restore_run(run_id, &report, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(report.failed, failed);
	if (words && (!report.left_count || !strstr(report.left[0], words)))
		fail_msg("left: %s", report.left_count ? report.left[0] : "nothing");
	restore_report_free(&report);
}

/* --- tests --- */

static void test_both_roots_are_searched(void **state)
{
	cleanup_free char(*ids)[RUN_ID_SIZE] = NULL;
	unsigned count = 0;
	struct error err = ERROR_INIT;

	(void)state;
	journal_close(make("passed", false, ""));
	journal_close(make("lasted", true, ""));
	assert_int_equal(access(path_of(journal_bench.root, "passed"), F_OK), 0);
	assert_int_equal(access(path_of(journal_bench.kept, "lasted"), F_OK), 0);
	assert_false(journal_is_kept("passed"));
	assert_true(journal_is_kept("lasted"));
	assert_int_equal(journal_list(&ids, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_true(journal_exists("passed") && journal_exists("lasted"));
	assert_int_equal(journal_remove("lasted", &err), 0);
	assert_int_equal(journal_remove("passed", &err), 0);
	assert_false(journal_exists("passed") || journal_exists("lasted"));
	assert_int_equal(access(journal_bench.root, F_OK), -1);
	/* what else lies there stays */
	assert_int_equal(access(journal_bench.kept, F_OK), 0);
}

static void test_records_are_synced(void **state)
{
	struct journal *journal = make("synced", true, "");
	char path[64], target[200];
	unsigned synced = 0;

	(void)state;
	for (int fd = 3; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ssize_t length = readlink(path, target, sizeof(target) - 1);

		if (length <= 0)
			continue;
		target[length] = '\0';
		if (strcmp(target, path_of(journal_bench.kept, "synced")) == 0)
			synced += (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
	}
	assert_int_equal(synced, 1);
	journal_close(journal);
	assert_int_equal(journal_open("synced", &journal, NULL), 0);
	journal_close(journal);
}

/* On another boot what belongs to the kernel is gone: only what lasts is undone. */
static void test_another_boot_undoes_what_lasts(void **state)
{
	struct journal *journal = make("otherb", true, "another-boot");

	(void)state;
	add(journal, "passing");
	add(journal, "lasting");
	journal_close(journal);
	expect("otherb", 0, NULL);
	assert_int_equal(undone_lasting, 1);
	assert_int_equal(undone_passing, 0);
	assert_false(journal_exists("otherb"));
}

static void test_this_boot_undoes_all(void **state)
{
	struct journal *journal = make("thisbt", true, "");

	(void)state;
	add(journal, "passing");
	add(journal, "lasting");
	journal_close(journal);
	expect("thisbt", 0, NULL);
	assert_int_equal(undone_lasting, 1);
	assert_int_equal(undone_passing, 1);
}

/* A fault of a newer squall may outlive a reboot: it is not passed over. */
static void test_an_unknown_fault_is_told_on_any_boot(void **state)
{
	struct journal *journal = make("newone", true, "another-boot");

	(void)state;
	add(journal, "invented");
	add(journal, "lasting");
	journal_close(journal);
	expect("newone", 1, "'invented' that this version of squall does not know");
	assert_int_equal(undone_lasting, 1);
	assert_true(journal_exists("newone"));
	expect("newone", 1, "'invented'");
	assert_int_equal(undone_lasting, 1); /* done is done */
}

static void test_a_newer_format_is_not_touched(void **state)
{
	struct journal *journal = make("newfmt", true, "another-boot");
	struct journal_record record;
	char words[64];
	int fd;

	(void)state;
	add(journal, "lasting");
	journal_close(journal);
	fd = open(path_of(journal_bench.kept, "newfmt"), O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &record, sizeof(record), 0), sizeof(record));
	record.version = JOURNAL_VERSION + 1;
	record.crc = crc32_of(&record, offsetof(struct journal_record, crc));
	assert_int_equal(pwrite(fd, &record, sizeof(record), 0), sizeof(record));
	close(fd);
	snprintf(words, sizeof(words), "format %u, this squall reads format %u",
		 JOURNAL_VERSION + 1, JOURNAL_VERSION);
	expect("newfmt", 1, words);
	assert_int_equal(undone_lasting, 0);
	assert_true(journal_exists("newfmt"));
}

/* The size of a file may be on the disk before its content is. */
static void test_zeros_at_the_end_were_never_written(void **state)
{
	static const struct journal_record zeros[3];
	struct journal *journal = make("zeroed", true, "");
	cleanup_free struct journal_record *records = NULL;
	struct error err = ERROR_INIT;
	struct stat status;
	unsigned count;

	(void)state;
	add(journal, "lasting");
	journal_close(journal);
	append("zeroed", zeros, sizeof(zeros) - 100);
	assert_int_equal(journal_open("zeroed", &journal, &err), 0);
	assert_int_equal(journal_damaged(journal), 0);
	/* and what is written next lies where they were */
	assert_int_equal(journal_done(journal, 2, &err), 0);
	assert_int_equal(journal_read(journal, &records, &count, &err), 0);
	assert_int_equal(count, 3);
	assert_false(journal_is_open(records, count, 1));
	assert_int_equal(stat(path_of(journal_bench.kept, "zeroed"), &status), 0);
	assert_int_equal(status.st_size, 3 * sizeof(struct journal_record));
	journal_close(journal);
}

static void test_damage_in_the_middle_is_told(void **state)
{
	struct journal_record noise;
	struct journal *journal = make("broken", true, "another-boot");

	(void)state;
	add(journal, "lasting");
	journal_close(journal);
	memset(&noise, 0x5a, sizeof(noise));
	append("broken", &noise, sizeof(noise));
	expect("broken", 1, "1 record of its journal is damaged");
	assert_int_equal(undone_lasting, 1);
	assert_true(journal_exists("broken"));
}

static void test_long_texts_are_kept_beside(void **state)
{
	struct journal *journal = make("beside", true, "");
	struct error err = ERROR_INIT;
	char out[16];

	(void)state;
	assert_int_equal(journal_keep(journal, "file-1", "0123456789", 10, &err), 0);
	assert_int_equal(journal_keep(journal, "file-1", "x", 1, &err), -EEXIST);
	assert_int_equal(journal_keep(journal, "../file", "x", 1, &err), -EINVAL);
	assert_int_equal(journal_keep(journal, "journal", "x", 1, &err), -EINVAL);
	assert_int_equal(journal_kept("beside", "file-1", out, sizeof(out), &err), 10);
	assert_memory_equal(out, "0123456789", 10);
	assert_int_equal(journal_kept("beside", "file-1", out, 9, &err), -EFBIG);
	assert_int_equal(journal_kept("beside", "file-2", out, sizeof(out), &err), -ENOENT);
	journal_close(journal);
	assert_int_equal(journal_remove("beside", &err), 0);
	assert_false(journal_exists("beside"));
}

/* A world-writable root is distrusted where a run lies in it, and nowhere else. */
static void test_distrust_is_for_the_runs_in_it(void **state)
{
	cleanup_free char(*ids)[RUN_ID_SIZE] = NULL;
	unsigned count = 0;
	struct journal *journal = make("untrus", true, "");
	struct error err = ERROR_INIT;

	(void)state;
	add(journal, "lasting");
	journal_close(journal);
	journal_close(make("passed", false, ""));
	assert_int_equal(chmod(journal_bench.kept, 0777), 0);
	assert_int_equal(journal_list(&ids, &count, &err), 0);
	assert_int_equal(count, 2);
	expect("passed", 0, NULL);
	expect("untrus", 1, "is not trusted");
	assert_int_equal(undone_lasting, 0);
	assert_false(journal_exists("nobody"));
	assert_int_equal(chmod(journal_bench.kept, 0755), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, journal_bench_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_both_roots_are_searched),
		TEST(test_records_are_synced),
		TEST(test_another_boot_undoes_what_lasts),
		TEST(test_this_boot_undoes_all),
		TEST(test_an_unknown_fault_is_told_on_any_boot),
		TEST(test_a_newer_format_is_not_touched),
		TEST(test_zeros_at_the_end_were_never_written),
		TEST(test_damage_in_the_middle_is_told),
		TEST(test_long_texts_are_kept_beside),
		TEST(test_distrust_is_for_the_runs_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
