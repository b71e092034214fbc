/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who is told while an experiment runs, with receivers that take it, hang, and refuse: what
 * arrives, that nothing of it delays a stop, and that no address is shown anywhere.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TAKES_PORT   8100
#define HANGS_PORT   8101
#define REFUSED_PORT 8102

static int listen_on(const struct stage *stage, uint16_t port)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
					    .sin_port = htons(port),
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	cleanup_fd int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int fd, one = 1;

	assert_int_equal(setns(stage->lab->near_fd, CLONE_NEWNET), 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (const void *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(setns(here, CLONE_NEWNET), 0);
	return fd;
}

/* Header and body of one request; the path and the body go into the file, a line each. */
static bool take_request(int fd, FILE *out)
{
	static const char taken[] = "HTTP/1.1 204 No Content\r\n\r\n";
	char request[8192] = "", *end = NULL, *length;
	size_t used = 0, whole = 0;

	while (!end || used < whole) {
		ssize_t got = recv(fd, request + used, sizeof(request) - 1 - used, 0);

		if (got <= 0)
			return false;
		used += (size_t)got;
		request[used] = '\0';
		end = strstr(request, "\r\n\r\n");
		length = strcasestr(request, "content-length:");
		if (end)
			whole = (size_t)(end + 4 - request) +
				(length ? strtoul(length + 15, NULL, 10) : 0);
	}
	fprintf(out, "%.*s %s\n", (int)strcspn(request + 5, " "), request + 5, end + 4);
	fflush(out);
	return send(fd, taken, sizeof(taken) - 1, MSG_NOSIGNAL) > 0;
}

/* One process a receiver; a connection at a time is enough. */
static pid_t receive(const struct stage *stage, uint16_t port, const char *path)
{
	int fd = listen_on(stage, port);
	pid_t pid = fork();

	if (pid != 0) {
		close(fd);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int one = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		FILE *out;

		/* connections are kept: each has a process of its own */
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			out = fopen(path, "ae");
			while (out && take_request(one, out))
				;
			_exit(0);
		}
		close(one);
	}
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = calloc(1, 65536);

	assert_non_null(text);
	if (file) {
		text[fread(text, 1, 65535, file)] = '\0';
		fclose(file);
	}
	return text;
}

static void assert_order(const char *text, const char *const words[])
{
	const char *at = text;

	for (; *words; words++) {
		at = strstr(at, *words);
		if (!at)
			fail_msg("'%s' is not where it should be in:\n%s", *words, text);
	}
}

static const char *experiment(const struct stage *stage, const char *lasts, const char *notify)
{
	return stage_write(stage, "notify.yaml",
			   "version: 1\n"
			   "title: told <to> others\n"
			   "limits: {duration: 60s, targets: 1}\n"
			   "variables: {hook: {from-file: %s, secret: true}}\n"
			   "allow-idle: true\n"
			   "targets: {far: {to: \"10.88.0.2:7001\"}}\n"
			   "method: [{at: 0s, for: %s, network: {target: far, delay: 100ms}}]\n"
			   "notify:\n%s",
			   stage_path(stage, "hook"), lasts, notify);
}

static void test_moments_arrive_in_their_order(void **state)
{
	static const char *const moments[] = {
		"hidden/path?token=abc",  "\"event\":\"started\"",
		"\"event\":\"injected\"", "injected delay 100ms to 10.88.0.2:7001 since ",
		", expected end ",	  "\"event\":\"ended\"",
		"\"event\":\"restored\"", "\"event\":\"verdict\"",
		"\"exit_code\":0",	  NULL};
	static const char *const slack[] = {"slack {\"text\":\"*told &lt;to&gt; others* (",
					    "): injected delay 100ms", "): held: ", NULL};
	static const char *const lines[] = {"injected delay 100ms", "{\"event\":\"injected\"",
					    "held: ", "{\"event\":\"verdict\"", NULL};
	struct stage *stage = *state;
	cleanup_free char *got = NULL, *slack_got = NULL, *told = NULL;
	const char *path = stage_path(stage, "got"), *script;
	pid_t receiver = receive(stage, TAKES_PORT, path);
	struct squall *squall;
	json_t *result;

	stage_write(stage, "hook", "http://127.0.0.1:%d/hidden/path?token=abc\n", TAKES_PORT);
	stage_write(stage, "told", "%s", "");
	script = stage_write(stage, "tell", "#!/bin/sh\ncat >>%s\n", stage_path(stage, "told"));
	chmod(script, 0755);
	squall = squall_start(
		stage, NULL, "run --json %s",
		experiment(stage, "500ms",
			   "  - {webhook: \"${hook}\", on: [started, injected, aborted, ended, "
			   "restored, verdict]}\n"
			   "  - {webhook: \"http://127.0.0.1:8100/slack\", format: slack}\n"
			   "  - {command: [./tell], on: [injected, verdict]}\n"));
	squall_assert_exit(squall, 0);
	got = read_file(path);
	told = read_file(stage_path(stage, "told"));
	assert_order(got, moments);
	assert_order(got, slack);
	assert_order(told, lines);
	assert_null(strstr(got, "aborted"));
	end(receiver);
	result = stage_result(stage, squall->run_id[0]
					     ? squall->run_id
					     : member_text(squall_event(squall, "armed"), "run"));
	assert_int_equal(json_array_size(json_object_get(result, "notifications")), 3);
	assert_int_equal(
		member_number(json_array_get(json_object_get(result, "notifications"), 0), "sent"),
		5);
	got[0] = '\0';
	slack_got = json_dumps(result, 0);
	if (strstr(slack_got, "hidden/path") || squall_has_said(squall, "hidden/path"))
		fail_msg("the address of a receiver was shown");
	json_decref(result);
	stage_assert_clean(stage);
}

/* Every way at its worst: one hangs, one refuses, a program never ends, no log is there. */
static const char hopeless[] =
	"  - {webhook: \"http://127.0.0.1:8101/x\", timeout: 60s, on: [started, injected, aborted, "
	"ended, restored, verdict]}\n"
	"  - {webhook: \"http://127.0.0.1:8102/x\"}\n"
	"  - {command: [/bin/sleep, 1000], timeout: 60s, on: [injected, aborted]}\n"
	"  - {command: [/there/is/none]}\n";

static void test_receivers_that_hang_delay_neither_stop_nor_restore(void **state)
{
	struct stage *stage = *state;
	int hangs = listen_on(stage, HANGS_PORT);
	struct squall *squall;
	json_t *result, *list;
	char *messages;

	stage_write(stage, "hook", "http://127.0.0.1:1/\n");
	squall = squall_start(stage, NULL, "run --json %s", experiment(stage, "50s", hopeless));
	squall_await_injected(squall);
	pause_ms(300);
	squall_signal(squall, SIGINT);
	squall_await(squall, "stopped");
	if (member_number(squall_event(squall, "stopped"), "duration_ns") > 500000000 &&
	    !is_emulated())
		fail_msg("stopping took long");
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	squall_assert_exit(squall, 4);
	result = stage_result(stage, squall->run_id);
	list = json_object_get(result, "notifications");
	assert_int_equal(member_number(json_array_get(list, 0), "sent"), 0);
	assert_string_equal(member_text(json_array_get(list, 0), "trouble"),
			    "it was still on its way 5s after the end");
	assert_string_equal(member_text(json_array_get(list, 1), "trouble"), "connection refused");
	assert_non_null(strstr(member_text(json_array_get(list, 3), "trouble"), "cannot start"));
	json_decref(result);
	messages = squall_messages(squall);
	assert_non_null(
		strstr(messages, "a notification did not get through: webhook 127.0.0.1:8101"));
	free(messages);
	close(hangs);
	stage_assert_clean(stage);
}

static void test_an_abort_is_told(void **state)
{
	static const char *const moments[] = {"\"event\":\"injected\"",
					      "\"event\":\"aborted\"",
					      "stopped before its end: got SIGTERM",
					      "\"event\":\"restored\"",
					      "interrupted",
					      NULL};
	struct stage *stage = *state;
	cleanup_free char *got = NULL;
	const char *path = stage_path(stage, "got-abort");
	pid_t receiver = receive(stage, TAKES_PORT, path);
	struct squall *squall;

	stage_write(stage, "hook", "http://127.0.0.1:%d/\n", TAKES_PORT);
	squall = squall_start(stage, NULL, "run --json %s",
			      experiment(stage, "50s", "  - {webhook: \"${hook}\"}\n"));
	squall_await_injected(squall);
	squall_signal(squall, SIGTERM);
	squall_assert_exit(squall, 4);
	got = read_file(path);
	assert_order(got, moments);
	end(receiver);
	stage_assert_clean(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_moments_arrive_in_their_order, stage_setup,
						stage_teardown),
		cmocka_unit_test_setup_teardown(
			test_receivers_that_hang_delay_neither_stop_nor_restore, stage_setup,
			stage_teardown),
		cmocka_unit_test_setup_teardown(test_an_abort_is_told, stage_setup, stage_teardown),
	};

	return STAGE_RUN(tests);
}
