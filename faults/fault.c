/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The list of faults, from faults.def. */
#include "faults/fault.h"

#include <stddef.h>
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
