/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/journal_bench.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct journal_bench journal_bench;

struct journal_header journal_bench_header(const char *run_id)
{
	struct journal_header header = {.deadline_ns = 42, .worker = {.pid = 1, .start_time = 7}};

	snprintf(header.run_id, sizeof(header.run_id), "%s", run_id);
	snprintf(header.boot_id, sizeof(header.boot_id), "some-boot");
	snprintf(header.title, sizeof(header.title), "a title");
	return header;
}

struct journal *journal_bench_run(const char *run_id)
{
	struct journal_header header = journal_bench_header(run_id);
	struct journal *journal;
	struct error err = ERROR_INIT;

	if (journal_create(&header, &journal, &err) < 0)
		fail_msg("%s", err.text);
	return journal;
}

int journal_bench_undo(struct journal *journal, const char *owner)
{
	struct error err = ERROR_INIT;

	return journal_undo(journal, owner, 3, 9, "payload", 8, &err);
}

void journal_bench_path(const char *run_id, char *out, size_t size)
{
	snprintf(out, size, "%s/%s/journal", journal_bench.root, run_id);
}

int journal_bench_set_up(void **state)
{
	struct journal_bench *room = &journal_bench;

	(void)state;
	strcpy(room->base, "/tmp/squall-journal-XXXXXX");
	if (!mkdtemp(room->base))
		return -1;
	snprintf(room->root, sizeof(room->root), "%.60s/root", room->base);
	snprintf(room->kept, sizeof(room->kept), "%.60s/kept", room->base);
	journal_set_root(room->root);
	return 0;
}

int journal_bench_set_up_kept(void **state)
{
	const int result = journal_bench_set_up(state);

	journal_set_kept_root(journal_bench.kept);
	return result;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status, (void)type, (void)where;
	return remove(path);
}

int journal_bench_tear_down(void **state)
{
	(void)state;
	return nftw(journal_bench.base, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
