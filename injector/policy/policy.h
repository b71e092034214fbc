/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the owner of this machine allows: /etc/squall/policy.yaml. Read by root before the worker is
 * forked, and asked by the worker about everything it was told and has found; the conductor never
 * sees it. No file: everything is allowed. A file that cannot be read, trusted or understood allows
 * nothing. Every refusal names the rule by its line.
 */
#ifndef SQUALL_POLICY_H
#define SQUALL_POLICY_H

#include "faults/target.h"
#include "injector/base/error.h"
#include "injector/experiment/yaml.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define POLICY_PATH "/etc/squall/policy.yaml"

struct policy; /* NULL stands for the policy that allows everything */

/* *out stays NULL when there is no file. -EINVAL with problems->count: what is wrong in the text,
 * as for an experiment. The caller frees *problems in every case. */
int policy_load(const char *path, struct policy **out, struct yaml_problems *problems,
		struct error *err);
/* The same from memory; `path` is for messages. */
int policy_parse(const char *text, size_t length, const char *path, struct policy **out,
		 struct yaml_problems *problems, struct error *err);
void policy_free(struct policy *policy);

/* -EPERM with the rule and a remedy, each. */
int policy_check_user(const struct policy *policy, uid_t uid, struct error *err);
/* May a run of at most `duration_ns` begin at `wall_ns`? It must end before the window does. */
int policy_check_time(const struct policy *policy, int64_t wall_ns, int64_t duration_ns,
		      struct error *err);
int policy_check_fault(const struct policy *policy, const char *fault, struct error *err);
/* The program of a command that a fault starts, by its path. */
int policy_check_command(const struct policy *policy, const char *program, struct error *err);
/* A process, and a unit, that a fault touches beside its target. `asked`: the name that was given
 * to the unit, perhaps an alias. */
int policy_check_pid(const struct policy *policy, pid_t pid, struct error *err);
int policy_check_unit(const struct policy *policy, const char *asked, const char *unit,
		      struct error *err);
int policy_check_limits(const struct policy *policy, int64_t duration_ns, struct error *err);
/* The addresses that parameters of the fault itself name, of whichever fault. */
int policy_check_values(const struct policy *policy, const struct params *params,
			struct error *err);
int policy_check_interface(const struct policy *policy, const char *name, struct error *err);
/* The addresses of a traffic target, also when they have changed since. */
int policy_check_endpoints(const struct policy *policy, const struct target *target,
			   struct error *err);
/* A target as it was resolved: interfaces, addresses, units, protected ones, share. */
int policy_check_target(const struct policy *policy, const struct target *target,
			struct error *err);
/* How much all targets together may touch. */
int policy_check_reach(const struct policy *policy, unsigned targets, struct error *err);
/* The most it allows; UINT_MAX: there is no such rule. */
unsigned policy_most_targets(const struct policy *policy);
/* Is there a rule about what processes run? To see it of others takes CAP_SYS_PTRACE. */
bool policy_asks_programs(const struct policy *policy);

/* "/etc/squall/policy.yaml allows it: faults network, at most 30m", for the plan. */
void policy_describe(const struct policy *policy, char *out, size_t size);
/* All rules, one a line with where it is written. */
void policy_print(const struct policy *policy, FILE *out);
/* An audit line that cannot be written stops the run before it begins. */
bool policy_needs_audit(const struct policy *policy);

#endif
