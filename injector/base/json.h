/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Small helpers around jansson, for everything that is written as JSON: text that may not be UTF-8,
 * and numbers that may be absent. Out of memory gives NULL, which jansson's setters turn into a
 * missing field; writers check what json_dumps() and friends return.
 */
#ifndef SQUALL_JSON_H
#define SQUALL_JSON_H

#include "injector/base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* A string; NULL and "" become null. What is not UTF-8 becomes U+FFFD. */
json_t *json_text(const char *text);
/* `value`, or null when it is negative (not measured). */
json_t *json_count_or_null(int64_t value);
/* Writes `root` and a newline, flushes, and releases `root`, also on failure. Only ASCII is
 * written, so that nothing in it can command a terminal. */
int json_print(json_t *root, FILE *out, bool indented, struct error *err);

#endif
