/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file fault where the file system does not answer: what cannot be looked at is neither gone
 * nor settled, and what was done is on the disk before it counts.
 */
#include "tests/netns/file_bench.h"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *fails; /* the name in the directory that cannot be looked at */
static int fails_with;
static int attributes_fail_with;

static bool is_failing(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return fails && path && strcmp(slash ? slash + 1 : path, fails) == 0;
}

int statx(int directory, const char *path, int flags, unsigned mask, struct statx *out)
{
	static int (*real)(int, const char *, int, unsigned, struct statx *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "statx");
	if (!is_failing(path))
		return real(directory, path, flags, mask, out);
	errno = fails_with;
	return -1;
}

ssize_t llistxattr(const char *path, char *list, size_t size)
{
	static ssize_t (*real)(const char *, char *, size_t);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "llistxattr");
	if (!attributes_fail_with)
		return real(path, list, size);
	errno = attributes_fail_with;
	return -1;
}

static char left[1024], copy[128], copy_name[64];

static int set_up_names(void **state)
{
	fails = NULL;
	attributes_fail_with = 0;
	set_up(state);
	snprintf(copy_name, sizeof(copy_name), ".app.conf.squall-%.6s-1", env.run_id);
	snprintf(copy, sizeof(copy), "%s/%s", base, copy_name);
	return 0;
}

static void plan_and_inject(void)
{
	if (PLAN(file, "content=bad") < 0)
		fail_msg("%s", err.text);
	inject();
	assert_string_equal(read_file(file), "bad\n");
}

static void assert_left(const char *words)
{
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	print_message("%s\n", left);
	if (!strstr(left, words))
		fail_msg("it does not say: %s", words);
}

/* --- looking --- */

static void test_what_cannot_be_looked_at_is_not_settled(void **state)
{
	static const int codes[] = {EIO, ENOMEM, ETIMEDOUT, ESTALE};
	const char *names[] = {"app.conf", copy_name};

	(void)state;
	plan_and_inject();
	for (unsigned i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		for (unsigned k = 0; k < 2; k++) {
			fails = names[k];
			fails_with = codes[i];
			assert_left("cannot look at ");
			assert_non_null(strstr(left, strerror(codes[i])));
			assert_string_equal(read_file(file), "bad\n");
			assert_string_equal(err.remedy, ""); /* "run: squall restore" */
		}
	fails = NULL;
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
	assert_int_equal(count_names(), 1);
}

/* The original is back, and whether a copy is beside it is not known. */
static void test_a_copy_that_cannot_be_looked_at_is_not_gone(void **state)
{
	char theirs[96];

	(void)state;
	plan_and_inject();
	assert_int_equal(renameat2(AT_FDCWD, file, AT_FDCWD, copy, RENAME_EXCHANGE), 0);
	fails = copy_name;
	fails_with = EIO;
	assert_left("cannot look at ");
	/* nor beside one of somebody else's */
	snprintf(theirs, sizeof(theirs), "%s/theirs", base);
	write_file(theirs, "theirs\n");
	assert_int_equal(rename(theirs, file), 0);
	assert_left("cannot look at ");
	fails = NULL;
	undo_cleanly();
	assert_string_equal(read_file(file), "theirs\n");
	assert_int_equal(count_names(), 1);
}

static void test_a_half_made_copy_that_cannot_be_looked_at_is_not_gone(void **state)
{
	(void)state;
	exchange_life = DIE_BEFORE;
	if (PLAN(file, "content=bad") < 0)
		fail_msg("%s", err.text);
	if (fork() == 0) {
		file_fault.inject(&fault, &err);
		_exit(1);
	}
	wait(NULL);
	exchange_life = LIVE;
	for (unsigned i = 0; i < 2; i++) {
		fails = i ? "app.conf" : copy_name;
		fails_with = EIO;
		assert_left("cannot look at ");
	}
	fails = NULL;
	undo_cleanly();
	assert_int_equal(count_names(), 1);
}

static void test_a_name_that_cannot_be_looked_at_is_not_taken(void **state)
{
	(void)state;
	if (PLAN(file, "content=bad") < 0)
		fail_msg("%s", err.text);
	fails = copy_name;
	fails_with = EIO;
	assert_int_equal(file_fault.inject(&fault, &err), -EIO);
	fails = NULL;
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
	assert_int_equal(count_names(), 1);
}

/* An edit could show there alone. */
static void test_attributes_that_cannot_be_read_this_time_are_not_unchanged(void **state)
{
	(void)state;
	plan_and_inject();
	attributes_fail_with = EIO;
	assert_left("cannot look at ");
	assert_string_equal(read_file(file), "bad\n");
	/* nobody can read them here */
	attributes_fail_with = EOPNOTSUPP;
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
}

static void test_who_looks_while_it_lasts_is_told_nothing_wrong(void **state)
{
	struct evidence evidence = {0};

	(void)state;
	plan_and_inject();
	fails = copy_name;
	fails_with = EIO;
	assert_int_equal(file_fault.evidence(&fault, &evidence, &err), -EIO);
	fails = NULL;
	assert_int_equal(file_fault.evidence(&fault, &evidence, &err), 0);
	undo_cleanly();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_names, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_what_cannot_be_looked_at_is_not_settled),
		TEST(test_a_copy_that_cannot_be_looked_at_is_not_gone),
		TEST(test_a_half_made_copy_that_cannot_be_looked_at_is_not_gone),
		TEST(test_a_name_that_cannot_be_looked_at_is_not_taken),
		TEST(test_attributes_that_cannot_be_read_this_time_are_not_unchanged),
		TEST(test_who_looks_while_it_lasts_is_told_nothing_wrong),
	};

	return RUN_AS_ROOT(tests);
}
