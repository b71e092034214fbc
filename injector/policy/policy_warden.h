/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SQUALL_POLICY_WARDEN_H
#define SQUALL_POLICY_WARDEN_H

#include "injector/policy/policy.h"

/* From now on faults are held by the policy of this machine (faults/warden.h). */
void policy_warden_begin(void);
/* It has been read already; NULL: there is none. Stays the caller's, who keeps it. */
void policy_warden_know(const struct policy *policy);

#endif
