/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Commands called as main() calls them, on runs of the fake worker, with what they print caught. To
 * be included by one test program each.
 */
#ifndef SQUALL_TESTS_COMMAND_BENCH_H
#define SQUALL_TESTS_COMMAND_BENCH_H

#include "injector/base/json.h"
#include "injector/cli/commands.h"
#include "injector/restore/halt.h"
#include "tests/support/fake_worker.h"

static __attribute__((unused))
const struct orders obedient = {.deadline_after_ns = 60 * NSEC_PER_SEC, .obeys = true};
static char state_directory[100];

/* Runs a command with its standard output caught in `out`. */
static inline int run_command(int (*command)(int, char **, struct error *), char *const *words,
			      char *out, size_t size, struct error *err)
{
	char path[128], *argv[8];
	int argc = 0, kept, file, result;
	ssize_t got;

	for (; words[argc]; argc++)
		argv[argc] = words[argc];
	argv[argc] = NULL;
	snprintf(path, sizeof(path), "%s/output", base);
	file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fflush(stdout);
	kept = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	dup2(file, STDOUT_FILENO);
	result = command(argc, argv, err);
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	got = pread(file, out, size - 1, 0);
	out[got > 0 ? got : 0] = '\0';
	close(kept);
	close(file);
	return result;
}

#define COMMAND(command, ...)                                                                      \
	run_command(command, (char *[]){(char[]){#command}, __VA_ARGS__ __VA_OPT__(, ) NULL}, out, \
		    sizeof(out), &err)
#define WORD(text) ((char[]){text})

static inline int set_up_all(void **state)
{
	int result = set_up(state);

	snprintf(state_directory, sizeof(state_directory), "%s/state", base);
	halt_set_state_directory(state_directory);
	return result;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_all, tear_down)

#endif
