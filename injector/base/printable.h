/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text of unknown origin (titles, reasons, names of processes) on its way to a terminal or into
 * JSON. Nothing that a terminal could take for a command passes: control characters of both sets,
 * bidirectional overrides, line separators and broken UTF-8 are replaced. Widths are columns, not
 * bytes.
 */
#ifndef SQUALL_PRINTABLE_H
#define SQUALL_PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>

/* True when the locale's character set is UTF-8 (LC_ALL, LC_CTYPE, LANG: first one that is set). */
bool printable_has_utf8(void);

/* Copies at most `columns` columns of `text`, NUL-terminated, never more than `size` bytes. Control
 * characters become a space, what is not UTF-8 becomes '?', and without `utf8` so does everything
 * beyond ASCII. When something is cut off, the last column is an ellipsis. Returns the columns
 * used. */
unsigned printable_fit(const char *text, unsigned columns, bool utf8, char *out, size_t size);

/* The same in place and without a limit; the text never gets longer. */
void printable_clean(char *text, bool utf8);

/* Columns that clean text takes. */
unsigned printable_width(const char *text);

/* Where to break `text` so that the line has at most `columns` columns: bytes of the line;
 * *out_next is the start of the following line (the blanks between are skipped). A word that is too
 * long is cut. */
size_t printable_break(const char *text, unsigned columns, size_t *out_next);

/* A copy that is valid UTF-8 (what is not becomes U+FFFD), control characters kept; caller frees.
 * NULL: out of memory. */
char *printable_valid_utf8(const char *text);

#endif
