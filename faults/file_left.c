/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is left of a bad version, in words, and what to type. A command is shown whole or not at
 * all: people paste it as root.
 */
#include "faults/file.h"

#include "injector/base/cleanup.h"
#include "injector/base/shell_word.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES	     64 /* of run and step, which come before the sentence */
#define QUOTED_SIZE  (4 * PATH_MAX + SHELL_WORD_MORE + 1)
#define COMMAND_SIZE (4 * QUOTED_SIZE)

static void add(char *out, size_t size, const char *text)
{
	size_t used = strlen(out);

	snprintf(out + used, size - used, "%s", text);
}

static const char *what_is(enum file_state_now state)
{
	switch (state) {
	case FILE_UNTIDY:
		return "is restored, what follows is not";
	case FILE_UNTIDY_EDITED:
		return "is restored; it was edited by somebody in the moment before, and what "
		       "follows is not done yet";
	case FILE_STRAY:
		return "was replaced or removed by somebody after it had been restored; a copy is "
		       "left beside it";
	case FILE_STRAY_EDITED:
		return "was replaced or removed by somebody after it had been restored; a copy "
		       "that "
		       "was edited by somebody before is left beside it";
	case FILE_STRANGE:
		return "was replaced or removed by somebody";
	case FILE_ASIDE:
		return "was restored; it was edited by somebody in the moment before, and the edit "
		       "is kept beside it, to be removed when it is not needed";
	case FILE_SWAPPED:
		return "is still the bad version; the original, to put it back";
	case FILE_EDITED:
		return "was edited by somebody meanwhile and is left alone; the original, to put "
		       "it back";
	case FILE_REPLACED:
		return "was replaced by somebody meanwhile and is left alone; the original, to put "
		       "it back";
	case FILE_REMOVED:
		return "was removed by somebody meanwhile; the original, to put it back";
	case FILE_LOST:
		return "is the bad version, and the original was removed by somebody: bring it "
		       "back from a backup, as a new file. It was";
	case FILE_EDITED_LOST:
		return "is the bad version, edited by somebody, and the original was removed by "
		       "somebody; when it is right as it is now";
	case FILE_COPY_LEFT:
		return "was not exchanged, but a copy is left beside it";
	default:
		return "is restored";
	}
}

/* A name in the directory of the file */
static void add_beside(char *out, const struct file_swap *swap, const char *name)
{
	char path[PATH_MAX + NAME_MAX + 16];
	int folder = (int)(strrchr(swap->path, '/') + 1 - swap->path);

	snprintf(path, sizeof(path), "%.*s%s", folder, swap->path, name);
	add(out, COMMAND_SIZE, out[0] ? " " : "");
	shell_word_add(path, out, COMMAND_SIZE);
}

static void add_next(char *out, const char *command)
{
	add(out, COMMAND_SIZE, out[0] ? " && " : "");
	add(out, COMMAND_SIZE, command);
}

static void add_path(char *out, const struct file_swap *swap)
{
	add(out, COMMAND_SIZE, " ");
	shell_word_add(swap->path, out, COMMAND_SIZE);
}

/* What the original is copied to for a moment; NULL: each name is taken. */
static const char *free_name(const struct file_swap *swap, const struct file_seen *seen)
{
	return seen->kept == FILE_NOTHING   ? swap->kept_name
	       : seen->copy == FILE_NOTHING ? swap->copy_name
					    : NULL;
}

/* Our copy, and a second name of the original (by link), wherever they lie; but an edit is kept. */
static void add_tidying(char *out, const struct file_swap *swap, const struct file_seen *seen)
{
	const char *names[] = {swap->kept_name, swap->copy_name};
	enum file_lies lies[] = {seen->kept, seen->copy};
	unsigned count = strcmp(names[0], names[1]) == 0 ? 1 : 2, removed = 0;
	char aside[NAME_MAX + 1];

	file_aside_name(swap, aside);
	for (unsigned i = 0; i < count; i++) {
		if (lies[i] != FILE_COPY &&
		    (lies[i] != FILE_ORIGINAL || seen->here != FILE_ORIGINAL))
			continue;
		if (!removed++)
			add_next(out, "rm -f");
		add_beside(out, swap, names[i]);
	}
	for (unsigned i = 0; i < count; i++) {
		if (lies[i] != FILE_COPY_EDITED)
			continue;
		add_next(out, "mv -T");
		add_beside(out, swap, names[i]);
		add_beside(out, swap, aside);
	}
}

/* One line of commands, into `out`, of COMMAND_SIZE; `reload`: empty, or the part that tells who
 * reads the file. */
static void write_command(const struct file_swap *swap, enum file_state_now state,
			  const struct file_seen *seen, const char *reload, char *out)
{
	char aside[NAME_MAX + 1];

	out[0] = '\0';
	switch (state) {
	case FILE_UNTIDY:
	case FILE_UNTIDY_EDITED:
		if (reload[0])
			add_next(out, reload);
		add_tidying(out, swap, seen);
		break;
	case FILE_STRAY: /* whoever replaced it has told whom he wanted to tell */
	case FILE_STRAY_EDITED:
	case FILE_COPY_LEFT:
		add_tidying(out, swap, seen);
		break;
	case FILE_ASIDE:
		file_aside_name(swap, aside);
		add_next(out, "rm -f");
		add_beside(out, swap, aside);
		break;
	case FILE_LOST: /* what it was */
		add_beside(out, swap, swap->kept_name);
		if (seen->kept == FILE_SOMEBODYS)
			add(out, COMMAND_SIZE,
			    ", but what lies there now was put there by somebody");
		break;
	case FILE_EDITED_LOST: /* a new file also where somebody lays a link in between */
		add_next(out, "cp -aT --remove-destination");
		add_path(out, swap);
		add_beside(out, swap, free_name(swap, seen));
		add_next(out, "mv -T");
		add_beside(out, swap, free_name(swap, seen));
		add_path(out, swap);
		break;
	default:
		add_next(out, "mv -T");
		add_beside(out, swap, swap->kept_name);
		add_path(out, swap);
		if (reload[0])
			add_next(out, reload);
	}
}

/* What is not ours is neither removed nor overwritten, nor is anybody told to; NULL: there is no
 * such thing, or it is not in the way. Into `buffer` or a name of `swap`. */
static const char *in_the_way(const struct file_swap *swap, enum file_state_now state,
			      const struct file_seen *seen, char buffer[NAME_MAX + 1])
{
	switch (state) {
	case FILE_FOREIGN:
	case FILE_STRANGE:
		return seen->kept == FILE_SOMEBODYS ? swap->kept_name : swap->copy_name;
	case FILE_UNTIDY_EDITED:
	case FILE_STRAY_EDITED:
		file_aside_name(swap, buffer);
		return seen->aside == FILE_SOMEBODYS ? buffer : NULL;
	case FILE_EDITED_LOST:
		return free_name(swap, seen) ? NULL : swap->kept_name;
	default:
		return NULL;
	}
}

/* Is who reads the file told by what is typed? */
static bool tells(enum file_state_now state)
{
	switch (state) {
	case FILE_UNTIDY:
	case FILE_UNTIDY_EDITED:
	case FILE_SWAPPED:
	case FILE_EDITED:
	case FILE_REPLACED:
	case FILE_REMOVED:
		return true;
	default:
		return false;
	}
}

static bool is_restored(enum file_state_now state)
{
	return state == FILE_UNTIDY || state == FILE_UNTIDY_EDITED;
}

/* Who reads the file may not be told by squall, nor by what people paste without a look. */
static void say_untold(enum file_state_now state, const char *why, char *out, size_t size)
{
	if (is_restored(state))
		snprintf(out, size,
			 ": telling who reads it (%.300s); when that is mended, run: squall "
			 "restore",
			 why);
	else
		snprintf(out, size, " (who reads it is then to be told by other means: %.300s)",
			 why);
}

/* Sentence and command, behind each other. False: it does not fit, or is no plain text. */
static bool say_command(const struct file_swap *swap, enum file_state_now state,
			const struct file_seen *seen, char *out, size_t size)
{
	cleanup_free char *command = malloc(COMMAND_SIZE);
	char reload[FILE_RELOAD_TYPED] = "", untold[400] = "";
	struct error why = ERROR_INIT;
	enum file_typing typing =
		tells(state) ? file_reload_command(swap, reload, &why) : FILE_TYPE_NOTHING;
	bool is_untold = typing == FILE_TYPE_NEVER;
	size_t used = strlen(out);

	if (command)
		write_command(swap, state, seen, reload, command);
	if (is_untold)
		say_untold(state, why.text, untold, sizeof(untold));
	if (command && typing != FILE_TYPE_TOO_LONG && shell_word_is_plain(command) &&
	    used + strlen(untold) + strlen(command) + 2 * NAMES < size)
		snprintf(out + used, size - used, "%s%s: %s", untold,
			 is_untold && is_restored(state) ? "; or tell it by other means, and then"
							 : "",
			 command);
	else if (is_untold && is_restored(state))
		snprintf(out + used, size - used, "%s", untold);
	else
		return false;
	return true;
}

void file_left_say(const struct file_swap *swap, enum file_state_now state,
		   const struct file_seen *seen, char *out, size_t size)
{
	char buffer[NAME_MAX + 1];
	const char *way = in_the_way(swap, state, seen, buffer);
	size_t used;

	snprintf(out, size, "%.200s%s %s", swap->path, strlen(swap->path) > 200 ? "..." : "",
		 what_is(state));
	used = strlen(out);
	if (way && state == FILE_STRANGE)
		snprintf(out + used, size - used,
			 ": %s beside it is not recognized and is left alone; see whether it is "
			 "the original, give it another name, then run: squall restore",
			 way);
	else if (way)
		snprintf(out + used, size - used,
			 ": %s beside it is not squall's and is left alone; give it another name, "
			 "then run: squall restore",
			 way);
	else if (!say_command(swap, state, seen, out, size))
		snprintf(out + used, size - used,
			 ": no command is shown, since it is too long or no plain text; see the "
			 "hidden files of run %.6s in its directory (ls -Ab)",
			 swap->record.run_id);
}
