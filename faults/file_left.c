/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is left of a bad version, in words, and what to type. A command is shown whole or not at
 * all: people paste it as root.
 */
#include "faults/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a shell takes as it is */
#define PLAIN	     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+=:,@%"
#define NAMES	     64 /* of run and step, which come before the sentence */
#define QUOTED_SIZE  (4 * PATH_MAX + 8)
#define COMMAND_SIZE (4 * QUOTED_SIZE)

static void add(char *out, size_t size, const char *text)
{
	size_t used = strlen(out);

	snprintf(out + used, size - used, "%s", text);
}

void file_left_quote(const char *word, char *out, size_t size)
{
	bool is_plain = *word && !word[strspn(word, PLAIN)];

	add(out, size, is_plain ? "" : "'");
	for (char at[2] = ""; (at[0] = *word); word++)
		add(out, size, at[0] == '\'' ? "'\\''" : at);
	add(out, size, is_plain ? "" : "'");
}

void file_aside_name(const struct file_swap *swap, char out[NAME_MAX + 1])
{
	snprintf(out, NAME_MAX + 1, "%.246s.edited", swap->copy_name);
}

/* What cannot be shown in one line (or is no text at all) is not shown in part. */
static bool is_printed_as_it_is(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

static const char *what_is(enum file_state_now state)
{
	switch (state) {
	case FILE_UNTIDY:
		return "is restored, what follows is not";
	case FILE_UNTIDY_EDITED:
		return "is restored; it was edited by somebody in the moment before, and what "
		       "follows is not done yet";
	case FILE_ASIDE:
		return "is restored; it was edited by somebody in the moment before, and the edit "
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
		return "is as it was, but a copy is left beside it";
	default:
		return "is restored";
	}
}

/* One line of commands, into `out`, of COMMAND_SIZE. False: a part of it does not fit. */
static bool write_command(const struct file_swap *swap, enum file_state_now state, char *out)
{
	char beside[PATH_MAX + NAME_MAX + 16], reload[FILE_RELOAD_TYPED];
	char name[NAME_MAX + 1], aside[NAME_MAX + 1];
	int folder = (int)(strrchr(swap->path, '/') + 1 - swap->path);
	bool is_untidy = state == FILE_UNTIDY || state == FILE_UNTIDY_EDITED;
	bool is_copy = state == FILE_COPY_LEFT;

	file_aside_name(swap, aside);
	if (state == FILE_ASIDE)
		memcpy(name, aside, sizeof(name));
	else
		memcpy(name,
		       is_copy || state == FILE_UNTIDY_EDITED ? swap->copy_name : swap->kept_name,
		       sizeof(name));
	snprintf(beside, sizeof(beside), "%.*s%s", folder, swap->path, name);
	out[0] = '\0';
	if (!file_reload_command(swap, reload))
		return false;
	if (is_untidy && reload[0]) {
		add(out, COMMAND_SIZE, reload);
		add(out, COMMAND_SIZE, " && ");
	}
	if (state == FILE_EDITED_LOST) {
		add(out, COMMAND_SIZE, "cp -p ");
		file_left_quote(swap->path, out, COMMAND_SIZE);
		add(out, COMMAND_SIZE, " ");
	} else if (state == FILE_UNTIDY || state == FILE_ASIDE || is_copy) {
		add(out, COMMAND_SIZE, "rm -f ");
	} else if (state != FILE_LOST) {
		add(out, COMMAND_SIZE, "mv -T ");
	}
	file_left_quote(beside, out, COMMAND_SIZE);
	if (state == FILE_EDITED_LOST) {
		add(out, COMMAND_SIZE, " && mv -T ");
		file_left_quote(beside, out, COMMAND_SIZE);
	}
	if (state == FILE_UNTIDY || state == FILE_ASIDE || state == FILE_LOST || is_copy)
		return true;
	add(out, COMMAND_SIZE, " ");
	if (state == FILE_UNTIDY_EDITED) {
		snprintf(beside, sizeof(beside), "%.*s%s", folder, swap->path, aside);
		file_left_quote(beside, out, COMMAND_SIZE);
		return true;
	}
	file_left_quote(swap->path, out, COMMAND_SIZE);
	if (reload[0] && state != FILE_EDITED_LOST) {
		add(out, COMMAND_SIZE, " && ");
		add(out, COMMAND_SIZE, reload);
	}
	return true;
}

void file_left_say(const struct file_swap *swap, enum file_state_now state, char *out, size_t size)
{
	char *command = malloc(COMMAND_SIZE);
	size_t used;

	snprintf(out, size, "%.200s%s %s: ", swap->path, strlen(swap->path) > 200 ? "..." : "",
		 what_is(state));
	used = strlen(out);
	if (command && write_command(swap, state, command) && is_printed_as_it_is(command) &&
	    used + strlen(command) + NAMES < size)
		snprintf(out + used, size - used, "%s", command);
	else
		snprintf(out + used, size - used,
			 "no command is shown, since it is too long or no plain text; see the "
			 "hidden files of run %.6s in its directory (ls -Ab)",
			 swap->record.run_id);
	free(command);
}
