/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A page fault costs under a microsecond on bare metal and tens of them in a virtual machine whose
 * page tables the hypervisor keeps. A start that takes 450 of them (three processes, which take
 * them anew after every fork) spends more time there than in all its system calls; madvise(2)
 * populates a whole range in one.
 */
#ifndef SQUALL_PREFAULT_H
#define SQUALL_PREFAULT_H

/* At the start of main(): the code, and nothing that is written, since every page that is there at
 * a fork costs each of the processes a copy, thirty times as much as a page of zeros. Only speed
 * depends on it: a kernel before 5.14 does nothing. */
void prefault_program(void);
/* In a child: the code, which fork(2) does not map again, its own copies of the data, the heap and
 * the stack. In the parent: the same copies, before it stumbles over them one by one. */
void prefault_after_fork(void);

#endif
