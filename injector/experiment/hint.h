/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What most likely went wrong where libyaml stopped. Internal to injector/experiment.
 */
#ifndef SQUALL_EXPERIMENT_HINT_H
#define SQUALL_EXPERIMENT_HINT_H

#include <stdbool.h>
#include <stddef.h>

#define HINT_IPV6 "; an IPv6 address in brackets goes in quotes: \"[2001:db8::1]:443\""

/* `problem` is libyaml's, at the 0-based line and column (in characters). `out` is empty or begins
 * with "; ". */
void hint_for_syntax(const char *text, size_t length, const char *problem, size_t line,
		     size_t column, char *out, size_t size);
/* The first U+00A0 in these lines (0-based, as what is found) that stands where a space belongs:
 * YAML takes it for a letter. */
bool hint_find_no_break_space(const char *text, size_t length, size_t first, size_t last,
			      size_t *out_line, size_t *out_column);

#endif
