/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/base/page.h"

#include "injector/base/cleanup.h"
#include "injector/base/printable.h"

#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_MIN 20
#define WIDTH_MAX 400

const char *tone_start(enum tone tone)
{
	static const char *const starts[] = {
		[TONE_NORMAL] = "",	     [TONE_QUIET] = "\033[2m",	[TONE_GOOD] = "\033[32m",
		[TONE_WARNING] = "\033[33m", [TONE_BAD] = "\033[1;31m", [TONE_FAULT] = "\033[35m",
		[TONE_TITLE] = "\033[1m",
	};

	return starts[tone];
}

unsigned page_width(FILE *out)
{
	int fd = fileno(out);
	struct winsize size;

	return fd >= 0 && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

void page_init(struct page *page, FILE *out, bool coloured, unsigned width)
{
	int fd = fileno(out);
	bool is_terminal = fd >= 0 && isatty(fd);

	if (!width)
		width = page_width(out);
	*page = (struct page){
		.out = out,
		.coloured = coloured,
		.utf8 = !is_terminal || printable_has_utf8(),
		.width = width < WIDTH_MIN   ? WIDTH_MIN
			 : width > WIDTH_MAX ? WIDTH_MAX
					     : width,
	};
}

static void print(struct page *page, enum tone tone, const char *clean)
{
	const char *start = page->coloured && *clean ? tone_start(tone) : "";

	fprintf(page->out, "%s%s%s", start, clean, *start ? TONE_END : "");
}

static void put(struct page *page, enum tone tone, const char *text)
{
	char clean[WIDTH_MAX * 4 + 8];
	unsigned room = page->width > page->column ? page->width - page->column : 0;

	page->column += printable_fit(text, room, page->utf8, clean, sizeof(clean));
	print(page, tone, clean);
}

void page_put(struct page *page, enum tone tone, const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	put(page, tone, text);
}

void page_tab(struct page *page, unsigned column)
{
	if (page->column > column)
		page_line(page);
	if (page->column < column && column <= page->width) {
		fprintf(page->out, "%*s", (int)(column - page->column), "");
		page->column = column;
	}
}

void page_put_right(struct page *page, enum tone tone, unsigned column, const char *text)
{
	unsigned width = printable_width(text);

	if (page->column + width < column)
		page_tab(page, column - width);
	put(page, tone, text);
}

void page_wrap(struct page *page, enum tone tone, unsigned indent, const char *format, ...)
{
	cleanup_free char *text = NULL, *line = NULL;
	va_list args;
	size_t at = 0, next;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0) {
		text = NULL;
		return;
	}
	printable_clean(text, page->utf8);
	line = malloc((size_t)length + 1);
	/* a page narrower than its indent has no indent */
	indent = indent + 10 < page->width ? indent : 0;
	do {
		unsigned room = page->width > page->column ? page->width - page->column : 0;
		size_t bytes = printable_break(text + at, room ? room : 1, &next);

		if (line) {
			memcpy(line, text + at, bytes);
			line[bytes] = '\0';
			print(page, tone, line);
		}
		page_line(page);
		at += next;
		if (text[at])
			page_tab(page, indent);
	} while (text[at]);
}

void page_uncut(struct page *page, enum tone tone, const char *text)
{
	cleanup_free char *clean = strdup(text);

	if (clean) {
		printable_clean(clean, page->utf8);
		print(page, tone, clean);
	}
	page_line(page);
}

void page_line(struct page *page)
{
	fputc('\n', page->out);
	page->column = 0;
}
