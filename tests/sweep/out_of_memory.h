/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the squall that gets no memory leaves behind, for who runs it: out_of_memory.c.
 */
#ifndef SQUALL_TESTS_OUT_OF_MEMORY_H
#define SQUALL_TESTS_OUT_OF_MEMORY_H

#define ALLOCATIONS "/run/allocations"

struct allocations {
	unsigned long count; /* that were asked for */
	unsigned has_failed;
};

#endif
