/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Control groups, their mounts and members, over trees no kernel would easily make.
 */
#include "injector/base/cleanup.h"
#include "injector/kernel/cgroup.h"
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
	struct cgroup *found = NULL;
	unsigned count = 0;

	if (cgroup_find_units(mounts, unit, &found, &count, &err) < 0)
		fail_msg("%s: %s", unit, err.text);
	assert_int_equal(count, 1);
	assert_string_equal(cgroup_path(found), path);
	free(found);
}

static void test_unit_is_found_where_systemd_puts_it(void **state)
{
	struct error err = ERROR_INIT;
	struct cgroup_mounts mounts;
	struct cgroup *found = NULL;
	unsigned count;

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
	assert_int_equal(cgroup_find_units(&mounts, "inner", &found, &count, &err), -ENOENT);
	assert_int_equal(cgroup_find_units(&mounts, "both", &found, &count, &err), -ENOTUNIQ);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_proc_set_up, fake_proc_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_mounts_of_a_hybrid_machine),
		TEST(test_machine_without_control_groups),
		TEST(test_path_of_a_group),
		TEST(test_unit_is_found_where_systemd_puts_it),
		TEST(test_members_of_a_whole_tree),
		TEST(test_group_that_is_gone_has_no_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
