/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The halt lever and the journal on full disks. Needs root: mounts in a mount namespace of its own.
 */
#include "tests/netns/command_bench.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/vfs.h>

static void mount_at(const char *path, const char *type, const char *options)
{
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(mount("squall-test", path, type, 0, options), 0);
}

static void fill_up(const char *directory)
{
	static const char zeros[4096];
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/filler", directory);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

/* ---- The lever ---- */

static void test_halt_on_full_disks(void **state)
{
	struct error err = ERROR_INIT;
	struct halt_lever lever;
	bool was_pulled;

	(void)state;
	/* no space: the name alone still does */
	mount_at(state_directory, "tmpfs", "size=64k,mode=755");
	fill_up(state_directory);
	halt_pull("full", &lever);
	assert_int_equal(halt_keep(&lever, 10 * NSEC_PER_SEC, &err), 0);
	assert_true(lever.is_pulled && lever.is_kept);
	assert_non_null(strstr(lever.path, state_directory));
	assert_int_equal(halt_check(&err), -EPERM);
	assert_int_equal(halt_release(&was_pulled, &err), 0);
	assert_int_equal(umount(state_directory), 0);
	/* not even a name: the other place */
	assert_int_equal(mount("squall-test", state_directory, "tmpfs", MS_RDONLY, "mode=755"), 0);
	halt_pull("read-only", &lever);
	assert_true(halt_keep(&lever, 10 * NSEC_PER_SEC, &err) < 0);
	assert_true(lever.is_pulled && !lever.is_kept);
	assert_non_null(strstr(lever.path, root));
	assert_non_null(strstr(err.text, "Read-only file system"));
	assert_int_equal(halt_check(&err), -EPERM);
	assert_non_null(strstr(err.text, "read-only"));
	assert_int_equal(halt_release(&was_pulled, &err), 0);
	assert_int_equal(halt_check(&err), 0);
	assert_int_equal(umount(state_directory), 0);
}

/* ---- The journal ---- */

static struct journal_header plain_header(void)
{
	struct journal_header header = {0};
	struct error err = ERROR_INIT;

	assert_int_equal(journal_new_run_id(run_id, &err), 0);
	fill_header(&header, 0, INT64_MAX);
	return header;
}

static void test_full_disk_refuses_the_run_and_leaves_nothing(void **state)
{
	struct error err = ERROR_INIT;
	struct journal_header header;
	struct journal *journal;
	struct statfs before, after;
	char disk[120], path[128];

	(void)state;
	snprintf(disk, sizeof(disk), "%s/disk", base);
	snprintf(path, sizeof(path), "%s/squall", disk);
	mount_at(disk, "tmpfs", "size=1m,mode=755");
	assert_int_equal(statfs(disk, &before), 0);
	journal_set_root(path);
	header = plain_header();
	assert_int_equal(journal_create(&header, &journal, &err), -ENOSPC);
	assert_non_null(strstr(err.remedy, "free 2048 KiB"));
	assert_int_equal(statfs(disk, &after), 0);
	assert_int_equal(before.f_bfree, after.f_bfree);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(umount(disk), 0);
}

static void test_disk_that_fills_up_later_stops_no_record(void **state)
{
	struct error err = ERROR_INIT;
	struct journal_header header;
	struct journal *journal;
	char disk[120], path[128];
	int sequence = 0;

	(void)state;
	snprintf(disk, sizeof(disk), "%s/disk", base);
	snprintf(path, sizeof(path), "%s/squall", disk);
	mount_at(disk, "tmpfs", "size=3m,mode=755");
	journal_set_root(path);
	header = plain_header();
	assert_int_equal(journal_create(&header, &journal, &err), 0);
	fill_up(disk);
	for (unsigned at = 0; at < JOURNAL_CAPACITY / 2 - 1; at++) {
		sequence = journal_undo(journal, "fake", 0, 1, "/x", 3, &err);
		if (sequence < 0)
			fail_msg("record %u: %s", at, err.text);
	}
	for (; sequence > 1; sequence--)
		assert_int_equal(journal_done(journal, (uint32_t)sequence, &err), 0);
	journal_close(journal);
	assert_int_equal(journal_remove(run_id, &err), 0);
	assert_int_equal(umount(disk), 0);
}

/* ramfs has no fallocate: the space lies beside the journal, and goes with it. */
static void test_file_system_without_fallocate(void **state)
{
	struct error err = ERROR_INIT;
	struct journal_header header;
	struct journal *journal;
	struct stat status;
	char disk[120], path[128], reserve[200];

	(void)state;
	snprintf(disk, sizeof(disk), "%s/disk", base);
	snprintf(path, sizeof(path), "%s/squall", disk);
	mount_at(disk, "ramfs", "mode=755");
	journal_set_root(path);
	header = plain_header();
	assert_int_equal(journal_create(&header, &journal, &err), 0);
	snprintf(reserve, sizeof(reserve), "%s/%s/reserve", path, run_id);
	assert_int_equal(stat(reserve, &status), 0);
	assert_int_equal(status.st_size, JOURNAL_CAPACITY * 512);
	assert_true(journal_undo(journal, "fake", 0, 1, "/x", 3, &err) > 0);
	journal_close(journal);
	assert_int_equal(journal_remove(run_id, &err), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(umount(disk), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_halt_on_full_disks),
		TEST(test_full_disk_refuses_the_run_and_leaves_nothing),
		TEST(test_disk_that_fills_up_later_stops_no_record),
		TEST(test_file_system_without_fallocate),
	};

	if (geteuid() == 0 &&
	    (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)) {
		fprintf(stderr, "no mount namespace of one's own: %s\n", strerror(errno));
		return 1;
	}
	return RUN_AS_ROOT(tests);
}
