/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text for people on standard output: colours, columns, wrapped paragraphs. Everything is cleaned
 * on its way out (printable.h), so text from anywhere may be passed. Write errors show in
 * ferror(out).
 */
#ifndef SQUALL_PAGE_H
#define SQUALL_PAGE_H

#include <stdbool.h>
#include <stdio.h>

enum tone { TONE_NORMAL, TONE_QUIET, TONE_GOOD, TONE_WARNING, TONE_BAD, TONE_FAULT, TONE_TITLE };

/* The escape sequence that starts a tone; "" for none. TONE_END ends any. */
const char *tone_start(enum tone tone);
#define TONE_END "\033[0m"

struct page {
	FILE *out;
	bool coloured, utf8;
	unsigned width;	 /* columns */
	unsigned column; /* where the next text goes */
};

/* `width` 0: that of the terminal, 80 elsewhere; never below 20. */
void page_init(struct page *page, FILE *out, bool coloured, unsigned width);
/* Columns of the terminal behind `out`; 80 elsewhere. */
unsigned page_width(FILE *out);
/* Text on the current line, cut at the right edge. */
void page_put(struct page *page, enum tone tone, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Spaces up to `column`; a new line first when the text is already there. */
void page_tab(struct page *page, unsigned column);
/* Text that ends at `column`. */
void page_put_right(struct page *page, enum tone tone, unsigned column, const char *text);
/* A paragraph from here on, further lines start at `indent`. Ends the line. */
void page_wrap(struct page *page, enum tone tone, unsigned indent, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Text as one line, however long: a command that is to be copied. Ends the line. */
void page_uncut(struct page *page, enum tone tone, const char *text);
void page_line(struct page *page);

#endif
