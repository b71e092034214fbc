/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The journal's file and codec: what is written comes back, whatever is torn is dropped, and
 * whatever is damaged is counted.
 */
#include "tests/support/journal_bench.h"

#include "injector/journal/crc32.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* The file's bytes; caller frees */
static uint8_t *slurp(const char *run_id, size_t *out_size)
{
	char path[128];
	uint8_t *bytes = malloc(1 << 20);
	int fd;
	ssize_t got;

	journal_bench_path(run_id, path, sizeof(path));
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

	journal_bench_path(run_id, path, sizeof(path));
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
	struct journal *journal = journal_bench_run("abc123"), *again;
	struct journal_record *records;
	const struct journal_header *header;
	struct error err = ERROR_INIT;
	struct stat status;
	char path[128];
	unsigned count;

	(void)state;
	assert_int_equal(journal_bench_undo(journal, "network"), 2);
	assert_int_equal(journal_started(journal, 3, "200ms on eth0", 0, &err), 0);
	assert_int_equal(journal_bench_undo(journal, "process"), 4);
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

	snprintf(path, sizeof(path), "%s/abc123", journal_bench.root);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);
	assert_int_equal(stat(journal_bench.root, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0755);
	journal_bench_path("abc123", path, sizeof(path));
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_true(status.st_blocks * 512 >= (blkcnt_t)JOURNAL_CAPACITY * 512);
	assert_int_equal(status.st_size, 6 * 512);
}

static bool is_read_only; /* the file system */

int openat(int directory, const char *path, int flags, ...)
{
	static int (*real)(int, const char *, int, ...);
	va_list list;
	mode_t mode;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "openat");
	va_start(list, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
	va_end(list);
	if (!is_read_only || (flags & O_ACCMODE) == O_RDONLY)
		return real(directory, path, flags, mode);
	errno = EROFS;
	return -1;
}

/* What _FORTIFY_SOURCE makes of it where the flags are no constant */
int __openat_2(int directory, const char *path, int flags);

int __openat_2(int directory, const char *path, int flags)
{
	return openat(directory, path, flags, 0);
}

/* Restore goes on without its marks; that is no damage. */
static void test_a_read_only_file_system_is_told_also_behind_a_torn_record(void **state)
{
	struct journal *journal = journal_bench_run("abc123");
	struct journal_record *records;
	struct error err = ERROR_INIT;
	uint8_t *bytes;
	size_t size;
	unsigned count;

	(void)state;
	assert_int_equal(journal_bench_undo(journal, "network"), 2);
	journal_close(journal);
	bytes = slurp("abc123", &size);
	for (size_t cut = size - 1; cut <= size; cut++) {
		spill("abc123", bytes, cut);
		is_read_only = true;
		assert_int_equal(journal_open("abc123", &journal, &err), 0);
		assert_int_equal(journal_read(journal, &records, &count, &err), 0);
		assert_int_equal(journal_done(journal, 1, &err), -EROFS);
		is_read_only = false;
		free(records);
		journal_close(journal);
	}
	free(bytes);
}

/* Every length of the file that a death in the middle of a write could leave */
static void test_torn_tail_is_dropped_and_overwritten(void **state)
{
	struct journal *journal = journal_bench_run("abc123");
	struct journal_record *records;
	struct error err = ERROR_INIT;
	uint8_t *bytes;
	size_t size;
	unsigned count;

	(void)state;
	assert_int_equal(journal_bench_undo(journal, "network"), 2);
	assert_int_equal(journal_bench_undo(journal, "process"), 3);
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
		assert_int_equal(journal_bench_undo(journal, "again"), cut / 512 + 1);
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

/* A bit flipped in any byte: that record alone is lost, and it is counted, never passed over. */
static void test_every_flipped_byte_is_noticed(void **state)
{
	struct journal *journal = journal_bench_run("abc123");
	struct journal_record *records;
	struct error err = ERROR_INIT;
	uint8_t *bytes;
	size_t size;

	(void)state;
	for (unsigned at = 0; at < 4; at++)
		journal_bench_undo(journal, "network");
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
	struct journal *journal = journal_bench_run("abc123");
	struct journal_record *records;
	struct error err = ERROR_INIT;
	unsigned count, damaged;
	uint8_t *bytes;
	size_t size;

	(void)state;
	journal_bench_undo(journal, "network");
	journal_bench_undo(journal, "process");
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
	struct journal *journal = journal_bench_run("abc123");
	struct journal_record *record;
	struct error err = ERROR_INIT;
	uint8_t *bytes;
	char words[32];
	size_t size;

	(void)state;
	journal_close(journal);
	bytes = slurp("abc123", &size);
	record = (void *)bytes;
	record->version = JOURNAL_VERSION + 1;
	record->crc = crc32_of(record, offsetof(struct journal_record, crc));
	spill("abc123", bytes, size);
	assert_int_equal(journal_open("abc123", &journal, &err), -EPROTONOSUPPORT);
	snprintf(words, sizeof(words), "format %u", JOURNAL_VERSION + 1);
	assert_non_null(strstr(err.text, words));
	assert_int_equal(journal_remove_unborn("abc123", &err), -EPROTONOSUPPORT);
	memset(bytes, 42, 512);
	spill("abc123", bytes, 512);
	free(bytes);
	assert_int_equal(journal_open("abc123", &journal, &err), -EBADMSG);
}

static void test_a_full_journal_keeps_room_for_done(void **state)
{
	struct journal *journal = journal_bench_run("abc123");
	struct error err = ERROR_INIT;
	unsigned undos = 0;

	(void)state;
	/* a header; and each undo record keeps room for the one that ends it */
	for (;; undos++) {
		assert_int_equal(journal_room(journal), JOURNAL_CAPACITY - 1 - 2 * undos);
		if (journal_bench_undo(journal, "network") <= 0)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name)                                                                                 \
	cmocka_unit_test_setup_teardown(name, journal_bench_set_up, journal_bench_tear_down)
		TEST(test_crc_is_the_one_everybody_uses),
		TEST(test_records_come_back_in_order),
		TEST(test_a_read_only_file_system_is_told_also_behind_a_torn_record),
		TEST(test_torn_tail_is_dropped_and_overwritten),
		TEST(test_every_flipped_byte_is_noticed),
		TEST(test_a_record_in_the_wrong_place_is_damage),
		TEST(test_another_version_is_not_guessed_at),
		TEST(test_a_full_journal_keeps_room_for_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
