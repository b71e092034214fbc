/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file fault in a mount namespace: who reads the file is told once more before the record
 * is settled, also after a death in between; and a mount that was covered is not taken for gone.
 */
#include "tests/netns/file_bench.h"

#include "injector/kernel/mount_namespace.h"

#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

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

static pid_t reader;
static int told;
static char pidfile[96];

/* A process with mounts of its own that says on a pipe when it is told. */
static int set_up_reader(void **state)
{
	char number[16];
	int ends[2];

	lists_fail = others_are_hidden = false;
	boot = "this";
	set_up(state);
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	reader = fork();
	if (reader == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execlp("unshare", "unshare", "--mount", "sh", "-c",
		       "trap 'printf x' USR1; printf x; while :; do sleep 1 & wait; done", NULL);
		_exit(1);
	}
	close(ends[1]);
	told = ends[0];
	poll(&(struct pollfd){.fd = told, .events = POLLIN}, 1, 5000);
	assert_int_equal(read(told, number, 1), 1);
	snprintf(pidfile, sizeof(pidfile), "%s/state/reader.pid", base);
	snprintf(number, sizeof(number), "%d\n", reader);
	write_file(pidfile, number);
	snprintf(plan_inside, sizeof(plan_inside), "pid:%d", reader);
	return 0;
}

static int tear_down_reader(void **state)
{
	kill(reader, SIGKILL);
	waitpid(reader, NULL, 0);
	close(told);
	plan_inside[0] = '\0';
	return tear_down(state);
}

static void assert_told(void)
{
	char byte;

	assert_int_equal(poll(&(struct pollfd){.fd = told, .events = POLLIN}, 1, 5000), 1);
	assert_int_equal(read(told, &byte, 1), 1);
}

static void assert_inside(const char *command, const char *seen)
{
	char line[256], got[64] = "";
	FILE *out;

	snprintf(line, sizeof(line), "nsenter -m -t %d sh -c '%s' sh '%s'", reader, command, file);
	out = popen(line, "re");
	assert_non_null(out);
	got[fread(got, 1, sizeof(got) - 1, out)] = '\0';
	assert_int_equal(pclose(out), 0);
	assert_string_equal(got, seen);
}

static void plan_and_inject(void)
{
	char word[128];

	snprintf(word, sizeof(word), "reload-pidfile=%s", pidfile);
	if (PLAN(file, "content=bad", word, "reload-signal=USR1") < 0)
		fail_msg("%s", err.text);
	inject();
	assert_told();
	assert_inside("cat $1", "bad\n");
	assert_string_equal(read_file(file), GOOD);
}

static void test_the_reader_is_told_after_a_death_behind_the_unmounting(void **state)
{
	(void)state;
	plan_and_inject();
	assert_inside("umount $1", "");
	undo_cleanly();
	assert_told();
	undo_cleanly();
	assert_int_equal(poll(&(struct pollfd){.fd = told, .events = POLLIN}, 1, 100), 0);
}

static void test_a_reader_that_cannot_be_told_is_reported(void **state)
{
	char left[1024], number[16], typed[64];

	(void)state;
	plan_and_inject();
	write_file(pidfile, "1\n");
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	print_message("%s\n", left);
	assert_non_null(strstr(left, "is restored, but who reads it is not told: reload: "));
	assert_non_null(
		strstr(left, "run: squall restore; or tell it by other means, and then: rm"));
	assert_null(strstr(left, "kill"));
	assert_inside("cat $1", GOOD);
	snprintf(number, sizeof(number), "%d\n", reader);
	write_file(pidfile, number);
	assert_int_equal(verify_all(left, sizeof(left)), 1);
	snprintf(typed, sizeof(typed), ": kill -USR1 %d && rm -f ", reader);
	assert_non_null(strstr(left, typed));
	undo_cleanly();
	assert_told();
}

static void test_a_covered_mount_is_not_gone(void **state)
{
	char left[512];

	(void)state;
	plan_and_inject();
	assert_inside("mount --bind /etc/hostname $1", "");
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	print_message("%s\n", left);
	assert_non_null(strstr(left, "the bad version is below that"));
	/* it would take away theirs */
	assert_null(strstr(left, "umount"));
	assert_inside("umount $1", "");
	undo_cleanly();
	assert_told();
	assert_inside("cat $1", GOOD);
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

/* A process with a copy of the reader's namespace, as a sandbox or a job makes it */
static pid_t start_copy(void)
{
	char number[16], ready;
	int ends[2];
	pid_t child;

	snprintf(number, sizeof(number), "%d", reader);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execlp("nsenter", "nsenter", "-m", "-t", number, "unshare", "--mount", "sh", "-c",
		       "printf x; exec sleep 60", NULL);
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &ready, 1), 1);
	close(ends[0]);
	return child;
}

static void assert_seen_by(pid_t pid, const char *seen)
{
	pid_t whole = reader;

	reader = pid;
	assert_inside("cat $1", seen);
	reader = whole;
}

/* It has a copy of the mount, which stays when ours goes. */
static void test_a_copy_of_the_namespace_is_restored_as_well(void **state)
{
	pid_t copy;

	(void)state;
	plan_and_inject();
	copy = start_copy();
	assert_seen_by(copy, "bad\n");
	undo_cleanly();
	assert_told();
	assert_seen_by(copy, GOOD);
	undo_cleanly();
	kill(copy, SIGKILL);
	waitpid(copy, NULL, 0);
}

static void test_a_copy_outlives_the_namespace(void **state)
{
	pid_t copy;

	(void)state;
	plan_and_inject();
	copy = start_copy();
	kill(reader, SIGKILL);
	waitpid(reader, NULL, 0);
	undo_cleanly();
	assert_seen_by(copy, GOOD);
	reader = copy; /* ended with the test */
}

static void test_a_copy_moved_elsewhere_is_told(void **state)
{
	char left[1024], typed[64];
	pid_t copy, whole = reader;

	(void)state;
	plan_and_inject();
	copy = start_copy();
	reader = copy;
	assert_inside("umount $1 && mount -t tmpfs tmpfs /mnt", "");
	reader = whole;
	undo_cleanly(); /* it has rid itself of it */
	assert_told();
	kill(copy, SIGKILL);
	waitpid(copy, NULL, 0);

	next_run();
	plan_and_inject();
	copy = start_copy();
	reader = copy;
	assert_inside("mkdir -p /run/elsewhere && touch /run/elsewhere/f && "
		      "mount --move $1 /run/elsewhere/f",
		      "");
	reader = whole;
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	print_message("%s\n", left);
	assert_non_null(strstr(left, "but not at that path"));
	snprintf(typed, sizeof(typed), "(process %d)", copy);
	assert_non_null(strstr(left, typed));
	kill(copy, SIGKILL);
	waitpid(copy, NULL, 0);
	undo_cleanly();
	unlink("/run/elsewhere/f");
	rmdir("/run/elsewhere");
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

static void edit_inside(void)
{
	char word[128], left[1024];

	snprintf(word, sizeof(word), "reload-pidfile=%s", pidfile);
	if (PLAN(file, "content=bad", word, "reload-signal=USR1") < 0)
		fail_msg("%s", err.text);
	inject();
	assert_told();
	assert_inside("printf edited >>\"$1\"", "");
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	print_message("%s\n", left);
	assert_non_null(strstr(left, "was edited by somebody meanwhile and is left alone"));
}

static char trap[128], sprung[128];

/* What lies in the namespace belongs to others: an umount of theirs. */
static void assert_trap_is_set(void)
{
	char text[256];

	snprintf(trap, sizeof(trap), "%s.trap", file);
	snprintf(sprung, sizeof(sprung), "%s.sprung", file);
	snprintf(text, sizeof(text), "#!/bin/sh\ntouch %s\n", sprung);
	write_file(trap, text);
	assert_int_equal(chmod(trap, 0755), 0);
	assert_inside("mount --bind $1.trap $(readlink -f $(command -v umount)) && umount", "");
	assert_int_equal(unlink(sprung), 0);
}

/* Typed for one of its processes, also while somebody reads the file. */
static void test_an_edited_copy_is_unmounted_as_told(void **state)
{
	char left[1024], path[128], typed[200], *at;
	int reads;

	(void)state;
	edit_inside();
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	snprintf(path, sizeof(path), "/proc/%d/root%s", reader, file);
	reads = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(reads >= 0);
	at = strstr(left, "umount ");
	assert_non_null(at);
	snprintf(typed, sizeof(typed), "umount -i -l -N %d %s", reader, file);
	assert_string_equal(at, typed);
	assert_trap_is_set();
	assert_int_equal(system(typed), 0);
	assert_int_equal(access(sprung, F_OK), -1);
	assert_int_equal(unlink(trap), 0);
	close(reads);
	assert_inside("cat \"$1\"", GOOD);
	undo_cleanly();
	assert_told();
}

/* It would go along with the name that it lies over, and lie at another one. */
static void test_who_exchanges_the_file_elsewhere_is_refused(void **state)
{
	const struct fault first = (PLAN(file, "content=bad"), fault);
	const struct params first_params = params;

	(void)state;
	inject();
	assert_inside("cat \"$1\"", "bad\n");
	target_free(&target);
	plan_inside[0] = '\0';
	assert_int_equal(PLAN(file, "content=worse"), -EBUSY);
	assert_non_null(strstr(err.text, "is held by step 1 of run"));
	drop_fault();
	fault = first;
	params = first_params;
	target = (struct target){.namespace_fd = -1};
	next_run(); /* it is over */
	assert_inside("cat \"$1\"", GOOD);
	assert_int_equal(PLAN(file, "content=worse"), 0);
}

static void test_what_is_not_printed_as_it_is_can_be_typed(void **state)
{
	char left[1024];

	(void)state;
	assert_int_equal(unlink(file), 0);
	snprintf(file, sizeof(file), "%s/caf\xc3\xa9.conf", base);
	write_file(file, GOOD);
	edit_inside();
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	assert_non_null(strstr(left, "caf\\303\\251.conf')\""));
	assert_int_equal(system(strstr(left, "umount ")), 0);
	next_run();
	assert_told();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_reader, tear_down_reader)
	const struct CMUnitTest tests[] = {
		TEST(test_the_reader_is_told_after_a_death_behind_the_unmounting),
		TEST(test_a_reader_that_cannot_be_told_is_reported),
		TEST(test_a_covered_mount_is_not_gone),
		TEST(test_a_list_of_mounts_that_breaks_off_tells_of_nothing_gone),
		TEST(test_a_namespace_that_cannot_be_looked_for_is_not_gone),
		TEST(test_a_namespace_whose_processes_are_hidden_is_not_gone),
		TEST(test_a_namespace_of_another_boot_is_gone_and_not_entered),
		TEST(test_a_copy_of_the_namespace_is_restored_as_well),
		TEST(test_a_copy_outlives_the_namespace),
		TEST(test_a_copy_moved_elsewhere_is_told),
		TEST(test_a_process_without_its_first_thread_counts),
		TEST(test_what_boot_it_is_that_cannot_be_told_is_this_one),
		TEST(test_an_edited_copy_is_unmounted_as_told),
		TEST(test_what_is_not_printed_as_it_is_can_be_typed),
		TEST(test_who_exchanges_the_file_elsewhere_is_refused),
	};

	return RUN_AS_ROOT(tests);
}
