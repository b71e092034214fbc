/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/base/printable.h"

#include "injector/base/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct range {
	uint32_t first, last;
};

/* Characters that take two columns (East Asian Width W and F, and emoji that terminals draw wide).
 * The C library's wcwidth() would need a locale to be set, which nothing else here wants. */
static const struct range wide[] = {
	{0x1100, 0x115f},   {0x231a, 0x231b},	{0x2329, 0x232a},   {0x23e9, 0x23ec},
	{0x23f0, 0x23f0},   {0x23f3, 0x23f3},	{0x25fd, 0x25fe},   {0x2614, 0x2615},
	{0x2648, 0x2653},   {0x267f, 0x267f},	{0x2693, 0x2693},   {0x26a1, 0x26a1},
	{0x26aa, 0x26ab},   {0x26bd, 0x26be},	{0x26c4, 0x26c5},   {0x26ce, 0x26ce},
	{0x26d4, 0x26d4},   {0x26ea, 0x26ea},	{0x26f2, 0x26f3},   {0x26f5, 0x26f5},
	{0x26fa, 0x26fa},   {0x26fd, 0x26fd},	{0x2705, 0x2705},   {0x270a, 0x270b},
	{0x2728, 0x2728},   {0x274c, 0x274c},	{0x274e, 0x274e},   {0x2753, 0x2755},
	{0x2757, 0x2757},   {0x2795, 0x2797},	{0x27b0, 0x27b0},   {0x27bf, 0x27bf},
	{0x2b1b, 0x2b1c},   {0x2b50, 0x2b50},	{0x2b55, 0x2b55},   {0x2e80, 0x303e},
	{0x3041, 0x33ff},   {0x3400, 0x4dbf},	{0x4e00, 0x9fff},   {0xa000, 0xa4cf},
	{0xa960, 0xa97f},   {0xac00, 0xd7a3},	{0xf900, 0xfaff},   {0xfe10, 0xfe19},
	{0xfe30, 0xfe6f},   {0xff00, 0xff60},	{0xffe0, 0xffe6},   {0x16fe0, 0x18cff},
	{0x1aff0, 0x1b2ff}, {0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf}, {0x1f18e, 0x1f18e},
	{0x1f191, 0x1f19a}, {0x1f200, 0x1f320}, {0x1f32d, 0x1f335}, {0x1f337, 0x1f37c},
	{0x1f37e, 0x1f393}, {0x1f3a0, 0x1f3ca}, {0x1f3cf, 0x1f3d3}, {0x1f3e0, 0x1f3f0},
	{0x1f3f4, 0x1f3f4}, {0x1f3f8, 0x1f43e}, {0x1f440, 0x1f440}, {0x1f442, 0x1f4fc},
	{0x1f4ff, 0x1f53d}, {0x1f54b, 0x1f54e}, {0x1f550, 0x1f567}, {0x1f57a, 0x1f57a},
	{0x1f595, 0x1f596}, {0x1f5a4, 0x1f5a4}, {0x1f5fb, 0x1f64f}, {0x1f680, 0x1f6c5},
	{0x1f6cc, 0x1f6cc}, {0x1f6d0, 0x1f6d2}, {0x1f6d5, 0x1f6df}, {0x1f6eb, 0x1f6ec},
	{0x1f6f4, 0x1f6fc}, {0x1f7e0, 0x1f7eb}, {0x1f7f0, 0x1f7f0}, {0x1f90c, 0x1f93a},
	{0x1f93c, 0x1f945}, {0x1f947, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
};

/* Characters whose width terminals do not agree on (combining marks, joiners, variation selectors)
 * or that re-order or break lines (bidirectional controls, separators): none of them is let
 * through, so that every width computed here is the width drawn. */
static const struct range forbidden[] = {
	{0x0000, 0x001f}, {0x007f, 0x009f},   {0x00ad, 0x00ad},	   {0x0300, 0x036f},
	{0x0483, 0x0489}, {0x0591, 0x05bd},   {0x0600, 0x0605},	   {0x0610, 0x061c},
	{0x064b, 0x065f}, {0x06d6, 0x06dd},   {0x070f, 0x070f},	   {0x180b, 0x180f},
	{0x1ab0, 0x1aff}, {0x1dc0, 0x1dff},   {0x200b, 0x200f},	   {0x2028, 0x202e},
	{0x2060, 0x206f}, {0x20d0, 0x20ff},   {0xd800, 0xdfff},	   {0xe000, 0xf8ff},
	{0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},   {0xfeff, 0xfeff},	   {0xfff0, 0xfffb},
	{0xfffe, 0xffff}, {0x1f3fb, 0x1f3ff}, {0xe0000, 0x10ffff},
};

static bool is_in(uint32_t c, const struct range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

/* The printable stand-in for the character at `from`: its columns, and its bytes in out (0:
 * dropped). *out_consumed is how far to go on in `from`. */
static unsigned print_char(const char *from, bool utf8, char *out, unsigned *out_bytes,
			   unsigned *out_consumed)
{
	uint32_t c = utf8_decode(from, SIZE_MAX, out_consumed);

	*out_bytes = 1;
	if (c < 0x20 || c == 0x7f || (utf8 && (c == 0x85 || c == 0x2028 || c == 0x2029))) {
		out[0] = ' ';
		return 1;
	}
	if (c == UTF8_BROKEN || (c >= 0x80 && !utf8)) {
		out[0] = '?';
		return 1;
	}
	if (c >= 0x80 && is_in(c, forbidden, sizeof(forbidden) / sizeof(*forbidden))) {
		*out_bytes = 0;
		return 0;
	}
	memcpy(out, from, *out_consumed);
	*out_bytes = *out_consumed;
	return c >= 0x1100 && is_in(c, wide, sizeof(wide) / sizeof(*wide)) ? 2 : 1;
}

bool printable_has_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (unsigned i = 0; i < 3; i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
	}
	return false;
}

unsigned printable_fit(const char *text, unsigned columns, bool utf8, char *out, size_t size)
{
	static const char ellipsis[] = "\xe2\x80\xa6"; /* U+2026 */
	const char *mark = utf8 ? ellipsis : "~";
	size_t used = 0, keep = 0;
	unsigned width = 0, keep_width = 0, bytes, printed;
	char one[4];

	if (!size)
		return 0;
	for (; *text; text += bytes) {
		unsigned w = print_char(text, utf8, one, &printed, &bytes);

		if (!printed)
			continue;
		if (width + w > columns || used + printed + 1 > size) {
			/* no room for this one: the ellipsis goes where it still fits */
			if (columns && keep + strlen(mark) + 1 <= size) {
				strcpy(out + keep, mark);
				return keep_width + 1;
			}
			break;
		}
		memcpy(out + used, one, printed);
		used += printed;
		width += w;
		if (width + 1 <= columns && used + sizeof(ellipsis) <= size) {
			keep = used;
			keep_width = width;
		}
	}
	out[used] = '\0';
	return width;
}

void printable_clean(char *text, bool utf8)
{
	char *out = text, one[4];
	unsigned bytes, printed;

	for (; *text; text += bytes) {
		print_char(text, utf8, one, &printed, &bytes);
		memcpy(out, one, printed);
		out += printed;
	}
	*out = '\0';
}

unsigned printable_width(const char *text)
{
	unsigned width = 0, bytes, printed;
	char one[4];

	for (; *text; text += bytes)
		width += print_char(text, true, one, &printed, &bytes);
	return width;
}

size_t printable_break(const char *text, unsigned columns, size_t *out_next)
{
	size_t at = 0, end = 0, next = 0;
	unsigned width = 0, bytes, printed;
	char one[4];

	while (text[at]) {
		unsigned w = print_char(text + at, true, one, &printed, &bytes);

		if (text[at] == ' ' && at && text[at - 1] != ' ')
			end = at;
		if (width + w > columns && at) {
			size_t stop = end ? end : at;

			for (next = stop; text[next] == ' ';)
				next++;
			*out_next = next;
			return stop;
		}
		width += w;
		at += bytes;
	}
	*out_next = at;
	return at;
}

char *printable_valid_utf8(const char *text)
{
	char *copy = malloc(strlen(text) * 3 + 1), *out = copy;
	unsigned bytes;

	if (!copy)
		return NULL;
	for (; *text; text += bytes) {
		if (utf8_decode(text, SIZE_MAX, &bytes) == UTF8_BROKEN) {
			memcpy(out, "\xef\xbf\xbd", 3); /* U+FFFD */
			out += 3;
		} else {
			memcpy(out, text, bytes);
			out += bytes;
		}
	}
	*out = '\0';
	return copy;
}
