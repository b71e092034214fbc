/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/base/shell_word.h"

#include <stdio.h>
#include <string.h>

/* What a shell takes as it is */
#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+=:,@%"

static void add(char *out, size_t size, const char *text)
{
	size_t used = strlen(out);

	snprintf(out + used, size - used, "%s", text);
}

void shell_word_add(const char *word, char *out, size_t size)
{
	bool is_plain = *word && !word[strspn(word, PLAIN)];

	add(out, size, is_plain ? "" : "'");
	for (char at[2] = ""; (at[0] = *word); word++)
		add(out, size, at[0] == '\'' ? "'\\''" : at);
	add(out, size, is_plain ? "" : "'");
}

bool shell_word_is_plain(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}
