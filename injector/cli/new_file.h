/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The commented experiment that `squall new` makes of its answers.
 */
#ifndef SQUALL_CLI_NEW_FILE_H
#define SQUALL_CLI_NEW_FILE_H

#include <stdbool.h>

enum new_what { NEW_SLOW, NEW_LOSSY, NEW_CUT, NEW_KILLED, NEW_PAUSED };

struct new_answers {
	enum new_what what;
	const char *title, *where, *probe, *within; /* parsed before: no control characters */
	const char *how_bad;			    /* NULL where there is nothing to say */
	const char *lasts;			    /* NULL: acts at once */
};

bool new_is_process(enum new_what what);
/* The file's text, the caller's; NULL: no memory. */
char *new_file(const struct new_answers *answers);

#endif
