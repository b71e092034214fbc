/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A launcher with commands for the tests of the launcher. Commands are lines of shell: that shell
 * is the test's, not the launcher's.
 */
#ifndef SQUALL_LAUNCHER_WORKBENCH_H
#define SQUALL_LAUNCHER_WORKBENCH_H

#include "injector/probes/launcher.h"

struct outcome {
	struct launcher_result result;
	unsigned calls;
	int64_t at_ns;
};

struct workbench {
	struct loop *loop;
	struct launcher *launcher;
	struct outcome outcomes[128];
	unsigned count, started;
};

void workbench_on_result(void *context, const struct launcher_result *result);
struct workbench *workbench_new_as(uid_t uid, gid_t gid);
struct workbench *workbench_new(void);
void workbench_free(struct workbench *bench);
void workbench_add(struct workbench *bench, const char *script, bool own_environment);
void workbench_start(struct workbench *bench, unsigned number, int64_t timeout_ns);
void workbench_start_all(struct workbench *bench, int64_t timeout_ns);
void workbench_turn(struct workbench *bench, int64_t for_ns);
void workbench_finish_all(struct workbench *bench);
struct launcher_result workbench_run(const char *script, int64_t timeout_ns);
unsigned signal_processes(const char *word, int signal_number);
unsigned count_processes(const char *word);
void end_processes(const char *word);
void await_processes(const char *word, unsigned wanted);
const char *workbench_unique(void);

#endif
