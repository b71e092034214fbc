/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What fuzzers share: an input as a text, what must be true of an answer.
 */
#ifndef SQUALL_FUZZ_INPUT_H
#define SQUALL_FUZZ_INPUT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(int condition)
{
	if (!condition)
		abort();
}

/* NUL-terminated and exactly as long: reading beyond it is seen. The caller frees. */
static inline char *make_text(const void *data, size_t size)
{
	char *text = malloc(size + 1);

	require(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

#endif
