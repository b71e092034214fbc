/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A file fault whose reader can be told, or cannot, and what is left of it in words. As
 * file_bench.h, for one test program each.
 */
#ifndef SQUALL_TESTS_FILE_LEFT_BENCH_H
#define SQUALL_TESTS_FILE_LEFT_BENCH_H

#include "tests/netns/file_bench.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static pid_t reader;
static char pidfile[96], left[1024];
static char copy[128], kept[136]; /* as with RENAME_EXCHANGE, and without it */

static inline int set_up_reader(void **state)
{
	char byte;
	int ends[2];

	set_up(state);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	reader = fork();
	if (reader == 0) {
		signal(SIGUSR1, SIG_IGN);
		execlp("sleep", "sleep", "600", NULL);
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 0); /* it runs another program now */
	close(ends[0]);
	snprintf(pidfile, sizeof(pidfile), "%s/state/reader.pid", base);
	snprintf(copy, sizeof(copy), "%s/.app.conf.squall-%.6s-1", base, env.run_id);
	snprintf(kept, sizeof(kept), "%so", copy);
	return 0;
}

static inline int tear_down_reader(void **state)
{
	kill(reader, SIGKILL);
	waitpid(reader, NULL, 0);
	return tear_down(state);
}

static inline void make_reader_well(void)
{
	char number[16];

	snprintf(number, sizeof(number), "%d\n", reader);
	write_file(pidfile, number);
}

/* A process that nobody may touch: the reload fails, and what comes after it is not done. */
static inline void make_reader_ill(void)
{
	write_file(pidfile, "1\n");
}

static inline void plan_and_inject(void)
{
	char word[128];

	make_reader_well();
	snprintf(word, sizeof(word), "reload-pidfile=%s", pidfile);
	if (PLAN(file, "content=bad", word, "reload-signal=USR1") < 0)
		fail_msg("%s", err.text);
	inject();
	assert_string_equal(read_file(file), "bad\n");
}

static inline void assert_says(const char *words)
{
	print_message("%s\n", left);
	if (!strstr(left, words))
		fail_msg("it does not say: %s", words);
}

static inline void assert_left(const char *words)
{
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	assert_says(words);
}

/* Without undoing anything before */
static inline void assert_still_left(const char *words)
{
	assert_int_equal(verify_all(left, sizeof(left)), 1);
	assert_says(words);
}

#endif
