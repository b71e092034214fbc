/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/typed_words.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What restore appends to a sentence that ends with a command */
static const char *const tails[] = {"; undoing it failed: ", "; it cannot be looked at: "};

/* Sentences that leave it to a person: what he types depends on what he sees. */
static const char *const words[] = {
	"run: squall ",
	"squall stop ",
	"run 'squall restore'",
	"run it as root",
	"no command is shown",
	"bring it back from a backup",
	"to be unmounted there by hand",
	"; by hand (package bpftool): ",
	"if that is as it should be: ",
	"; look for ",
	"it could not be undone",
	"not listed for want of memory",
};

static const char *const programs[] = {
	"nft", "ip", "tc", "sysctl", "nsenter",	  "bpftool", "kill",	  "echo",
	"rm",  "mv", "cp", "umount", "systemctl", "setpriv", "conntrack",
};

#define PROGRAMS (sizeof(programs) / sizeof(*programs))

const char *typed_program(unsigned at)
{
	return at < PROGRAMS ? programs[at] : NULL;
}

/* At the beginning of a command: one of those that squall names, or a path to a program that is
 * there. That a path stands where a command could is nothing special: sentences begin so, too. */
static bool is_program(const char *at)
{
	char path[TYPED_SIZE];
	size_t length = strcspn(at, " ");
	struct stat status;

	for (unsigned i = 0; i < PROGRAMS; i++)
		if (strlen(programs[i]) == length && strncmp(at, programs[i], length) == 0)
			return true;
	if (*at == '\'') {
		at++;
		length = strcspn(at, "'");
	}
	snprintf(path, sizeof(path), "%.*s", (int)length, at);
	return path[0] == '/' && stat(path, &status) == 0 && S_ISREG(status.st_mode) &&
	       access(path, X_OK) == 0;
}

/* Behind a command they are part of what would be typed, and found out when it is. */
static const char *first_words(const char *said)
{
	const char *first = NULL;

	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++) {
		const char *at = strstr(said, words[i]);

		if (at && (!first || at < first))
			first = at;
	}
	return first;
}

enum typed_kind typed_find(const char *sentence, char out[TYPED_SIZE])
{
	char said[TYPED_SIZE];
	const char *first;

	snprintf(said, sizeof(said), "%s", sentence);
	for (unsigned i = 0; i < sizeof(tails) / sizeof(*tails); i++) {
		char *tail = strstr(said, tails[i]);

		if (tail)
			*tail = '\0';
	}
	first = first_words(said);
	for (const char *at = said; (at = strpbrk(at, ":;")) && (!first || at < first); at++)
		if (at[1] == ' ' && is_program(at + 2)) {
			snprintf(out, TYPED_SIZE, "%s", at + 2);
			return TYPED_COMMAND;
		}
	return first ? TYPED_WORDS : TYPED_UNKNOWN;
}

/* The length of the command at the beginning of `text`: up to what joins another one to it, outside
 * of quotes. In double quotes squall writes "$(cat FILE)", and quotes FILE in them. */
static size_t length_of(const char *text)
{
	bool is_single = false, is_double = false;
	size_t at;

	for (at = 0; text[at]; at++) {
		if (text[at] == '\\' && !is_single && text[at + 1])
			at++;
		else if (text[at] == '\'')
			is_single = !is_single;
		else if (text[at] == '"' && !is_single)
			is_double = !is_double;
		else if (!is_single && !is_double &&
			 (text[at] == ';' || strncmp(text + at, "&&", 2) == 0))
			break;
	}
	return at;
}

bool typed_next(const char **at, struct typed_part *out)
{
	const char *text = *at + strspn(*at, " ;");
	size_t length;

	out->needs_last = strncmp(text, "&&", 2) == 0;
	text += out->needs_last ? 2 : 0;
	text += strspn(text, " ");
	length = length_of(text);
	*at = text + length;
	while (length && text[length - 1] == ' ')
		length--;
	snprintf(out->text, sizeof(out->text), "%.*s", (int)length, text);
	return length > 0;
}
