/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What `squall doctor --sandbox` says of the processes of a run is what they are: compared with a
 * run, in the kernel's words.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <unistd.h>

#include <cmocka.h>

static json_t *ask(struct stage *stage, const char *faults, int code)
{
	struct squall *squall = squall_start(stage, NULL, "doctor --sandbox --json %s", faults);
	cleanup_free char *text = NULL;
	json_t *root;

	squall_assert_exit(squall, code);
	text = squall_output(squall);
	root = json_loads(text, 0, NULL);
	assert_non_null(root);
	return root;
}

static const json_t *find(const json_t *root, const char *name)
{
	const json_t *at;
	size_t i;

	json_array_foreach (json_object_get(root, "processes"), i, at)
		if (strcmp(member_text(at, "name"), name) == 0)
			return at;
	fail_msg("nothing is said of the %s", name);
	return NULL;
}

static bool has_purpose(const json_t *process, const char *purpose)
{
	const json_t *at;
	size_t i;

	json_array_foreach (json_object_get(process, "groups"), i, at)
		if (strcmp(member_text(at, "purpose"), purpose) == 0)
			return true;
	return false;
}

static unsigned long long status_field(pid_t pid, const char *name, int base)
{
	cleanup_free char *text = netlab_output("cat /proc/%d/status", pid);
	const char *at = strstr(text, name);

	assert_non_null(at);
	return strtoull(at + strlen(name), NULL, base);
}

static void compare(const json_t *said, pid_t pid)
{
	unsigned long long held = status_field(pid, "CapEff:", 16), listed = 0;
	const json_t *at;
	size_t i;

	json_array_foreach (json_object_get(said, "capabilities"), i, at) {
		char name[64];
		cap_value_t cap;

		snprintf(name, sizeof(name), "cap_%s", json_string_value(at));
		assert_int_equal(cap_from_name(name, &cap), 0);
		listed |= 1ULL << cap;
	}
	assert_int_equal(listed, held);
	assert_int_equal(member_number(said, "uid"), status_field(pid, "Uid:", 10));
	assert_int_equal(status_field(pid, "Seccomp:", 10), 2);
	assert_int_equal(status_field(pid, "NoNewPrivs:", 10), 1);
	assert_true(json_is_true(json_object_get(said, "as_promised")));
	assert_true(json_is_true(json_object_get(said, "no_new_privs")));
}

static void test_what_is_said_is_what_runs(void **state)
{
	struct stage *stage = *state;
	json_t *root = ask(stage, "network", 0);
	struct squall *squall = squall_start(
		stage, NULL, "inject --json network to=10.88.0.2:7001 loss=1%% for=10s");

	squall_await_injected(squall);
	compare(find(root, "conductor"), squall->pid);
	compare(find(root, "worker"), squall->worker);
	compare(find(root, "guardian"), squall->guardian);
	json_decref(root);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	stage_assert_clean(stage);
}

static void test_a_process_may_what_its_faults_need(void **state)
{
	struct stage *stage = *state;
	json_t *process = ask(stage, "process", 0), *dns = ask(stage, "dns", 0),
	       *file = ask(stage, "file", 0);

	assert_false(has_purpose(find(process, "worker"), "BPF programs"));
	assert_false(has_purpose(find(process, "worker"), "exchanging files"));
	assert_false(has_purpose(find(process, "worker"), "opening TCP and UDP sockets"));
	assert_true(has_purpose(find(dns, "worker"), "opening TCP and UDP sockets"));
	assert_false(has_purpose(find(dns, "worker"), "exchanging files"));
	assert_true(has_purpose(find(file, "guardian"), "exchanging files"));
	assert_true(json_is_true(json_object_get(find(file, "reloader"), "as_promised")));
	assert_false(has_purpose(find(file, "worker"), "netlink: links, qdiscs, nftables"));
	json_decref(process);
	json_decref(dns);
	json_decref(file);
	assert_int_equal(squall_call(stage, NULL, "doctor --sandbox netwrok"), 2);
	assert_int_equal(squall_call(stage, NULL, "doctor --sandbox"), 0);
	stage_assert_clean(stage);
}

static void assert_process(const json_t *root, const char *name, const char *capability,
			   bool is_filtered)
{
	const json_t *process = find(root, name), *list = json_object_get(process, "capabilities");

	assert_true(json_is_true(json_object_get(process, "as_promised")));
	assert_true(json_is_true(json_object_get(process, "no_new_privs")));
	assert_int_equal(json_is_true(json_object_get(process, "filtered")), is_filtered);
	assert_int_equal(member_number(process, "uid"), 0);
	assert_int_equal(json_array_size(list), *capability != '\0');
	if (*capability)
		assert_string_equal(json_string_value(json_array_get(list, 0)), capability);
}

static void test_small_helpers_are_listed_and_narrow(void **state)
{
	struct stage *stage = *state;
	json_t *root = ask(stage, "process", 0);

	assert_process(root, "reader", "DAC_READ_SEARCH", true);
	assert_true(has_purpose(find(root, "reader"), "opening files for reading"));
	assert_false(has_purpose(find(root, "reader"), "using sockets"));
	assert_process(root, "metrics", "", false);
	assert_process(root, "site-metrics", "", false);
	assert_true(json_is_null(json_object_get(find(root, "sweeper"), "capabilities")));
	json_decref(root);
	stage_assert_clean(stage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_said_is_what_runs),
		TEST(test_a_process_may_what_its_faults_need),
		TEST(test_small_helpers_are_listed_and_narrow),
	};

	return STAGE_RUN(tests);
}
