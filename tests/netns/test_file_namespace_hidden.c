/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file fault in a mount namespace that cannot be seen whole: what the kernel does not tell, or
 * tells of another boot, is not taken for gone, nor for ours.
 */
#include "tests/netns/file_reader.h"

#include "injector/kernel/mount_namespace.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>

static bool lists_fail; /* of directories, from now on */

struct dirent *readdir(DIR *dir)
{
	static struct dirent *(*real)(DIR *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "readdir");
	if (!lists_fail)
		return real(dir);
	errno = ENOMEM;
	return NULL;
}

static bool lines_fail; /* of lists of mounts */

/* libc's getline(3), in its header */
ssize_t __getdelim(char **line, size_t *size, int delimiter, FILE *stream)
{
	if (!lines_fail)
		return getdelim(line, size, delimiter, stream);
	errno = ENOMEM;
	return -1;
}

static bool others_are_hidden;

int open(const char *path, int flags, ...)
{
	static int (*real)(const char *, int, ...);
	int pid, end = 0;
	va_list list;
	mode_t mode;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "open");
	va_start(list, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
	va_end(list);
	if (!others_are_hidden || sscanf(path, "/proc/%d/ns/mnt%n", &pid, &end) != 1 || !end ||
	    pid == getpid())
		return real(path, flags, mode);
	errno = EACCES;
	return -1;
}

static unsigned entered; /* mount namespaces */

int setns(int fd, int kind)
{
	static int (*real)(int, int);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "setns");
	entered++;
	return real(fd, kind);
}

static const char *boot; /* NULL: it cannot be told */

int journal_boot_id(char out[40], struct error *why)
{
	if (!boot)
		return error_errno(why, EMFILE, "cannot read the identifier of this boot");
	memset(out, 0, 40);
	strcpy(out, boot);
	return 0;
}

static int set_up_hidden(void **state)
{
	lists_fail = others_are_hidden = false;
	boot = "this";
	return set_up_reader(state);
}

static void test_a_list_of_mounts_that_breaks_off_tells_of_nothing_gone(void **state)
{
	char left[1024];

	(void)state;
	plan_and_inject();
	assert_inside("mount --bind /etc/hostname $1", "");
	lines_fail = true;
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	lines_fail = false;
	print_message("%s\n", left);
	assert_non_null(strstr(left, "cannot read the mounts of"));
	assert_inside("umount $1", "");
	undo_cleanly();
	assert_told();
	assert_inside("cat $1", GOOD);
}

static void test_a_namespace_that_cannot_be_looked_for_is_not_gone(void **state)
{
	char left[1024];

	(void)state;
	plan_and_inject();
	lists_fail = true;
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	lists_fail = false;
	print_message("%s\n", left);
	assert_non_null(strstr(left, "cannot look for a mount namespace"));
	undo_cleanly();
	assert_told();
	assert_inside("cat $1", GOOD);
}

/* Without the right to look at any process but our own, nothing tells who lives there. */
static void test_a_namespace_whose_processes_are_hidden_is_not_gone(void **state)
{
	char left[1024];

	(void)state;
	plan_and_inject();
	others_are_hidden = true;
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	others_are_hidden = false;
	print_message("%s\n", left);
	assert_non_null(strstr(left, "cannot look for a mount namespace"));
	undo_cleanly();
	assert_told();
	assert_inside("cat $1", GOOD);
}

static bool lies_in(const char *folder, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return access(path, F_OK) == 0;
}

/* Numbers of namespaces are given again: the one that has it now is somebody else's. */
static void test_a_namespace_of_another_boot_is_gone_and_not_entered(void **state)
{
	char left[1024], folder[128];

	(void)state;
	plan_and_inject();
	snprintf(folder, sizeof(folder), "%s/%s", journal_root_of(env.run_id), env.run_id);
	assert_true(lies_in(folder, "mount-1"));
	boot = "another";
	entered = 0;
	assert_int_equal(verify_all(left, sizeof(left)), 0);
	undo_cleanly();
	undo_cleanly();
	assert_int_equal(entered, 0);
	/* whoever runs now has read the good one */
	assert_int_equal(poll(&(struct pollfd){.fd = told, .events = POLLIN}, 1, 100), 0);
	/* the copy is due no more, and goes with the journal */
	assert_false(lies_in(folder, "mount-1"));
	assert_true(lies_in(folder, "told-1"));
	boot = "this";
	assert_inside("cat $1", "bad\n");
	undo_cleanly();
	assert_true(entered > 0);
	assert_inside("cat $1", GOOD);
	next_run();
	assert_int_equal(access(folder, F_OK), -1);
}

static void *wait_for_ever(void *context)
{
	char done = 'x';

	usleep(100000); /* the first thread has ended by then */
	(void)!write((int)(intptr_t)context, &done, 1);
	for (;;)
		pause();
	return NULL;
}

/* Its threads live on in the namespace, which /proc shows for the process no more. */
static void test_a_process_without_its_first_thread_counts(void **state)
{
	struct namespace_id id;
	int ends[2], fd = -1;
	pid_t child, found = 0;
	char ready, path[64];
	struct stat about;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		pthread_t thread;

		if (unshare(CLONE_NEWNS) == 0 && fstat(ends[1], &about) == 0 &&
		    mount_namespace_identify(-1, &id, NULL) == 0 &&
		    write(ends[1], &id, sizeof(id)) == sizeof(id) &&
		    pthread_create(&thread, NULL, wait_for_ever, (void *)(intptr_t)ends[1]) == 0)
			pthread_exit(NULL);
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &id, sizeof(id)), sizeof(id));
	assert_int_equal(read(ends[0], &ready, 1), 1);
	close(ends[0]);
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", child);
	for (unsigned tries = 0; stat(path, &about) == 0 && tries < 500; tries++)
		usleep(10000); /* its first thread is about to end */
	assert_int_equal(stat(path, &about), -1);
	assert_int_equal(mount_namespace_find(id.inode, &fd, &found, &err), 0);
	assert_true(fd >= 0 && found != child);
	close(fd);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(mount_namespace_find(id.inode, &fd, &found, &err), -ENOENT);
}

static void test_what_boot_it_is_that_cannot_be_told_is_this_one(void **state)
{
	(void)state;
	plan_and_inject();
	boot = NULL;
	undo_cleanly();
	assert_told();
	boot = "this";
	assert_inside("cat $1", GOOD);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_hidden, tear_down_reader)
	const struct CMUnitTest tests[] = {
		TEST(test_a_list_of_mounts_that_breaks_off_tells_of_nothing_gone),
		TEST(test_a_namespace_that_cannot_be_looked_for_is_not_gone),
		TEST(test_a_namespace_whose_processes_are_hidden_is_not_gone),
		TEST(test_a_namespace_of_another_boot_is_gone_and_not_entered),
		TEST(test_a_process_without_its_first_thread_counts),
		TEST(test_what_boot_it_is_that_cannot_be_told_is_this_one),
	};

	return RUN_AS_ROOT(tests);
}
