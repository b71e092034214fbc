/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Characters of a text in UTF-8, as RFC 3629 allows them: shortest form, no surrogates, at most
 * U+10FFFF.
 */
#ifndef SQUALL_UTF8_H
#define SQUALL_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define UTF8_BROKEN UINT32_MAX

/* The first character of at least one byte, of `size` bytes or up to a NUL; *out_bytes is 1 when it
 * is UTF8_BROKEN. */
uint32_t utf8_decode(const char *text, size_t size, unsigned *out_bytes);

#endif
