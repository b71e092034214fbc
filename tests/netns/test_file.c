/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file fault by itself: each way to go bad, the exact original afterwards, and what is refused.
 */
#include "tests/netns/file_bench.h"

/* --- what comes back --- */

static void test_the_original_comes_back_exactly(void **state)
{
	const struct timespec old[2] = {{.tv_sec = 1300000000}, {.tv_sec = 1200000000}};
	char before[2048], after[2048], folder[2048], folder_after[2048];
	struct stat good, bad;
	ssize_t attributes;

	(void)state;
	dress(file);
	attributes = llistxattr(file, NULL, 0);
	assert_int_equal(utimensat(AT_FDCWD, base, old, 0), 0);
	describe(file, before, sizeof(before));
	describe(base, folder, sizeof(folder));
	assert_int_equal(lstat(file, &good), 0);
	assert_int_equal(PLAN(file, "pattern=^workers [0-9]+$", "with=workers none"), 0);
	assert_string_equal(read_file(file), GOOD);
	utimensat(AT_FDCWD, file, (struct timespec[]){good.st_atim, {.tv_nsec = UTIME_OMIT}}, 0);
	inject();
	assert_string_equal(read_file(file), "listen 80\nworkers none\n");
	/* but for its content and times it looks like the good one */
	assert_int_equal(lstat(file, &bad), 0);
	assert_int_not_equal(bad.st_ino, good.st_ino);
	assert_int_equal(bad.st_mode, good.st_mode);
	assert_int_equal(bad.st_uid, 1234);
	assert_int_equal(bad.st_gid, 2345);
	assert_int_equal(llistxattr(file, NULL, 0), attributes);
	undo_cleanly();
	describe(file, after, sizeof(after));
	assert_string_equal(after, before);
	describe(base, folder_after, sizeof(folder_after));
	assert_string_equal(folder_after, folder);
	assert_int_equal(count_names(), 1);
	assert_string_equal(read_file(file), GOOD);
}

static void test_undo_twice_is_a_noop(void **state)
{
	char before[2048], after[2048];

	(void)state;
	assert_int_equal(PLAN(file, "truncate=5B"), 0);
	inject();
	assert_string_equal(read_file(file), "liste");
	undo_cleanly();
	describe(file, before, sizeof(before));
	/* what is deployed later is not touched by another restore */
	undo_cleanly();
	describe(file, after, sizeof(after));
	assert_string_equal(after, before);
	write_file(file, "new\n");
	undo_cleanly();
	assert_string_equal(read_file(file), "new\n");
}

static void test_each_way_to_go_bad(void **state)
{
	char other[96];
	struct stat status;

	(void)state;
	snprintf(other, sizeof(other), "%s/bad.conf", base);
	write_file(other, "other\n");
	assert_int_equal(PLAN(file, "content=one", "content=", "content=\ttwo"), 0);
	inject();
	assert_string_equal(read_file(file), "one\n\n\ttwo\n");
	next_run();
	{
		char word[128];

		snprintf(word, sizeof(word), "content-from=%s", other);
		assert_int_equal(PLAN(file, word), 0);
	}
	inject();
	assert_string_equal(read_file(file), "other\n");
	next_run();
	assert_int_equal(PLAN(file, "corrupt-bytes=3", "seed=5"), 0);
	inject();
	assert_int_equal(strlen(read_file(file)) <= strlen(GOOD), 1);
	assert_string_not_equal(read_file(file), GOOD);
	next_run();
	assert_int_equal(PLAN(file, "oversize=1MiB", "mode=0000", "owner=77", "group=88"), 0);
	inject();
	assert_int_equal(stat(file, &status), 0);
	assert_int_equal(status.st_size, 1 << 20);
	assert_int_equal(status.st_mode & 07777, 0);
	assert_int_equal(status.st_uid, 77);
	assert_int_equal(status.st_gid, 88);
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
}

/* The bad version of a file of 1000 bytes; the number of bytes that differ. */
static unsigned corrupt(const char *how, const char *seed, char out[1000])
{
	char good[1001];
	unsigned differ = 0;
	FILE *in;

	memset(good, 'g', 1000);
	good[1000] = '\0';
	write_file(file, good);
	assert_int_equal(PLAN(file, how, seed), 0);
	inject();
	in = fopen(file, "re");
	assert_non_null(in);
	assert_int_equal(fread(out, 1, 1000, in), 1000);
	assert_int_equal(fgetc(in), EOF);
	fclose(in);
	for (unsigned at = 0; at < 1000; at++)
		differ += out[at] != good[at];
	undo_cleanly();
	assert_string_equal(read_file(file), good);
	next_run();
	return differ;
}

static void test_as_many_bytes_are_corrupt_as_asked_for_and_the_same_for_a_seed(void **state)
{
	static char first[1000], again[1000], other[1000];

	(void)state;
	assert_int_equal(corrupt("corrupt-bytes=3", "seed=5", first), 3);
	assert_int_equal(corrupt("corrupt-bytes=3", "seed=5", again), 3);
	assert_memory_equal(first, again, 1000);
	assert_int_equal(corrupt("corrupt-bytes=3", "seed=6", other), 3);
	assert_memory_not_equal(first, other, 1000);
	assert_int_equal(corrupt("corrupt=10%", "seed=5", first), 100);
	assert_int_equal(corrupt("corrupt=10%", "seed=5", again), 100);
	assert_memory_equal(first, again, 1000);
	assert_int_equal(corrupt("corrupt=100%", "seed=5", again), 1000);
	assert_int_equal(PLAN(file, "corrupt=10%"), 0);
}

/* What the user may not read does not become readable by way of a copy. */
static void test_content_is_read_as_the_calling_user(void **state)
{
	char secret[96], word[128];

	(void)state;
	assert_int_equal(chmod(base, 0755), 0);
	snprintf(secret, sizeof(secret), "%s/secret", base);
	write_file(secret, "secret\n");
	assert_int_equal(chmod(secret, 0600), 0);
	snprintf(word, sizeof(word), "content-from=%s", secret);
	env.invoking_uid = 65534;
	assert_int_equal(PLAN(file, word), -EACCES);
	assert_non_null(strstr(err.text, "as user 65534"));
	drop_fault();
	assert_int_equal(chmod(secret, 0644), 0);
	assert_int_equal(PLAN(file, word), 0);
	env.invoking_uid = 0;
	/* and the process is root again */
	assert_int_equal(chmod(secret, 0600), 0);
	assert_string_equal(read_file(secret), "secret\n");
}

/* --- refusals --- */

static void refuse(const char *path, const char *word, int code, const char *words)
{
	int result = PLAN(path, word);

	if (result != code || !strstr(err.text, words))
		fail_msg("%s %s: %d %s", path, word, result, err.text);
	drop_fault();
}

static void test_what_is_no_plain_file_is_refused(void **state)
{
	char link_path[96], folder_link[96], through[128], pipe_path[96];

	(void)state;
	snprintf(link_path, sizeof(link_path), "%s/link", base);
	snprintf(folder_link, sizeof(folder_link), "%s-link", base);
	snprintf(through, sizeof(through), "%s/app.conf", folder_link);
	snprintf(pipe_path, sizeof(pipe_path), "%s/pipe", base);
	assert_int_equal(symlink(file, link_path), 0);
	assert_int_equal(symlink(base, folder_link), 0);
	assert_int_equal(mkfifo(pipe_path, 0600), 0);
	refuse(link_path, "content=x", -ELOOP, "symbolic link");
	refuse(through, "content=x", -ELOOP, "symbolic link");
	assert_int_equal(unlink(folder_link), 0);
	refuse(base, "content=x", -EINVAL, "is a directory");
	refuse(pipe_path, "content=x", -EINVAL, "is a pipe");
	refuse("/dev/null", "content=x", -EPERM, "never touched");
	refuse("/proc/sys/kernel/hostname", "content=x", -EPERM, "never touched");
	refuse("/var/lib/squall/x", "allow-critical=true", -EPERM, "never touched");
	refuse("/etc/passwd", "content=x", -EPERM, "may hang on");
	refuse("/etc/ssh/sshd_config", "content=x", -EPERM, "may hang on");
	refuse("/home/x/.ssh/authorized_keys", "content=x", -EPERM, "may hang on");
	refuse("/etc/../etc/passwd", "content=x", -EINVAL, "plain one");
	refuse("/nonexistent/app.conf", "content=x", -ENOENT, "cannot open the directory");
	snprintf(through, sizeof(through), "%s/missing", base);
	refuse(through, "content=x", -ENOENT, "there is no file");
	assert_int_equal(PLAN(file, "content=x"), 0);
}

static void test_a_protected_file_is_refused(void **state)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), flags = 0;

	(void)state;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0) {
		print_message("no flags on this file system\n");
	} else {
		flags |= FS_IMMUTABLE_FL;
		assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
		refuse(file, "content=x", -EPERM, "immutable");
		flags &= ~FS_IMMUTABLE_FL;
		assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
	}
	close(fd);
	assert_int_equal(mount(file, file, NULL, MS_BIND, NULL), 0);
	refuse(file, "content=x", -EBUSY, "is a mount of its own");
	assert_int_equal(umount(file), 0);
	/* what is told to be typed is one word, or nothing */
	snprintf(file, sizeof(file), "%s/a;b.conf", base);
	write_file(file, GOOD);
	assert_int_equal(mount(file, file, NULL, MS_BIND, NULL), 0);
	refuse(file, "content=x", -EBUSY, "is a mount of its own");
	assert_non_null(strstr(err.remedy, "(findmnt '/tmp/"));
	assert_non_null(strstr(err.remedy, "/a;b.conf')"));
	assert_int_equal(umount(file), 0);
	assert_int_equal(PLAN(file, "content=x"), 0);
}

static void test_another_name_of_the_file_stays_good(void **state)
{
	char other[96];

	(void)state;
	snprintf(other, sizeof(other), "%s/other-name", base);
	assert_int_equal(link(file, other), 0);
	assert_int_equal(PLAN(file, "content=bad"), 0);
	assert_non_null(strstr(plan_text, "it has 2 names: only this one is affected"));
	inject();
	assert_string_equal(read_file(other), GOOD);
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
	assert_int_equal(count_names(), 2);
}

static void test_a_long_path_is_kept_beside_the_journal(void **state)
{
	char path[1200], name[201];

	(void)state;
	memset(name, 'd', 200);
	name[200] = '\0';
	strcpy(path, base);
	for (unsigned i = 0; i < 4; i++) {
		sprintf(path + strlen(path), "/%s", name);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	sprintf(path + strlen(path), "/%.190s.conf", name);
	write_file(path, GOOD);
	/* a value of an experiment is at most PARAM_TEXT_MAX long: the parts below it are asked */
	{
		cleanup_free struct file_swap *swap = calloc(1, sizeof(*swap));
		struct file_place place = FILE_PLACE_INIT;
		struct file_content content = {.bytes = strdup("bad\n"), .size = 4, .grow_to = 4};
		cleanup_fd int fd = -1, copy = -1;

		content.mode = 0644;
		memcpy(swap->record.run_id, env.run_id, RUN_ID_SIZE);
		swap->record.boot_crc = file_boot_crc();
		swap->path = swap->text;
		swap->reload_by = stpcpy(swap->text, path) + 1;
		swap->record.text_size = (uint32_t)strlen(path) + 2;
		assert_int_equal(file_place_open(path, &place, &err), 0);
		swap->record.directory = place.directory_id;
		assert_int_equal(
			file_place_open_file(&place, true, &fd, &swap->record.original, &err), 0);
		if (file_swap_inject(swap, &place, fd, &content, env.journal, &copy, &err) < 0)
			fail_msg("%s", err.text);
		assert_int_equal(swap->record.is_beside, 1);
		assert_string_equal(read_file(path), "bad\n");
		file_place_close(&place);
		file_content_free(&content);
	}
	undo_cleanly();
	assert_string_equal(read_file(path), GOOD);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_the_original_comes_back_exactly),
		TEST(test_undo_twice_is_a_noop),
		TEST(test_each_way_to_go_bad),
		TEST(test_as_many_bytes_are_corrupt_as_asked_for_and_the_same_for_a_seed),
		TEST(test_content_is_read_as_the_calling_user),
		TEST(test_what_is_no_plain_file_is_refused),
		TEST(test_a_protected_file_is_refused),
		TEST(test_another_name_of_the_file_stays_good),
		TEST(test_a_long_path_is_kept_beside_the_journal),
	};

	return RUN_AS_ROOT(tests);
}
