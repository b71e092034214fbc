/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Control groups of guardians that are gone: swept, also when the kernel is busy with one for the
 * moment. That of a living guardian stays.
 */
#include "tests/support/children.h"

#include "injector/kernel/cgroup.h"
#include "injector/restore/guardian_cgroup.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct cgroup_mounts mounts;
static char group[64];	   /* its name */
static unsigned busy_left; /* so often it cannot be removed */

/* In front of that of libc. */
int unlinkat(int directory, const char *name, int flags)
{
	if (!busy_left || strcmp(name, group) != 0)
		return (int)syscall(SYS_unlinkat, directory, name, flags);
	busy_left--;
	errno = EBUSY;
	return -1;
}

static bool is_there(void)
{
	char path[sizeof(mounts.unified) + sizeof(group) + 1];

	snprintf(path, sizeof(path), "%s/%s", mounts.unified, group);
	return access(path, F_OK) == 0;
}

static bool enter_group(void *context)
{
	(void)context;
	return guardian_cgroup_enter() >= 0;
}

/* A process in a group of its own, until it is killed. */
static pid_t start_guardian(void)
{
	struct process_identity identity;
	pid_t pid = child_start_ready(enter_group, NULL);

	assert_int_equal(proc_identity(pid, &identity), 0);
	guardian_cgroup_name(&identity, group);
	assert_true(is_there());
	return pid;
}

static void end_guardian(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_that_of_a_dead_one_is_swept(void **state)
{
	(void)state;
	end_guardian(start_guardian());
	assert_true(is_there());
	assert_true(guardian_cgroup_sweep());
	assert_false(is_there());
}

static void test_one_that_is_busy_for_a_moment_is_swept(void **state)
{
	(void)state;
	end_guardian(start_guardian());
	busy_left = 2;
	assert_true(guardian_cgroup_sweep());
	assert_int_equal(busy_left, 0);
	assert_false(is_there());
}

static void test_that_of_a_living_one_stays(void **state)
{
	pid_t pid = start_guardian();

	(void)state;
	assert_true(guardian_cgroup_sweep());
	assert_true(is_there());
	end_guardian(pid);
	assert_true(guardian_cgroup_sweep());
	assert_false(is_there());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_that_of_a_dead_one_is_swept),
		cmocka_unit_test(test_one_that_is_busy_for_a_moment_is_swept),
		cmocka_unit_test(test_that_of_a_living_one_stays),
	};

	if (geteuid() != 0 || cgroup_find_mounts(&mounts, NULL) < 0 || !mounts.unified[0] ||
	    access(mounts.unified, W_OK) < 0) {
		fprintf(stderr, "skipped: control groups need root and a writable cgroup v2\n");
		return getenv("SQUALL_MUST_RUN") != NULL;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
