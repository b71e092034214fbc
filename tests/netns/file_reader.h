/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file fault in the mount namespace of a process that reads the file, and says when it is told.
 * To be included by one test program each.
 */
#ifndef SQUALL_TESTS_FILE_READER_H
#define SQUALL_TESTS_FILE_READER_H

#include "tests/netns/file_bench.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

static pid_t reader;
static int told;
static char pidfile[96];

/* A process with mounts of its own that says on a pipe when it is told. */
static inline int set_up_reader(void **state)
{
	char number[16];
	int ends[2];

	set_up(state);
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	reader = fork();
	if (reader == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execlp("unshare", "unshare", "--mount", "sh", "-c",
		       "trap 'printf x' USR1; printf x; while :; do sleep 1 & wait; done", NULL);
		_exit(1);
	}
	close(ends[1]);
	told = ends[0];
	poll(&(struct pollfd){.fd = told, .events = POLLIN}, 1, 5000);
	assert_int_equal(read(told, number, 1), 1);
	snprintf(pidfile, sizeof(pidfile), "%s/state/reader.pid", base);
	snprintf(number, sizeof(number), "%d\n", reader);
	write_file(pidfile, number);
	snprintf(plan_inside, sizeof(plan_inside), "pid:%d", reader);
	return 0;
}

static inline int tear_down_reader(void **state)
{
	kill(reader, SIGKILL);
	waitpid(reader, NULL, 0);
	close(told);
	plan_inside[0] = '\0';
	return tear_down(state);
}

static inline void assert_told(void)
{
	char byte;

	assert_int_equal(poll(&(struct pollfd){.fd = told, .events = POLLIN}, 1, 5000), 1);
	assert_int_equal(read(told, &byte, 1), 1);
}

static inline void assert_inside(const char *command, const char *seen)
{
	char line[256], got[64] = "";
	FILE *out;

	snprintf(line, sizeof(line), "nsenter -m -t %d sh -c '%s' sh '%s'", reader, command, file);
	out = popen(line, "re");
	assert_non_null(out);
	got[fread(got, 1, sizeof(got) - 1, out)] = '\0';
	assert_int_equal(pclose(out), 0);
	assert_string_equal(got, seen);
}

static inline void plan_and_inject(void)
{
	char word[128];

	snprintf(word, sizeof(word), "reload-pidfile=%s", pidfile);
	if (PLAN(file, "content=bad", word, "reload-signal=USR1") < 0)
		fail_msg("%s", err.text);
	inject();
	assert_told();
	assert_inside("cat $1", "bad\n");
	assert_string_equal(read_file(file), GOOD);
}

#endif
