/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file fault in a mount namespace: who reads the file is told once more before the record is
 * settled, also after a death in between; what is covered, copied with the namespace, or edited
 * there is not taken for gone.
 */
#include "tests/netns/file_reader.h"

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
		TEST(test_a_copy_of_the_namespace_is_restored_as_well),
		TEST(test_a_copy_outlives_the_namespace),
		TEST(test_a_copy_moved_elsewhere_is_told),
		TEST(test_an_edited_copy_is_unmounted_as_told),
		TEST(test_what_is_not_printed_as_it_is_can_be_typed),
		TEST(test_who_exchanges_the_file_elsewhere_is_refused),
	};

	return RUN_AS_ROOT(tests);
}
