/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The journal's file and codec: what is written comes back, whatever is torn is dropped, whatever
 * is damaged is counted, and nothing untrustworthy is read. Runs without root in a directory of its
 * own.
 */
#include "injector/base/cleanup.h"
#include "injector/journal/crc32.h"
#include "injector/journal/directory.h"
#include "injector/journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static char base[64], root[80];

static struct journal_header header_of(const char *run_id)
{
	struct journal_header header = {.deadline_ns = 42, .worker = {.pid = 1, .start_time = 7}};

	snprintf(header.run_id, sizeof(header.run_id), "%s", run_id);
	snprintf(header.boot_id, sizeof(header.boot_id), "some-boot");
	snprintf(header.title, sizeof(header.title), "a title");
	return header;
}

static struct journal *create(const char *run_id)
{
	struct journal_header header = header_of(run_id);
	struct journal *journal;
	struct error err = ERROR_INIT;

	if (journal_create(&header, &journal, &err) < 0)
		fail_msg("%s", err.text);
	return journal;
}

static int undo_record(struct journal *journal, const char *owner)
{
	struct error err = ERROR_INIT;

	return journal_undo(journal, owner, 3, 9, "payload", 8, &err);
}

static void path_of(const char *run_id, char *out, size_t size)
{
	snprintf(out, size, "%s/%s/journal", root, run_id);
}

/* The file's bytes; caller frees */
static uint8_t *slurp(const char *run_id, size_t *out_size)
{
	char path[128];
	uint8_t *bytes = malloc(1 << 20);
	int fd;
	ssize_t got;

	path_of(run_id, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	got = read(fd, bytes, 1 << 20);
	assert_true(got >= 0);
	close(fd);
	*out_size = (size_t)got;
	return bytes;
}

static void spill(const char *run_id, const void *bytes, size_t size)
{
	char path[128];
	int fd;

	path_of(run_id, path, sizeof(path));
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

static void test_crc_is_the_one_everybody_uses(void **state)
{
	(void)state;
	assert_int_equal(crc32_of("123456789", 9), 0xcbf43926);
}

static void test_records_come_back_in_order(void **state)
{
	struct journal *journal = create("abc123"), *again;
	struct journal_record *records;
	const struct journal_header *header;
	struct error err = ERROR_INIT;
	struct stat status;
	char path[128];
	unsigned count;

	(void)state;
	assert_int_equal(undo_record(journal, "network"), 2);
	assert_int_equal(journal_started(journal, 3, "200ms on eth0", 0, &err), 0);
	assert_int_equal(undo_record(journal, "process"), 4);
	assert_int_equal(journal_done(journal, 2, &err), 0);
	assert_int_equal(journal_ended(journal, 3, &err), 0);
	journal_close(journal);

	assert_int_equal(journal_open("abc123", &again, &err), 0);
	assert_int_equal(journal_read(again, &records, &count, &err), 0);
	assert_int_equal(count, 6);
	assert_int_equal(journal_damaged(again), 0);
	header = journal_header(records, count);
	assert_string_equal(header->title, "a title");
	assert_int_equal(header->deadline_ns, 42);
	assert_string_equal((char *)records[2].payload, "200ms on eth0");
	assert_string_equal(records[3].owner, "process");
	assert_memory_equal(records[3].payload, "payload", 8);
	assert_false(journal_is_open(records, count, 1));
	assert_false(journal_is_open(records, count, 2));
	assert_true(journal_is_open(records, count, 3));
	free(records);
	journal_close(again);

	snprintf(path, sizeof(path), "%s/abc123", root);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);
	assert_int_equal(stat(root, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0755);
	path_of("abc123", path, sizeof(path));
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_true(status.st_blocks * 512 >= (blkcnt_t)JOURNAL_CAPACITY * 512);
	assert_int_equal(status.st_size, 6 * 512);
}

static void test_remove_is_idempotent_and_takes_the_root_with_it(void **state)
{
	struct error err = ERROR_INIT;
	struct stat status;

	(void)state;
	journal_close(create("abc123"));
	journal_close(create("abc124"));
	assert_int_equal(journal_remove("abc123", &err), 0);
	assert_int_equal(stat(root, &status), 0);
	assert_int_equal(journal_remove("abc123", &err), 0);
	assert_int_equal(journal_remove("abc124", &err), 0);
	assert_int_equal(stat(root, &status), -1);
	assert_int_equal(journal_remove("abc124", &err), 0);
}

static void test_list_knows_only_runs(void **state)
{
	char(*ids)[RUN_ID_SIZE], path[128];
	struct error err = ERROR_INIT;
	unsigned count;

	(void)state;
	assert_int_equal(journal_list(&ids, &count, &err), 0);
	assert_int_equal(count, 0);
	free(ids);
	for (unsigned at = 0; at < 40; at++) {
		char id[RUN_ID_SIZE];

		snprintf(id, sizeof(id), "zz%04u", at);
		journal_close(create(id));
	}
	snprintf(path, sizeof(path), "%s/not-a-run", root);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(journal_list(&ids, &count, &err), 0);
	assert_int_equal(count, 40);
	free(ids);
}

static void test_new_run_ids_differ_and_are_valid(void **state)
{
	char one[RUN_ID_SIZE], other[RUN_ID_SIZE];
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(journal_new_run_id(one, &err), 0);
	assert_int_equal(journal_new_run_id(other, &err), 0);
	assert_string_not_equal(one, other);
	assert_int_equal(strlen(one), 6);
	journal_close(create(one));
}

static void test_a_second_run_of_the_same_name_is_refused(void **state)
{
	struct journal_header header = header_of("abc123");
	struct journal *journal = create("abc123"), *other;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(journal_create(&header, &other, &err), -EEXIST);
	assert_true(journal_exists("abc123"));
	assert_true(undo_record(journal, "network") > 0);
	journal_close(journal);
}

static void test_names_that_leave_the_root_are_refused(void **state)
{
	static const char *const names[] = {"../../", "",	"abc12", "abc1234",
					    "ABC123", "a/b/c1", "......"};
	struct journal *journal;
	struct error err = ERROR_INIT;

	(void)state;
	journal_close(create("abc123"));
	for (unsigned at = 0; at < sizeof(names) / sizeof(*names); at++)
		assert_int_equal(journal_open(names[at], &journal, &err), -EINVAL);
}

/* Every length of the file that a death in the middle of a write could leave */
static void test_torn_tail_is_dropped_and_overwritten(void **state)
{
	struct journal *journal = create("abc123");
	struct journal_record *records;
	struct error err = ERROR_INIT;
	uint8_t *bytes;
	size_t size;
	unsigned count;

	(void)state;
	assert_int_equal(undo_record(journal, "network"), 2);
	assert_int_equal(undo_record(journal, "process"), 3);
	journal_close(journal);
	bytes = slurp("abc123", &size);
	assert_int_equal(size, 3 * 512);
	for (size_t cut = 512; cut < size; cut++) {
		spill("abc123", bytes, cut);
		assert_int_equal(journal_open("abc123", &journal, &err), 0);
		assert_int_equal(journal_read(journal, &records, &count, &err), 0);
		assert_int_equal(count, cut / 512);
		assert_int_equal(journal_damaged(journal), 0);
		free(records);
		assert_int_equal(undo_record(journal, "again"), cut / 512 + 1);
		journal_close(journal);
		assert_int_equal(journal_open("abc123", &journal, &err), 0);
		assert_int_equal(journal_read(journal, &records, &count, &err), 0);
		assert_int_equal(count, cut / 512 + 1);
		assert_int_equal(journal_damaged(journal), 0);
		assert_string_equal(records[count - 1].owner, "again");
		free(records);
		journal_close(journal);
	}
	for (size_t cut = 0; cut < 512; cut++) {
		spill("abc123", bytes, cut);
		assert_int_equal(journal_open("abc123", &journal, &err), -ENODATA);
	}
	free(bytes);
	assert_int_equal(journal_remove_unborn("abc123", &err), 1);
	assert_int_equal(journal_remove_unborn("abc123", &err), 0);
	assert_false(journal_exists("abc123"));
}

static void test_a_begun_run_is_never_removed_as_unborn(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	journal_close(create("abc123"));
	assert_int_equal(journal_remove_unborn("abc123", &err), -EBUSY);
	assert_true(journal_exists("abc123"));
}

/* A bit flipped in any byte: that record alone is lost, and it is counted, never passed over. */
static void test_every_flipped_byte_is_noticed(void **state)
{
	struct journal *journal = create("abc123");
	struct journal_record *records;
	struct error err = ERROR_INIT;
	uint8_t *bytes;
	size_t size;

	(void)state;
	for (unsigned at = 0; at < 4; at++)
		undo_record(journal, "network");
	journal_close(journal);
	bytes = slurp("abc123", &size);
	records = malloc(size);
	for (size_t at = 0; at < size * 8; at++) {
		unsigned count = 0, damaged = 0;
		int result;

		memcpy(records, bytes, size);
		((uint8_t *)records)[at / 8] ^= (uint8_t)(1 << at % 8);
		result = journal_parse(records, size, &count, &damaged, &err);
		if (at / 8 < 512) {
			assert_true(result == -EBADMSG || result == -EPROTONOSUPPORT);
			continue;
		}
		assert_int_equal(result, 0);
		assert_int_equal(count, 4);
		assert_int_equal(damaged, 1);
		for (unsigned i = 0; i < count; i++)
			assert_int_not_equal(records[i].sequence, at / 8 / 512 + 1);
	}
	free(records);
	free(bytes);
}

static void test_a_record_in_the_wrong_place_is_damage(void **state)
{
	struct journal *journal = create("abc123");
	struct journal_record *records;
	struct error err = ERROR_INIT;
	unsigned count, damaged;
	uint8_t *bytes;
	size_t size;

	(void)state;
	undo_record(journal, "network");
	undo_record(journal, "process");
	journal_close(journal);
	bytes = slurp("abc123", &size);
	memcpy(bytes + 1024, bytes + 512, 512);
	records = (void *)bytes;
	assert_int_equal(journal_parse(records, size, &count, &damaged, &err), 0);
	assert_int_equal(count, 2);
	assert_int_equal(damaged, 1);
	free(bytes);
}

static void test_another_version_is_not_guessed_at(void **state)
{
	struct journal *journal = create("abc123");
	struct journal_record *record;
	struct error err = ERROR_INIT;
	uint8_t *bytes;
	size_t size;

	(void)state;
	journal_close(journal);
	bytes = slurp("abc123", &size);
	record = (void *)bytes;
	record->version = 2;
	record->crc = crc32_of(record, offsetof(struct journal_record, crc));
	spill("abc123", bytes, size);
	assert_int_equal(journal_open("abc123", &journal, &err), -EPROTONOSUPPORT);
	assert_non_null(strstr(err.text, "format 2"));
	assert_int_equal(journal_remove_unborn("abc123", &err), -EPROTONOSUPPORT);
	memset(bytes, 42, 512);
	spill("abc123", bytes, 512);
	free(bytes);
	assert_int_equal(journal_open("abc123", &journal, &err), -EBADMSG);
}

static void test_a_full_journal_keeps_room_for_done(void **state)
{
	struct journal *journal = create("abc123");
	struct error err = ERROR_INIT;
	unsigned undos = 0;

	(void)state;
	/* a header; and each undo record keeps room for the one that ends it */
	for (;; undos++) {
		assert_int_equal(journal_room(journal), JOURNAL_CAPACITY - 1 - 2 * undos);
		if (undo_record(journal, "network") <= 0)
			break;
	}
	assert_true(journal_room(journal) < 2);
	assert_true(undos >= JOURNAL_CAPACITY / 2 - 1);
	assert_true(undos < JOURNAL_CAPACITY);
	assert_int_equal(journal_undo(journal, "network", 0, 0, NULL, 0, &err), -ENOSPC);
	assert_true(err.remedy[0]);
	for (unsigned at = 0; at < undos; at++)
		assert_int_equal(journal_done(journal, at + 2, &err), 0);
	journal_close(journal);
	assert_int_equal(journal_open("abc123", &journal, &err), 0);
	journal_close(journal);
}

static void expect_distrust(const char *what)
{
	struct journal *journal;
	struct error err = ERROR_INIT;

	if (journal_open("abc123", &journal, &err) != -DIRECTORY_DISTRUSTED)
		fail_msg("%s: trusted (%s)", what, err.text);
	assert_non_null(strstr(err.text, "not trusted"));
}

static void test_what_others_may_write_is_not_trusted(void **state)
{
	char run[128], file[128], other[160], link_path[160];

	(void)state;
	journal_close(create("abc123"));
	snprintf(run, sizeof(run), "%s/abc123", root);
	path_of("abc123", file, sizeof(file));
	snprintf(other, sizeof(other), "%s/elsewhere", base);
	snprintf(link_path, sizeof(link_path), "%s/second-name", base);

	assert_int_equal(chmod(root, 0775), 0);
	expect_distrust("root writable by its group");
	assert_int_equal(chmod(root, 01777), 0);
	expect_distrust("root sticky, but writable by all");
	assert_int_equal(chmod(root, 0755), 0);
	assert_int_equal(chmod(run, 0702), 0);
	expect_distrust("run writable by all");
	assert_int_equal(chmod(run, 0700), 0);
	assert_int_equal(chmod(file, 0660), 0);
	expect_distrust("journal writable by its group");
	assert_int_equal(chmod(file, 0600), 0);
	assert_int_equal(link(file, link_path), 0);
	expect_distrust("journal with a second name");
	assert_int_equal(unlink(link_path), 0);

	assert_int_equal(rename(run, other), 0);
	assert_int_equal(symlink(other, run), 0);
	expect_distrust("run is a symbolic link");
	assert_int_equal(unlink(run), 0);
	assert_int_equal(rename(other, run), 0);

	assert_int_equal(rename(root, other), 0);
	assert_int_equal(symlink(other, root), 0);
	expect_distrust("root is a symbolic link");
	assert_int_equal(unlink(root), 0);
	assert_int_equal(rename(other, root), 0);
}

static void test_a_symbolic_link_in_place_of_the_journal_is_refused(void **state)
{
	char file[128], other[160];
	struct journal *journal;
	struct error err = ERROR_INIT;

	(void)state;
	journal_close(create("abc123"));
	path_of("abc123", file, sizeof(file));
	snprintf(other, sizeof(other), "%s/elsewhere", base);
	assert_int_equal(rename(file, other), 0);
	assert_int_equal(symlink(other, file), 0);
	assert_int_equal(journal_open("abc123", &journal, &err), -ELOOP);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(mkfifo(file, 0600), 0);
	assert_int_equal(journal_open("abc123", &journal, &err), -DIRECTORY_DISTRUSTED);
}

static void test_only_one_at_a_time_holds_the_lock(void **state)
{
	struct error err = ERROR_INIT;
	int one, other;

	(void)state;
	journal_close(create("abc123"));
	assert_int_equal(journal_lock("abc123", 0, &one, &err), 0);
	assert_int_equal(journal_lock("abc123", 20000000, &other, &err), -EBUSY);
	close(one);
	assert_int_equal(journal_lock("abc123", 0, &other, &err), 0);
	close(other);
	assert_int_equal(journal_remove("abc123", &err), 0);
	assert_int_equal(journal_lock("abc123", 0, &other, &err), -ENOENT);
}

/* Runs made and ended by many at once: the root comes and goes, nobody fails. */
static void test_runs_made_and_removed_at_once(void **state)
{
	pid_t children[4];

	(void)state;
	for (unsigned at = 0; at < 4; at++) {
		children[at] = fork();
		if (children[at] == 0) {
			struct error err = ERROR_INIT;
			struct journal_header header;
			struct journal *journal;
			char id[RUN_ID_SIZE];
			int bad = 0;

			for (unsigned round = 0; round < 100 && !bad; round++) {
				snprintf(id, sizeof(id), "r%u%04u", at, round);
				header = header_of(id);
				bad = journal_create(&header, &journal, &err) < 0;
				if (bad)
					break;
				journal_close(journal);
				bad = journal_remove(id, &err) < 0;
			}
			if (bad)
				fprintf(stderr, "%s\n", err.text);
			_exit(bad);
		}
	}
	for (unsigned at = 0; at < 4; at++) {
		int status;

		assert_int_equal(waitpid(children[at], &status, 0), children[at]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(access(root, F_OK), -1);
}

static int remove_tree(const char *path)
{
	cleanup_dir DIR *stream = opendir(path);
	const struct dirent *entry;
	char child[400];

	while (stream && (entry = readdir(stream))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
		if (unlink(child) < 0)
			remove_tree(child);
	}
	return rmdir(path);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(base, sizeof(base), "/tmp/squall-journal-XXXXXX");
	if (!mkdtemp(base))
		return -1;
	snprintf(root, sizeof(root), "%s/root", base);
	journal_set_root(root);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return remove_tree(base);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_crc_is_the_one_everybody_uses),
		TEST(test_records_come_back_in_order),
		TEST(test_remove_is_idempotent_and_takes_the_root_with_it),
		TEST(test_list_knows_only_runs),
		TEST(test_new_run_ids_differ_and_are_valid),
		TEST(test_a_second_run_of_the_same_name_is_refused),
		TEST(test_names_that_leave_the_root_are_refused),
		TEST(test_torn_tail_is_dropped_and_overwritten),
		TEST(test_a_begun_run_is_never_removed_as_unborn),
		TEST(test_every_flipped_byte_is_noticed),
		TEST(test_a_record_in_the_wrong_place_is_damage),
		TEST(test_another_version_is_not_guessed_at),
		TEST(test_a_full_journal_keeps_room_for_done),
		TEST(test_what_others_may_write_is_not_trusted),
		TEST(test_a_symbolic_link_in_place_of_the_journal_is_refused),
		TEST(test_only_one_at_a_time_holds_the_lock),
		TEST(test_runs_made_and_removed_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
