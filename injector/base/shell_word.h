/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Commands that are shown to be typed, as root: each word of them is taken by a shell as what it
 * is.
 */
#ifndef SQUALL_SHELL_WORD_H
#define SQUALL_SHELL_WORD_H

#include <stdbool.h>
#include <stddef.h>

/* Appends one word as a shell takes it, as far as it fits: at most 4 bytes for each, and 2. */
void shell_word_add(const char *word, char *out, size_t size);
/* Printed as it is: one line of ASCII. Whatever else is changed on its way to a terminal, and would
 * be another word when it is typed. */
bool shell_word_is_plain(const char *text);

#endif
