/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who makes room among the results takes nothing from a run that goes on, however long it does and
 * whatever it is just about.
 */
#include "injector/run/result_file.h"

#include "injector/base/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define RESULTS "/var/lib/squall/results"
#define RACES	3000

static void path_of(const char *name, char out[80])
{
	snprintf(out, 80, RESULTS "/%s.json", name);
}

static bool is_there(const char *name)
{
	char path[80];

	path_of(name, path);
	return access(path, F_OK) == 0;
}

static void make_old(const char *name, time_t age_s)
{
	const struct timespec times[2] = {{.tv_sec = time(NULL) - age_s},
					  {.tv_sec = time(NULL) - age_s}};
	char path[80];

	path_of(name, path);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static unsigned count_results(void)
{
	cleanup_dir DIR *dir = opendir(RESULTS);
	const struct dirent *entry;
	unsigned count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	return count;
}

static void test_a_long_run_keeps_its_room(void **state)
{
	int live = result_file_open("live00", 0, NULL);

	(void)state;
	assert_true(live >= 0);
	make_old("live00", 700000);
	for (unsigned i = 0; i < RESULT_FILES_KEPT + 3; i++) {
		char name[16];
		int fd;

		snprintf(name, sizeof(name), "r%05u", i);
		fd = result_file_open(name, 0, NULL);
		assert_int_equal(write(fd, "{}", 2), 2);
		close(fd);
		make_old(name, 1000 - i);
	}
	result_files_prune();
	assert_true(is_there("live00"));
	assert_false(is_there("r00000"));
	assert_false(is_there("r00002"));
	assert_true(is_there("r00003"));
	assert_int_equal(count_results(), RESULT_FILES_KEPT + 1);
	close(live); /* it was killed */
	result_files_prune();
	assert_false(is_there("live00"));
	assert_int_equal(count_results(), RESULT_FILES_KEPT);
}

static atomic_bool is_over;

static void *prune(void *context)
{
	(void)context;
	while (!is_over)
		result_files_prune();
	return NULL;
}

/* Each that was made is there, whoever makes room in the meantime. */
static void test_room_is_made_while_one_begins(void **state)
{
	pthread_t others[2];

	(void)state;
	is_over = false;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&others[i], NULL, prune, NULL), 0);
	for (unsigned i = 0; i < RACES; i++) {
		char name[16];
		int fd;

		snprintf(name, sizeof(name), "n%05u", i);
		fd = result_file_open(name, 0, NULL);
		assert_true(fd >= 0);
		usleep(50);
		if (!is_there(name))
			fail_msg("number %u of %u is gone", i, RACES);
		result_file_remove(name);
		close(fd);
	}
	is_over = true;
	for (unsigned i = 0; i < 2; i++)
		pthread_join(others[i], NULL);
}

static int clear(void **state)
{
	cleanup_dir DIR *dir = opendir(RESULTS);
	const struct dirent *entry;

	(void)state;
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, clear, clear)
	const struct CMUnitTest tests[] = {
		TEST(test_a_long_run_keeps_its_room),
		TEST(test_room_is_made_while_one_begins),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return getenv("SQUALL_MUST_RUN") ? 1 : 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
