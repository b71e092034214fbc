/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two disks that can lose their power: ext4 file systems on loop devices. One holds what squall
 * keeps
 * (/var/lib/squall), the other a folder for files that it changes, as / and /var often do: what one
 * has written says nothing about the other. In a world (tests/sweep/world.h), whose /run it uses.
 */
#ifndef SQUALL_TESTS_DISK_H
#define SQUALL_TESTS_DISK_H

#include <stdbool.h>

#define DISK_FOLDER "/run/disk/etc"

/* Bits: which file system has written its journal in the moment before, as it does every few
 * seconds. That writes names and sizes, and contents only where that was asked for. */
#define DISK_FILES_WRITTEN 1
#define DISK_STATE_WRITTEN 2
#define DISK_CASES	   4

/* The images to begin with; false with a sentence where that is not to be had. `fill` puts into
 * DISK_FOLDER what is there from the beginning. */
bool disk_make(void (*fill)(void), char why[160]);
/* Mounts fresh copies of them, as if nothing had ever happened. */
void disk_begin(void);
/* What has not come to the disks is lost, and the machine boots: /run/squall is empty, the boot has
 * another identifier. */
void disk_lose_power(unsigned written);
void disk_end(void);

#endif
