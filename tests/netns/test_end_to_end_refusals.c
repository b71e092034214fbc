/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary says no: exit code 2, a sentence that names the object, a remedy, and a machine
 * that is as it was.
 */
#include "tests/support/children.h"
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define NOBODY 65534

static const struct squall_how as_nobody = {.uid = NOBODY};

/* `remedy` NULL: there is none to give. That nothing has changed is looked at when the test ends.
 */
static void assert_refused(struct stage *stage, const struct squall_how *how, const char *words,
			   const char *object, const char *remedy)
{
	cleanup_free char *said = NULL, *out = NULL;
	struct squall *squall = squall_start(stage, how, "%s", words);

	squall_assert_exit(squall, 2);
	said = squall_messages(squall);
	out = squall_output(squall);
	printf("# %s\n#   %s", words, strstr(said, "squall: error") ?: said);
	if (!strstr(said, object))
		fail_msg("'%s' is not named by: %s", object, said);
	if (remedy && !strstr(said, remedy))
		fail_msg("'%s' is not advised by: %s", remedy, said);
	if (strstr(out, "\"injected\"") || strstr(said, "s  injected  "))
		fail_msg("something was injected: %s%s", out, said);
	stage->is_clean = false;
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
}

static const char *method(const struct stage *stage, const char *limits, const char *targets,
			  const char *step)
{
	return stage_write(stage, "refused.yaml",
			   "version: 1\n"
			   "title: to be refused\n"
			   "limits: {%s}\n"
			   "targets:\n"
			   "  thing: {%s}\n"
			   "method:\n"
			   "  - {at: 0s, for: 1s, %s}\n",
			   limits, targets, step);
}

#define WORDS(...)                                                                                 \
	({                                                                                         \
		static char words_[512];                                                           \
		snprintf(words_, sizeof(words_), __VA_ARGS__);                                     \
		words_;                                                                            \
	})

static void test_selectors_that_match_nothing_or_too_much(void **state)
{
	struct stage *stage = *state;
	pid_t first = stage_child(stage), second = stage_child(stage);
	const char *path;

	assert_refused(stage, NULL, "inject process name=sqee-nobody action=pause for=1s",
		       "sqee-nobody", "ps ");
	assert_refused(stage, NULL, "inject process pid=4194000 action=pause for=1s", "4194000",
		       "ps ");
	path = method(stage, "duration: 5s, targets: 1",
		      WORDS("process: {pid: [%d, %d]}", first, second),
		      "process: {target: thing, action: pause}");
	assert_refused(stage, NULL, WORDS("run %s", path), "2", "limits");
	assert_refused(stage, NULL, "inject process user=root action=pause for=1s targets=1",
		       "targets", NULL);
	assert_true(child_counts());
}

static void test_protected_processes(void **state)
{
	struct stage *stage = *state;

	assert_refused(stage, NULL, "inject process pid=1 action=kill", "pid 1", "narrow");
	assert_refused(stage, NULL, WORDS("inject process pid=%d action=kill", getpid()),
		       WORDS("process %d", getpid()), "narrow");
	assert_refused(stage, NULL, WORDS("inject process pid=%d action=pause for=1s", getppid()),
		       WORDS("process %d", getppid()), "narrow");
}

static void test_without_root(void **state)
{
	struct stage *stage = *state;
	const char *path = method(stage, "duration: 5s, targets: 1", "to: \"10.88.0.2:7001\"",
				  "network: {target: thing, delay: 100ms}");

	assert_refused(stage, &as_nobody, WORDS("run %s", path), "needs root", "sudo");
	assert_refused(stage, &as_nobody, WORDS("plan %s", path), "needs root", "sudo");
	assert_refused(stage, &as_nobody, "inject network to=10.88.0.2 delay=1ms for=1s",
		       "needs root", "sudo");
	assert_refused(stage, &as_nobody, "stop", "root", "sudo");
	assert_refused(stage, &as_nobody, "halt --reason x", "root", "sudo");
	assert_refused(stage, &as_nobody, "resume", "root", "sudo");
	assert_refused(stage, &as_nobody, "restore", "root", "sudo");
	/* what only looks works without */
	assert_int_equal(squall_call(stage, &as_nobody, "status"), 0);
	assert_int_equal(squall_call(stage, &as_nobody, "check %s", path), 0);
	assert_int_equal(squall_call(stage, &as_nobody, "faults network"), 0);
	stage_assert_clean(stage);
}

static void test_traffic_that_leads_nowhere(void **state)
{
	struct stage *stage = *state;

	/* a name that another network's resolver may know */
	assert_refused(stage, NULL,
		       "inject network to=db.invalid:5432 container=web delay=1s for=1s",
		       "cannot resolve 'db.invalid'",
		       "names are looked up on this machine, not by the resolver of container web");
	assert_refused(stage, NULL, "inject network to=db.invalid:5432 delay=1s for=1s",
		       "cannot resolve 'db.invalid'", "getent ahosts db.invalid");

	assert_refused(stage, NULL, "inject network interface=sqee9 delay=1ms for=1s", "sqee9",
		       "ip link");
	assert_refused(stage, NULL, "inject network to=192.0.2.7:80 delay=1ms for=1s", "192.0.2.7",
		       "add the route");
	assert_refused(stage, NULL, "inject network to=sqee.invalid:80 delay=1ms for=1s",
		       "sqee.invalid", "getent");
	assert_refused(stage, NULL, "inject network to=* delay=1ms for=1s", "every address",
		       "interface");
	assert_refused(stage, NULL,
		       "inject network to=10.88.0.2 namespace=sqee-no delay=1ms for=1s", "sqee-no",
		       NULL);
}

/* Whose work is not done on an interface needs no route that tells one. */
static void test_no_route_is_needed_by_a_port(void **state)
{
	assert_int_equal(squall_call(*state, NULL,
				     "inject --quiet port local-port=7099 action=occupy for=50ms"),
			 0);
	stage_assert_clean(*state);
}

static void test_what_cannot_be_meant(void **state)
{
	struct stage *stage = *state;

	assert_refused(stage, NULL, "inject network to=10.88.0.2 delay=100 for=1s", "100", "ms");
	assert_refused(stage, NULL, "inject network to=10.88.0.2 latency=100ms for=1s", "latency",
		       NULL);
	assert_refused(stage, NULL, "inject network to=10.88.0.2 delay=1ms", "for", NULL);
	assert_refused(stage, NULL, "inject netwerk to=10.88.0.2 delay=1ms for=1s", "netwerk",
		       "network");
	assert_refused(stage, NULL, "inject network to=10.88.0.2 for=1s", "effect", "delay");
	assert_refused(stage, NULL, "run /nonexistent/sqee.yaml", "/nonexistent/sqee.yaml", NULL);
	assert_refused(stage, NULL, "run", "FILE", "--help");
	assert_refused(stage, NULL, "frobnicate", "frobnicate", "--help");
}

/* Each: exit code 2, the place, the nearest word. */
static void test_files_with_mistakes(void **state)
{
	static const struct {
		const char *text, *place, *hint;
	} cases[] = {
		{"version: 1\ntitle: x\nlimits: {duration: 5s, targets: 1}\ntargets: {a: {to: "
		 "10.88.0.2}}\nmethod: [{at: 0s, for: 1s, network: {target: a, delay: 1ms}}\n",
		 "broken.yaml:6:", NULL},
		{"version: 1\ntitle: x\nlimits: {duration: 5s, targets: 1}\ntargets: {a: {to: "
		 "10.88.0.2}}\nmethod:\n  - {at: 0s, for: 1s, network: {target: a, dealy: 1ms}}\n",
		 "broken.yaml:6:", "delay"},
		{"version: 1\ntitle: x\ntitle: y\nlimits: {duration: 5s, targets: 1}\ntargets: {a: "
		 "{to: 10.88.0.2}}\nmethod:\n  - {at: 0s, for: 1s, network: {target: a, delay: "
		 "1ms}}\n",
		 "broken.yaml:3:", "title"},
		{"version: 1\ntitle: x\ntargets: {a: {to: 10.88.0.2}}\nmethod:\n  - {at: 0s, for: "
		 "1s, network: {target: a, delay: 1ms}}\n",
		 "broken.yaml", "limits"},
		{"version: 1\ntitle: x\nlimits: {duration: 5s, targets: 1}\ntargets: {a: {to: "
		 "10.88.0.2}}\nmethod:\n  - {at: 0s, for: 1s, network: {target: b, delay: 1ms}}\n",
		 "broken.yaml:6:", "'b'"},
		{"version: 1\ntitle: x\nlimits: {duration: 1s, targets: 1}\ntargets: {a: {to: "
		 "10.88.0.2}}\nmethod:\n  - {at: 0s, for: 9s, network: {target: a, delay: 1ms}}\n",
		 "broken.yaml:6:", "limits"},
		{"\xff\xfe", "broken.yaml", NULL},
		{"", "broken.yaml", NULL},
	};
	struct stage *stage = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *path = stage_write(stage, "broken.yaml", "%s", cases[i].text);

		assert_refused(stage, NULL, WORDS("run --json %s", path), cases[i].place,
			       cases[i].hint);
	}
}

static void test_while_halted(void **state)
{
	struct stage *stage = *state;

	assert_int_equal(squall_call(stage, NULL, "halt --reason release-night"), 0);
	assert_refused(stage, NULL, "inject network to=10.88.0.2 delay=1ms for=1s", "release-night",
		       "squall resume");
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	stage_assert_clean(stage);
}

/* The journal has its space before anything begins, or nothing begins. */
static void test_full_disk(void **state)
{
	static const struct squall_how full_run = {.full_run_kib = 64};
	struct stage *stage = *state;

	assert_refused(stage, &full_run, "inject network to=10.88.0.2:7001 delay=100ms for=1s",
		       "/run/squall", "free");
}

/* The same for what the run finds out. */
static void test_full_disk_under_the_results(void **state)
{
	static const struct squall_how full_lib = {.full_lib_kib = 64};
	struct stage *stage = *state;

	assert_refused(stage, &full_lib, "inject network to=10.88.0.2:7001 delay=100ms for=1s",
		       "/var/lib/squall", "free some space");
}

static void test_command_that_does_not_exist(void **state)
{
	struct stage *stage = *state;
	const char *path = method(stage, "duration: 5s, targets: 1", "to: \"10.88.0.2:7001\"",
				  "network: {target: thing, delay: 100ms}");

	assert_refused(stage, NULL, WORDS("run %s -- /nonexistent/sqee", path), "/nonexistent/sqee",
		       "whole path");
	assert_refused(stage, NULL, WORDS("run %s -- sqee-nowhere --flag", path), "sqee-nowhere",
		       "whole path");
	/* a folder and a text are there, but no programs */
	assert_refused(stage, NULL, WORDS("run %s -- /etc", path), "/etc", NULL);
	assert_refused(stage, NULL, WORDS("run %s -- /etc/passwd", path), "/etc/passwd", NULL);
}

/* Neither netem nor tun: no way to delay. What needs neither still works. */
static void test_machine_that_cannot(void **state)
{
	static const char *const off[] = {"SQUALL_NETEM=off", NULL};
	static const struct squall_how poor = {.extra = off, .hidden = "/dev/net"};
	struct stage *stage = *state;

	assert_refused(stage, &poor, "inject network to=10.88.0.2:7001 delay=100ms for=1s",
		       "/dev/net/tun", "modprobe");
	/* nor to count, where a loss by chance could be drawn: which is said */
	assert_refused(stage, &poor, "inject network to=10.88.0.2:7001 loss-every=8 for=1s",
		       "loss-every", "loss: 12.5%");
	assert_int_equal(squall_call(stage, &poor,
				     "inject --quiet network to=10.88.0.2 loss=100%% for=50ms"),
			 0);
	stage_assert_clean(stage);
}

static void test_second_pause_of_the_same_process(void **state)
{
	struct stage *stage = *state;
	pid_t child = stage_child(stage);
	struct squall *first = squall_start(
		stage, NULL, "inject --json process pid=%d action=pause for=30s", child);

	squall_await_injected(first);
	assert_refused(stage, NULL, WORDS("inject process pid=%d action=pause for=1s", child),
		       WORDS("%d", child), "squall status");
	assert_false(child_counts());
	squall_signal(first, SIGTERM);
	squall_assert_exit(first, 4);
	assert_true(child_counts());
	stage_assert_clean(stage);
}

/* What was refused has changed nothing and stored nothing. */
static char *state_before;

static int set_up(void **state)
{
	int result = stage_setup(state);

	/* so that the folders of results are there */
	assert_int_equal(squall_call(*state, NULL,
				     "inject --quiet network to=10.88.0.2:7001 delay=1ms for=1ms"),
			 0);
	state_before = stage_state(*state, true);
	return result;
}

static int tear_down(void **state)
{
	cleanup_free char *before = steal_pointer(&state_before);
	cleanup_free char *after = stage_state(*state, true);
	int result = stage_teardown(state);

	if (strcmp(after, before) == 0)
		return result;
	fprintf(stderr, "changed by what was refused:\n--- before:\n%s--- after:\n%s", before,
		after);
	return -1;
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define WITH_RUNS(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_selectors_that_match_nothing_or_too_much),
		TEST(test_protected_processes),
		TEST(test_without_root),
		TEST(test_traffic_that_leads_nowhere),
		WITH_RUNS(test_no_route_is_needed_by_a_port),
		TEST(test_what_cannot_be_meant),
		TEST(test_files_with_mistakes),
		TEST(test_while_halted),
		TEST(test_full_disk),
		TEST(test_full_disk_under_the_results),
		TEST(test_command_that_does_not_exist),
		WITH_RUNS(test_machine_that_cannot),
		WITH_RUNS(test_second_pause_of_the_same_process),
	};

	return STAGE_RUN(tests);
}
