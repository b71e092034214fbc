/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where the bad version of one process tree is mounted.
 */
#ifndef SQUALL_FAULT_FILE_SEAT_H
#define SQUALL_FAULT_FILE_SEAT_H

#include "faults/file.h"

/* In one mount namespace. */
struct file_seat {
	struct file_place place;
	struct file_identity seen;
	int namespace; /* owned; -1: none */
	uint64_t inode;
	pid_t pid; /* of a process that lives in it */
};

#define FILE_SEAT_INIT                                                                             \
	{                                                                                          \
		.place = FILE_PLACE_INIT, .namespace = -1                                          \
	}

enum file_seat_found {
	FILE_SEAT_NONE,	   /* it is not mounted there (any more) */
	FILE_SEAT_NOBODY,  /* nor does anybody live in that namespace */
	FILE_SEAT_OURS,	   /* place and seen are filled */
	FILE_SEAT_COVERED, /* below a mount of somebody else, or in another place */
};

void file_seat_close(struct file_seat *seat);
/* Is what lies at that place the copy of this step, and no other file of the same number? */
bool file_seat_is_copy(const struct file_swap *swap, const struct file_place *place);
/* In the namespace of the record. enum file_seat_found, or -errno */
int file_seat_find(const struct file_swap *swap, struct file_seat *seat, struct error *err);
/* In a namespace that is open. */
int file_seat_look(const struct file_swap *swap, struct file_seat *seat, struct error *err);
/* Each other namespace where it is, as well: made from that one, and never FILE_SEAT_NOBODY. The
 * first failure is returned when all were visited. */
int file_seat_each_copy(const struct file_swap *swap,
			int (*visit)(void *context, struct file_seat *seat, int found,
				     struct error *err),
			void *context, struct error *err);

/* file_mount.c: where the copies are, and what they are called. */
struct file_mount_names {
	char due[32], told[32];
};
struct file_mount_names file_mount_names(const struct file_swap *swap);
/* Open; -errno */
int file_mount_directory(const char *run_id, struct error *err);

#endif
