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

/* In the format of printf(1), within single quotes; a "!" is no history, a dash no option. */
static bool is_printed_as_it_is(char byte, bool is_first)
{
	return byte >= ' ' && byte <= '~' && !strchr("'\\!", byte) && !(byte == '-' && is_first);
}

static void add_printed(const char *word, char *out, size_t size)
{
	char byte[8];

	add(out, size, "\"$(printf '");
	for (const char *at = word; *at; at++) {
		if (!is_printed_as_it_is(*at, at == word))
			snprintf(byte, sizeof(byte), "\\%03o", (unsigned char)*at);
		else
			snprintf(byte, sizeof(byte), *at == '%' ? "%%%%" : "%c", *at);
		add(out, size, byte);
	}
	add(out, size, "')\"");
}

void shell_word_add(const char *word, char *out, size_t size)
{
	size_t length = strlen(word);
	/* to zsh "=a" is where the program a lies */
	bool is_plain = length && word[0] != '=' && !word[strspn(word, PLAIN)];

	/* "$()" takes away line feeds at the end */
	if (!shell_word_is_plain(word) && word[length - 1] != '\n') {
		add_printed(word, out, size);
		return;
	}
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
