/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Lines of the frame that left the screen at the top, because its window became lower. Terminals
 * show them again, above the frame, when it becomes higher: these may be taken away, what stands
 * above them is somebody else's.
 */
#ifndef SQUALL_SCROLLBACK_H
#define SQUALL_SCROLLBACK_H

#define SCROLLBACK_MAX 128 /* lines; older ones are forgotten, and stay where they are */

struct scrollback {
	unsigned short widths[SCROLLBACK_MAX]; /* columns; the last one left last */
	unsigned count;
};

void scrollback_push(struct scrollback *scrollback, unsigned width);
/* How many of the `rows` rows that lie above the frame are ours: they are forgotten. */
unsigned scrollback_take(struct scrollback *scrollback, unsigned columns, unsigned rows);
/* A line takes so many rows in a window of that width. */
unsigned scrollback_rows(unsigned width, unsigned columns);

#endif
