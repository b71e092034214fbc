/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The list of faults, from faults.def. */
#include "faults/fault.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define FAULT(name) extern const struct fault_ops name##_fault;
#include "faults/faults.def"
#undef FAULT

static const struct fault_ops *const all[] = {
#define FAULT(name) &name##_fault,
#include "faults/faults.def"
#undef FAULT
	NULL,
};

const struct fault_ops *const *fault_all(void)
{
	return all;
}

const struct fault_ops *fault_find(const char *name)
{
	for (unsigned i = 0; all[i]; i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

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
