/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The commands. Each gets its own name as argv[0] and answers with an exit code (0..125), or with -errno and
 * a described error that main() prints. Results go to standard output.
 */
#ifndef SQUALL_CLI_COMMANDS_H
#define SQUALL_CLI_COMMANDS_H

#include "injector/base/error.h"

int cli_faults(int argc, char **argv, struct error *err);
int cli_check(int argc, char **argv, struct error *err);
int cli_doctor(int argc, char **argv, struct error *err);

#endif
