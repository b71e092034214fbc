/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary under a site policy, and the trail that it leaves.
 */
#include "tests/support/children.h"
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/netns/trail_bench.h"

#define INJECT "inject network to=10.88.0.2:7001 delay=100ms for="

static void assert_refused(struct stage *stage, const char *policy, const char *words,
			   const char *expected)
{
	const struct squall_how how = {.policy = policy};

	squall_assert_refused(squall_start(stage, &how, "%s", words), expected);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
}

static void test_the_policy_is_asked_by_run_and_plan(void **state)
{
	struct stage *stage = *state;
	char words[96];

	assert_refused(stage, "version: 1\nallow: {faults: [process]}\n", INJECT "1s",
		       "fault 'network': refused by the site policy (/etc/squall/policy.yaml:2:18");
	assert_refused(stage, "version: 1\nallow: {networks: [10.99.0.0/16]}\n", INJECT "1s",
		       "traffic with 10.88.0.2:7001: refused");
	assert_refused(stage, "version: 1\nprotect: {addresses: [10.88.0.2]}\n", INJECT "1s",
		       "10.88.0.2, which is protected");
	assert_refused(stage, "version: 1\nallow: {interfaces: [\"eth*\"]}\n", INJECT "1s",
		       "interface ");
	assert_refused(stage, "version: 1\nlimits: {duration: 2s}\n", INJECT "1h", "at most 2s");
	assert_refused(stage, "version: 1\nblackout: [2020-01-01..2099-12-31]\n", INJECT "1s",
		       "there are no experiments on");
	assert_refused(stage, "version: 1\nallow: {users: [daemon]}\n", INJECT "1s",
		       "user root (uid 0): refused");
	snprintf(words, sizeof(words), "inject process pid=%d action=pause for=1s",
		 stage_child(stage));
	assert_refused(stage, "version: 1\nprotect: {processes: [\"*\"]}\n", words, "is protected");
	snprintf(words, sizeof(words), "inject connect pid=%d to=10.88.0.2 error=EPERM for=1s",
		 stage_child(stage));
	assert_refused(stage, "version: 1\nprotect: {addresses: [10.88.0.2]}\n", words,
		       "10.88.0.2, which is protected");
	assert_refused(stage, "version: 1\nallow: {networks: [10.99.0.0/16]}\n", words,
		       "traffic with 10.88.0.2: refused");
	stage_write(stage, "plan.yaml",
		    "version: 1\ntitle: plan\nlimits: {duration: 5s, targets: 1}\nmethod:\n"
		    "  - {at: 0s, for: 1s, network: {to: \"10.88.0.2:7001\", delay: 100ms}}\n");
	snprintf(words, sizeof(words), "plan %s", stage_path(stage, "plan.yaml"));
	assert_refused(stage, "version: 1\nallow: {faults: [process]}\n", words,
		       "policy.yaml:2:18");
}

static void test_a_broken_policy_allows_nothing(void **state)
{
	assert_refused(*state, "version: 1\nalow: {}\n", INJECT "1s",
		       "/etc/squall/policy.yaml:2:1: unknown key 'alow'");
	assert_refused(*state, "version: 1\nalow: {}\n", "policy", "did you mean 'allow'?");
}

static void test_what_the_policy_allows_goes_on(void **state)
{
	const struct squall_how how = {.policy = "version: 1\n"
						 "allow: {faults: [network], networks: "
						 "[10.88.0.0/24], interfaces: [\"*\"]}\n"
						 "limits: {duration: 5m, targets: 4}\n"
						 "audit: required\n"};
	struct stage *stage = *state;
	struct squall *squall = squall_start(stage, &how, INJECT "1s --json");

	squall_await_injected(squall);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 100);
	squall_assert_exit(squall, 0);
	stage_assert_clean(stage);
}

/* A worker that may not send them signals asks whether they are there, and what they run. */
static void test_processes_of_others_are_met_without_the_right_to_signal_them(void **state)
{
	static const char *const rules[] = {NULL, "version: 1\nprotect: {processes: [postgres]}\n",
					    "version: 1\nprotect: {processes: [/usr/bin/vault]}\n"};
	const pid_t child = child_start(CHILD_SLEEPS_AS_NOBODY, NULL);

	for (unsigned i = 0; i < 3; i++) {
		const struct squall_how how = {.policy = rules[i]};

		assert_int_equal(squall_call(*state, &how,
					     "inject connect pid=%d to=10.88.0.2 error=EPERM "
					     "for=100ms",
					     child),
				 0);
	}
	child_stop(child);
}

/* Real control groups: one where systemd puts its units, one below that has the same name. */
static void test_a_unit_inside_of_another_is_not_the_systems(void **state)
{
	static const char *const names[] = {"sqpa.slice", "sqpa.slice/user@7.service",
					    "sqpa.slice/user@7.service/sqpa.service",
					    "sqpa.slice/sqpa.service"};
	static const char rules[] = "version: 1\nallow: {units: [sqpa.service]}\n";
	const struct squall_how how = {.policy = rules};
	char groups[4][128], words[96];
	pid_t inner, outer;

	for (unsigned i = 0; i < 4; i++)
		group_make(names[i], groups[i]);
	inner = child_start(CHILD_SLEEPS, groups[2]);
	outer = child_start(CHILD_SLEEPS, groups[3]);
	snprintf(words, sizeof(words), "inject process pid=%d action=pause for=100ms", inner);
	assert_refused(*state, rules, words, "of unit user@7.service: refused");
	assert_refused(*state, "version: 1\nprotect: {units: [sqpa.service]}\n", words,
		       "is protected");
	snprintf(words, sizeof(words), "inject process pid=%d action=pause for=100ms", outer);
	assert_int_equal(squall_call(*state, &how, "%s", words), 0);
	child_stop(inner);
	child_stop(outer);
	for (unsigned i = 4; i-- > 0;)
		group_remove(groups[i]);
}

/* A sleep(1) that joins a group after its pause was planned. */
static void assert_joined(struct stage *stage, const char *group, const char *policy,
			  unsigned limit, const char *expected)
{
	const struct squall_how how = {.policy = policy};
	pid_t child = child_start(CHILD_SLEEPS_AS_NOBODY, group), joined;
	struct squall *squall;

	stage_write(stage, "pause.yaml",
		    "version: 1\ntitle: pause\nlimits: {duration: 20s, targets: %u}\nmethod:\n"
		    "  - {at: 1s, for: 300ms, process: {cgroup: /sqpa-join, action: pause}}\n",
		    limit);
	squall = squall_start(stage, &how, "run --json %s", stage_path(stage, "pause.yaml"));
	squall_await_armed(squall);
	joined = fork();
	if (joined == 0) {
		setsid();
		group_write(group, "cgroup.procs", "0");
		execlp("sleep", "sleep", "60", NULL);
		_exit(1);
	}
	if (expected)
		squall_assert_refused(squall, expected);
	else
		squall_assert_exit(squall, 0);
	assert_int_equal(group_value(group, "cgroup.freeze"), 0);
	child_stop(joined);
	child_stop(child);
}

static void test_who_joins_a_group_is_asked_about_when_it_is_frozen(void **state)
{
	struct stage *stage = *state;
	char group[128];

	group_make("sqpa-join", group);
	assert_joined(
		stage, group, "version: 1\nprotect: {processes: [sleep]}\n", 2,
		"(sleep) is protected: refused by the site policy (/etc/squall/policy.yaml:2");
	/* which takes a look at what processes of others run */
	assert_joined(stage, group, "version: 1\nprotect: {processes: [\"/*/sleep\"]}\n", 2,
		      "(sleep) is protected: refused");
	assert_joined(stage, group, "version: 1\nprotect: {processes: [/usr/bin/vault]}\n", 2,
		      NULL);
	assert_joined(stage, group, "version: 1\n", 1, "holds 2 processes by now, planned were 1");
	assert_joined(stage, group, "version: 1\nlimits: {targets: 1}\n", 9,
		      "holds 2 processes by now, planned were 1");
	group_remove(group);
}

static void test_every_act_is_in_the_trail(void **state)
{
	static const char file[] =
		"version: 1\ntitle: trail\nlimits: {duration: 20s, targets: 1}\nmethod:\n"
		"  - {at: 0s, for: 10s, network: {to: \"10.88.0.2:7001\", delay: 100ms}}\n";
	struct stage *stage = *state;
	const char *path = stage_write(stage, "trail.yaml", "%s", file);
	struct squall *squall = squall_start(stage, NULL, "run --json %s", path);
	char command[256];
	json_t *list, *begin = NULL;
	struct stat status;
	cleanup_free char *sum = NULL;

	squall_await_injected(squall);
	assert_int_equal(squall_call(stage, NULL, "stop %s", squall->run_id), 0);
	squall_assert_exit(squall, 4);
	assert_int_equal(squall_call(stage, NULL, "halt --reason fire"), 0);
	assert_int_equal(squall_call(stage, NULL, INJECT "1s"), 2);
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	list = trail(stage);
	find(list, "begin", "");
	find(list, "armed", "");
	assert_string_equal(member_text(find(list, "injected", "network"), "run"), squall->run_id);
	find(list, "stopping", "");
	find(list, "restored", "step 1");
	find(list, "finished", "");
	find(list, "stop", "0 left");
	find(list, "halt", "fire");
	find(list, "refused", "fire");
	find(list, "resume", "fire");
	/* the line of the file itself, not of the one in words that followed */
	for (size_t i = json_array_size(list); i-- > 0;) {
		begin = json_array_get(list, i);
		if (strcmp(member_text(begin, "event"), "begin") == 0 &&
		    json_is_string(json_object_get(begin, "sha256")))
			break;
	}
	snprintf(command, sizeof(command), "sha256sum %s", path);
	sum = netlab_output("%s", command);
	assert_memory_equal(sum, member_text(begin, "sha256"), 64);
	assert_string_equal(member_text(begin, "user"), "root");
	json_decref(list);
	assert_int_equal(stat(stage_path(stage, "lib/squall/audit.log"), &status), 0);
	assert_int_equal(status.st_mode & 07777, 0640);
}

/* Where journald listens, in the stage's /run: non-blocking. */
static int listen_as_journald(const struct stage *stage)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), size = 1 << 20;

	netlab_run("mkdir -p %s", stage_path(stage, "run/systemd/journal"));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s",
		 stage_path(stage, "run/systemd/journal/socket"));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Adds what was sent so far (only ten may wait): each message's SQUALL_AUDIT, which has the event
 * that its own field says.
 */
static void hear(int fd, json_t *list)
{
	char message[16384];
	ssize_t got;

	while ((got = recv(fd, message, sizeof(message) - 1, 0)) > 0) {
		char expected[128], *text, *end;
		json_t *entry;

		message[got] = '\0';
		text = strstr(message, "\nSQUALL_AUDIT=");
		assert_non_null(text);
		text += strlen("\nSQUALL_AUDIT=");
		end = strchr(text, '\n');
		assert_non_null(end);
		*end = '\0';
		entry = json_loads(text, 0, NULL);
		assert_non_null(entry);
		snprintf(expected, sizeof(expected), "\nSQUALL_EVENT=%s\n",
			 member_text(entry, "event"));
		assert_non_null(strstr(message, expected));
		assert_non_null(strstr(message, "\nSQUALL_UID=0\n"));
		assert_non_null(strstr(message, "\nSYSLOG_IDENTIFIER=squall\n"));
		json_array_append_new(list, entry);
	}
}

/* The file and the log of the system tell the same, of each kind of act. */
static void test_each_kind_of_act_is_told_with_its_fields(void **state)
{
	static const char *const without_file[] = {"halt", "resume"};
	static const char *const with_file[] = {"planned",  "begin",	"armed",  "injected",
						"restored", "finished", "refused"};
	static const struct {
		const char *words;
		bool has_path;
		int code;
	} acts[] = {{"plan ", true, 0},
		    {"run ", true, 0},
		    {"halt --reason fire", false, 0},
		    {"run ", true, 2},
		    {"resume", false, 0}};
	struct stage *stage = *state;
	int fd = listen_as_journald(stage);
	const char *path = stage_write(stage, "told.yaml",
				       "version: 1\ntitle: told\nallow-idle: true\n"
				       "limits: {duration: 20s, targets: 1}\nmethod:\n"
				       "  - {at: 0s, for: 100ms, network: {to: \"10.88.0.2:7001\", "
				       "delay: 100ms}}\n");
	cleanup_free char *digest = netlab_output("sha256sum %s", path);
	json_t *lists[2], *before;

	squall_call(stage, NULL, "resume"); /* the file is there */
	hear(fd, before = json_array());
	json_decref(before);
	before = trail(stage);
	lists[1] = json_array();
	for (unsigned i = 0; i < sizeof(acts) / sizeof(*acts); i++) {
		assert_int_equal(squall_call(stage, NULL, "%s%s", acts[i].words,
					     acts[i].has_path ? path : ""),
				 acts[i].code);
		hear(fd, lists[1]);
	}
	lists[0] = trail(stage);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned k = 0; k < sizeof(without_file) / sizeof(*without_file); k++)
			assert_fields(find(lists[i], without_file[k], "fire"), NULL);
		for (unsigned k = 0; k < sizeof(with_file) / sizeof(*with_file); k++)
			assert_fields(find(lists[i], with_file[k], ""), digest);
	}
	assert_int_equal(json_array_size(lists[0]) - json_array_size(before),
			 json_array_size(lists[1]));
	json_decref(before);
	json_decref(lists[0]);
	json_decref(lists[1]);
	close(fd);
	netlab_run("rm -rf %s", stage_path(stage, "run/systemd"));
}

static void test_a_dead_run_that_is_finished_is_in_the_trail(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = squall_start(stage, NULL, INJECT "20s --json");
	json_t *list;

	squall_await_injected(squall);
	kill(squall->guardian, SIGSTOP);
	kill(squall->worker, SIGKILL);
	kill(squall->guardian, SIGKILL);
	squall_await_exit(squall);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	list = trail(stage);
	assert_string_equal(member_text(find(list, "undone", "dead"), "run"), squall->run_id);
	json_decref(list);
	stage_assert_clean(stage);
}

/* Whoever undoes it says so: here nobody else is left who could. */
static void test_what_the_guardian_restores_is_in_the_trail(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = squall_start(stage, NULL, INJECT "20s --json");
	json_t *list, *entry;

	squall_await_injected(squall);
	kill(squall->worker, SIGKILL);
	stage_await_finished(stage);
	/* its lines are written when all is undone and others may go on */
	for (unsigned i = 0; i < 500 && kill(squall->guardian, 0) == 0; i++)
		usleep(10000);
	list = trail(stage);
	entry = find(list, "restored", "by the guardian: run ");
	assert_string_equal(member_text(entry, "run"), squall->run_id);
	assert_int_equal(member_number(entry, "pid"), squall->guardian);
	assert_non_null(strstr(member_text(entry, "text"), "step 1 (network)"));
	entry = find(list, "undone", "by the guardian, the worker is dead: ");
	assert_non_null(strstr(member_text(entry, "text"), " 0 left"));
	json_decref(list);
	squall_await_exit(squall);
	stage_assert_clean(stage);
}

static bool make_append_only(const char *path, bool is_on)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), flags = 0, result;

	assert_true(fd >= 0);
	result = ioctl(fd, FS_IOC_GETFLAGS, &flags);
	flags = is_on ? flags | FS_APPEND_FL : flags & ~FS_APPEND_FL;
	if (result == 0)
		result = ioctl(fd, FS_IOC_SETFLAGS, &flags);
	close(fd);
	return result == 0;
}

/* chattr +a: nobody takes a line back, and squall goes on writing. */
static void test_a_trail_that_is_append_only_grows(void **state)
{
	struct stage *stage = *state;
	const char *path = stage_path(stage, "lib/squall/audit.log");
	size_t lines;
	json_t *list;

	squall_call(stage, NULL, "resume"); /* the file is there */
	list = trail(stage);
	lines = json_array_size(list);
	json_decref(list);
	if (!make_append_only(path, true))
		stage_skip("the file system has no append-only files");
	assert_int_equal(open(path, O_WRONLY | O_CLOEXEC), -1);
	squall_assert_exit(squall_start(stage, NULL, INJECT "200ms --json"), 0);
	list = trail(stage);
	assert_true(json_array_size(list) > lines);
	find(list, "finished", "");
	json_decref(list);
	assert_true(make_append_only(path, false));
	stage_assert_clean(stage);
}

static void test_a_required_trail_that_cannot_be_written_refuses(void **state)
{
	const struct squall_how how = {.policy = "version: 1\naudit: required\n",
				       .full_lib_kib = 64};
	struct squall *squall = squall_start(*state, &how, INJECT "1s");

	squall_assert_refused(squall, "the site policy wants an audit");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
		TEST(test_the_policy_is_asked_by_run_and_plan),
		TEST(test_a_broken_policy_allows_nothing),
		TEST(test_processes_of_others_are_met_without_the_right_to_signal_them),
		TEST(test_what_the_policy_allows_goes_on),
		TEST(test_a_unit_inside_of_another_is_not_the_systems),
		TEST(test_who_joins_a_group_is_asked_about_when_it_is_frozen),
		TEST(test_every_act_is_in_the_trail),
		TEST(test_each_kind_of_act_is_told_with_its_fields),
		TEST(test_a_dead_run_that_is_finished_is_in_the_trail),
		TEST(test_what_the_guardian_restores_is_in_the_trail),
		TEST(test_a_trail_that_is_append_only_grows),
		TEST(test_a_required_trail_that_cannot_be_written_refuses),
	};

	return STAGE_RUN(tests);
}
