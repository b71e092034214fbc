/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file fault where the file system does not answer: what cannot be looked at is neither gone
 * nor settled, and what was done is on the disk before it counts.
 */
#include "tests/netns/file_bench.h"

#include "faults/file_seat.h"

#include <dlfcn.h>
#include <sys/stat.h>
#include <sys/statfs.h>
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

/* --- what was changed last, and what is on the disk --- */

static unsigned unlinks, renames, unsynced;
static bool syncs_fail;

int unlinkat(int directory, const char *path, int flags)
{
	static int (*real)(int, const char *, int);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "unlinkat");
	unlinks++;
	unsynced++;
	return real(directory, path, flags);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	static int (*real)(int, const char *, int, const char *, unsigned);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "renameat2");
	renames++;
	unsynced++;
	return real(from, old, to, new, flags);
}

int fsync(int fd)
{
	static int (*real)(int);
	struct stat status;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fsync");
	if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
		if (syncs_fail) {
			errno = EIO;
			return -1;
		}
		unsynced = 0;
	}
	return real(fd);
}

static bool streams_fail; /* for want of memory */

FILE *fdopen(int fd, const char *mode)
{
	static FILE *(*real)(int, const char *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fdopen");
	if (!streams_fail)
		return real(fd, mode);
	errno = ENOMEM;
	return NULL;
}

static bool dies_half_way; /* in the middle of making the copy */

int fchown(int fd, uid_t uid, gid_t gid)
{
	static int (*real)(int, uid_t, gid_t);

	if (dies_half_way)
		_exit(9);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fchown");
	return real(fd, uid, gid);
}

/* --- a file system --- */

static long kind_of_system; /* 0: as it is */

int fstatfs(int fd, struct statfs *out)
{
	static int (*real)(int, struct statfs *);
	int result;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fstatfs");
	result = real(fd, out);
	if (result == 0 && kind_of_system)
		out->f_type = kind_of_system;
	return result;
}

static char left[1024], copy[128], copy_name[64];

static void name_copy(void)
{
	snprintf(copy_name, sizeof(copy_name), ".app.conf.squall-%.6s-1", env.run_id);
	snprintf(copy, sizeof(copy), "%s/%s", base, copy_name);
}

static int set_up_names(void **state)
{
	fails = NULL;
	attributes_fail_with = 0;
	syncs_fail = false;
	kind_of_system = 0;
	set_up(state);
	name_copy();
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

static void die_half_way(void)
{
	int status;

	if (PLAN(file, "content=bad") < 0)
		fail_msg("%s", err.text);
	if (fork() == 0) {
		dies_half_way = true;
		file_fault.inject(&fault, &err);
		_exit(1);
	}
	wait(&status);
	assert_int_equal(WEXITSTATUS(status), 9);
	assert_int_equal(access(copy, F_OK), 0);
}

static void test_a_half_made_copy_that_cannot_be_looked_at_is_not_gone(void **state)
{
	(void)state;
	die_half_way();
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

/* --- losing power --- */

static void undo_counted(void)
{
	unlinks = renames = unsynced = 0;
	undo_cleanly();
	assert_int_not_equal(unlinks + renames, 0);
	assert_int_equal(unsynced, 0);
}

static void test_what_was_removed_is_on_the_disk_before_it_counts(void **state)
{
	(void)state;
	plan_and_inject();
	undo_counted();
	next_run();
	name_copy();
	die_half_way();
	undo_counted();
}

static void test_what_is_beside_a_replaced_file_is_removed_on_the_disk(void **state)
{
	char theirs[96];

	(void)state;
	plan_and_inject();
	assert_int_equal(renameat2(AT_FDCWD, file, AT_FDCWD, copy, RENAME_EXCHANGE), 0);
	snprintf(theirs, sizeof(theirs), "%s/theirs", base);
	write_file(theirs, "theirs\n");
	assert_int_equal(rename(theirs, file), 0);
	undo_counted();
	assert_int_equal(count_names(), 1);
}

static void test_what_cannot_be_written_to_the_disk_is_not_done(void **state)
{
	(void)state;
	plan_and_inject();
	syncs_fail = true;
	assert_left("is restored, what follows is not: rm -f ");
	assert_int_equal(unlink(copy), 0);
	assert_left("cannot write the directory of ");
	syncs_fail = false;
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
}

/* --- where files cannot be recognized --- */

static void test_a_file_system_that_makes_up_its_numbers_is_refused(void **state)
{
	static const long kinds[] = {0x4d44, 0x2011bab0}; /* statfs(2): MSDOS, EXFAT */

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		kind_of_system = kinds[i];
		assert_int_equal(PLAN(file, "content=bad"), -EOPNOTSUPP);
		assert_non_null(strstr(err.text, "/app.conf lies on a FAT file system"));
		assert_non_null(strstr(err.remedy, "`namespace`"));
		drop_fault();
	}
	kind_of_system = 0;
	assert_int_equal(PLAN(file, "content=bad"), 0);
}

/* Both were copied, for example by a backup that was played back: none is ours any more. */
static void test_what_is_not_recognized_is_never_settled(void **state)
{
	char theirs[96], moved[96];

	(void)state;
	plan_and_inject();
	snprintf(theirs, sizeof(theirs), "%s/theirs", base);
	snprintf(moved, sizeof(moved), "%s/moved", base);
	write_file(theirs, GOOD);
	assert_int_equal(rename(theirs, copy), 0);
	write_file(theirs, "bad\n");
	assert_int_equal(rename(theirs, file), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_left("app.conf was replaced or removed by somebody: ");
		assert_non_null(strstr(left, "beside it is not recognized and is left alone; see "
					     "whether it is the original"));
		assert_non_null(strstr(left, copy_name));
		assert_null(strstr(left, "rm "));
		assert_string_equal(read_file(copy), GOOD);
		if (i == 0)
			assert_int_equal(unlink(file), 0);
	}
	assert_int_equal(rename(copy, moved), 0);
	undo_cleanly();
	assert_string_equal(read_file(moved), GOOD);
}

static void test_a_half_made_copy_beside_a_replaced_file_is_told(void **state)
{
	char theirs[96];

	(void)state;
	die_half_way();
	snprintf(theirs, sizeof(theirs), "%s/theirs", base);
	write_file(theirs, "theirs\n");
	assert_int_equal(rename(theirs, file), 0);
	assert_left("was not exchanged, but a copy is left beside it: rm -f ");
	assert_int_equal(unlink(file), 0);
	assert_left("was not exchanged, but a copy is left beside it: rm -f ");
	assert_int_equal(access(copy, F_OK), 0);
	assert_int_equal(system(strstr(left, "rm -f ")), 0);
	undo_cleanly();
	assert_int_equal(count_names(), 0);
}

static unsigned count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static int visit_nobody(void *context, struct file_seat *seat, int found, struct error *why)
{
	(void)seat;
	(void)found;
	(void)why;
	++*(unsigned *)context;
	return 0;
}

static void test_mounts_that_cannot_be_read_leave_nothing_open(void **state)
{
	const struct file_swap swap = {.record.run_id = "nobody"};
	unsigned visited = 0, before = count_descriptors();

	(void)state;
	streams_fail = true;
	assert_int_equal(file_seat_each_copy(&swap, visit_nobody, &visited, NULL), 0);
	streams_fail = false;
	assert_int_equal(visited, 0);
	assert_int_equal(count_descriptors(), before);
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
		TEST(test_what_was_removed_is_on_the_disk_before_it_counts),
		TEST(test_what_is_beside_a_replaced_file_is_removed_on_the_disk),
		TEST(test_what_cannot_be_written_to_the_disk_is_not_done),
		TEST(test_a_file_system_that_makes_up_its_numbers_is_refused),
		TEST(test_what_is_not_recognized_is_never_settled),
		TEST(test_a_half_made_copy_beside_a_replaced_file_is_told),
		TEST(test_mounts_that_cannot_be_read_leave_nothing_open),
	};

	return RUN_AS_ROOT(tests);
}
