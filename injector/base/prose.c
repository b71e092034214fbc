/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/base/prose.h"

#include <stdarg.h>
#include <stdio.h>

void prose_begin(struct prose *prose, char *out, size_t size)
{
	*prose = (struct prose){.out = out, .size = size};
	if (size)
		out[0] = '\0';
}

void prose_say(struct prose *prose, const char *format, ...)
{
	va_list args;
	int length;

	if (prose->used + 1 >= prose->size)
		return;
	va_start(args, format);
	length = vsnprintf(prose->out + prose->used, prose->size - prose->used, format, args);
	va_end(args);
	prose->used += length > 0 ? (size_t)length : 0;
}

void prose_end(struct prose *prose)
{
	if (prose->used && prose->used < prose->size && prose->out[prose->used - 1] == ' ')
		prose->out[--prose->used] = '\0';
}
