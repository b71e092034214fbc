/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sentences one behind the other in a buffer of fixed size: what does not fit is cut off, never
 * written beyond.
 */
#ifndef SQUALL_PROSE_H
#define SQUALL_PROSE_H

#include <stddef.h>
#include <stdint.h>

struct prose {
	char *out;
	size_t size, used;
};

/* Empty; `size` may be 0. */
void prose_begin(struct prose *prose, char *out, size_t size);
void prose_say(struct prose *prose, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Without the blank behind the last sentence. */
void prose_end(struct prose *prose);

/* Behind a noun: "1 request", "2 requests". */
static inline const char *prose_plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

#endif
