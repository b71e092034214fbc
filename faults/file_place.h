/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where a file lies: its directory, held open, and its name in it. No symbolic link is followed on
 * the way, so that what was looked at is what is changed, also where others may write.
 */
#ifndef SQUALL_FILE_PLACE_H
#define SQUALL_FILE_PLACE_H

#include "injector/base/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* A file as it was seen. It is the same one while the inode agrees (never the device: its number
 * may be another one after a reboot), and unchanged while the rest does. A number of an inode is
 * given again: of two files that differ by their content, the time of their birth tells. */
struct file_identity {
	uint64_t inode, size;
	int64_t mtime_ns, birth_ns; /* birth_ns: of a regular file; 0: the file system knows none */
	uint32_t mode, uid, gid, links;
	uint32_t attributes; /* file_attributes_of(); 0: not known */
	uint32_t content;    /* of a copy of ours: file_content_of(); 0: not known */
};

struct file_place {
	char path[PATH_MAX];
	const char *name; /* into path */
	int directory;	  /* owned; closed by file_place_close() */
	struct file_identity directory_id;
};

#define FILE_PLACE_INIT                                                                            \
	{                                                                                          \
		.directory = -1                                                                    \
	}

/* May this path be touched at all? By name alone, unprivileged. -EPERM with a sentence. */
int file_place_check_path(const char *path, bool allow_critical, struct error *err);
/* Opens the directory. -ENOENT, -ELOOP (a symbolic link on the way), ... */
int file_place_open(const char *path, struct file_place *out, struct error *err);
void file_place_close(struct file_place *place);
/* The file of that name in the directory. -ENOENT: nothing lies there; anything else: it cannot be
 * told. */
int file_place_look(const struct file_place *place, const char *name, struct file_identity *out);
/* Can a file be recognized after it was renamed? -EOPNOTSUPP with a sentence, if its file system
 * makes up the numbers of inodes as it reads. */
int file_place_check_numbers(const struct file_place *place, struct error *err);
/* The file itself, opened for reading: a regular one that can be exchanged. The caller closes
 * *out_fd. On an overlay it is first copied up, if `may_copy_up`: it has another inode then. */
int file_place_open_file(const struct file_place *place, bool may_copy_up, int *out_fd,
			 struct file_identity *out, struct error *err);
/* Without its attributes. */
int file_identify(int fd, struct file_identity *out);
bool file_is_same(const struct file_identity *a, const struct file_identity *b);
bool file_is_unchanged(const struct file_identity *a, const struct file_identity *b);

/* A directory's own times, which stay as they are when we tidy up in it. */
struct file_times {
	struct timespec pair[2];
	bool is_known;
};
struct file_times file_times_keep(int directory);
void file_times_put_back(int directory, const struct file_times *times);

/* When anything about it was changed last, which nobody can set. False: it cannot be told. */
bool file_place_changed(const struct file_place *place, const char *name, int64_t *out_ns);
/* A checksum of what is in it, of FILE_SUM_MAX bytes at most; 0: longer, or it cannot be read. */
#define FILE_SUM_MAX (1 << 20)
uint32_t file_content_of(int fd, uint64_t size);

/* file_attributes.c: a checksum of what people set beside mode and owner; 0: here nobody can read
 * that. -errno: this time it could not be read. */
int file_attributes_of(int directory, const char *name, uint32_t *out);

#endif
