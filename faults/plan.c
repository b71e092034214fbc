/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Lines of a plan. Apart from the list of faults, so that a test can bring a list of its own.
 */
#include "faults/fault.h"

#include <stdarg.h>
#include <stdio.h>

int plan_add(struct plan *plan, enum plan_kind kind, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	plan->line(plan->context, kind, text);
	return 0;
}
