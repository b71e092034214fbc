/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A page fault costs under a microsecond on bare metal and tens of them in a virtual machine whose
 * page tables the hypervisor keeps. A start that takes 450 of them (three processes, which take
 * them anew after every fork) spends more time there than in all its system calls; madvise(2)
 * populates a whole range in one.
 */
#ifndef SQUALL_PREFAULT_H
#define SQUALL_PREFAULT_H

/* What this process will touch: the program, all data, the heap so far, the stack. Called at
 * the start of main() and again in a child, whose copies are not there yet. Only speed depends on
 * it: a kernel before 5.14 does nothing. */
void prefault(void);

#endif
