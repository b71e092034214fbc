/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Replaces one file again and again, each time as a whole: whoever reads it sees the old content or
 * the new one. A small process does it, with the rights it is started with, for one that gives its
 * own up: it can write this one file and nothing else, and ends when the other end is closed.
 */
#ifndef SQUALL_FILE_WRITER_H
#define SQUALL_FILE_WRITER_H

#include "injector/base/error.h"

#include <stddef.h>
#include <sys/types.h>

#define FILE_WRITER_MAX (128 << 10) /* bytes of a content */

struct file_writer {
	pid_t pid; /* 0: none */
	int socket;
};

/* `path` is absolute; uid 0 stays root, without capabilities. Fails when the folder cannot be
 * written. Before the first thread is made. */
int file_writer_start(struct file_writer *writer, const char *path, uid_t uid, gid_t gid,
		      struct error *err);
/* Never waits: -EAGAIN when the writer is still at the one before. */
int file_writer_put(const struct file_writer *writer, const char *text, size_t length);
/* What was put is written; waits for that a second at most. */
void file_writer_stop(struct file_writer *writer);

#endif
