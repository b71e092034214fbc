/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A service manager for the sweep, at the private socket of systemd: it knows one unit, whose
 * reload makes the service read its file, so that what it read last is a file, too. And the
 * systemctl(1) that is typed to it.
 */
#ifndef SQUALL_TESTS_MANAGER_H
#define SQUALL_TESTS_MANAGER_H

#include <sys/types.h>

#define MANAGER_UNIT	 "sweep.service"
#define MANAGER_PROGRAMS "/run/programs" /* a folder of PATH */

/* Its process: `from` is copied over `to`, with its times. In a world. */
pid_t manager_start(const char *from, const char *to);

#endif
