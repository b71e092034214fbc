/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/base/utf8.h"

uint32_t utf8_decode(const char *text, size_t size, unsigned *out_bytes)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *at = (const unsigned char *)text;
	unsigned bytes = at[0] < 0x80	? 1
			 : at[0] < 0xc2 ? 0
			 : at[0] < 0xe0 ? 2
			 : at[0] < 0xf0 ? 3
			 : at[0] < 0xf5 ? 4
					: 0;
	uint32_t c;

	*out_bytes = 1;
	if (bytes == 1)
		return at[0];
	if (bytes == 0 || bytes > size)
		return UTF8_BROKEN;
	c = at[0] & (0xffU >> (bytes + 1));
	for (unsigned i = 1; i < bytes; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return UTF8_BROKEN;
		c = c << 6 | (at[i] & 0x3f);
	}
	if (c < least[bytes] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return UTF8_BROKEN;
	*out_bytes = bytes;
	return c;
}
