/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Files that decide what root does: an experiment, what it includes, a content it puts somewhere.
 * Only root, who called, and whoever owns this very program (root runs it already) may be able to
 * change or replace them.
 */
#ifndef SQUALL_TRUSTED_FILE_H
#define SQUALL_TRUSTED_FILE_H

#include "injector/base/error.h"

#include <sys/types.h>

/* Looks at the open file, which is what will be read, and at every directory above it. -EPERM: who
 * else could change it, and a remedy. Who called is root, or the user who called sudo; in a process
 * that has given up root it is the one that it has become. */
int trusted_file_check(int fd, const char *path, struct error *err);
/* The same, with `caller` known. */
int trusted_file_check_for(int fd, const char *path, uid_t caller, struct error *err);

#endif
