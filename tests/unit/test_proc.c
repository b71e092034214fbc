/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The readers of /proc, over trees no kernel would easily make.
 */
#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"
#include "injector/kernel/socket_owner.h"
#include "tests/support/fake_proc.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define P FAKE_PID

static void test_names_with_parentheses_and_blanks(void **state)
{
	static const char *const names[] = {"a b", "a) S 1 (b", ") ", "((((", "x\n) R 1", "", NULL};
	struct proc_stat stat;

	(void)state;
	for (unsigned i = 0; names[i]; i++) {
		fake_proc_add(&(struct fake_process){.pid = P + (pid_t)i,
						     .comm = names[i],
						     .state = 'D',
						     .parent = 17,
						     .session = 18,
						     .user_ticks = 99,
						     .start_time = 4711});
		assert_int_equal(proc_read_stat(P + (pid_t)i, &stat), 0);
		assert_string_equal(stat.comm, names[i]);
		assert_int_equal(stat.pid, P + i);
		assert_int_equal(stat.state, 'D');
		assert_int_equal(stat.parent, 17);
		assert_int_equal(stat.session, 18);
		assert_int_equal(stat.user_ticks, 99);
		assert_int_equal(stat.start_time, 4711);
		assert_false(stat.is_kernel_thread);
		assert_false(stat.is_dead);
	}
}

static void test_stat_that_is_no_stat_is_an_error(void **state)
{
	static const char *const texts[] = {"",	 "1", "1 (x", "1 x) S", "1 (x)", "1 (x) S 1 2 3",
					    NULL};
	struct proc_stat stat;
	char name[32];

	(void)state;
	snprintf(name, sizeof(name), "%d/stat", P);
	for (unsigned i = 0; texts[i]; i++) {
		fake_proc_write(name, texts[i], strlen(texts[i]));
		assert_int_equal(proc_read_stat(P, &stat), -EPROTO);
	}
}

static void test_own_stat_agrees_with_the_kernel(void **state)
{
	struct proc_stat stat;
	uid_t uid;

	(void)state;
	proc_set_root(NULL);
	assert_int_equal(proc_read_stat(getpid(), &stat), 0);
	assert_int_equal(stat.parent, getppid());
	assert_int_equal(stat.session, getsid(0));
	assert_int_equal(proc_read_uid(getpid(), &uid), 0);
	assert_int_equal(uid, geteuid());
	if (proc_read_stat(2, &stat) == 0 && strcmp(stat.comm, "kthreadd") == 0)
		assert_true(stat.is_kernel_thread);
	proc_set_root(fake_proc_path());
}

static void test_vanished_process_is_esrch_everywhere(void **state)
{
	struct proc_stat stat;
	enum proc_stop stop;
	char text[64];
	uid_t uid;
	pid_t inner;
	int pidfd;

	(void)state;
	assert_int_equal(proc_read_stat(P, &stat), -ESRCH);
	assert_int_equal(proc_read_comm(P, text, sizeof(text)), -ESRCH);
	assert_int_equal(proc_read_command(P, text, sizeof(text)), -ESRCH);
	assert_int_equal(proc_read_cgroup(P, "", text, sizeof(text)), -ESRCH);
	assert_int_equal(proc_read_uid(P, &uid), -ESRCH);
	assert_int_equal(proc_read_inner_pid(P, &inner), -ESRCH);
	assert_int_equal(proc_read_stop(P, &stop), -ESRCH);
	assert_int_equal(proc_pin(P, &stat, &pidfd), -ESRCH);
	assert_int_equal(socket_owner_holds(P, NULL, 0), -ESRCH);
}

static void test_zombies_are_dead_unless_threads_live_on(void **state)
{
	struct process_identity id;

	(void)state;
	fake_proc_add(&(struct fake_process){.pid = P, .comm = "dead", .state = 'Z'});
	fake_proc_add(
		&(struct fake_process){.pid = P + 1, .comm = "go", .state = 'Z', .threads = 4});
	assert_int_equal(proc_identity(P, &id), 0);
	assert_int_equal(proc_is_same(&id), 0);
	assert_int_equal(proc_identity(P + 1, &id), 0);
	assert_int_equal(proc_is_same(&id), 1);
}

static void test_identity_is_pid_and_start_time(void **state)
{
	struct process_identity id;

	(void)state;
	fake_proc_add(&(struct fake_process){.pid = P, .comm = "x", .start_time = 100});
	assert_int_equal(proc_identity(P, &id), 0);
	assert_int_equal(proc_is_same(&id), 1);
	fake_proc_add(&(struct fake_process){.pid = P, .comm = "x", .start_time = 101});
	assert_int_equal(proc_is_same(&id), 0);
	fake_proc_remove(P);
	assert_int_equal(proc_is_same(&id), 0);
}

static void test_command_lines(void **state)
{
	cleanup_free char *huge = malloc(2 << 20), *out = malloc(32768);
	char text[64], name[32];

	(void)state;
	fake_proc_add(
		&(struct fake_process){.pid = P, .comm = "x", .command = "nginx:\nworker\n-g\n\n"});
	assert_int_equal(proc_read_command(P, text, sizeof(text)), 0);
	assert_string_equal(text, "nginx: worker -g");
	assert_int_equal(proc_read_command(P, text, 8), 0);
	assert_string_equal(text, "nginx:");
	fake_proc_add(&(struct fake_process){.pid = P, .comm = "x"});
	assert_int_equal(proc_read_command(P, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	memset(huge, 'a', 2 << 20);
	snprintf(name, sizeof(name), "%d/cmdline", P);
	fake_proc_write(name, huge, 2 << 20);
	assert_int_equal(proc_read_command(P, out, 32768), 0);
	assert_int_equal(strlen(out), 32767);
}

static void test_deleted_executable_keeps_its_path(void **state)
{
	char exe[128];

	(void)state;
	fake_proc_add(
		&(struct fake_process){.pid = P, .comm = "x", .exe = "/usr/sbin/nginx (deleted)"});
	assert_int_equal(proc_read_exe(P, exe, sizeof(exe)), 0);
	assert_string_equal(exe, "/usr/sbin/nginx");
	fake_proc_add(&(struct fake_process){.pid = P + 1, .comm = "x", .exe = "/opt/a b"});
	assert_int_equal(proc_read_exe(P + 1, exe, sizeof(exe)), 0);
	assert_string_equal(exe, "/opt/a b");
	fake_proc_add(&(struct fake_process){.pid = P + 2, .comm = "kernel"});
	assert_int_equal(proc_read_exe(P + 2, exe, sizeof(exe)), -ENOENT);
}

static void test_cgroup_lines_of_hybrid_and_unified(void **state)
{
	char path[64];

	(void)state;
	fake_proc_add(&(struct fake_process){
		.pid = P,
		.comm = "x",
		.cgroup = "9:name=systemd:/system.slice/a:b.service\n4:cpu,freezer,cpuacct:/f\n"
			  "3:cpuset:/\n0::/two\n"});
	assert_int_equal(proc_read_cgroup(P, "name=systemd", path, sizeof(path)), 0);
	assert_string_equal(path, "/system.slice/a:b.service");
	assert_int_equal(proc_read_cgroup(P, "freezer", path, sizeof(path)), 0);
	assert_string_equal(path, "/f");
	assert_int_equal(proc_read_cgroup(P, "", path, sizeof(path)), 0);
	assert_string_equal(path, "/two");
	assert_int_equal(proc_read_cgroup(P, "cpus", path, sizeof(path)), -ENOENT);
	assert_int_equal(proc_read_cgroup(P, "", path, 3), -ENAMETOOLONG);
	fake_proc_add(&(struct fake_process){.pid = P, .comm = "x", .cgroup = "0::/a b\n"});
	assert_int_equal(proc_read_cgroup(P, "", path, sizeof(path)), 0);
	assert_string_equal(path, "/a b");
	assert_int_equal(proc_read_cgroup(P, "name=systemd", path, sizeof(path)), -ENOENT);
}

static void test_status_behind_thousands_of_groups(void **state)
{
	size_t size = 700000, used;
	cleanup_free char *text = malloc(size);
	enum proc_stop stop;
	pid_t inner;

	(void)state;
	used = (size_t)snprintf(text, size, "Name:\tNSpid:\nGroups:\t");
	while (used < 650000)
		used += (size_t)snprintf(text + used, size - used, "%zu ", used);
	snprintf(text + used, size - used,
		 "\nNSpid:\t%d\t77\t1\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000040000\n", P);
	fake_proc_add(&(struct fake_process){.pid = P, .comm = "x", .status = text});
	assert_int_equal(proc_read_inner_pid(P, &inner), 0);
	assert_int_equal(inner, 1);
	assert_int_equal(proc_read_stop(P, &stop), 0);
	assert_int_equal(stop, PROC_STOPPING);
}

static void test_stop_looks_at_every_thread(void **state)
{
	static const struct {
		const char *threads;
		enum proc_stop stop;
	} cases[] = {
		{"S", PROC_RUNNING},   {"SSI", PROC_RUNNING},  {"R", PROC_UNCLEAR},
		{"SD", PROC_UNCLEAR},  {"T", PROC_STOPPED},    {"TTT", PROC_STOPPED},
		{"DT", PROC_STOPPING}, {"STT", PROC_STOPPING}, {"ZTT", PROC_STOPPED},
		{"t", PROC_TRACED},    {"tT", PROC_STOPPED},   {"St", PROC_TRACED},
	};
	enum proc_stop stop;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		pid_t pid = P + (pid_t)i * 10;

		fake_proc_add(&(struct fake_process){
			.pid = pid, .comm = "x", .state = cases[i].threads[0]});
		for (unsigned j = 1; cases[i].threads[j]; j++)
			fake_proc_add_thread(pid, pid + (pid_t)j, cases[i].threads[j]);
		assert_int_equal(proc_read_stop(pid, &stop), 0);
		assert_int_equal(stop, cases[i].stop);
	}
	fake_proc_add(&(struct fake_process){.pid = P + 900, .comm = "x", .state = 'Z'});
	assert_int_equal(proc_read_stop(P + 900, &stop), -ESRCH);
}

static void test_ancestors_end_at_the_top(void **state)
{
	pid_t parents[8];

	(void)state;
	fake_proc_add(&(struct fake_process){.pid = 1, .comm = "init"});
	for (pid_t i = 0; i < 5; i++)
		fake_proc_add(&(struct fake_process){
			.pid = P + i, .comm = "x", .parent = i ? P + i - 1 : 1});
	assert_int_equal(proc_ancestors(P + 4, parents, 8), 5);
	assert_int_equal(parents[0], P + 3);
	assert_int_equal(parents[4], 1);
	assert_int_equal(proc_ancestors(P + 4, parents, 2), 2);
	/* a ring cannot hold us */
	fake_proc_add(&(struct fake_process){.pid = P, .comm = "x", .parent = P + 4});
	assert_int_equal(proc_ancestors(P + 4, parents, 8), 8);
}

static int count_process(pid_t pid, void *context)
{
	(void)pid;
	++*(unsigned *)context;
	return 0;
}

static int stop_at_once(pid_t pid, void *context)
{
	*(pid_t *)context = pid;
	return 42;
}

static void test_iteration_sees_numbers_only(void **state)
{
	unsigned count = 0;
	pid_t seen = 0;

	(void)state;
	fake_proc_write("self/stat", "x", 1);
	fake_proc_write("meminfo", "x", 1);
	for (pid_t i = 0; i < 3; i++)
		fake_proc_add(&(struct fake_process){.pid = P + i, .comm = "x"});
	assert_int_equal(proc_each(count_process, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(proc_each(stop_at_once, &seen), 42);
	assert_in_range(seen, P, P + 2);
}

static void test_nothing_is_sent_to_a_fake_process(void **state)
{
	struct proc_stat stat;
	int pidfd;

	(void)state;
	fake_proc_add(&(struct fake_process){.pid = P, .comm = "x"});
	assert_int_equal(proc_pin(P, &stat, &pidfd), 0);
	assert_int_equal(proc_pidfd_signal(pidfd, 0), 0);
	assert_int_equal(proc_pidfd_signal(pidfd, 9), -EPERM);
	fake_proc_remove(P);
	assert_int_equal(proc_pidfd_signal(pidfd, 0), -ESRCH);
	close(pidfd);
}

static void test_printable(void **state)
{
	char text[] = "a\x1b[31mb\n\tc\x7f\xc3\xa4";

	(void)state;
	proc_make_printable(text);
	assert_string_equal(text, "a?[31mb??c???");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_proc_set_up, fake_proc_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names_with_parentheses_and_blanks),
		TEST(test_stat_that_is_no_stat_is_an_error),
		TEST(test_own_stat_agrees_with_the_kernel),
		TEST(test_vanished_process_is_esrch_everywhere),
		TEST(test_zombies_are_dead_unless_threads_live_on),
		TEST(test_identity_is_pid_and_start_time),
		TEST(test_command_lines),
		TEST(test_deleted_executable_keeps_its_path),
		TEST(test_cgroup_lines_of_hybrid_and_unified),
		TEST(test_status_behind_thousands_of_groups),
		TEST(test_stop_looks_at_every_thread),
		TEST(test_ancestors_end_at_the_top),
		TEST(test_iteration_sees_numbers_only),
		TEST(test_nothing_is_sent_to_a_fake_process),
		TEST(test_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
