/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Commands that are shown to be typed, as root: each word of them is taken by a shell as what it
 * is.
 */
#ifndef SQUALL_SHELL_WORD_H
#define SQUALL_SHELL_WORD_H

#include <stdbool.h>
#include <stddef.h>

#define SHELL_WORD_MORE 14

/* Appends one word as a shell takes it (sh, bash, zsh, fish), as far as it fits: at most 4 bytes
 * for each, and SHELL_WORD_MORE. It is plain ASCII, unless the word ends with a line feed: other
 * bytes, which a terminal would not show as they are, are printed by printf(1) when it is typed. */
void shell_word_add(const char *word, char *out, size_t size);
/* Printed as it is: one line of ASCII. Whatever else is changed on its way to a terminal, and would
 * be another word when it is typed. */
bool shell_word_is_plain(const char *text);

#endif
