/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Runs the real binary as a user runs it, in the near namespace of a netlab. Each stage has /run
 * and /var/lib of its own (bind mounts in the mount namespace of the started process), so that
 * tests neither meet each other's runs nor those of the machine, and "nothing is left" can be said
 * exactly. Failures are cmocka failures that show what squall has printed.
 */
#ifndef SQUALL_TESTS_SQUALL_RUNNER_H
#define SQUALL_TESTS_SQUALL_RUNNER_H

#include "injector/base/clock.h"
#include "tests/support/netlab.h"

#include <jansson.h>

/* For what takes milliseconds on a machine that is neither emulated nor busy */
#define STAGE_WAIT_MS (is_emulated() ? 30000 : 10000)

#define STAGE_MEMBERS 64

struct stage {
	struct netlab *lab;
	char folder[64];  /* run/ and lib/ are its /run and /var/lib; files of the test beside them
			   */
	bool is_clean;	  /* stage_assert_clean() was the last thing done */
	bool is_spent;	  /* the next test needs a new one */
	char *before;	  /* the state of the machine at the start, owned */
	int64_t slack_ns; /* the slowest round trip with nothing injected */
	struct squall *runs[STAGE_MEMBERS]; /* owned */
	pid_t children[STAGE_MEMBERS];	    /* of stage_child(), not yet stopped */
};

/* For cmocka_unit_test_setup_teardown(). The teardown ends what is still running. */
int stage_setup(void **state);
int stage_teardown(void **state);

/* Skips the running test, or fails it with SQUALL_MUST_RUN=1. */
void stage_skip(const char *why);

/* cmocka_run_group_tests() with what is needed around it. */
#define STAGE_RUN(tests) stage_run(#tests, tests, sizeof(tests) / sizeof(*(tests)))
struct CMUnitTest;
int stage_run(const char *name, const struct CMUnitTest *tests, size_t count);

/* A process to pause or kill: counts, see children.h. One at a time. Ends with the test. */
pid_t stage_child(struct stage *stage);

/* Writes a file of the stage; returns its path, valid until the next call but seven. */
const char *stage_write(const struct stage *stage, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
const char *stage_path(const struct stage *stage, const char *name);
/* netlab_dump() and the files below /run/squall and /var/lib/squall (stored results not, unless
 * asked for). Caller frees. */
char *stage_state(const struct stage *stage, bool with_results);
/* fq_codel lists its flows as classes: they come and go with traffic. Takes such lines out. */
void stage_drop_flows(char *text);
/* The state is what it was at the start: nothing is left, no process either. */
void stage_assert_clean(struct stage *stage);
/* The journal is removed as the last act of a run, by whoever restores it: within a second, without
 * any further command. */
void stage_await_finished(const struct stage *stage);
/* The fastest of three round trips (of twelve on an emulated machine) is below / at least / about
 * so many ms. What is "about" widens with the slowest round trip of this lab at rest: an emulated
 * machine is slow. */
void stage_assert_fast(const struct stage *stage, const char *address, uint16_t port);
void stage_assert_delay(const struct stage *stage, const char *address, uint16_t port, int64_t ms);
/* Waits until it is fast again, at most `most_ms`; ms it took. */
int64_t stage_until_fast(const struct stage *stage, const char *address, uint16_t port,
			 int64_t most_ms);
/* Loads the stored result of a run. Caller releases. */
json_t *stage_result(const struct stage *stage, const char *run_id);
/* `squall report` tells of the last run in each of its formats: these words (without < > & and
 * quotes), and that all is restored. */
void stage_assert_reports(struct stage *stage, const char *verdict, const char *why);

struct squall_how {
	uid_t uid;		  /* calls it as that user, without privileges */
	const char *const *extra; /* "NAME=value", added to the environment; NULL-terminated */
	int terminal;		  /* > 0: controlling terminal and standard streams */
	/* > 0: a disk of so many KiB, full, takes the place of /run or /var/lib */
	unsigned full_run_kib, full_lib_kib;
	const char *hidden;			    /* a folder that is empty for it */
	const char *policy;			    /* text of the site policy */
	void (*prepare)(const struct stage *stage); /* last of all, in its process */
};

struct squall {
	pid_t pid; /* the conductor; leads its process group */
	struct stage *stage;
	int out, err;
	size_t parsed;	/* bytes of `out` */
	json_t *events; /* of --json */
	int64_t started_ns;
	bool is_over;
	int status; /* exit code, or 128 + signal */
	char run_id[RUN_ID_SIZE];
	pid_t worker, guardian; /* once armed */
};

/* Words separated by blanks, without "squall". how may be NULL. It belongs to the stage, whose
 * teardown ends it if need be. */
struct squall *squall_start(struct stage *stage, const struct squall_how *how, const char *format,
			    ...) __attribute__((format(printf, 3, 4)));
/* The event number `nth` (from 1) of a kind; borrowed. Fails after STAGE_WAIT_MS, or when squall
 * ends without it. */
json_t *squall_await_nth(struct squall *squall, const char *kind, unsigned nth);
json_t *squall_await(struct squall *squall, const char *kind);
/* Awaits the phase of that name. */
void squall_await_phase(struct squall *squall, const char *phase);
/* The nth "followed" event, which says these words, and whether the fault has changed. */
void squall_await_followed(struct squall *squall, unsigned nth, bool is_changed, const char *words);
/* How many have been read so far. */
unsigned squall_count_followed(const struct squall *squall);
/* The event of that kind if it has come, else NULL. */
json_t *squall_event(struct squall *squall, const char *kind);
/* Waits until "armed" and learns run id, worker and guardian. */
void squall_await_armed(struct squall *squall);
/* Armed, and the first step in force. */
void squall_await_injected(struct squall *squall);
/* Its end; the exit code, 128 + N when killed by signal N. */
int squall_await_exit(struct squall *squall);
/* The same, and compares. */
void squall_assert_exit(struct squall *squall, int code);
/* It has refused (exit code 2), with these words. */
void squall_assert_refused(struct squall *squall, const char *words);
/* What it printed so far; caller frees. */
char *squall_output(const struct squall *squall);
char *squall_messages(const struct squall *squall);
bool squall_has_said(const struct squall *squall, const char *text);
void squall_signal(const struct squall *squall, int signal);
void squall_free(struct squall *squall); /* for the stage */

/* start and await exit: the exit code. */
int squall_call(struct stage *stage, const struct squall_how *how, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A process of ours is gone (and reaped if it is our child); false: not within `ms`. */
bool process_await_gone(pid_t pid, int64_t ms);

void pause_ms(int64_t ms);
bool is_emulated(void);

/* Members of JSON objects; they fail when absent or of another type. */
const char *member_text(const json_t *object, const char *name);
int64_t member_number(const json_t *object, const char *name);

#endif
