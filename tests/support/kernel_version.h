/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SQUALL_TESTS_KERNEL_VERSION_H
#define SQUALL_TESTS_KERNEL_VERSION_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/utsname.h>

static inline bool kernel_is_at_least(unsigned major, unsigned minor)
{
	struct utsname name;
	unsigned its_major = 0, its_minor = 0;

	if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &its_major, &its_minor) != 2)
		return false;
	return its_major > major || (its_major == major && its_minor >= minor);
}

/* The kernel keeps a busy delay line's packets (faults/delay_hold.h). */
#define KERNEL_CAN_HOLD kernel_is_at_least(6, 3)

#endif
