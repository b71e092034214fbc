/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The readers of /proc and of control groups, over trees no kernel would easily make.
 */
#include "injector/base/cleanup.h"
#include "injector/kernel/cgroup.h"
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

static int set_up(void **state)
{
	(void)state;
	fake_proc_open();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fake_proc_close();
	return 0;
}

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

/* --- control groups --- */

static void make_group(const char *path, const char *processes)
{
	char name[PATH_MAX];

	snprintf(name, sizeof(name), "cg two%s/cgroup.procs", path);
	fake_proc_write(name, processes, strlen(processes));
}

static void make_mounts(struct cgroup_mounts *mounts)
{
	char text[1024];
	int length = snprintf(
		text, sizeof(text),
		"1 0 0:1 / / rw - ext4 /dev/vda rw\n"
		"2 1 0:2 / %s/one rw shared:1 - cgroup cgroup rw,xattr,name=systemd\n"
		"3 1 0:3 / %s/freezer rw - cgroup cgroup rw,freezer\n"
		"4 1 0:4 /docker/x %s/part rw - cgroup2 cgroup2 rw\n"
		"5 1 0:4 / %s/cg\\040two rw shared:9 master:1 - cgroup2 cgroup2 rw,nsdelegate\n"
		"6 1 0:4 / %s/second rw - cgroup2 cgroup2 rw\n",
		fake_proc_path(), fake_proc_path(), fake_proc_path(), fake_proc_path(),
		fake_proc_path());

	fake_proc_write("self/mountinfo", text, (size_t)length);
	assert_int_equal(cgroup_find_mounts(mounts, NULL), 0);
}

static void test_mounts_of_a_hybrid_machine(void **state)
{
	struct cgroup_mounts mounts;
	char expected[128];

	(void)state;
	make_mounts(&mounts);
	/* the first that shows the whole hierarchy, its name without the escapes of mountinfo */
	snprintf(expected, sizeof(expected), "%s/cg two", fake_proc_path());
	assert_string_equal(mounts.unified, expected);
	snprintf(expected, sizeof(expected), "%s/one", fake_proc_path());
	assert_string_equal(mounts.systemd_v1, expected);
	snprintf(expected, sizeof(expected), "%s/freezer", fake_proc_path());
	assert_string_equal(mounts.freezer_v1, expected);
}

static void test_machine_without_control_groups(void **state)
{
	static const char text[] = "1 0 0:1 / / rw - ext4 /dev/vda rw\n";
	struct error err = ERROR_INIT;
	struct cgroup_mounts mounts;

	(void)state;
	fake_proc_write("self/mountinfo", text, sizeof(text) - 1);
	assert_int_equal(cgroup_find_mounts(&mounts, &err), -ENOENT);
	assert_string_not_equal(err.remedy, "");
}

static void test_path_of_a_group(void **state)
{
	struct error err = ERROR_INIT;
	struct cgroup_mounts mounts;
	struct cgroup group;
	char full[512];

	(void)state;
	make_mounts(&mounts);
	make_group("/a/b", "");
	assert_int_equal(cgroup_open_path(&mounts, "/a/b", &group, &err), 0);
	assert_string_equal(cgroup_path(&group), "/a/b");
	assert_true(group.is_unified);
	assert_int_equal(cgroup_open_path(&mounts, "/a/b/", &group, &err), 0);
	assert_string_equal(cgroup_path(&group), "/a/b");
	snprintf(full, sizeof(full), "%s/a/b", mounts.unified);
	assert_int_equal(cgroup_open_path(&mounts, full, &group, &err), 0);
	assert_string_equal(cgroup_path(&group), "/a/b");
	assert_true(cgroup_contains(&group, "/a/b"));
	assert_true(cgroup_contains(&group, "/a/b/c"));
	assert_false(cgroup_contains(&group, "/a/bc"));
	assert_false(cgroup_contains(&group, "/a"));
	assert_int_equal(cgroup_open_path(&mounts, "/", &group, &err), -EINVAL);
	assert_int_equal(cgroup_open_path(&mounts, "/a/../a/b", &group, &err), -EINVAL);
	assert_int_equal(cgroup_open_path(&mounts, "/nowhere", &group, &err), -ENOENT);
}

static void find(const struct cgroup_mounts *mounts, const char *unit, const char *path)
{
	struct error err = ERROR_INIT;
	struct cgroup group;
	int result = cgroup_find_unit(mounts, unit, &group, &err);

	if (result < 0)
		fail_msg("%s: %s", unit, err.text);
	assert_string_equal(cgroup_path(&group), path);
}

static void test_unit_is_found_where_systemd_puts_it(void **state)
{
	struct error err = ERROR_INIT;
	struct cgroup_mounts mounts;
	struct cgroup group;

	(void)state;
	make_mounts(&mounts);
	make_group("/system.slice/nginx.service", "");
	make_group("/system.slice/system-getty.slice/getty@tty1.service", "");
	make_group("/system.slice/docker-1.scope/system.slice/inner.service", "");
	make_group("/system.slice/docker-1.scope/system.slice/nginx.service", "");
	make_group("/system.slice/_cpu.service", "");
	make_group("/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service", "");
	make_group("/user.slice/user-1000.slice/user@1000.service/app.slice/own.service", "");
	make_group("/user.slice/user-1000.slice/user@1000.service/app.slice/both.service", "");
	make_group("/user.slice/user-1001.slice/user@1001.service/app.slice/both.service", "");
	find(&mounts, "nginx", "/system.slice/nginx.service");
	find(&mounts, "nginx.service", "/system.slice/nginx.service");
	find(&mounts, "getty@tty1", "/system.slice/system-getty.slice/getty@tty1.service");
	find(&mounts, "cpu.service", "/system.slice/_cpu.service");
	find(&mounts, "docker-1.scope", "/system.slice/docker-1.scope");
	find(&mounts, "system-getty.slice", "/system.slice/system-getty.slice");
	find(&mounts, "own", "/user.slice/user-1000.slice/user@1000.service/app.slice/own.service");
	/* not that of a container */
	assert_int_equal(cgroup_find_unit(&mounts, "inner", &group, &err), -ENOENT);
	assert_int_equal(cgroup_find_unit(&mounts, "both", &group, &err), -ENOTUNIQ);
	assert_non_null(strstr(err.text, "user@1000.service"));
	assert_non_null(strstr(err.text, "user@1001.service"));
	assert_non_null(strstr(err.remedy, "cgroup:"));
}

static void test_members_of_a_whole_tree(void **state)
{
	struct cgroup_mounts mounts;
	struct cgroup group;
	cleanup_free pid_t *pids = NULL;
	unsigned count, hidden;

	(void)state;
	make_mounts(&mounts);
	make_group("/a", "30\n10\n");
	make_group("/a/b", "20\n0\n");
	make_group("/a/b/c", "10\n0\n5\n");
	make_group("/ab", "99\n");
	assert_int_equal(cgroup_open_path(&mounts, "/a", &group, NULL), 0);
	assert_int_equal(cgroup_members(&group, &pids, &count, &hidden, NULL), 0);
	assert_int_equal(count, 4);
	assert_int_equal(hidden, 2);
	assert_memory_equal(pids, ((pid_t[]){5, 10, 20, 30}), sizeof(pid_t[4]));
}

static void test_group_that_is_gone_has_no_members(void **state)
{
	struct cgroup group = {.directory = "/nowhere/at/all"};
	pid_t *pids = NULL;
	unsigned count = 1;

	(void)state;
	assert_int_equal(cgroup_members(&group, &pids, &count, NULL, NULL), 0);
	assert_int_equal(count, 0);
	assert_null(pids);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
		TEST(test_mounts_of_a_hybrid_machine),
		TEST(test_machine_without_control_groups),
		TEST(test_path_of_a_group),
		TEST(test_unit_is_found_where_systemd_puts_it),
		TEST(test_members_of_a_whole_tree),
		TEST(test_group_that_is_gone_has_no_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
