/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What lies under the names of an exchange, and what that makes of it. A file is recognized by what
 * the journal holds of it; whatever else lies there belongs to somebody.
 */
#include "faults/file.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

void file_aside_name(const struct file_swap *swap, char out[NAME_MAX + 1])
{
	snprintf(out, NAME_MAX + 1, "%.246s.edited", swap->copy_name);
}

int file_look(const struct file_swap *swap, const struct file_place *place, const char *name,
	      struct file_identity *out, struct error *err)
{
	int result = file_place_look(place, name, out);

	/* nothing can lie under a name that is too long here */
	if (result == -ENOENT || result == -ENAMETOOLONG)
		return 0;
	if (result < 0)
		return error_errno(err, -result, "cannot look at %s in the directory of %s", name,
				   swap->path);
	return 1;
}

/* Who edits can set back size and time of modification, but not the time of change, which the
 * exchange has made the same for both (to a tick of the kernel's clock). Where it is not, another
 * owner for a moment or a link that a backup made will do: then the content decides. What cannot be
 * read, or is long, is taken for ours as before. */
bool file_has_our_content(const struct file_swap *swap, const struct file_place *place,
			  const char *name, const char *other)
{
	const struct file_identity *copy = &swap->record.copy;
	int64_t one_ns, other_ns;
	cleanup_fd int fd = -1;
	uint32_t sum;

	if (!copy->content || (file_place_changed(place, name, &one_ns) &&
			       file_place_changed(place, other, &other_ns) && one_ns == other_ns))
		return true;
	fd = openat(place->directory, name,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_NOATIME | O_CLOEXEC);
	sum = fd < 0 ? 0 : file_content_of(fd, copy->size);
	return !sum || sum == copy->content;
}

static int look(const struct file_swap *swap, const struct file_place *place, const char *name,
		bool closely, enum file_lies *out, struct error *err)
{
	const char *other = name == place->name ? swap->kept_name : place->name;
	struct file_identity found;
	int result = file_look(swap, place, name, &found, err);

	if (result < 0)
		return result;
	if (result == 0)
		*out = FILE_NOTHING;
	else if (file_is_same(&found, &swap->record.original))
		*out = FILE_ORIGINAL;
	else if (!file_is_same(&found, &swap->record.copy))
		*out = FILE_SOMEBODYS;
	else if (!file_is_unchanged(&found, &swap->record.copy) ||
		 (closely && !file_has_our_content(swap, place, name, other)))
		*out = FILE_COPY_EDITED;
	else
		*out = FILE_COPY;
	return 0;
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
	if (has(seen,
		FILE_SOMEBODYS)) /* it could be the original: nobody but we gave that a name */
		return FILE_STRANGE;
	return has_aside(seen) ? FILE_ASIDE : FILE_SETTLED;
}

static int judge(const struct file_swap *swap, const struct file_place *place, bool closely,
		 struct file_seen *out, struct error *err)
{
	char aside[NAME_MAX + 1];
	bool is_kept;
	int result;

	file_aside_name(swap, aside);
	*out = (struct file_seen){0};
	result = look(swap, place, place->name, closely, &out->here, err);
	if (result == 0)
		result = look(swap, place, swap->kept_name, closely, &out->kept, err);
	if (result == 0)
		result = look(swap, place, swap->copy_name, closely, &out->copy, err);
	if (result == 0)
		result = look(swap, place, aside, false, &out->aside, err);
	if (result < 0)
		return result;
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

int file_judge(const struct file_swap *swap, const struct file_place *place, struct file_seen *out,
	       struct error *err)
{
	return judge(swap, place, true, out, err);
}

int file_judge_unread(const struct file_swap *swap, const struct file_place *place,
		      struct file_seen *out, struct error *err)
{
	return judge(swap, place, false, out, err);
}
