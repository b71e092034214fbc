/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the records of a changed file are undone by, in whichever process, and how it is told that
 * nothing of it is left. As in file_swap.c, what is neither the original nor our untouched copy is
 * somebody else's.
 */
#include "faults/file.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int open_place(const struct file_swap *swap, struct file_place *out, struct error *err)
{
	int result = file_place_open(swap->path, out, err);

	if (result < 0)
		return result;
	if (file_is_same(&out->directory_id, &swap->record.directory))
		return 0;
	file_place_close(out);
	return error_set(err, ESTALE,
			 "the directory of %s is another one now (is its file system mounted?)",
			 swap->path);
}

/* Our copy was edited when it had been found untouched already. Never over another file; of two
 * names of it (by link, and died in between) one goes. */
static int set_aside(const struct file_swap *swap, const struct file_place *place, const char *name,
		     struct error *err)
{
	int directory = place->directory, code;
	char aside[NAME_MAX + 1];
	struct file_identity found;

	file_aside_name(swap, aside);
	if (renameat2(directory, name, directory, aside, RENAME_NOREPLACE) == 0)
		return 0;
	code = errno;
	/* where there is no such rename: with a second name, as replace() does */
	if (code == EINVAL)
		code = linkat(directory, name, directory, aside, 0) == 0 ? EEXIST : errno;
	if (code == EEXIST && file_place_look(place, aside, &found) == 0 &&
	    file_is_same(&found, &swap->record.copy))
		code = unlinkat(directory, name, 0) == 0 ? 0 : errno;
	return code ? error_errno(err, code, "cannot keep an edit of %s as %s", swap->path, aside)
		    : 0;
}

/* `copy` as it was made; NULL: it was not finished, and never took the place of the file. Between
 * the look and the call nothing can be held: what is written in that moment goes with the copy. */
static int remove_ours(const struct file_swap *swap, const struct file_place *place,
		       const char *name, const struct file_identity *copy, struct error *err)
{
	struct file_identity found;
	int result = file_look(swap, place, name, &found, err);

	if (result <= 0)
		return result;
	if (file_is_same(&found, &swap->record.original)) {
		/* a second name of the original (by link) goes; its only one never */
		if (found.links < 2)
			return 0;
	} else if (copy && !file_is_same(&found, copy)) {
		return 0; /* somebody else's: left alone, and told */
	} else if (copy && (!file_is_unchanged(&found, copy) ||
			    !file_has_our_content(swap, place, name, place->name))) {
		return set_aside(swap, place, name, err);
	}
	if (unlinkat(place->directory, name, 0) < 0 && errno != ENOENT)
		return error_errno(err, errno, "cannot remove %s beside %s", name, swap->path);
	return 0;
}

/* Each for itself: what is in the way of one is not in the way of the other. */
static int remove_both(const struct file_swap *swap, const struct file_place *place,
		       struct error *err)
{
	const struct file_identity *copy = &swap->record.copy;
	int kept = remove_ours(swap, place, swap->kept_name, copy, err);
	int result = remove_ours(swap, place, swap->copy_name, copy, kept < 0 ? NULL : err);

	return kept < 0 ? kept : result;
}

/* The journal may lie on another file system: what it takes for done must not come back with a loss
 * of power. */
static int sync_names(const struct file_swap *swap, const struct file_place *place,
		      struct error *err)
{
	if (fsync(place->directory) < 0 && errno != EINVAL)
		return error_errno(err, errno, "cannot write the directory of %s to the disk",
				   swap->path);
	return 0;
}

/* The original is back on the disk before who reads it is told, and before the copy goes. */
static int tidy(const struct file_swap *swap, const struct file_place *place, struct error *err)
{
	int result = sync_names(swap, place, err);

	if (result < 0)
		return result;
	/* The copy beside it tells that this is still to be done. */
	result = file_reload(swap, err);
	return result < 0 ? result : remove_both(swap, place, err);
}

#define TELLINGS 8

/* Whether anybody was told is not known where our copy, which said it, was replaced: then it is
 * done, once in a process, since restore undoes again what is still left. */
static int tell_once(const struct file_swap *swap, const struct file_place *place,
		     struct error *err)
{
	static struct {
		char run_id[RUN_ID_SIZE];
		uint32_t step;
		uint64_t copy;
	} told[TELLINGS];
	static unsigned next;
	const struct file_record *record = &swap->record;
	int result;

	for (unsigned i = 0; i < TELLINGS; i++)
		if (strcmp(told[i].run_id, record->run_id) == 0 && told[i].step == record->step &&
		    told[i].copy == record->copy.inode)
			return 0;
	result = tidy(swap, place, err);
	if (result < 0)
		return result;
	memcpy(told[next].run_id, record->run_id, sizeof(told[next].run_id));
	told[next].step = record->step;
	told[next].copy = record->copy.inode;
	next = (next + 1) % TELLINGS;
	return 0;
}

static int undo_swap(const struct file_swap *swap, const struct file_place *place,
		     struct error *err)
{
	struct file_seen seen;
	int result = file_judge(swap, place, &seen, err);

	switch (result) {
	case FILE_SWAPPED:
		result = file_swap_out(swap, place, err);
		if (result < 0)
			return result;
		/* anew: what was started before has read the bad version */
		file_reload_start(swap, NULL);
		return tidy(swap, place, err);
	case FILE_UNTIDY:
	case FILE_UNTIDY_EDITED:
		return tidy(swap, place, err);
	case FILE_FOREIGN:
		return tell_once(swap, place, err);
	case FILE_STRAY:
	case FILE_STRAY_EDITED: /* whoever replaced the file tells of it himself */
		return remove_both(swap, place, err);
	default:
		return result < 0 ? result : 0;
	}
}

/* A copy that never took the place of the file; else undo_swap() has removed it. What it was like
 * when it was not finished nobody knows, but check_names() has seen that there was nothing.
 * 1: *out, and whether the file is still the original; 0: there is none; -errno: it cannot be told.
 */
static int find_copy_left(const struct file_swap *swap, const struct file_place *place,
			  struct file_identity *out, bool *out_original, struct error *err)
{
	struct file_identity here;
	int result = file_look(swap, place, place->name, &here, err);

	if (result < 0)
		return result;
	*out_original = result > 0 && file_is_same(&here, &swap->record.original);
	result = file_look(swap, place, swap->copy_name, out, err);
	if (result <= 0)
		return result;
	return !file_is_same(out, &swap->record.original);
}

/* Where others have their hands on the file, it is told and not removed. */
static int undo_copy(const struct file_swap *swap, const struct file_place *place,
		     struct error *err)
{
	struct file_identity found;
	bool is_original;
	int result = find_copy_left(swap, place, &found, &is_original, err);

	if (result > 0 && is_original && S_ISREG(found.mode))
		return remove_ours(swap, place, swap->copy_name, NULL, err);
	return result < 0 ? result : 0;
}

/* As file_judge(), of FILE_RECORD_COPY */
static int judge_copy(const struct file_swap *swap, const struct file_place *place,
		      struct file_seen *out, struct error *err)
{
	struct file_identity found;
	bool is_original;
	int result = find_copy_left(swap, place, &found, &is_original, err);

	if (result <= 0)
		return result < 0 ? result : FILE_SETTLED;
	*out = (struct file_seen){.here = is_original ? FILE_ORIGINAL : FILE_SOMEBODYS};
	out->kept = out->copy = S_ISREG(found.mode) ? FILE_COPY : FILE_SOMEBODYS;
	if (S_ISREG(found.mode))
		return FILE_COPY_LEFT;
	return is_original ? FILE_FOREIGN : FILE_STRANGE;
}

/* Only if nobody else has changed the directory since. */
static int undo_directory(const struct file_swap *swap, const struct file_place *place)
{
	int64_t before_ns = swap->record.directory.mtime_ns;
	const struct timespec times[2] = {
		{.tv_nsec = UTIME_OMIT},
		{.tv_sec = before_ns / 1000000000, .tv_nsec = before_ns % 1000000000}};

	if (place->directory_id.mtime_ns == swap->record.directory_after_ns)
		futimens(place->directory, times);
	return 0;
}

void file_swap_undo_effect(const struct journal_record *record)
{
	cleanup_free struct file_swap *swap = NULL;
	struct file_place place = FILE_PLACE_INIT;

	if (record->type != FILE_RECORD_SWAP)
		return;
	swap = malloc(sizeof(*swap));
	if (!swap || file_record_read(record, swap, NULL) < 0 || open_place(swap, &place, NULL) < 0)
		return;
	/* anew: what was started before has read the bad version */
	if (file_swap_end(swap, &place, NULL) > 0)
		file_reload_start(swap, NULL);
	file_place_close(&place);
}

int file_swap_undo(const struct journal_record *record, struct error *err)
{
	cleanup_free struct file_swap *swap = malloc(sizeof(*swap));
	struct file_place place = FILE_PLACE_INIT;
	struct file_times times;
	int result = swap ? file_record_read(record, swap, err)
			  : error_errno(err, ENOMEM, "cannot undo a change of a file");

	if (result == 0 && record->type == FILE_RECORD_MOUNT)
		return file_mount_undo(swap, err);
	if (result == 0)
		result = open_place(swap, &place, err);
	if (result < 0)
		return result;
	times = file_times_keep(place.directory);
	if (record->type == FILE_RECORD_DIRECTORY) {
		result = undo_directory(swap, &place);
	} else {
		result = record->type == FILE_RECORD_SWAP ? undo_swap(swap, &place, err)
							  : undo_copy(swap, &place, err);
		file_times_put_back(place.directory, &times);
	}
	file_place_close(&place);
	return result;
}

/* What lasts: a person decides what it means. Anything else may work the next time. */
static int say_not_there(const struct file_swap *swap, int code, struct error *err)
{
	if (code != -ENOENT && code != -ENOTDIR && code != -ELOOP && code != -ESTALE)
		return code;
	return error_remedy(err, "if that is as it should be: rm -r %s/%.6s",
			    journal_root_of(swap->record.run_id), swap->record.run_id);
}

int file_swap_verify(const struct journal_record *record, bool *out_gone, char *out_left,
		     size_t left_size, struct error *err)
{
	cleanup_free struct file_swap *swap = malloc(sizeof(*swap));
	struct file_place place = FILE_PLACE_INIT;
	struct file_seen seen;
	int result = swap ? file_record_read(record, swap, err)
			  : error_errno(err, ENOMEM, "cannot look at a change of a file");

	if (result < 0)
		return result;
	if (record->type == FILE_RECORD_DIRECTORY) {
		*out_gone = true;
		return 0;
	}
	if (record->type == FILE_RECORD_MOUNT)
		return file_mount_verify(swap, out_gone, out_left, left_size, err);
	result = open_place(swap, &place, err);
	if (result < 0)
		return say_not_there(swap, result, err);
	result = record->type == FILE_RECORD_SWAP ? file_judge(swap, &place, &seen, err)
						  : judge_copy(swap, &place, &seen, err);
	/* Not in the undo, behind which the effects of others wait to end. */
	if (result == FILE_SETTLED && sync_names(swap, &place, err) < 0)
		result = -EIO;
	file_place_close(&place);
	if (result < 0)
		return result;
	*out_gone = result == FILE_SETTLED;
	if (!*out_gone)
		file_left_say(swap, (enum file_state_now)result, &seen, out_left, left_size);
	return 0;
}
