/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/launcher_workbench.h"

#include "injector/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void workbench_on_result(void *context, const struct launcher_result *result)
{
	struct outcome *outcome = context;

	outcome->result = *result;
	outcome->calls++;
	outcome->at_ns = clock_now_ns();
}

struct workbench *workbench_new_as(uid_t uid, gid_t gid)
{
	struct workbench *bench = calloc(1, sizeof(*bench));
	struct error err = ERROR_INIT;

	assert_non_null(bench);
	assert_int_equal(loop_new(&bench->loop, &err), 0);
	if (launcher_new(uid, gid, &bench->launcher, &err) < 0)
		fail_msg("%s", err.text);
	return bench;
}

struct workbench *workbench_new(void)
{
	return workbench_new_as(getuid(), getgid());
}

void workbench_free(struct workbench *bench)
{
	launcher_free(bench->launcher);
	loop_free(bench->loop);
	free(bench);
}

/* A test program is a line of shell: the shell is the test's, not the launcher's. */
void workbench_add(struct workbench *bench, const char *script, bool own_environment)
{
	char *copy = strdup(script);
	char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, copy, NULL};
	struct error err = ERROR_INIT;

	assert_int_equal(launcher_add(bench->launcher, argv, own_environment, NULL, &err),
			 (int)bench->count++);
	free(copy);
}

void workbench_start(struct workbench *bench, unsigned number, int64_t timeout_ns)
{
	struct error err = ERROR_INIT;

	if (launcher_run(bench->launcher, (int)number, timeout_ns, workbench_on_result,
			 &bench->outcomes[number], &err) < 0)
		fail_msg("%s", err.text);
	bench->started++;
}

void workbench_start_all(struct workbench *bench, int64_t timeout_ns)
{
	struct error err = ERROR_INIT;

	assert_int_equal(launcher_seal(bench->launcher, bench->loop, &err), 0);
	for (unsigned i = 0; i < bench->count; i++)
		workbench_start(bench, i, timeout_ns);
}

void workbench_turn(struct workbench *bench, int64_t for_ns)
{
	struct error err = ERROR_INIT;
	int64_t end = clock_now_ns() + for_ns;

	while (clock_now_ns() < end)
		assert_int_equal(loop_turn(bench->loop, end - clock_now_ns(), &err), 0);
}

void workbench_finish_all(struct workbench *bench)
{
	int64_t end = clock_now_ns() + 10 * NSEC_PER_SEC;
	struct error err = ERROR_INIT;
	unsigned done = 0;

	while (done < bench->started && clock_now_ns() < end) {
		loop_turn(bench->loop, 10 * NSEC_PER_MSEC, &err);
		done = 0;
		for (unsigned i = 0; i < bench->count; i++)
			done += bench->outcomes[i].calls;
	}
	assert_int_equal(done, bench->started);
}

/* Runs one script to its end. */
struct launcher_result workbench_run(const char *script, int64_t timeout_ns)
{
	struct workbench *bench = workbench_new();
	struct launcher_result result;

	workbench_add(bench, script, false);
	workbench_start_all(bench, timeout_ns);
	workbench_finish_all(bench);
	result = bench->outcomes[0].result;
	workbench_free(bench);
	return result;
}

/* How many processes have this word as an argument; all get `signal_number` (0: none). */
unsigned signal_processes(const char *word, int signal_number)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	unsigned count = 0;

	while ((entry = readdir(proc))) {
		char path[300], text[512];
		int fd;
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/%s/cmdline", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
		for (ssize_t at = 0; at < length; at += (ssize_t)strlen(text + at) + 1) {
			text[length] = '\0';
			if (strcmp(text + at, word) != 0)
				continue;
			count++;
			if (signal_number)
				kill(atoi(entry->d_name), signal_number);
		}
	}
	closedir(proc);
	return count;
}

unsigned count_processes(const char *word)
{
	return signal_processes(word, 0);
}

void end_processes(const char *word)
{
	signal_processes(word, SIGKILL);
}

void await_processes(const char *word, unsigned wanted)
{
	for (unsigned i = 0; i < 750 && count_processes(word) != wanted; i++)
		usleep(20000);
	assert_int_equal(count_processes(word), wanted);
}

/* A length of sleep that nobody else uses. */
const char *workbench_unique(void)
{
	static char text[32];
	static unsigned serial;

	snprintf(text, sizeof(text), "9%d.%u", getpid(), ++serial);
	return text;
}
