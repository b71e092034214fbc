/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall-restore.service, started again in the same boot, undoes what `squall restore` does: with
 * the capabilities of its unit alone.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define UNIT  "packaging/squall-restore.service"
#define LIMIT "CapabilityBoundingSet="

static uint64_t bounding;

static void read_unit(void)
{
	cleanup_file FILE *file = fopen(UNIT, "re");
	char line[512], *rest;

	assert_non_null(file);
	bounding = 0;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, LIMIT, strlen(LIMIT)) != 0)
			continue;
		for (char *word = strtok_r(line + strlen(LIMIT), " \n", &rest); word;
		     word = strtok_r(NULL, " \n", &rest)) {
			cap_value_t cap;

			assert_int_equal(cap_from_name(word, &cap), 0);
			bounding |= 1ULL << cap;
		}
	}
	assert_true(bounding != 0);
}

static void take_rights_of_unit(const struct stage *stage)
{
	(void)stage;
	for (int cap = 0; cap_get_bound(cap) >= 0; cap++)
		if (!(bounding >> cap & 1))
			cap_drop_bound(cap);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void read_inside(pid_t pid, const char *path, char *out, size_t size)
{
	cleanup_free char *seen = netlab_output("nsenter -m -t %d cat %s", pid, path);

	snprintf(out, size, "%s", seen);
}

static void test_a_mount_in_a_namespace_is_undone_with_the_rights_of_the_unit(void **state)
{
	const struct squall_how how = {.prepare = take_rights_of_unit};
	struct stage *stage = *state;
	cleanup_free char *path = strdup(stage_write(stage, "service.conf", "good\n"));
	struct squall *squall;
	pid_t apart = fork();
	char seen[64];

	if (apart == 0) {
		execlp("unshare", "unshare", "--mount", "sleep", "60", NULL);
		_exit(1);
	}
	for (int waited = 0; waited < STAGE_WAIT_MS; waited += 10) {
		cleanup_free char *name = netlab_output("cat /proc/%d/comm", apart);

		if (strcmp(name, "sleep\n") == 0)
			break;
		pause_ms(10);
	}
	squall = squall_start(stage, NULL,
			      "inject --json file path=%s namespace=pid:%d content=bad for=20s",
			      path, apart);
	squall_await_injected(squall);
	read_inside(apart, path, seen, sizeof(seen));
	assert_string_equal(seen, "bad\n");
	kill(squall->guardian, SIGSTOP);
	kill(squall->worker, SIGKILL);
	kill(squall->guardian, SIGKILL);
	squall_await_exit(squall);
	read_unit();
	assert_int_equal(squall_call(stage, &how, "restore"), 0);
	read_inside(apart, path, seen, sizeof(seen));
	assert_string_equal(seen, "good\n");
	kill(apart, SIGKILL);
	waitpid(apart, NULL, 0);
	stage_assert_clean(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_a_mount_in_a_namespace_is_undone_with_the_rights_of_the_unit,
			stage_setup, stage_teardown),
	};

	return STAGE_RUN(tests);
}
