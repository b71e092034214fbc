/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * POSIX extended regular expressions from files: safe to compile, before regcomp() sees them.
 */
#ifndef SQUALL_PATTERN_H
#define SQUALL_PATTERN_H

#include "injector/base/error.h"

/* -EINVAL: no regular expression, one that would take too much memory or time, or one with
 * back-references. */
int pattern_check(const char *text, struct error *err);

#endif
