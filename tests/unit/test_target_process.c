/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Selecting processes over a fake /proc: who matches, who is spared, who is chosen.
 */
#include "faults/target.h"
#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"
#include "tests/support/fake_machine.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct target_guard guard = {
	.conductor = {.pid = CONDUCTOR},
	.worker = {.pid = WORKER},
	.guardian = {.pid = GUARDIAN},
};

static void release(struct target *target)
{
	for (unsigned i = 0; i < target->process_count; i++)
		close(target->processes[i].pidfd);
	free(target->processes);
	params_free(&target->params);
	*target = (struct target){.kind = TARGET_PROCESS};
}

/* "name=nginx count=2": resolves it. */
static int resolve(struct target *target, const char *selector, uint64_t seed, struct error *err)
{
	cleanup_free char *words = strdup(selector);
	char *rest = words, *word, *value;

	*target = (struct target){.kind = TARGET_PROCESS, .seed = seed};
	*err = (struct error)ERROR_INIT;
	assert_int_equal(params_init(&target->params, process_params, NULL), 0);
	while ((word = strsep(&rest, "|"))) {
		struct error why = ERROR_INIT;

		value = strchr(word, '=');
		if (!value)
			continue;
		*value++ = '\0';
		if (params_add(&target->params, (unsigned)params_find(process_params, word), value,
			       0, 0, &why) < 0)
			fail_msg("%s", why.text);
	}
	return target_process_resolve(target, &guard, err);
}

static void expect_pids(const char *selector, const pid_t *pids, unsigned count)
{
	struct target target;
	struct error err;
	int result = resolve(&target, selector, 1, &err);

	if (result < 0)
		fail_msg("%s: %s", selector, err.text);
	assert_int_equal(target.process_count, count);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(target.processes[i].id.pid, pids[i]);
		assert_true(target.processes[i].pidfd >= 0);
	}
	release(&target);
}
#define EXPECT(selector, ...)                                                                      \
	expect_pids(selector, (pid_t[]){__VA_ARGS__},                                              \
		    sizeof((pid_t[]){__VA_ARGS__}) / sizeof(pid_t))

static void refused(const char *selector, int code, const char *word)
{
	struct target target;
	struct error err;

	assert_int_equal(resolve(&target, selector, 1, &err), -code);
	assert_int_equal(target.process_count, 0);
	assert_null(target.processes);
	if (!strstr(err.text, word))
		fail_msg("%s: '%s' is not in: %s", selector, word, err.text);
	release(&target);
}

static void test_keys_select_and_combine(void **state)
{
	(void)state;
	EXPECT("name=nginx", MASTER, WORKER_1, WORKER_2, WORKER_3);
	EXPECT("command=worker.*process", WORKER_1, WORKER_2, WORKER_3);
	EXPECT("command=^nginx: m", MASTER);
	EXPECT("exe=/usr/sbin/nginx|command=master", MASTER);
	EXPECT("pid=4190103|pid=4190101", WORKER_1, WORKER_3);
	EXPECT("pid=4190101|pid=4190101", WORKER_1);
	EXPECT("pid=4190101|pid=4190100|command=master", MASTER);
	EXPECT("name=very-long-program-name", LONG_NAME);
	EXPECT("name=very-long-progr", LONG_NAME);
	refused("name=very-long-program-nam", ENOENT, "no process matches");
	refused("name=ngin", ENOENT, "name 'ngin'");
	refused("name=nginx|command=^vi", ENOENT, "name 'nginx', command '^vi'");
}

static void test_user_is_the_effective_one(void **state)
{
	char selector[64];

	(void)state;
	snprintf(selector, sizeof(selector), "user=%u|name=nginx", geteuid());
	EXPECT(selector, MASTER, WORKER_1, WORKER_2, WORKER_3);
	snprintf(selector, sizeof(selector), "user=%u|name=nginx", geteuid() + 1);
	refused(selector, ENOENT, "no process");
	refused("user=no-such-user-here", ENOENT, "no user");
	refused("user=4294967295", ENOENT, "no user");
}

static void test_control_group_with_all_below(void **state)
{
	char text[256];

	(void)state;
	snprintf(text, sizeof(text), "1 0 0:4 / %s/cg rw - cgroup2 cgroup2 rw\n", fake_proc_path());
	fake_proc_write("self/mountinfo", text, strlen(text));
	/* 4190022 has left the group since it was listed, 4190999 has died */
	snprintf(text, sizeof(text), "%d\n%d\n%d\n%d\n%d\n", WORKER_2, MASTER, WORKER_1, EDITOR,
		 P + 999);
	fake_proc_write("cg/system.slice/nginx.service/cgroup.procs", text, strlen(text));
	snprintf(text, sizeof(text), "%d\n", WORKER_3);
	fake_proc_write("cg/system.slice/nginx.service/sub/cgroup.procs", text, strlen(text));
	snprintf(text, sizeof(text), "%d\n", LONG_NAME);
	fake_proc_write("cg/system.slice/shop-1.service/cgroup.procs", text, strlen(text));
	snprintf(text, sizeof(text), "%d\n", CONTAINER_CHILD);
	fake_proc_write("cg/system.slice/shop-2.service/cgroup.procs", text, strlen(text));
	EXPECT("unit=nginx", MASTER, WORKER_1, WORKER_2, WORKER_3);
	EXPECT("cgroup=/system.slice/nginx.service", MASTER, WORKER_1, WORKER_2, WORKER_3);
	EXPECT("cgroup=/system.slice/nginx.service/sub", WORKER_3);
	EXPECT("unit=nginx|cgroup=/system.slice/nginx.service/sub", WORKER_3);
	EXPECT("unit=nginx|command=master", MASTER);
	EXPECT("unit=nginx|pid=4190101|pid=4190022", WORKER_1);
	refused("unit=other", ENOENT, "other.service");
	/* several of a key are met all, also where one is in another */
	EXPECT("unit=nginx|unit=shop-1", LONG_NAME, MASTER, WORKER_1, WORKER_2, WORKER_3);
	EXPECT("unit=shop-*", CONTAINER_CHILD, LONG_NAME);
	EXPECT("cgroup=/system.slice/nginx.service/sub|cgroup=/system.slice/nginx.service", MASTER,
	       WORKER_1, WORKER_2, WORKER_3);
	EXPECT("unit=*|cgroup=/system.slice/shop-2.service", CONTAINER_CHILD);
	refused("unit=nginx|unit=other", ENOENT, "other.service");
	refused("unit=stall-*", ENOENT, "no unit that runs here matches 'stall-*.service'");
	refused("unit=shop-*|cgroup=/system.slice/nginx.service", ENOENT, "in common");
}

static void test_pidfile(void **state)
{
	char path[128], selector[300];

	(void)state;
	snprintf(path, sizeof(path), "%s/x.pid", fake_proc_path());
	snprintf(selector, sizeof(selector), "pidfile=%s", path);
	fake_proc_write("x.pid", "4190100\n", 8);
	EXPECT(selector, MASTER);
	fake_proc_write("x.pid", "4190020", 7);
	refused(selector, EPERM, "sshd");
	fake_proc_write("x.pid", "nginx", 5);
	refused(selector, EINVAL, "no process number");
	fake_proc_write("x.pid", "4190100x", 8);
	refused(selector, EINVAL, "no process number");
	fake_proc_write("x.pid", "", 0);
	refused(selector, EINVAL, "no process number");
	fake_proc_write("x.pid", "4190999", 7);
	refused(selector, ESRCH, "no process 4190999");
	refused("pidfile=/dev/null", EINVAL, "regular");
	/* started an hour from now: later than the file was written, at any rate */
	fake_proc_add(&(struct fake_process){
		.pid = P + 500, .comm = "late", .session = P + 500, .start_time = 1ULL << 36});
	fake_proc_write("x.pid", "4190500", 7);
	refused(selector, ESTALE, "stale");
	snprintf(selector, sizeof(selector), "pidfile=%s|name=late", path);
	EXPECT(selector, P + 500);
}

static void test_empty_selector_is_an_error(void **state)
{
	(void)state;
	refused("", EINVAL, "names no process");
	refused("count=1", EINVAL, "names no process");
	refused("share=50%|allow-critical=true", EINVAL, "names no process");
	refused("name=nginx|namespace=x", EINVAL, "no `port`");
}

static void test_named_process_must_be_there(void **state)
{
	(void)state;
	refused("pid=4190999", ESRCH, "no process 4190999");
	refused("pid=4190101|pid=4190999", ESRCH, "no process 4190999");
	refused("pid=4190301", ESRCH, "has exited");
	refused("name=lost", ENOENT, "no process matches");
}

static void test_named_protected_process_is_refused(void **state)
{
	(void)state;
	refused("pid=1", EPERM, "pid 1");
	refused("pid=4190002", EPERM, "kernel thread");
	refused("pid=4190010", EPERM, "systemd");
	refused("pid=4190030", EPERM, "way into this machine");
	refused("pid=4190020", EPERM, "parent of squall");
	refused("pid=4190300", EPERM, "way into this machine");
	refused("pid=4190022", EPERM, "parent of squall");
	refused("pid=4190023", EPERM, "parent of squall");
	refused("pid=4190024", EPERM, "squall itself");
	refused("pid=4190025", EPERM, "squall itself");
	refused("pid=4190026", EPERM, "squall itself");
	refused("pid=4190027", EPERM, "started by squall");
	refused("pid=4190028", EPERM, "session");
	refused("pid=4190200", EPERM, "container");
	/* one of them is enough */
	refused("pid=4190101|pid=4190020", EPERM, "sshd");
}

static void test_allow_critical_opens_what_may_be_opened(void **state)
{
	(void)state;
	EXPECT("pid=4190030|allow-critical=true", OTHER_SSHD);
	EXPECT("pid=4190300|allow-critical=true", RENAMED_SSHD);
	EXPECT("name=systemd-journal|allow-critical=true", JOURNALD);
	/* the sshd we came in by is our way back: a parent of ours stays safe */
	EXPECT("name=sshd|allow-critical=true", OTHER_SSHD);
	refused("pid=4190020|allow-critical=true", EPERM, "parent of squall");
	refused("pid=1|allow-critical=true", EPERM, "pid 1");
	refused("pid=4190002|allow-critical=true", EPERM, "kernel thread");
	refused("pid=4190025|allow-critical=true", EPERM, "squall itself");
	refused("pid=4190200|allow-critical=true", EPERM, "container");
}

static void test_pattern_spares_the_protected(void **state)
{
	(void)state;
	/* the probe is an nginx as well, and the container's first process is a redis */
	EXPECT("name=nginx|command=nginx", MASTER, WORKER_1, WORKER_2, WORKER_3);
	EXPECT("name=redis", CONTAINER_CHILD);
	refused("name=sshd", EPERM, "; 2 more that match are protected");
	refused("name=squall", EPERM, "; 2 more");
	refused("name=kworker/0:1", EPERM, "kernel thread");
}

static void test_remedy_names_the_switch_only_where_it_helps(void **state)
{
	struct target target;
	struct error err;

	(void)state;
	assert_int_equal(resolve(&target, "name=systemd-journal", 1, &err), -EPERM);
	assert_non_null(strstr(err.remedy, "allow-critical"));
	release(&target);
	assert_int_equal(resolve(&target, "name=squall", 1, &err), -EPERM);
	assert_null(strstr(err.remedy, "allow-critical"));
	release(&target);
}

static unsigned count_of(const char *selector)
{
	struct target target;
	struct error err;
	unsigned count;
	int result = resolve(&target, selector, 1, &err);

	if (result < 0)
		fail_msg("%s: %s", selector, err.text);
	count = target.process_count;
	release(&target);
	return count;
}

static void test_count_and_share(void **state)
{
	(void)state;
	assert_int_equal(count_of("name=nginx|count=1"), 1);
	assert_int_equal(count_of("name=nginx|count=3"), 3);
	assert_int_equal(count_of("name=nginx|count=99"), 4);
	assert_int_equal(count_of("name=nginx|share=100%"), 4);
	assert_int_equal(count_of("name=nginx|share=99%"), 3);
	assert_int_equal(count_of("name=nginx|share=50%"), 2);
	assert_int_equal(count_of("name=nginx|share=0.001%"), 1);
	assert_int_equal(count_of("name=nginx|share=75%|count=2"), 2);
	assert_int_equal(count_of("name=nginx|share=25%|count=2"), 1);
}

static void test_choice_follows_the_seed(void **state)
{
	unsigned hits[4] = {0}, repeats = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 400; seed++) {
		pid_t chosen = 0;

		for (unsigned again = 0; again < 2; again++) {
			struct target target;
			struct error err;

			assert_int_equal(resolve(&target, "name=nginx|count=1", seed, &err), 0);
			assert_int_equal(target.process_count, 1);
			repeats += again && target.processes[0].id.pid == chosen;
			chosen = target.processes[0].id.pid;
			release(&target);
		}
		hits[chosen - MASTER]++;
	}
	assert_int_equal(repeats, 400);
	/* 100 expected, standard deviation 8.7 */
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(hits[i], 60, 140);
}

static void test_pinned_process_in_words(void **state)
{
	struct target target;
	struct error err;

	(void)state;
	assert_int_equal(resolve(&target, "pid=4190103", 1, &err), 0);
	assert_string_equal(target.processes[0].name, "nginx");
	assert_string_equal(target.processes[0].command, "nginx: worker?[2J process");
	assert_int_equal(target.processes[0].uid, geteuid());
	assert_int_equal(target.processes[0].id.start_time, 502);
	release(&target);
}

static void test_recheck(void **state)
{
	struct target target;
	struct error err;

	(void)state;
	assert_int_equal(resolve(&target, "name=very-long-progr", 1, &err), 0);
	assert_int_equal(target_process_recheck(&target.processes[0], &target, &err), 0);
	/* it becomes an sshd */
	fake_proc_add(&(struct fake_process){
		.pid = LONG_NAME, .comm = "sshd", .parent = 1, .session = LONG_NAME});
	assert_int_equal(target_process_recheck(&target.processes[0], &target, &err), -EPERM);
	/* it becomes another one */
	fake_proc_add(&(struct fake_process){.pid = LONG_NAME,
					     .comm = "very-long-progr",
					     .parent = 1,
					     .session = LONG_NAME,
					     .start_time = 9});
	assert_int_equal(target_process_recheck(&target.processes[0], &target, &err), -ESRCH);
	/* it dies */
	fake_proc_add(&(struct fake_process){.pid = LONG_NAME,
					     .comm = "very-long-progr",
					     .parent = 1,
					     .session = LONG_NAME,
					     .state = 'Z'});
	assert_int_equal(target_process_recheck(&target.processes[0], &target, &err), -ESRCH);
	fake_proc_remove(LONG_NAME);
	assert_int_equal(target_process_recheck(&target.processes[0], &target, &err), -ESRCH);
	release(&target);
}

static void test_nobody_listens_in_words(void **state)
{
	(void)state;
	/* port 1 is not served by anything the tests run on */
	refused("port=1", ENOENT, "nobody listens on port 1");
	refused("port=1|namespace=no-such-namespace", ENOENT, "no-such-namespace");
	refused("port=1|namespace=pid:x", EINVAL, "pid:N");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_keys_select_and_combine),
		TEST(test_user_is_the_effective_one),
		TEST(test_control_group_with_all_below),
		TEST(test_pidfile),
		TEST(test_empty_selector_is_an_error),
		TEST(test_named_process_must_be_there),
		TEST(test_named_protected_process_is_refused),
		TEST(test_allow_critical_opens_what_may_be_opened),
		TEST(test_pattern_spares_the_protected),
		TEST(test_remedy_names_the_switch_only_where_it_helps),
		TEST(test_count_and_share),
		TEST(test_choice_follows_the_seed),
		TEST(test_pinned_process_in_words),
		TEST(test_recheck),
		TEST(test_nobody_listens_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
