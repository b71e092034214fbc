/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Undo records of the `file` fault, written and read back. A record is of fixed size, a path is
 * not: what does not fit lies beside the journal, with its length and checksum in the record.
 */
#include "faults/file.h"

#include "injector/base/cleanup.h"
#include "injector/journal/crc32.h"
#include "injector/journal/runs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void name_beside(const struct file_record *record, char *out, size_t size)
{
	snprintf(out, size, "file-%u", record->step + 1);
}

/* Written once a step; the later records of the step refer to the same text. */
static int keep_beside(struct file_swap *swap, struct journal *journal, struct error *err)
{
	char name[32];
	int result;

	name_beside(&swap->record, name, sizeof(name));
	result = journal_keep(journal, name, swap->text, swap->record.text_size, err);
	return result == -EEXIST ? 0 : result;
}

int file_record_write(struct file_swap *swap, enum file_record_type type, struct journal *journal,
		      struct error *err)
{
	struct file_record *record = &swap->record;
	struct error kept = ERROR_INIT;
	int result = 0;

	record->text_crc = crc32_of(swap->text, record->text_size);
	record->is_beside = record->text_size > sizeof(record->text);
	if (record->is_beside)
		result = keep_beside(swap, journal, &kept);
	else
		memcpy(record->text, swap->text, record->text_size);
	if (result < 0) {
		if (err)
			*err = kept;
		return result;
	}
	return journal_undo(journal, FILE_FAULT_NAME, record->step, type, record, sizeof(*record),
			    err);
}

/* ".NAME.squall-RUN-STEP": hidden from who reads all files of a directory, and easily found. */
void file_swap_name(struct file_swap *swap)
{
	const char *name = strrchr(swap->path, '/') + 1;

	snprintf(swap->copy_name, sizeof(swap->copy_name), ".%.200s.squall-%.6s-%u", name,
		 swap->record.run_id, swap->record.step + 1);
	snprintf(swap->kept_name, sizeof(swap->kept_name), "%.250s%s", swap->copy_name,
		 swap->record.way == FILE_BY_LINK ? FILE_KEPT_BY_LINK : "");
}

int file_record_read(const struct journal_record *record, struct file_swap *out, struct error *err)
{
	struct file_record *own = &out->record;
	char name[32];
	ssize_t got;

	memcpy(own, record->payload, sizeof(*own));
	own->run_id[sizeof(own->run_id) - 1] = '\0';
	if (!runs_is_id(own->run_id) || own->text_size < 4 || own->text_size > sizeof(out->text) ||
	    (!own->is_beside && own->text_size > sizeof(own->text)))
		return error_set(err, EBADMSG, "the record of a file makes no sense");
	memcpy(out->text, own->text, sizeof(own->text));
	if (own->is_beside) {
		name_beside(own, name, sizeof(name));
		got = journal_kept(own->run_id, name, out->text, sizeof(out->text), err);
		if (got < 0)
			return (int)got;
		if ((size_t)got != own->text_size)
			return error_set(err, EBADMSG, "%s beside the journal is damaged", name);
	}
	if (out->text[own->text_size - 1] != '\0' || out->text[0] != '/' ||
	    crc32_of(out->text, own->text_size) != own->text_crc)
		return error_set(err, EBADMSG, "the path in the record of a file is damaged");
	out->path = out->text;
	out->reload_by = out->text + strlen(out->text) + 1;
	if (out->reload_by >= out->text + own->text_size)
		return error_set(err, EBADMSG, "the path in the record of a file is damaged");
	file_swap_name(out);
	return file_reload_parse(out, err);
}

/* A mount in some namespace goes along with the name that it lies over: who exchanges that
 * elsewhere takes it to another one. Two mounts are in each other's way in one namespace alone,
 * where the second is refused for what it would lie over. */
static bool is_in_the_way(const struct journal_record *record, bool exchanges)
{
	return strcmp(record->owner, FILE_FAULT_NAME) == 0 &&
	       (record->type == FILE_RECORD_COPY || record->type == FILE_RECORD_SWAP ||
		(record->type == FILE_RECORD_MOUNT && exchanges));
}

static int compare(const char *run_id, const struct file_place *place, bool exchanges,
		   struct error *err)
{
	cleanup_free struct journal_record *records = NULL;
	cleanup_free struct file_swap *other = malloc(sizeof(*other));
	unsigned count = 0;
	int result = 0;

	if (!other)
		return error_errno(err, ENOMEM, "cannot look for other runs");
	journal_read_other(run_id, &records, &count);
	for (unsigned i = 1; i < count && result == 0; i++) {
		if (!journal_is_open(records, count, i) || !is_in_the_way(&records[i], exchanges) ||
		    file_record_read(&records[i], other, NULL) < 0 ||
		    other->record.directory.inode != place->directory_id.inode ||
		    strcmp(strrchr(other->path, '/') + 1, place->name) != 0)
			continue;
		result = error_set(err, EBUSY, "%s is held by step %u of run %s", place->path,
				   other->record.step + 1, run_id);
		error_remedy(
			err,
			"one fault at a time on a file: let that one end first (squall status; "
			"squall stop %s)",
			run_id);
	}
	return result;
}

int file_record_conflict(const struct file_place *place, bool exchanges, struct error *err)
{
	cleanup_free char(*ids)[RUN_ID_SIZE] = NULL;
	unsigned count = 0;
	int result = journal_list(&ids, &count, err);

	for (unsigned at = 0; at < count && result == 0; at++)
		result = compare(ids[at], place, exchanges, err);
	return result;
}
