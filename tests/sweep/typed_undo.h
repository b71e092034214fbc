/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Types what squall tells a person to type.
 */
#ifndef SQUALL_TESTS_TYPED_UNDO_H
#define SQUALL_TESTS_TYPED_UNDO_H

#include "tests/sweep/scene.h"

/* The commands of the "left: ..." lines in `text` (which is cut up), in the namespace and by a
 * shell, as a person would; but not "squall restore", which is called anyway. Adds to *typed_count.
 * `wrong`: a part of one that no shell understands or finds, or a line in which there is nothing to
 * type and no word of why; else empty.
 * True: there was such a line, and a command for every one. */
bool typed_undo(const struct scene *scene, char *text, unsigned *typed_count, char *wrong,
		size_t wrong_size);

/* "# typed: kill 3 rm 0 ...": how often each program was; scripts/sweep adds it up. */
void typed_print(void);
bool typed_was(const char *program);

#endif
