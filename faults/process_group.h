/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A whole control group as what a fault acts on: whoever is in it is hit, also who was not there
 * when the target was resolved. So it is looked at again each time before it is done.
 */
#ifndef SQUALL_FAULTS_PROCESS_GROUP_H
#define SQUALL_FAULTS_PROCESS_GROUP_H

#include "faults/fault.h"
#include "injector/kernel/cgroup.h"

/* Is nobody in it who must not be hit, by the rails or by the site, and are they not more than the
 * limits allow? Then those that were not planned count among the target's. Returns the number of
 * members, or -EPERM, -E2BIG, -errno. */
int process_group_check(const struct cgroup *group, const struct fault *fault, struct error *err);

#endif
