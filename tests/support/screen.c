/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void screen_init(struct screen *screen, unsigned columns, unsigned rows)
{
	memset(screen, 0, sizeof(*screen));
	screen->columns = columns;
	screen->rows = rows;
}

static void line_feed(struct screen *screen)
{
	if (screen->y + 1 < screen->rows) {
		screen->y++;
		return;
	}
	memmove(screen->cells[0], screen->cells[1], sizeof(screen->cells[0]) * (screen->rows - 1));
	memset(screen->cells[screen->rows - 1], 0, sizeof(screen->cells[0]));
	screen->scrolled++;
}

static void erase_below(struct screen *screen)
{
	for (unsigned x = screen->x; x < screen->columns; x++)
		screen->cells[screen->y][x][0] = '\0';
	for (unsigned y = screen->y + 1; y < screen->rows; y++)
		memset(screen->cells[y], 0, sizeof(screen->cells[y]));
}

/* The sequences a modest display uses; everything else is unexpected. */
static void control_sequence(struct screen *screen, const char *body, char final)
{
	unsigned count = *body ? (unsigned)atoi(body) : 1;

	if (final == 'm') /* colours */
		return;
	if (final == 'A')
		screen->y = count < screen->y ? screen->y - count : 0;
	else if (final == 'K' && !*body)
		for (unsigned x = screen->x; x < screen->columns; x++)
			screen->cells[screen->y][x][0] = '\0';
	else if (final == 'J' && !*body)
		erase_below(screen);
	else if (strcmp(body, "?2026") != 0 || (final != 'h' && final != 'l'))
		screen->unexpected++;
}

static void put(struct screen *screen, const char *text, size_t bytes)
{
	if (screen->x >= screen->columns) {
		screen->overflows++;
		return;
	}
	memcpy(screen->cells[screen->y][screen->x], text, bytes);
	screen->cells[screen->y][screen->x][bytes] = '\0';
	screen->x++;
}

/* Consumes one character or sequence; 0: there is only a part of it. */
static size_t step(struct screen *screen, const char *text, size_t length)
{
	unsigned char c = (unsigned char)text[0];
	size_t bytes = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4, end = 2;
	char body[32];

	if (c == '\r') {
		screen->x = 0;
	} else if (c == '\n') {
		line_feed(screen);
	} else if (c == 033) {
		if (length < 2)
			return 0;
		if (text[1] != '[') {
			screen->unexpected++;
			return 2;
		}
		while (end < length && (text[end] < '@' || text[end] > '~'))
			end++;
		if (end >= length)
			return 0;
		snprintf(body, sizeof(body), "%.*s", (int)(end - 2), text + 2);
		control_sequence(screen, body, text[end]);
		return end + 1;
	} else if (c < 0x20 || c == 0x7f ||
		   (c == 0xc2 && length > 1 && (unsigned char)text[1] < 0xa0)) {
		screen->unexpected++;
	} else {
		if (length < bytes)
			return 0;
		put(screen, text, bytes);
		return bytes;
	}
	return 1;
}

void screen_feed(struct screen *screen, const char *text, size_t length)
{
	size_t total = screen->pending_length + length, at = 0, used;
	char *all = malloc(total + 1);

	if (!all)
		abort();
	memcpy(all, screen->pending, screen->pending_length);
	memcpy(all + screen->pending_length, text, length);
	while (at < total && (used = step(screen, all + at, total - at)) > 0)
		at += used;
	screen->pending_length = total - at < sizeof(screen->pending) ? total - at : 0;
	memcpy(screen->pending, all + at, screen->pending_length);
	free(all);
}

const char *screen_row(struct screen *screen, unsigned y, char *out, size_t size)
{
	size_t used = 0, last = 0;

	for (unsigned x = 0; x < screen->columns && used + 8 < size; x++) {
		const char *cell = screen->cells[y][x];
		const char *text = *cell ? cell : " ";

		memcpy(out + used, text, strlen(text));
		used += strlen(text);
		if (strcmp(text, " ") != 0)
			last = used;
	}
	out[last] = '\0';
	return out;
}
