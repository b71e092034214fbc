/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What lies under the names of an exchange, and what that makes of it. A file is recognized by what
 * the journal holds of it; whatever else lies there belongs to somebody.
 */
#include "faults/file.h"

#include <stdio.h>

void file_aside_name(const struct file_swap *swap, char out[NAME_MAX + 1])
{
	snprintf(out, NAME_MAX + 1, "%.246s.edited", swap->copy_name);
}

static enum file_lies look(const struct file_swap *swap, const struct file_place *place,
			   const char *name)
{
	struct file_identity found;

	if (file_place_look(place, name, &found) < 0)
		return FILE_NOTHING;
	if (file_is_same(&found, &swap->record.original))
		return FILE_ORIGINAL;
	if (!file_is_same(&found, &swap->record.copy))
		return FILE_SOMEBODYS;
	return file_is_unchanged(&found, &swap->record.copy) ? FILE_COPY : FILE_COPY_EDITED;
}

/* Under one of the names beside the file: two, or one where there is an exchange */
static bool has(const struct file_seen *seen, enum file_lies what)
{
	return seen->kept == what || seen->copy == what;
}

static bool has_aside(const struct file_seen *seen)
{
	return seen->aside == FILE_COPY || seen->aside == FILE_COPY_EDITED;
}

/* The original is in its place. */
static enum file_state_now judge_restored(const struct file_seen *seen)
{
	if (has(seen, FILE_COPY_EDITED))
		return FILE_UNTIDY_EDITED;
	if (has(seen, FILE_COPY) || has(seen, FILE_ORIGINAL))
		return FILE_UNTIDY;
	if (has_aside(seen))
		return FILE_ASIDE;
	return has(seen, FILE_SOMEBODYS) ? FILE_FOREIGN : FILE_SETTLED;
}

/* Neither the original nor our copy is there. */
static enum file_state_now judge_replaced(const struct file_seen *seen)
{
	if (seen->kept == FILE_ORIGINAL)
		return seen->here == FILE_NOTHING ? FILE_REMOVED : FILE_REPLACED;
	if (has(seen, FILE_COPY_EDITED))
		return FILE_STRAY_EDITED;
	if (has(seen, FILE_COPY))
		return FILE_STRAY;
	return has_aside(seen) ? FILE_ASIDE : FILE_SETTLED;
}

enum file_state_now file_judge(const struct file_swap *swap, const struct file_place *place,
			       struct file_seen *out)
{
	char aside[NAME_MAX + 1];
	bool is_kept;

	file_aside_name(swap, aside);
	*out = (struct file_seen){.here = look(swap, place, place->name),
				  .kept = look(swap, place, swap->kept_name),
				  .copy = look(swap, place, swap->copy_name),
				  .aside = look(swap, place, aside)};
	is_kept = out->kept == FILE_ORIGINAL;
	switch (out->here) {
	case FILE_ORIGINAL:
		return judge_restored(out);
	case FILE_COPY:
		return is_kept ? FILE_SWAPPED : FILE_LOST;
	case FILE_COPY_EDITED:
		return is_kept ? FILE_EDITED : FILE_EDITED_LOST;
	default:
		return judge_replaced(out);
	}
}
