/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/warden.h"

#include <stddef.h>

static const struct fault_warden *in_use;

void fault_warden_use(const struct fault_warden *warden)
{
	in_use = warden;
}

int fault_warden_process(pid_t pid, struct error *err)
{
	return in_use ? in_use->process(pid, err) : 0;
}

int fault_warden_unit(const char *asked, const char *unit, struct error *err)
{
	return in_use ? in_use->unit(asked, unit, err) : 0;
}
