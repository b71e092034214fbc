/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `squall doctor --sandbox`: what each process of a run may do. The lists are those that are
 * applied; uid, capabilities and filter are what the kernel says of a process that was started and
 * confined for it.
 */
#ifndef SQUALL_CLI_DOCTOR_SANDBOX_H
#define SQUALL_CLI_DOCTOR_SANDBOX_H

#include "injector/base/error.h"

#include <stdbool.h>

/* For a run with these faults (NULL-terminated; none: every fault). The exit code: 1 when a process
 * is not confined as it should be, or that could not be tried; -EINVAL: there is no such fault. */
int doctor_sandbox(char *const *faults, bool is_json, struct error *err);

#endif
