/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sentences that tell of something left, and name no command, because none can be right. Written
 * down one by one, with the reason: any other sentence without a command is a mistake.
 */
#ifndef SQUALL_TESTS_TYPED_REASONS_H
#define SQUALL_TESTS_TYPED_REASONS_H

#include <stdbool.h>

/* Of a line that squall has printed; counts it. */
bool typed_has_reason(const char *line);
/* How often each was seen, as comments of TAP. */
void typed_reasons_print(void);

#endif
