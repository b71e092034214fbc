/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Opens files for a process that has given up the right to. Root's own experiments may include
 * files that root alone can read, but are parsed by nobody: a small child, forked before, opens for
 * it what the caller may read, regular files alone, a few of them, for reading, until it is
 * stopped when the experiment is known. It stays root to be let in where root is, but may do
 * nothing else: see sandbox_reader_groups.
 */
#ifndef SQUALL_FILE_READER_H
#define SQUALL_FILE_READER_H

#include "injector/base/error.h"

#include <stdint.h>
#include <sys/types.h>

struct file_reader {
	int socket;
	pid_t pid;
};

int file_reader_start(struct file_reader *reader, struct error *err);
/* A descriptor (the caller's), or -errno. */
int file_reader_open(const struct file_reader *reader, const char *path, struct error *err);
/* What it keeps: reading whatever its mode; where a container has not that, the one that includes
 * it. */
uint64_t file_reader_capabilities(void);
/* In its process, for good. */
int file_reader_confine(struct error *err);
/* It leaves, and is reaped. Does nothing for one that was not started (pid 0). */
void file_reader_stop(struct file_reader *reader);

#endif
