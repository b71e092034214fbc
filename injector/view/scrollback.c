/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/view/scrollback.h"

#include <string.h>

unsigned scrollback_rows(unsigned width, unsigned columns)
{
	return width > columns && columns ? (width + columns - 1) / columns : 1;
}

void scrollback_push(struct scrollback *scrollback, unsigned width)
{
	if (scrollback->count == SCROLLBACK_MAX)
		memmove(scrollback->widths, scrollback->widths + 1,
			--scrollback->count * sizeof(*scrollback->widths));
	scrollback->widths[scrollback->count++] = (unsigned short)width;
}

unsigned scrollback_take(struct scrollback *scrollback, unsigned columns, unsigned rows)
{
	unsigned taken = 0;

	while (scrollback->count && taken < rows)
		taken += scrollback_rows(scrollback->widths[--scrollback->count], columns);
	/* a line of which only the end is on the screen: the rest of it stays above */
	return taken < rows ? taken : rows;
}
