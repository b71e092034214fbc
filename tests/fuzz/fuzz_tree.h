/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A folder in memory, for what reads files; removed at the end.
 */
#ifndef SQUALL_FUZZ_TREE_H
#define SQUALL_FUZZ_TREE_H

#include "tests/fuzz/fuzz_input.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

static char tree[64]; /* "": not made yet */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status, (void)kind, (void)place;
	return remove(path);
}

static void remove_root(void)
{
	nftw(tree, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_root(void)
{
	snprintf(tree, sizeof(tree), "/dev/shm/squall-fuzz-XXXXXX");
	require(mkdtemp(tree) != NULL);
	atexit(remove_root);
}

#endif
