/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary, a real nginx and a real HAProxy: a bad configuration and a reload are seen in
 * the answers, and whatever happens to squall, the original comes back and is read again.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PATIENCE_MS (is_emulated() ? 20000 : 4000)

struct service {
	const char *name, *config, *signal;
	const char *good, *wrong, *broken; /* what is replaced, by what */
	unsigned port;
};

static const struct service nginx = {
	.name = "nginx",
	.config = "user root; worker_processes 1; pid %1$s/pid; error_log %1$s/errors;\n"
		  "events {} http { access_log off; client_body_temp_path %1$s/t;\n"
		  "proxy_temp_path %1$s/t; fastcgi_temp_path %1$s/t; uwsgi_temp_path %1$s/t;\n"
		  "scgi_temp_path %1$s/t; server { listen 127.0.0.1:8180;\n"
		  "location / { return 200 ok; } } }\n",
	.signal = "HUP",
	.good = "return 200",
	.wrong = "return 503",
	.broken = "retrun 200",
	.port = 8180,
};

static const struct service haproxy = {
	.name = "haproxy",
	.config = "global\n  # %1$s\n"
		  "defaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n"
		  "  timeout server 5s\n"
		  "frontend web\n  bind 127.0.0.1:8181\n"
		  "  http-request return status 200 content-type text/plain string ok\n",
	.signal = "USR2",
	.good = "status 200",
	.wrong = "status 500",
	.broken = "stattus 200",
	.port = 8181,
};

/* --- a service of the test --- */

static const struct service *service;
static char folder[96], config[128], pidfile[128];

/* 0: no answer */
static unsigned answer(const struct stage *stage)
{
	cleanup_free char *text = NULL;
	char path[160];

	snprintf(path, sizeof(path), "%s/code", folder);
	if (netlab_try("ip netns exec %s curl -s -o %s --max-time 2 --fail http://127.0.0.1:%u/",
		       stage->lab->near, path, service->port) == 0)
		return 200;
	/* 22: an answer with an error code (curl(1)) */
	return netlab_try("ip netns exec %s curl -s -o /dev/null --max-time 2 "
			  "http://127.0.0.1:%u/",
			  stage->lab->near, service->port) == 0
		       ? 500
		       : 0;
}

static void await_answer(const struct stage *stage, unsigned wanted, const char *when)
{
	int64_t until_ns = clock_now_ns() + PATIENCE_MS * NSEC_PER_MSEC;
	unsigned seen;

	while ((seen = answer(stage)) != wanted) {
		if (clock_now_ns() > until_ns)
			fail_msg("%s, %s: the answer is %u instead of %u", service->name, when,
				 seen, wanted);
		pause_ms(20);
	}
}

static pid_t service_pid(void)
{
	FILE *file = fopen(pidfile, "re");
	int pid = 0;

	if (file && fscanf(file, "%d", &pid) != 1)
		pid = 0;
	if (file)
		fclose(file);
	return pid;
}

static void start_service(struct stage *stage, const struct service *which)
{
	service = which;
	snprintf(folder, sizeof(folder), "%s/service", stage->folder);
	netlab_run("mkdir -p -m 755 %s/t", folder);
	snprintf(config, sizeof(config), "%s/app.conf", folder);
	snprintf(pidfile, sizeof(pidfile), "%s/pid", folder);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	stage_write(stage, "service/app.conf", which->config, folder);
#pragma GCC diagnostic pop
	netlab_run("chmod 640 %s", config);
	netlab_run("chown 1234:2345 %s", config);
	netlab_run("touch -d 2021-02-03T04:05:06.789 %s", config);
	netlab_try("setfattr -n user.note -v kept %s", config);
	netlab_run("touch -d 2020-01-01T00:00:00 %s", folder);
	if (which == &nginx)
		netlab_run("ip netns exec %s nginx -p %s -c %s -e %s/errors", stage->lab->near,
			   folder, config, folder);
	else
		netlab_run("ip netns exec %s haproxy -q -W -D -f %s -p %s", stage->lab->near,
			   config, pidfile);
	await_answer(stage, 200, "at the start");
}

static void stop_service(void)
{
	pid_t pid = service_pid();

	/* the workers end with their master */
	if (pid > 1 && kill(pid, SIGTERM) == 0 && !process_await_gone(pid, PATIENCE_MS))
		fail_msg("%s does not end", service->name);
}

/* Everything but the change time */
static char *describe(void)
{
	cleanup_free char *file =
		netlab_output("stat -c %%n:%%i:%%s:%%u:%%g:%%a:%%h:%%y %s", config);
	cleanup_free char *sum = netlab_output("sha256sum %s", config);
	cleanup_free char *more = netlab_output("getfattr --absolute-names -d -m - %s", config);
	char *all;

	assert_true(asprintf(&all, "%s%s%s", file, sum, more) > 0);
	return all;
}

static void await_no_journal(const struct stage *stage)
{
	int64_t until_ns = clock_now_ns() + PATIENCE_MS * NSEC_PER_MSEC;

	for (;;) {
		cleanup_free char *found =
			netlab_output("find %s/lib -name journal", stage->folder);

		if (!*found)
			return;
		if (clock_now_ns() > until_ns)
			fail_msg("a journal is left: %s", found);
		pause_ms(10);
	}
}

static void assert_same(const struct stage *stage, const char *before)
{
	cleanup_free char *after = describe();
	cleanup_free char *left = netlab_output("find %s -name .app.conf*", folder);

	assert_string_equal(after, before);
	assert_string_equal(left, "");
	await_no_journal(stage);
}

/* `where` is more of the selector: "" or ", namespace: pid:N". */
static struct squall *start_run_in(struct stage *stage, const char *with, const char *how_long,
				   const char *where)
{
	struct squall *squall;
	const char *path = stage_write(
		stage, "file.yaml",
		"version: 1\ntitle: bad configuration\nlimits: {duration: 2m, targets: 1}\n"
		"targets: {config: {file: {path: %s%s}}}\nmethod:\n"
		"  - {at: 0s, for: %s, file: {target: config, pattern: \"%s\", with: \"%s\",\n"
		"     reload-signal: %s, reload-pidfile: %s}}\n",
		config, where, how_long, service->good, with, service->signal, pidfile);

	squall = squall_start(stage, NULL, "run --json %s", path);
	squall_await_injected(squall);
	return squall;
}

static struct squall *start_run(struct stage *stage, const char *with, const char *how_long)
{
	return start_run_in(stage, with, how_long, "");
}

/* --- tests --- */

static void reload_with_wrong_one(struct stage *stage, const struct service *which)
{
	cleanup_free char *before = NULL;
	struct squall *squall;

	start_service(stage, which);
	before = describe();
	squall = start_run(stage, which->wrong, is_emulated() ? "8s" : "2s");
	await_answer(stage, 500, "with the wrong configuration");
	squall_assert_exit(squall, 0);
	await_answer(stage, 200, "afterwards");
	assert_same(stage, before);
	stop_service();
	stage_assert_clean(stage);
}

static void test_nginx_reads_the_wrong_one_and_the_good_one_again(void **state)
{
	reload_with_wrong_one(*state, &nginx);
}

static void test_haproxy_reads_the_wrong_one_and_the_good_one_again(void **state)
{
	reload_with_wrong_one(*state, &haproxy);
}

/* It is read, rejected, and the last good one goes on serving. */
static void reload_with_broken_one(struct stage *stage, const struct service *which)
{
	cleanup_free char *before = NULL;
	struct squall *squall;

	start_service(stage, which);
	before = describe();
	/* long enough for the service to start its reading */
	squall = start_run(stage, which->broken, is_emulated() ? "12s" : "2s");
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(answer(stage), 200);
	/* 0 says that it was read: a file that nobody opened fails the run */
	squall_assert_exit(squall, 0);
	await_answer(stage, 200, "afterwards");
	assert_same(stage, before);
	stop_service();
	stage_assert_clean(stage);
}

static void test_nginx_rejects_a_broken_one(void **state)
{
	reload_with_broken_one(*state, &nginx);
}

static void test_haproxy_rejects_a_broken_one(void **state)
{
	reload_with_broken_one(*state, &haproxy);
}

static void test_killed_worker_the_guardian_puts_it_back(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL;
	struct squall *squall;

	start_service(stage, &nginx);
	before = describe();
	squall = start_run(stage, nginx.wrong, "60s");
	await_answer(stage, 500, "in force");
	assert_int_equal(kill(squall->worker, SIGKILL), 0);
	await_answer(stage, 200, "without any command");
	squall_assert_exit(squall, 4);
	assert_same(stage, before);
	stop_service();
	assert_true(process_await_gone(squall->guardian, PATIENCE_MS));
	stage_assert_clean(stage);
}

static void test_killed_guardian_the_worker_puts_it_back(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL;
	struct squall *squall;

	start_service(stage, &haproxy);
	before = describe();
	squall = start_run(stage, haproxy.wrong, "60s");
	await_answer(stage, 500, "in force");
	assert_int_equal(kill(squall->guardian, SIGKILL), 0);
	squall_assert_exit(squall, 4);
	await_answer(stage, 200, "afterwards");
	assert_same(stage, before);
	stop_service();
	stage_assert_clean(stage);
}

static void kill_all(const struct squall *squall)
{
	/* stopped first: else one of them may act between the deaths of the others */
	assert_int_equal(kill(squall->guardian, SIGSTOP), 0);
	assert_int_equal(kill(squall->worker, SIGSTOP), 0);
	assert_int_equal(kill(squall->pid, SIGSTOP), 0);
	assert_int_equal(kill(squall->guardian, SIGKILL), 0);
	assert_int_equal(kill(squall->worker, SIGKILL), 0);
	assert_int_equal(kill(squall->pid, SIGKILL), 0);
	assert_true(process_await_gone(squall->guardian, PATIENCE_MS));
	assert_true(process_await_gone(squall->worker, PATIENCE_MS));
}

static void test_everybody_killed_restore_puts_it_back_once(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL, *said = NULL;
	struct squall *squall, *restore;

	start_service(stage, &nginx);
	before = describe();
	squall = start_run(stage, nginx.wrong, "60s");
	await_answer(stage, 500, "in force");
	kill_all(squall);
	squall_await_exit(squall);
	assert_int_equal(answer(stage), 500);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	await_answer(stage, 200, "after squall restore");
	assert_same(stage, before);
	restore = squall_start(stage, NULL, "restore");
	squall_assert_exit(restore, 0);
	said = squall_output(restore);
	assert_string_equal(said, "Nothing to restore.\n");
	assert_same(stage, before);
	stop_service();
	stage_assert_clean(stage);
}

/* The service died of it: there is nobody to be told, and that is no reason to leave the file. */
static void test_a_dead_service_does_not_keep_the_file_bad(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL;
	struct squall *squall;

	start_service(stage, &nginx);
	before = describe();
	squall = start_run(stage, nginx.wrong, "60s");
	await_answer(stage, 500, "in force");
	stop_service();
	assert_int_equal(squall_call(stage, NULL, "stop"), 0);
	squall_assert_exit(squall, 4);
	assert_same(stage, before);
	stage_assert_clean(stage);
}

static void test_a_deployment_in_the_middle_is_kept(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL, *said = NULL, *now = NULL;
	struct squall *squall;
	char *command;

	start_service(stage, &nginx);
	before = describe();
	squall = start_run(stage, nginx.wrong, "60s");
	await_answer(stage, 500, "in force");
	stage_write(stage, "service/new.conf", "deployed\n");
	netlab_run("mv %s/new.conf %s", folder, config);
	squall_assert_exit(squall, 6);
	now = netlab_output("cat %s", config);
	assert_string_equal(now, "deployed\n");
	said = squall_output(squall);
	command = strstr(said, "mv -T '");
	if (!command)
		fail_msg("no command to type in: %s", said);
	command[strcspn(command, "\"")] = '\0';
	printf("# typed: %s\n", command);
	/* in JSON the quotes of a pid file are escaped: the part that moves the file is typed */
	*strstr(command, " && ") = '\0';
	assert_int_equal(system(command), 0);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	assert_same(stage, before);
	assert_int_equal(kill(service_pid(), SIGHUP), 0);
	await_answer(stage, 200, "afterwards");
	stop_service();
	stage_assert_clean(stage);
}

/* `ip netns exec` has given nginx a mount namespace of its own. */
static struct squall *start_run_inside(struct stage *stage)
{
	cleanup_free char *outside = NULL, *inside = NULL;
	struct squall *squall;
	char where[64];

	snprintf(where, sizeof(where), ", namespace: \"pid:%d\"", service_pid());
	squall = start_run_in(stage, nginx.wrong, "60s", where);
	await_answer(stage, 500, "with the wrong configuration mounted");
	outside = netlab_output("cat %s", config);
	inside = netlab_output("nsenter -m -t %d cat %s", service_pid(), config);
	assert_non_null(strstr(outside, nginx.good));
	assert_non_null(strstr(inside, nginx.wrong));
	return squall;
}

static void test_only_one_process_tree_sees_it(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL;
	struct squall *squall;

	start_service(stage, &nginx);
	before = describe();
	squall = start_run_inside(stage);
	assert_int_equal(squall_call(stage, NULL, "stop"), 0);
	squall_assert_exit(squall, 4);
	await_answer(stage, 200, "afterwards");
	assert_same(stage, before);
	stop_service();
	stage_assert_clean(stage);
}

static void test_a_mount_is_undone_when_everybody_was_killed(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL, *inside = NULL;
	struct squall *squall;

	start_service(stage, &nginx);
	before = describe();
	squall = start_run_inside(stage);
	kill_all(squall);
	squall_await_exit(squall);
	assert_int_equal(answer(stage), 500);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	await_answer(stage, 200, "after squall restore");
	inside = netlab_output("nsenter -m -t %d cat %s", service_pid(), config);
	assert_non_null(strstr(inside, nginx.good));
	assert_same(stage, before);
	stop_service();
	stage_assert_clean(stage);
}

static void test_a_mount_is_undone_by_the_guardian(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL;
	struct squall *squall;

	start_service(stage, &nginx);
	before = describe();
	squall = start_run_inside(stage);
	assert_int_equal(kill(squall->worker, SIGKILL), 0);
	await_answer(stage, 200, "without any command");
	squall_assert_exit(squall, 4);
	assert_same(stage, before);
	stop_service();
	assert_true(process_await_gone(squall->guardian, PATIENCE_MS));
	stage_assert_clean(stage);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_nginx_reads_the_wrong_one_and_the_good_one_again),
		TEST(test_haproxy_reads_the_wrong_one_and_the_good_one_again),
		TEST(test_nginx_rejects_a_broken_one),
		TEST(test_haproxy_rejects_a_broken_one),
		TEST(test_killed_worker_the_guardian_puts_it_back),
		TEST(test_killed_guardian_the_worker_puts_it_back),
		TEST(test_everybody_killed_restore_puts_it_back_once),
		TEST(test_a_dead_service_does_not_keep_the_file_bad),
		TEST(test_a_deployment_in_the_middle_is_kept),
		TEST(test_only_one_process_tree_sees_it),
		TEST(test_a_mount_is_undone_when_everybody_was_killed),
		TEST(test_a_mount_is_undone_by_the_guardian),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return getenv("SQUALL_MUST_RUN") ? 1 : 77;
	}
	return STAGE_RUN(tests);
}
