/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Directories that only root may have had a hand in. What lies in /run/squall and /var/lib/squall
 * decides what a root process undoes, so no part of the way there may be somebody else's.
 */
#ifndef SQUALL_DIRECTORY_H
#define SQUALL_DIRECTORY_H

#include "injector/base/error.h"

#include <errno.h>
#include <sys/types.h>

/* The code of "it is not trusted". Not EPERM, which the kernel may say as well: that can be tried
 * again, while what is distrusted needs somebody to look. */
#define DIRECTORY_DISTRUSTED EKEYREJECTED

/* Opens an absolute path component by component, following no symbolic link. Every component must
 * belong to root (or to the caller's own effective user) and must not be writable by others, except
 * sticky ones (/tmp) on the way. With `mode` != 0 the last component is made when missing, with
 * exactly that mode. Returns a descriptor (O_RDONLY | O_DIRECTORY, owned by the caller) or -errno:
 * -ENOENT: missing; -DIRECTORY_DISTRUSTED: not trustworthy. */
int directory_open(const char *path, mode_t mode, struct error *err);
/* As above for one name below an open directory. `path` is for messages. */
int directory_open_at(int parent, const char *name, mode_t mode, const char *path,
		      struct error *err);

/* Reads a file that only root can have written, on a way like that; NUL-terminated, the caller's.
 * -ENOENT (without a message): there is none. */
int directory_read_file(const char *path, size_t max, char **out, size_t *out_length,
			struct error *err);

#endif
