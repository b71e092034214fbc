/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A restore report in words, for the commands that restore.
 */
#ifndef SQUALL_CLI_UNDONE_H
#define SQUALL_CLI_UNDONE_H

#include "injector/restore/restore.h"

#include <jansson.h>

#define EXIT_NOT_RESTORED 6 /* as VERDICT_NOT_RESTORED */

/* What was undone, then what is left with the commands to type. Returns the exit code. */
int undone_print(const struct restore_report *report);
/* {"undone": N, "failed": N, "did": [...], "left": [...]}; NULL when memory ran out. */
json_t *undone_json(const struct restore_report *report);
/* What dead runs have left is finished by the next command of any kind. Says what was done and what
 * is left on standard error; `report` counts what is left. */
int undone_finish_dead(struct restore_report *report, struct error *err);
int undone_exit_code(const struct restore_report *report);

#endif
