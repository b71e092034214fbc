/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The commands. Each is one file in injector/cli/; argv[0] is the command's name. Returns the exit
 * code (>= 0), or -errno with `err` set: main() prints it and exits with 2. An empty err->text
 * means that everything has been said already.
 */
#ifndef SQUALL_CLI_COMMANDS_H
#define SQUALL_CLI_COMMANDS_H

#include "injector/base/error.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv, struct error *err);
	const char *arguments;
	const char *summary;
};
extern const struct command cli_commands[]; /* a NULL name ends it */

int cli_run(int argc, char **argv, struct error *err);
int cli_inject(int argc, char **argv, struct error *err);
int cli_plan(int argc, char **argv, struct error *err);
int cli_check(int argc, char **argv, struct error *err);
int cli_explain(int argc, char **argv, struct error *err);
int cli_new(int argc, char **argv, struct error *err);
int cli_status(int argc, char **argv, struct error *err);
int cli_stop(int argc, char **argv, struct error *err);
int cli_halt(int argc, char **argv, struct error *err);
int cli_resume(int argc, char **argv, struct error *err);
int cli_restore(int argc, char **argv, struct error *err);
int cli_doctor(int argc, char **argv, struct error *err);
int cli_replay(int argc, char **argv, struct error *err);
int cli_diff(int argc, char **argv, struct error *err);
int cli_report(int argc, char **argv, struct error *err);
int cli_policy(int argc, char **argv, struct error *err);
int cli_schedule(int argc, char **argv, struct error *err);
int cli_schema(int argc, char **argv, struct error *err);
int cli_faults(int argc, char **argv, struct error *err);

#endif
