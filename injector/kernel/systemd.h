/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requests to the service manager, over its private socket: no bus daemon, no library, no
 * program is needed, so that it works in a sandbox and while everything else is down.
 */
#ifndef SQUALL_SYSTEMD_H
#define SQUALL_SYSTEMD_H

#include "injector/base/error.h"

#define SYSTEMD_SOCKET "/run/systemd/private"

/* Has the unit reload its configuration; returns when the job is accepted. Without a suffix it is a
 * service. -ENOENT: no service manager listens here; -EREMOTEIO: it refused, in its words;
 * -ETIMEDOUT: no answer within 3 s, or not until two seconds ago. */
int systemd_reload(const char *unit, struct error *err);
/* The name by which it knows the unit: for an alias another one. Loads what was not loaded, and
 * knows units that are not there, too. Errors as above. */
#define SYSTEMD_NAME_SIZE 300
int systemd_find(const char *unit, char out[SYSTEMD_NAME_SIZE], struct error *err);
/* For tests: another socket than SYSTEMD_SOCKET. */
void systemd_set_socket(const char *path);

#endif
