/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The commands: argv[0] is the command's name. Each returns the exit code (>= 0), or -errno with
 * `err` set, for main() to print. Results go to standard output, everything else through log.h.
 */
#ifndef SQUALL_COMMANDS_H
#define SQUALL_COMMANDS_H

#include "injector/base/error.h"

int cli_restore(int argc, char **argv, struct error *err);
int cli_status(int argc, char **argv, struct error *err);
int cli_stop(int argc, char **argv, struct error *err);
int cli_halt(int argc, char **argv, struct error *err);
int cli_resume(int argc, char **argv, struct error *err);

#endif
