/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the journal says about paused processes: written by process_pause.c, acted upon by
 * process_undo.c in whichever process is left to do it.
 */
#ifndef SQUALL_FAULTS_PROCESS_RECORD_H
#define SQUALL_FAULTS_PROCESS_RECORD_H

#include "injector/journal/journal.h"

#include <stdint.h>

enum pause_record {
	PAUSE_RECORD_STOPPED = 1, /* struct stopped_record: these ran, and were sent SIGSTOP */
	PAUSE_RECORD_FROZEN = 2,  /* struct frozen_record: this group had cgroup.freeze 0 */
};

/* Many processes a record: a journal has room for JOURNAL_CAPACITY records only. */
#define STOPPED_RECORD_MAX 25

struct stopped_record {
	uint32_t count, reserved;
	struct process_identity processes[STOPPED_RECORD_MAX];
};
_Static_assert(sizeof(struct stopped_record) <= JOURNAL_PAYLOAD, "fits one record");

#define FROZEN_RECORD_PATH 400

struct frozen_record {
	uint64_t device, inode; /* of the directory: inodes of cgroup v2 are never used twice */
	char directory[FROZEN_RECORD_PATH];
};
_Static_assert(sizeof(struct frozen_record) <= JOURNAL_PAYLOAD, "fits one record");

#endif
