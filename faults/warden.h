/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whom a fault may touch beside its target (who reads a file again), asked when it is planned and
 * again at the moment it is done, in whatever process that is: whom a pid file names can change.
 * The rules are kept above (injector/policy/policy_warden.c), faults know none of them.
 */
#ifndef SQUALL_FAULTS_WARDEN_H
#define SQUALL_FAULTS_WARDEN_H

#include "injector/base/error.h"

#include <sys/types.h>

struct fault_warden {
	/* 0, or -EPERM with the rule. */
	int (*process)(pid_t pid, struct error *err);
	/* `asked` is the name that was given, `unit` the one it stands for: a unit can have more
	 * than one. */
	int (*unit)(const char *asked, const char *unit, struct error *err);
};

/* Who is asked in this process; NULL, and in the beginning: nobody, all may be touched. */
void fault_warden_use(const struct fault_warden *warden);

int fault_warden_process(pid_t pid, struct error *err);
int fault_warden_unit(const char *asked, const char *unit, struct error *err);

#endif
