/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A terminal small enough to be sure of: what a program's output looks like, and everything in it
 * that a display that claims to be simple should not send.
 */
#ifndef SQUALL_TESTS_SCREEN_H
#define SQUALL_TESTS_SCREEN_H

#include <stddef.h>

#define SCREEN_MAX 128

struct screen {
	unsigned columns, rows;
	unsigned x, y;
	char cells[SCREEN_MAX][SCREEN_MAX][8]; /* one UTF-8 character each; "": blank */
	unsigned scrolled;		       /* lines that left at the top */
	unsigned overflows;		       /* characters written beyond the right edge */
	unsigned unexpected; /* control characters and sequences outside the small set */
	char pending[64];    /* a sequence cut by a read */
	size_t pending_length;
};

void screen_init(struct screen *screen, unsigned columns, unsigned rows);
void screen_feed(struct screen *screen, const char *text, size_t length);
/* Row `y` without trailing blanks. */
const char *screen_row(struct screen *screen, unsigned y, char *out, size_t size);

#endif
