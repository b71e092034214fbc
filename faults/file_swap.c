/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A file and its bad copy change places, and back. Invariants: the original is always under one of
 * two names in its own directory, as the same inode; what is not the original and not our untouched
 * copy belongs to somebody else and is never replaced or removed.
 */
#include "faults/file.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/* Exchanges, and looks at what came out: another file may have come in between. */
static int exchange(const struct file_swap *swap, const struct file_place *place,
		    const struct file_identity *expected, struct error *err)
{
	struct file_identity got;
	int result = file_exchange(place->directory, swap->copy_name, place->name);

	if (result < 0)
		return error_errno(err, -result, "cannot exchange %s with %s beside it", swap->path,
				   swap->copy_name);
	if (file_place_look(place, swap->copy_name, &got) == 0 && file_is_same(&got, expected))
		return 0;
	file_exchange(place->directory, swap->copy_name, place->name);
	return error_set(err, EBUSY, "%s was replaced by somebody in this very moment", swap->path);
}

static int say_foreign(const struct file_swap *swap, const char *name, struct error *err)
{
	return error_set(err, EEXIST, "%s beside %s is somebody else's", name, swap->path);
}

/* Without RENAME_EXCHANGE: first a second name for what must not be lost, then a rename over it.
 * What somebody else puts there between the two is lost: no call of such a file system helps. */
static int replace(const struct file_swap *swap, const struct file_place *place, const char *keep,
		   const char *by, const struct file_identity *expected, struct error *err)
{
	struct file_identity kept;
	int directory = place->directory;
	bool is_ours = linkat(directory, place->name, directory, keep, 0) == 0;

	if (!is_ours && errno != EEXIST)
		return error_errno(err, errno,
				   "%s: this file system can neither exchange two files nor give "
				   "one a second name",
				   swap->path);
	if (file_place_look(place, keep, &kept) < 0 || !file_is_same(&kept, expected)) {
		if (!is_ours)
			return say_foreign(swap, keep, err);
		unlinkat(directory, keep, 0);
		return error_set(err, EBUSY, "%s was replaced by somebody in this very moment",
				 swap->path);
	}
	if (renameat(directory, by, directory, place->name) < 0)
		return error_errno(err, errno, "cannot put %s in the place of %s", by, swap->path);
	return 0;
}

/* The journal holds what undoes it; the first try decides the way. */
static int swap_in(struct file_swap *swap, const struct file_place *place, struct journal *journal,
		   int copy_sequence, struct error *err)
{
	struct error inner = ERROR_INIT;
	int sequence, result;

	swap->record.way = FILE_BY_EXCHANGE;
	file_swap_name(swap);
	sequence = file_record_write(swap, FILE_RECORD_SWAP, journal, err);
	if (sequence < 0)
		return sequence;
	/* From here on this record answers for the copy, too: it tells that a reload is due. */
	result = journal_done(journal, (uint32_t)copy_sequence, err);
	if (result < 0)
		return result;
	result = exchange(swap, place, &swap->record.original, &inner);
	if (result == 0)
		return 0;
	if (result != -EINVAL && result != -ENOSYS && result != -EOPNOTSUPP) {
		if (err)
			*err = inner;
		return result;
	}
	swap->record.way = FILE_BY_LINK;
	file_swap_name(swap);
	result = file_record_write(swap, FILE_RECORD_SWAP, journal, err);
	if (result >= 0)
		result = journal_done(journal, (uint32_t)sequence, err);
	if (result == 0)
		result = replace(swap, place, swap->kept_name, swap->copy_name,
				 &swap->record.original, err);
	return result;
}

/* What the directory's time was, and what we have made of it: both are known only now. */
static void note_directory(struct file_swap *swap, const struct file_place *place,
			   struct journal *journal)
{
	struct file_identity now;

	if (file_identify(place->directory, &now) < 0)
		return;
	swap->record.directory_after_ns = now.mtime_ns;
	file_record_write(swap, FILE_RECORD_DIRECTORY, journal, NULL);
}

/* Before anything is written of them: from then on what lies there is taken for ours. */
static int check_names(const struct file_swap *swap, const struct file_place *place,
		       struct error *err)
{
	char kept[NAME_MAX + 1], aside[NAME_MAX + 1];
	const char *names[] = {swap->copy_name, kept, aside};
	struct file_identity found;

	snprintf(kept, sizeof(kept), "%.250s" FILE_KEPT_BY_LINK, swap->copy_name);
	file_aside_name(swap, aside);
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		int result = file_look(swap, place, names[i], &found, err);

		if (result != 0)
			return result < 0 ? result : say_foreign(swap, names[i], err);
	}
	return 0;
}

int file_swap_inject(struct file_swap *swap, const struct file_place *place, int original,
		     const struct file_content *content, struct journal *journal, int *out_copy,
		     struct error *err)
{
	cleanup_fd int copy = -1;
	int sequence, result;

	swap->record.way = FILE_BY_EXCHANGE;
	file_swap_name(swap);
	result = check_names(swap, place, err);
	if (result < 0)
		return result;
	sequence = file_record_write(swap, FILE_RECORD_COPY, journal, err);
	if (sequence < 0)
		return sequence;
	result = file_copy_make(place, swap->copy_name, original, &swap->record.original, content,
				&copy, &swap->record.copy, err);
	if (result == -EEXIST) /* it came in between, and is not ours */
		journal_done(journal, (uint32_t)sequence, NULL);
	if (result == 0)
		result = swap_in(swap, place, journal, sequence, err);
	if (result < 0)
		return result;
	note_directory(swap, place, journal);
	*out_copy = steal_fd(&copy);
	return 0;
}

int file_swap_out(const struct file_swap *swap, const struct file_place *place, struct error *err)
{
	if (swap->record.way == FILE_BY_EXCHANGE)
		return exchange(swap, place, &swap->record.copy, err);
	return replace(swap, place, swap->copy_name, swap->kept_name, &swap->record.copy, err);
}

int file_swap_end(const struct file_swap *swap, const struct file_place *place, struct error *err)
{
	struct file_times times = file_times_keep(place->directory);
	struct file_seen seen;
	int result;

	result = file_judge(swap, place, &seen, err);
	if (result != FILE_SWAPPED)
		return result < 0 ? result : 0;
	result = file_swap_out(swap, place, err);
	file_times_put_back(place->directory, &times);
	return result < 0 ? result : 1;
}

int file_swap_look(const struct file_swap *swap, const struct file_place *place, struct error *err)
{
	struct file_seen seen;
	int state = file_judge_unread(swap, place, &seen, err);

	if (state < 0)
		return state;
	switch (state) {
	case FILE_SWAPPED:
		return 0;
	case FILE_EDITED:
		return error_set(err, ESTALE, "%s was edited by somebody", swap->path);
	case FILE_REMOVED:
		return error_set(err, ESTALE, "%s was removed by somebody", swap->path);
	case FILE_LOST:
	case FILE_EDITED_LOST:
		return error_set(err, ESTALE, "the original of %s was removed by somebody",
				 swap->path);
	default:
		return error_set(err, ESTALE, "%s was replaced by somebody", swap->path);
	}
}
