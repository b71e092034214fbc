/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who halted this machine, when and why: for the commands that tell it.
 */
#ifndef SQUALL_CLI_HALTED_H
#define SQUALL_CLI_HALTED_H

#include "injector/restore/halt.h"

#include <jansson.h>

/* "halted by WHO since WHEN: WHY" and a newline, behind `before`. */
void halted_print(const char *before, const struct halt *halt);
/* {"by", "at", "reason", "file"}; null when the lever is not pulled. NULL when memory ran out. */
json_t *halted_json(const struct halt *halt);

#endif
