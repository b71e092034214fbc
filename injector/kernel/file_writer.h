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

/* Makes of a content another one, allocated; *out stays NULL when there is nothing to change.
 * -errno: it cannot be told. In the process that writes, with its rights. */
typedef int (*file_writer_fn)(const char *text, size_t length, char **out, size_t *out_length);

struct file_writer {
	pid_t pid; /* 0: none */
	int socket;
};

/* `path` is absolute; uid 0 stays root, without capabilities. Fails when the folder cannot be
 * written. Before the first thread is made. When the other end is closed, by its death as well, the
 * last content goes through `last`. */
int file_writer_start(struct file_writer *writer, const char *path, uid_t uid, gid_t gid,
		      file_writer_fn last, struct error *err);
/* Never waits: -EAGAIN when the writer is still at the one before. */
int file_writer_put(const struct file_writer *writer, const char *text, size_t length);
/* What was put is written; waits for that a second at most. */
void file_writer_stop(struct file_writer *writer);

/* The rights of whoever writes for that user, for good; in a process of its own. */
int file_writer_confine(uid_t uid, gid_t gid, struct error *err);

/* What is in such a file goes through `fn`. In a process of its own, which gives its rights up and
 * does nothing else afterwards. -ENOENT: there is no file; -EMEDIUMTYPE: it is none of ours. */
int file_writer_change(const char *path, uid_t uid, gid_t gid, file_writer_fn fn);

#endif
