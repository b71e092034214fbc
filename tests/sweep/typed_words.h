/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The commands in what squall tells a person to type.
 */
#ifndef SQUALL_TESTS_TYPED_WORDS_H
#define SQUALL_TESTS_TYPED_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#define TYPED_SIZE 2100 /* of a line that squall prints, at most */

enum typed_kind {
	TYPED_COMMAND, /* it is in `out`, whole */
	TYPED_WORDS,   /* there is none: a person has to look, or to call squall restore */
	TYPED_UNKNOWN, /* neither that nor any command that is known */
};

/* The programs that squall tells people to type, one after the other; NULL: no more. */
const char *typed_program(unsigned at);
/* Of a sentence about something that is left. */
enum typed_kind typed_find(const char *sentence, char out[TYPED_SIZE]);

struct typed_part {
	char text[TYPED_SIZE]; /* one command, without what joins it to others */
	bool needs_last;       /* behind "&&": only if the one before ends well */
};

/* The next one of a line of commands from *at on, which moves; false: there is none. */
bool typed_next(const char **at, struct typed_part *out);

#endif
