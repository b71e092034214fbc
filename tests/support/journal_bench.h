/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Journals in a directory of the test's own, without root.
 */
#ifndef SQUALL_TESTS_JOURNAL_BENCH_H
#define SQUALL_TESTS_JOURNAL_BENCH_H

#include "injector/journal/journal.h"

/* Where things lie: `root` takes the place of JOURNAL_ROOT, `kept` that of JOURNAL_STATE, both
 * below `base`. They are made when a run is. */
struct journal_bench {
	char base[64], root[80], kept[80];
};

extern struct journal_bench journal_bench;

/* For cmocka. Without a place for runs that outlive a reboot, and with one. */
int journal_bench_set_up(void **state);
int journal_bench_set_up_kept(void **state);
int journal_bench_tear_down(void **state);

struct journal_header journal_bench_header(const char *run_id);
/* A run with that header. */
struct journal *journal_bench_run(const char *run_id);
/* As journal_undo(), with some payload. */
int journal_bench_undo(struct journal *journal, const char *owner);
/* Of the file of a run in `root`. */
void journal_bench_path(const char *run_id, char *out, size_t size);

#endif
