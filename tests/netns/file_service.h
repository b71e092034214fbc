/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A real nginx or HAProxy of the test, whose configuration file goes bad: started, asked,
 * compared with what it was, ended.
 */
#ifndef SQUALL_TESTS_FILE_SERVICE_H
#define SQUALL_TESTS_FILE_SERVICE_H

#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

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
static inline unsigned answer(const struct stage *stage)
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

static inline pid_t service_pid(void)
{
	FILE *file = fopen(pidfile, "re");
	int pid = 0;

	if (file && fscanf(file, "%d", &pid) != 1)
		pid = 0;
	if (file)
		fclose(file);
	return pid;
}

/* It answers before it minds signals: HAProxy's worker does while its master is not yet at its
 * events, where a signal means loading again. */
static inline void await_its_sleep(void)
{
	static const long sleeps[] = {SYS_epoll_wait, SYS_epoll_pwait, SYS_rt_sigsuspend};
	char path[64], text[128];

	for (unsigned tries = 0; tries < 500; tries++) {
		FILE *file;
		long call;

		snprintf(path, sizeof(path), "/proc/%d/syscall", service_pid());
		file = fopen(path, "re");
		call = file && fgets(text, sizeof(text), file) ? strtol(text, NULL, 10) : -1;

		if (file)
			fclose(file);
		for (unsigned i = 0; i < sizeof(sleeps) / sizeof(*sleeps); i++)
			if (call == sleeps[i])
				return;
		pause_ms(20);
	}
	fail_msg("%s does not wait for anything", service->name);
}

static inline void await_answer(const struct stage *stage, unsigned wanted, const char *when)
{
	int64_t until_ns = clock_now_ns() + PATIENCE_MS * NSEC_PER_MSEC;
	unsigned seen;

	while ((seen = answer(stage)) != wanted) {
		if (clock_now_ns() > until_ns)
			fail_msg("%s, %s: the answer is %u instead of %u", service->name, when,
				 seen, wanted);
		pause_ms(20);
	}
	if (wanted != 0)
		await_its_sleep();
}

static inline void start_service(struct stage *stage, const struct service *which)
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

static inline void stop_service(void)
{
	pid_t pid = service_pid();

	/* the workers end with their master */
	if (pid > 1 && kill(pid, SIGTERM) == 0 && !process_await_gone(pid, PATIENCE_MS))
		fail_msg("%s does not end", service->name);
}

/* Nobody put it back. For a moment after its reload a process of the old configuration still takes
 * connections beside the new one, so one answer alone says nothing. */
static inline void assert_still_wrong(const struct stage *stage)
{
	cleanup_free char *text = netlab_output("nsenter -m -t %d cat %s", service_pid(), config);

	assert_non_null(strstr(text, service->wrong));
	await_answer(stage, 500, "as nobody put it back");
}

/* Everything but the change time */
static inline char *describe(void)
{
	cleanup_free char *file =
		netlab_output("stat -c %%n:%%i:%%s:%%u:%%g:%%a:%%h:%%y %s", config);
	cleanup_free char *sum = netlab_output("sha256sum %s", config);
	cleanup_free char *more = netlab_output("getfattr --absolute-names -d -m - %s", config);
	char *all;

	assert_true(asprintf(&all, "%s%s%s", file, sum, more) > 0);
	return all;
}

static inline void await_no_journal(const struct stage *stage)
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

static inline void assert_same(const struct stage *stage, const char *before)
{
	cleanup_free char *after = describe();
	cleanup_free char *left = netlab_output("find %s -name .app.conf*", folder);

	assert_string_equal(after, before);
	assert_string_equal(left, "");
	await_no_journal(stage);
}

/* `where` is more of the selector: "" or ", namespace: pid:N"; `reload` says who reads it again. */
static inline const char *write_experiment(struct stage *stage, const char *with,
					   const char *how_long, const char *where,
					   const char *reload)
{
	return stage_write(
		stage, "file.yaml",
		"version: 1\ntitle: bad configuration\nlimits: {duration: 2m, targets: 1}\n"
		"targets: {config: {file: {path: %s%s}}}\nmethod:\n"
		"  - {at: 0s, for: %s, file: {target: config, pattern: \"%s\", with: \"%s\",\n"
		"     %s}}\n",
		config, where, how_long, service->good, with, reload);
}

static inline struct squall *start_run_in(struct stage *stage, const char *with,
					  const char *how_long, const char *where)
{
	struct squall *squall;
	char reload[200];

	snprintf(reload, sizeof(reload), "reload-signal: %s, reload-pidfile: %s", service->signal,
		 pidfile);
	squall = squall_start(stage, NULL, "run --json %s",
			      write_experiment(stage, with, how_long, where, reload));
	squall_await_injected(squall);
	return squall;
}

static inline struct squall *start_run(struct stage *stage, const char *with, const char *how_long)
{
	return start_run_in(stage, with, how_long, "");
}

/* Whatever became of the test, the next one's service finds its port free */
static inline int service_teardown(void **state)
{
	pid_t pid = *pidfile ? service_pid() : 0;

	/* a daemon leads a group: its workers are in it */
	if (pid > 1)
		kill(-pid, SIGKILL);
	*pidfile = '\0';
	return stage_teardown(state);
}

static inline void kill_all(const struct squall *squall)
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

#endif
