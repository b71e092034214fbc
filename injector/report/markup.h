/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text into HTML, XML or Markdown. There is one way to put text there, and it escapes: a %s is
 * data from anywhere, only the format itself is markup.
 */
#ifndef SQUALL_REPORT_MARKUP_H
#define SQUALL_REPORT_MARKUP_H

#include <stdio.h>

enum markup_kind {
	MARKUP_XML, /* HTML as well: text and attributes in double quotes */
	MARKUP_MARKDOWN,
};

struct markup {
	FILE *out;
	enum markup_kind kind;
};

/* As printf, of which it knows %s, %d, %u, %lld, %zu, %f with a precision, and %%. A %s is cleaned
 * (see printable.h; a line break becomes a space) and escaped. Write errors show in ferror(out). */
void markup_put(struct markup *markup, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
