/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Words behind test_sweep and test_restore_failures:
 *
 *   [full | count | check | programs N maps N links N] [share N] [seconds N] [seed N] [kind WORD]
 * [from N] [to N] [at N] [defer] [call NAME] [NAME...]
 *
 * Without `full` a sample is drawn, for so many seconds. `full` tries everything, or with `share N`
 * one in N, drawn anew for each seed; `from` and `to` are the first call and the one behind the
 * last, so that several can share the work. `at` is one call alone; with `defer` what came too late
 * is only told ("# LATE at KIND"), for who tries it again when the machine has nothing else to do.
 * `count` says what there is to try; `check` is the self-check alone, and tells the newest numbers
 * of BPF objects; with those, it is seen that none was left since. A whole name of a kind means
 * that kind alone, `call renameat` the system calls of that name alone (with `full`, in
 * test_restore_failures). NAMEs are words in the names of the experiments.
 */
#ifndef SQUALL_TESTS_SWEEP_OPTIONS_H
#define SQUALL_TESTS_SWEEP_OPTIONS_H

#include <glob.h>
#include <stdbool.h>

struct sweep_options {
	bool is_full, is_count, is_check, is_bpf;
	unsigned share, seconds, seed;
	unsigned from, to; /* 0: to the end */
	bool is_one;	   /* `from` and no other */
	bool defers;
	unsigned bpf[3];  /* is_bpf: numbers that `check` has told; 0: there was none */
	int call;	  /* a system call's number; -1: all */
	const char *kind; /* a word that the name of what is done must hold */
	char **names;	  /* NULL-terminated; none: all */
};

/* Ends the program when the words make no sense. `seconds` is what a sample takes by default. */
void sweep_options_read(int argc, char **argv, unsigned seconds, struct sweep_options *out);
/* True when no names were given. */
bool sweep_options_name(const struct sweep_options *options, const char *path);
/* Of all `names`, is this one wanted? */
bool sweep_options_kind(const struct sweep_options *options, const char *name,
			const char *const *names, unsigned count);
/* One more is done: a byte more in $SQUALL_SWEEP_PROGRESS, for whoever waits. */
void sweep_options_progress(void);
/* The files of tests/sweep/experiments (or $SQUALL_SWEEP_EXPERIMENTS) that `is_wanted`; aborts when
 * there is none. For the life of the process. */
void sweep_options_find(const struct sweep_options *options,
			bool (*is_wanted)(const struct sweep_options *options, const char *path),
			glob_t *out);

#endif
