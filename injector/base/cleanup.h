/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Ownership by scope: memory and descriptors in `cleanup_*` variables are released when the
 * variable goes out of scope; steal_* passes ownership on. The state of the machine is never
 * undone this way: that goes through the journal.
 */
#ifndef SQUALL_CLEANUP_H
#define SQUALL_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_at(void *at)
{
	free(*(void **)at);
}

static inline void cleanup_fd_at(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_file_at(FILE **file)
{
	if (*file)
		fclose(*file);
}

static inline void cleanup_dir_at(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

#define cleanup_free __attribute__((cleanup(cleanup_free_at)))
#define cleanup_fd   __attribute__((cleanup(cleanup_fd_at)))
#define cleanup_file __attribute__((cleanup(cleanup_file_at)))
#define cleanup_dir  __attribute__((cleanup(cleanup_dir_at)))

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

static inline void *steal_pointer_at(void *at)
{
	void **pointer = at, *stolen = *pointer;

	*pointer = NULL;
	return stolen;
}
#define steal_pointer(at) ((__typeof__(*(at)))steal_pointer_at(at))

#endif
