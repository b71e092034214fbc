/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file of metrics of a run that was killed would say for ever that its faults are in force. So
 * a run notes where it writes (in /var/lib/squall/metrics: the file outlives a reboot), and whoever
 * comes after its death sets the file right, once the run is undone: what it says of probes stays.
 * The file is opened by nobody but a process with the rights of whoever asked for it.
 */
#ifndef SQUALL_STALE_METRICS_H
#define SQUALL_STALE_METRICS_H

#include "injector/base/error.h"

#include <stddef.h>
#include <sys/types.h>

/* Of this process, which is the one that lives as long as the run; needs root. `at` tells several
 * files of a run from each other. */
int stale_metrics_note(const char *path, uid_t uid, gid_t gid, unsigned at, struct error *err);

/* Sets right what dead runs have left, in a process of its own, which is waited for so long at
 * most: a file system that hangs holds up nobody. Needs root. Nothing noted costs one system call.
 */
void stale_metrics_sweep(int wait_ms);

/* For file_writer.h: what the file says once its run is undone. -EBUSY: it is not. */
int stale_metrics_over(const char *text, size_t length, char **out, size_t *out_length);
/* The same for the process that has written it last: waits ten seconds for that. */
int stale_metrics_await(const char *text, size_t length, char **out, size_t *out_length);

#endif
