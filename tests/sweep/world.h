/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A machine of its own for destructive tests: private mounts, /run, /var/lib, processes, network
 * and control groups. Whatever is found in it and was not there before is left behind by squall,
 * and nobody else's runs, tests or machine are touched by it.
 */
#ifndef SQUALL_TESTS_WORLD_H
#define SQUALL_TESTS_WORLD_H

/* Calls `inside` as process 1 of the new world and returns its exit code; the world, with every
 * process in it, is gone then. */
int world_run(int (*inside)(void *context), void *context);
/* Where cgroup v2 is mounted in it. */
const char *world_cgroups(void);
/* BUILD/NAME, for a test program BUILD/tests/FOLDER/test_x; static. */
const char *world_built(const char *name);

#endif
