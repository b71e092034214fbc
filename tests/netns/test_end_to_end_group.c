/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary, a real nginx, and curl twice in one network namespace: once as the chosen
 * service, in its control group, once beside it. And the refusal when a process cannot be told from
 * others.
 */
#include "tests/support/children.h"
#include "tests/support/squall_runner.h"

#include "injector/kernel/cgroup.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CURL_TIMEOUT 28 /* its exit code */

static char ours[128], root[300];
static pid_t service, other;

static int ask(const struct stage *stage, const char *url, unsigned seconds)
{
	return netlab_try("ip netns exec %s curl -s -o /dev/null --max-time %u %s",
			  stage->lab->near, seconds, url);
}

static void start_nginx(const struct stage *stage)
{
	const char *home = stage->folder;
	const char *config = stage_write(
		stage, "nginx.conf",
		"user root; worker_processes 1; pid %s/nginx.pid; error_log %s/errors crit;\n"
		"events {} http { access_log off; client_body_temp_path %s/b; proxy_temp_path "
		"%s/p;\n"
		"fastcgi_temp_path %s/f; uwsgi_temp_path %s/u; scgi_temp_path %s/s;\n"
		"server { listen 8080; listen [::]:8080; location / { return 200 ok; } } }\n",
		home, home, home, home, home, home, home);

	netlab_run("ip netns exec %s nginx -p %s -c %s -e %s/errors", stage->lab->far, home, config,
		   home);
}

static void stop_nginx(const struct stage *stage)
{
	char path[128];
	FILE *file;
	int pid = 0;

	snprintf(path, sizeof(path), "%s/nginx.pid", stage->folder);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &pid), 1);
	fclose(file);
	kill(pid, SIGTERM);
}

static const char *write_experiment(const struct stage *stage)
{
	return stage_write(
		stage, "one.yaml",
		"version: 1\n"
		"title: One service\n"
		"limits: {duration: 1m, targets: 8}\n"
		"targets:\n"
		"  store: {to: [\"10.88.0.2:8080\", \"[fd88::2]:8080\"], of: shop, namespace: %s}\n"
		"  shop: {process: {pid: %d}}\n"
		"probes: {p: {command: [\"true\"]}}\n"
		"steady-state: {require: [p], for: 1ms}\n"
		"method:\n"
		"  - {at: 0s, for: 30s, network: {target: store, loss: 100%%}}\n",
		stage->lab->near, service);
}

static void test_one_of_two_clients_of_nginx(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	start_nginx(stage);
	squall = squall_start(stage, NULL, "run --json %s", write_experiment(stage));
	squall_await_injected(squall);
	assert_int_equal(ask(stage, "http://10.88.0.2:8080/", 10), 0);
	assert_int_equal(ask(stage, "http://[fd88::2]:8080/", 10), 0);
	group_write(ours, "cgroup.procs", "0"); /* what is started from here on is the service's */
	assert_int_equal(ask(stage, "http://10.88.0.2:8080/", 1), CURL_TIMEOUT);
	assert_int_equal(ask(stage, "http://[fd88::2]:8080/", 1), CURL_TIMEOUT);
	group_write(root, "cgroup.procs", "0");
	squall_signal(squall, SIGTERM);
	squall_assert_exit(squall, 4);
	group_write(ours, "cgroup.procs", "0");
	assert_int_equal(ask(stage, "http://10.88.0.2:8080/", 10), 0);
	group_write(root, "cgroup.procs", "0");
	stop_nginx(stage);
	stage_assert_clean(stage);
}

static void test_who_shares_a_group_with_others_is_refused(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	other = child_start(CHILD_SLEEPS, ours);
	squall = squall_start(stage, NULL, "plan %s", write_experiment(stage));
	squall_assert_exit(squall, 2);
	assert_true(
		squall_has_said(squall, "share control group /sqge-shop with 1 other (process"));
	assert_true(squall_has_said(squall, "cgroup: /sqge-shop"));
	stage_assert_clean(stage);
}

static int setup(void **state)
{
	struct cgroup_mounts mounts;

	assert_int_equal(cgroup_find_mounts(&mounts, NULL), 0);
	snprintf(root, sizeof(root), "%s", mounts.unified);
	children_init();
	group_make("sqge-shop", ours);
	service = child_start(CHILD_SLEEPS, ours);
	other = 0;
	return stage_setup(state);
}

static int teardown(void **state)
{
	group_write(root, "cgroup.procs", "0");
	child_stop(service);
	if (other)
		child_stop(other);
	group_remove(ours);
	return stage_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_of_two_clients_of_nginx, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_shares_a_group_with_others_is_refused,
						setup, teardown),
	};

	return STAGE_RUN(tests);
}
