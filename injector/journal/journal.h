/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The journal: what has to be undone, written down before it is done. One directory a run
 * (/run/squall/RUN/; /var/lib/squall/RUN/ when a fault of it outlives a reboot, with every record
 * synced to the disk), one append-only file of fixed-size records in it. An undo record is written
 * by a fault, carried here, and handed back to the same fault by restore/.
 *
 * Invariant: a change of the machine that outlives its process is preceded by its UNDO record.
 * A short record at the end was torn by the death of its writer, and zeros at the end by a loss of
 * power: it was never acted upon and is dropped. A whole record that fails its checksum is damage:
 * it is skipped, counted, and never passed over in silence (journal_damaged). Space for
 * JOURNAL_CAPACITY records is reserved when the journal is made, so that a full disk refuses the
 * run instead of stopping it half way.
 *
 * Modes: JOURNAL_ROOT 0755, so that anybody may see that runs exist; a run's directory 0700 and its
 * journal 0600, since they name targets. Every directory on the way must be root's alone.
 */
#ifndef SQUALL_JOURNAL_H
#define SQUALL_JOURNAL_H

#include "injector/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define JOURNAL_ROOT	  "/run/squall"	    /* live runs; gone (or foreign) after a reboot */
#define JOURNAL_STATE	  "/var/lib/squall" /* runs that outlive a reboot, results, the halt lever */
#define JOURNAL_CAPACITY  4096		    /* records a run may write */
#define JOURNAL_INJECTION 12		    /* that one injection usually takes at most */
#define JOURNAL_PAYLOAD	  416

#define JOURNAL_MAGIC	0x4a515153 /* "SQQJ" in a hex dump (little endian) */
#define JOURNAL_VERSION 2	   /* another one is never guessed at */

#define RUN_ID_SIZE 8 /* six characters [0-9a-z], NUL; names every object a run makes */

enum journal_kind {
	JOURNAL_HEADER = 1,  /* first record: struct journal_header */
	JOURNAL_UNDO = 2,    /* payload belongs to the fault named in .owner */
	JOURNAL_DONE = 3,    /* the UNDO record .of_sequence needs nothing more */
	JOURNAL_STARTED = 4, /* step .step is in force; payload: text for people */
	JOURNAL_ENDED = 5,   /* step .step is out of force */
};

struct journal_record {
	uint32_t magic;
	uint16_t version;
	uint16_t kind; /* enum journal_kind */
	uint32_t sequence;
	uint32_t of_sequence; /* JOURNAL_DONE */
	uint32_t step;	      /* index of the step in the experiment's method */
	uint32_t type;	      /* JOURNAL_UNDO: the fault's own record type */
	int64_t time_ns;      /* CLOCK_BOOTTIME */
	char owner[16];	      /* name of the fault */
	uint8_t payload[JOURNAL_PAYLOAD];
	int64_t until_ns; /* JOURNAL_STARTED: its planned end, CLOCK_BOOTTIME; 0: not known */
	uint8_t reserved[36];
	uint32_t crc; /* CRC-32 of everything before */
};
_Static_assert(sizeof(struct journal_record) == 512, "a record is one fixed-size write");

/* A process that is the same one only if its start time agrees (proc(5), stat field 22). */
struct process_identity {
	int32_t pid;
	uint32_t reserved;
	uint64_t start_time; /* clock ticks after boot */
};

struct journal_header {
	char run_id[RUN_ID_SIZE];
	char boot_id[40]; /* /proc/sys/kernel/random/boot_id; filled by journal_create() */
	struct process_identity conductor, worker, guardian;
	int64_t started_wall_ns;
	int64_t deadline_ns; /* CLOCK_BOOTTIME; after it the guardian ends the run by force */
	uint32_t invoking_uid;
	uint32_t reserved;
	char title[160];
};
_Static_assert(sizeof(struct journal_header) <= JOURNAL_PAYLOAD, "header fits its record");

struct journal;

/* Makes /run/squall/RUN (0700, root) and the journal in it, reserves its space, writes the header
 * (with the boot id of this boot, if the caller has left it empty).
 * -ENOSPC and friends mean that nothing was left behind. */
int journal_create(const struct journal_header *given, struct journal **out, struct error *err);
/* The same for a run with faults that outlive a reboot: below JOURNAL_STATE, and every record is on
 * the disk before the call that writes it returns. */
int journal_create_kept(const struct journal_header *given, struct journal **out,
			struct error *err);
/* Opens an existing journal for reading and for appending DONE records. Verifies ownership. Only
 * one process at a time may append: the worker while it lives, afterwards who holds journal_lock().
 * On a read-only file system it is for reading alone, and appending is -EROFS.
 * -ENOENT: no such run; -ENODATA: the writer died before its first record, nothing was done;
 * -EPROTONOSUPPORT: written by another version; -EBADMSG: not readable; -EPERM: not trustworthy. */
int journal_open(const char *run_id, struct journal **out, struct error *err);
void journal_close(struct journal *journal);

/* Keeps what is too long for a record beside the journal, under a short name [a-z0-9-], synced like
 * it. Call it before the record that refers to it. -EEXIST: the name is taken. */
int journal_keep(struct journal *journal, const char *name, const void *bytes, size_t size,
		 struct error *err);
/* Reads it back: the length, or -errno; more than `size` is -EFBIG. */
ssize_t journal_kept(const char *run_id, const char *name, void *out, size_t size,
		     struct error *err);

/* Appends an undo record and returns its sequence number (> 0). Must be called, and must have
 * succeeded, before the change it undoes is made. payload_size <= JOURNAL_PAYLOAD. */
int journal_undo(struct journal *journal, const char *owner, uint32_t step, uint32_t type,
		 const void *payload, size_t payload_size, struct error *err);
int journal_done(struct journal *journal, uint32_t sequence, struct error *err);
/* Records that it still takes, besides those that end the open ones. */
unsigned journal_room(const struct journal *journal);
/* For `status`: what is in force, in words, and its planned end (0: none). Failures are not fatal
 * for the caller. */
int journal_started(struct journal *journal, uint32_t step, const char *text, int64_t until_ns,
		    struct error *err);
int journal_ended(struct journal *journal, uint32_t step, struct error *err);

/* All valid records in order, newly allocated (caller frees). A torn tail is dropped. Errors as of
 * journal_open(). records[0] is the header; texts are NUL-terminated. */
int journal_read(struct journal *journal, struct journal_record **out_records, unsigned *out_count,
		 struct error *err);
/* Those of another run, for what it holds: one that cannot be read, or has just ended, has none. */
void journal_read_other(const char *run_id, struct journal_record **out_records,
			unsigned *out_count);
/* Whole records that the last journal_read() had to skip. */
unsigned journal_damaged(const struct journal *journal);
/* How many of `bytes` are left without the empty records (zeros) at the end. */
size_t journal_trim(const struct journal_record *records, size_t bytes);
/* The codec beneath journal_read(): `bytes` bytes of a journal file lie in `records`, which is
 * compacted in place to the valid ones. */
int journal_parse(struct journal_record *records, size_t bytes, unsigned *out_count,
		  unsigned *out_damaged, struct error *err);
const struct journal_header *journal_header(const struct journal_record *records, unsigned count);
/* True if records[at] is an UNDO record without a DONE record. */
bool journal_is_open(const struct journal_record *records, unsigned count, unsigned at);

/* Takes the run for undoing: an exclusive lock on its directory, waited for at most wait_ns.
 * *out_fd is the caller's; closing it unlocks. -ENOENT: the run is gone (also: went while waiting),
 * -EBUSY: another process is at it. */
int journal_lock(const char *run_id, int64_t wait_ns, int *out_fd, struct error *err);
/* False only when it is certain that there is no such run: what may not be looked at exists. */
bool journal_exists(const char *run_id);

/* Deletes the journal and its directory: the last act of a run. Idempotent. */
int journal_remove(const char *run_id, struct error *err);
/* Removes a run whose writer died before the first record was whole (-ENODATA above); never one
 * that is just being made. */
int journal_remove_unborn(const char *run_id, struct error *err);
/* Identifiers of all runs that have a directory under one of the roots; caller frees *out. */
int journal_list(char (**out)[RUN_ID_SIZE], unsigned *out_count, struct error *err);
/* A fresh identifier, not in use. */
int journal_new_run_id(char *out, struct error *err);

/* The identifier of this boot, NUL-terminated. */
int journal_boot_id(char out[40], struct error *err);

/* For tests: another root directory than JOURNAL_ROOT, and then none for runs that outlive a reboot
 * unless that is set as well. */
void journal_set_root(const char *root);
void journal_set_kept_root(const char *root);
const char *journal_root(void);
/* The root directory that a run lies in; JOURNAL_ROOT for one that does not exist. */
const char *journal_root_of(const char *run_id);
/* True for a run that lies where it outlives a reboot. */
bool journal_is_kept(const char *run_id);

#endif
