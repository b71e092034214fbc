/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a timer of root's runs for years: nobody but root may be able to change it meanwhile, and
 * the owner of this machine must allow it. Stricter than a run, which also trusts who calls it.
 */
#ifndef SQUALL_CLI_SCHEDULE_TRUST_H
#define SQUALL_CLI_SCHEDULE_TRUST_H

#include "injector/experiment/model.h"

#include <stddef.h>

/* The squall program itself, as ExecStart= will name it. -EPERM: who else can change it. */
int schedule_trust_program(const char *path, struct error *err);
/* inputs.read of the experiment: refuses what others than root can change, the file and all that it
 * includes; opens with the rights of the caller. */
int schedule_trust_read(void *context, const char *path, size_t max, char **out_text,
			size_t *out_length, struct error *err);
/* What probes and notifications start as root: programs and scripts. `file`: the experiment's,
 * absolute. */
int schedule_trust_commands(const struct experiment *experiment, const char *file,
			    struct error *err);
/* What its faults read: content-from. */
int schedule_trust_inputs(const struct experiment *experiment, const char *file, struct error *err);
/* Would the policy of this machine let root run it? Its windows are not asked: they depend on when.
 */
int schedule_trust_policy(const struct experiment *experiment, struct error *err);

#endif
