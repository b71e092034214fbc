/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Stored results, found by the name of a run: opened with the caller's rights, read without root's.
 */
#ifndef SQUALL_CLI_RESULTS_H
#define SQUALL_CLI_RESULTS_H

#include "injector/base/error.h"

#include <stddef.h>
#include <stdio.h>

/* `what`: a run, a file, "-" or "last". path: its name, for messages. NULL: see err. */
FILE *results_open(const char *what, char *path, size_t size, struct error *err);
/* From here on the file cannot do more than its reader could. */
int results_give_up_rights(struct error *err);

#endif
