/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What most likely went wrong where libyaml stopped. Internal to injector/experiment.
 */
#ifndef SQUALL_EXPERIMENT_HINT_H
#define SQUALL_EXPERIMENT_HINT_H

#include <stddef.h>

#define HINT_IPV6 "; an IPv6 address in brackets goes in quotes: \"[2001:db8::1]:443\""

/* `problem` is libyaml's, at the 0-based line and column (in characters). `out` is empty or begins
 * with "; ". */
void hint_for_syntax(const char *text, size_t length, const char *problem, size_t line,
		     size_t column, char *out, size_t size);

#endif
