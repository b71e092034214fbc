/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared by those who ask the rules: policy_rules.c (who, when, what, and each target as a whole),
 * policy_traffic.c (addresses and interfaces), policy_processes.c (processes and units).
 */
#ifndef SQUALL_POLICY_ASK_H
#define SQUALL_POLICY_ASK_H

#include "injector/policy/policy.h"
#include "injector/policy/policy_format.h"

const struct params *policy_section(const struct policy *policy, enum policy_section at);
/* -EPERM: "...: refused by the site policy (/etc/squall/policy.yaml:4:12, faults)". */
int policy_refuse(const struct policy *policy, const struct params *params, unsigned index,
		  struct error *err, const char *what);
/* Does one of the patterns of that key match? */
bool policy_matches(const struct params *params, unsigned index, const char *name);

/* Of a policy that there is. */
int policy_check_process(const struct policy *policy, const struct target_process *process,
			 struct error *err);
/* Whose traffic a traffic target is. */
int policy_check_owners(const struct policy *policy, const struct target *target,
			struct error *err);
/* Who lives with these mounts. */
int policy_check_mounts(const struct policy *policy, int namespace_fd, struct error *err);
int policy_check_share(const struct policy *policy, const struct target *target, struct error *err);

#endif
