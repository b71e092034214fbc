/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A disk that hangs: an ext4 file system that is frozen (ioctl_fsfreeze(2)). Who writes to it
 * sleeps in the kernel where no signal wakes him, not even SIGKILL, until it is thawed.
 */
#ifndef SQUALL_TESTS_FROZEN_DISK_H
#define SQUALL_TESTS_FROZEN_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Mounts one at `folder`, which is made, in the mount namespace of the caller; its image lies
 * beside it. False, with a sentence: it is not to be had here. */
bool frozen_disk_make(const char *folder, char *why, size_t size);
/* One at a time. Whatever becomes of this process, it is thawed then. */
void frozen_disk_freeze(const char *folder);
void frozen_disk_thaw(void);
/* Waits until that process sleeps so; false: it does not, after a while. */
bool frozen_disk_await_sleep(pid_t pid);
/* Thawed, if need be, and gone. */
void frozen_disk_remove(const char *folder);

#endif
