/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What was found out about this kernel, kept in a file until the machine is restarted: finding out
 * takes a process, a network namespace and tens of milliseconds. Only what the kernel itself
 * settles is kept, never a lack of privileges; where the file cannot be kept or trusted, it is as
 * if there were none.
 */
#ifndef SQUALL_NETWORK_FINDING_H
#define SQUALL_NETWORK_FINDING_H

#include "faults/network_support.h"

#define NETWORK_FINDING_FILE "network-support"

/* False: there is none that holds. */
bool network_finding_recall(struct network_support *out);
void network_finding_keep(const struct network_support *found);
void network_finding_forget(void);
/* For tests: in place of JOURNAL_STATE, and in front of /lib/modules and /sys/module. */
void network_finding_set_paths(const char *state_directory, const char *modules_root);

#endif
