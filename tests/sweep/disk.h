/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A disk that can lose its power: an ext4 file system on a loop device, whose image is what has
 * come to the disk. It holds what squall keeps (/var/lib/squall) and a folder for files that it
 * changes. In a world (tests/sweep/world.h), whose /run it uses.
 */
#ifndef SQUALL_TESTS_DISK_H
#define SQUALL_TESTS_DISK_H

#include <stdbool.h>

#define DISK_FOLDER "/run/disk/etc"

/* The image to begin with; false with a sentence where that is not to be had. `fill` puts into
 * DISK_FOLDER what is there from the beginning. */
bool disk_make(void (*fill)(void), char why[160]);
/* Mounts a fresh copy of it, as if nothing had ever happened. */
void disk_begin(void);
/* What has not come to the disk is lost, and the machine boots: /run/squall is empty, the boot has
 * another identifier. `is_committed`: the file system's journal was written in the moment before,
 * as it is every few seconds, which writes names and sizes, and contents only where that was asked.
 */
void disk_lose_power(bool is_committed);
void disk_end(void);

#endif
