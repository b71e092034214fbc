/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Is it text that people can review? Internal to injector/experiment.
 */
#ifndef SQUALL_EXPERIMENT_TEXT_H
#define SQUALL_EXPERIMENT_TEXT_H

#include "injector/experiment/problems.h"

#include <stdbool.h>
#include <stddef.h>

/* False, with a problem, on: more than EXPERIMENT_FILE_MAX bytes, what is not UTF-8, control
 * characters, tabs, and invisible characters that show a reviewer another text than the parser. */
bool text_check(const char *text, size_t length, struct problem_list *problems);

#endif
