/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What `squall doctor --sandbox` says of the processes of a run is what they are: compared with a
 * run, in the kernel's words.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/sandbox_filter.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
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

#define PURPOSES 7

static const char *const purposes[PURPOSES] = {
	"exchanging files",
	"mounts of another namespace",
	"opening TCP and UDP sockets",
	"netlink: links, qdiscs, nftables",
	"interfaces and network namespaces",
	"the tap of a delay line",
	"BPF programs",
};

/* What the worker of an experiment of that fault alone may do: a letter for each purpose, '-': not.
 */
static const struct {
	const char *fault, *may;
} needs[] = {
	{"process", "-------"}, {"network", "---NITB"}, {"connect", "------B"},
	{"dns", "--SNI--"},	{"http", "--SNI--"},	{"port", "--SNI--"},
	{"file", "E------"},	{"file+", "EM-----"},
};

static void test_a_process_may_what_its_faults_need(void **state)
{
	struct stage *stage = *state;
	json_t *file = ask(stage, "file", 0);

	for (unsigned i = 0; i < sizeof(needs) / sizeof(*needs); i++) {
		json_t *root = ask(stage, needs[i].fault, 0);
		char may[PURPOSES + 1] = "";

		for (unsigned k = 0; k < PURPOSES; k++)
			may[k] =
				has_purpose(find(root, "worker"), purposes[k]) ? "EMSNITB"[k] : '-';
		if (strcmp(may, needs[i].may) != 0)
			fail_msg("%s: may %s, should %s", needs[i].fault, may, needs[i].may);
		json_decref(root);
	}
	assert_true(has_purpose(find(file, "guardian"), "exchanging files"));
	assert_false(has_purpose(find(file, "guardian"), "mounts of another namespace"));
	assert_true(json_is_true(json_object_get(find(file, "reloader"), "as_promised")));
	json_decref(file);
	assert_int_equal(squall_call(stage, NULL, "doctor --sandbox netwrok"), 2);
	assert_int_equal(squall_call(stage, NULL, "doctor --sandbox netw+ork"), 2);
	assert_int_equal(squall_call(stage, NULL, "doctor --sandbox"), 0);
	stage_assert_clean(stage);
}

/* The filter in force in a process, as the kernel holds it: its instructions, or -errno. The
 * process stands still for that moment. */
static int read_filter(pid_t pid, struct sock_filter *out)
{
	int status, count;

	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		return -errno;
	ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
	assert_int_equal(waitpid(pid, &status, __WALL), pid);
	count = (int)ptrace(PTRACE_SECCOMP_GET_FILTER, pid, NULL, NULL);
	if (count > 0 && count <= SANDBOX_FILTER_MAX)
		count = (int)ptrace(PTRACE_SECCOMP_GET_FILTER, pid, NULL, out);
	else if (count < 0)
		count = -errno;
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return count;
}

static void assert_filter(pid_t pid, const struct sandbox_group *groups, uint64_t capabilities)
{
	static struct sock_filter seen[SANDBOX_FILTER_MAX], built[SANDBOX_FILTER_MAX];
	int count = read_filter(pid, seen);

	if (count == -EACCES || count == -EINVAL || count == -EIO || count == -EPERM) {
		print_message("the kernel does not show the filter: %s\n", strerror(-count));
		return;
	}
	assert_int_equal(count, sandbox_filter_build(groups, sandbox_choice(capabilities),
						     SANDBOX_SILENT, built));
	for (int at = 0; at < count; at++)
		if (BPF_CLASS(built[at].code) == BPF_JMP && built[at].k == SANDBOX_OWN_PID)
			built[at].k = (uint32_t)pid;
	assert_memory_equal(seen, built, (size_t)count * sizeof(*seen));
}

/* In a run: exactly these capabilities, and the filter that belongs to them. */
static void assert_rights(struct stage *stage, const char *words, uint64_t capabilities)
{
	struct squall *squall = squall_start(stage, NULL, "inject --json %s for=20s", words);
	pid_t pids[2];

	squall_await_injected(squall);
	pids[0] = squall->worker;
	pids[1] = squall->guardian;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(status_field(pids[i], "CapPrm:", 16), capabilities);
		assert_int_equal(status_field(pids[i], "CapEff:", 16), capabilities);
		assert_int_equal(status_field(pids[i], "CapBnd:", 16), capabilities);
		assert_filter(pids[i], i ? sandbox_guardian_groups : sandbox_worker_groups,
			      capabilities);
	}
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
}

#define CAP(name) (1ULL << CAP_##name)

/* As SECURITY.md has them. DAC_OVERRIDE is for the control group of the guardian. */
static void test_worker_and_guardian_have_what_is_written(void **state)
{
	const uint64_t file = CAP(DAC_OVERRIDE) | CAP(CHOWN) | CAP(FOWNER) | CAP(FSETID) |
			      CAP(SETFCAP) | CAP(KILL),
		       enter = CAP(SYS_ADMIN) | CAP(SYS_CHROOT) | CAP(SYS_PTRACE);
	struct stage *stage = *state;
	cleanup_free char *path = strdup(stage_write(stage, "service.conf", "good\n"));
	char words[256];
	pid_t child = stage_child(stage);

	snprintf(words, sizeof(words), "process pid=%d action=pause", child);
	assert_rights(stage, words, CAP(KILL) | CAP(DAC_OVERRIDE));
	assert_rights(stage, "network to=10.88.0.2:7001 loss=1%",
		      CAP(NET_ADMIN) | CAP(SYS_ADMIN) | CAP(SYS_PTRACE) | CAP(BPF) | CAP(SYS_NICE) |
			      CAP(DAC_OVERRIDE));
	snprintf(words, sizeof(words), "connect pid=%d to=10.88.0.2:7001 error=EPERM", child);
	assert_rights(stage, words, CAP(BPF) | CAP(NET_ADMIN) | CAP(SYS_ADMIN) | CAP(DAC_OVERRIDE));
	snprintf(words, sizeof(words), "file path=%s content=bad", path);
	assert_rights(stage, words, file);
	snprintf(words, sizeof(words), "file path=%s content=bad namespace=pid:%d", path, child);
	assert_rights(stage, words, file | enter);
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
	assert_true(json_is_true(json_object_get(find(root, "tls"), "as_promised")));
	assert_int_equal(json_array_size(json_object_get(find(root, "tls"), "capabilities")), 0);
	assert_int_equal(member_number(find(root, "tls"), "uid"), 65534);
	assert_true(has_purpose(find(root, "tls"), "using sockets that it is given"));
	assert_false(has_purpose(find(root, "tls"), "looking at files"));
	assert_false(has_purpose(find(root, "tls"), "opening local sockets"));
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
		TEST(test_worker_and_guardian_have_what_is_written),
		TEST(test_small_helpers_are_listed_and_narrow),
	};

	return STAGE_RUN(tests);
}
