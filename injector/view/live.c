/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The live display on a terminal: redraws the lines that changed, in place, one write a frame.
 *
 * It leaves nothing behind on the terminal, even when it is killed: no alternate screen, no hidden
 * cursor. The cursor rests below the frame, where a shell's prompt may follow. Keys are read
 * elsewhere (keys.h). */
#include "injector/base/clock.h"
#include "injector/view/frame.h"
#include "injector/view/part.h"
#include "injector/view/scrollback.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_NS (100 * NSEC_PER_MSEC) /* after an event */
#define TICK_NS                                                                                    \
	(250 * NSEC_PER_MSEC) /* when nothing happens: clocks and the cursor of the timeline */

/* Whole repaint now and then: whatever somebody else wrote to the terminal does not stay in the
 * frame. */
#define REPAINT_NS (5 * NSEC_PER_SEC)

struct live {
	struct frame_state state;
	struct frame_style style;
	struct frame shown, next;
	struct loop_timer timer;
	int64_t due_ns, painted_ns;
	bool is_resized; /* since the last frame */
	struct scrollback lost;
	unsigned asked;	      /* questions where the cursor is, without an answer yet */
	unsigned asked_count; /* lines of the frame above it then */
	bool is_synchronised; /* terminal that knows, or ignores, synchronised updates */
	char *buffer;	      /* one frame with its cursor movements, owned */
	size_t buffer_size, used;
};

static void on_timer(void *context);

static void read_size(struct view *view)
{
	struct live *live = view->state;
	struct winsize size;

	/* on failure (a sandbox may refuse it) the last known size stays */
	if (ioctl(output_fd(view->output), TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row) {
		live->style.columns = size.ws_col;
		live->style.rows = size.ws_row;
	}
}

static void add(struct live *live, const char *text)
{
	size_t length = strlen(text);

	if (live->used + length + 1 > live->buffer_size)
		return; /* cannot happen: the buffer holds a whole frame */
	memcpy(live->buffer + live->used, text, length + 1);
	live->used += length;
}

static void add_up(struct live *live, unsigned rows)
{
	char move[32];

	if (!rows)
		return;
	snprintf(move, sizeof(move), "\033[%uA", rows);
	add(live, move);
}

/* Terminals re-wrap what is shown when they get narrower: the rows the old frame takes now, of the
 * `most` that there are. Its first lines have left for the scrollback when they are more. */
static unsigned rows_shown(struct live *live, unsigned columns, unsigned most)
{
	const struct frame *shown = &live->shown;
	unsigned rows = 0, gone = 0;

	for (unsigned i = 0; i < shown->count; i++)
		rows += scrollback_rows(shown->lines[i].width, columns);
	for (unsigned i = 0; i < shown->count && gone + most < rows; i++) {
		unsigned width = shown->lines[i].width, left = rows - most - gone;

		/* of the last one perhaps only the beginning */
		scrollback_push(&live->lost, width > left * columns ? left * columns : width);
		gone += scrollback_rows(width, columns);
	}
	return rows < most ? rows : most;
}

static void paint(struct view *view, bool whole)
{
	struct live *live = view->state;
	const struct frame *shown = &live->shown, *next = &live->next;
	bool changed = whole || shown->count != next->count;

	for (unsigned i = 0; !changed && i < next->count; i++)
		changed = strcmp(shown->lines[i].text, next->lines[i].text) != 0;
	if (!changed)
		return;
	live->used = 0;
	if (live->is_synchronised)
		add(live, "\033[?2026h");
	add(live, "\r");
	add_up(live, shown->count);
	for (unsigned i = 0; i < next->count; i++) {
		if (whole || i >= shown->count ||
		    strcmp(shown->lines[i].text, next->lines[i].text) != 0) {
			add(live, next->lines[i].text);
			add(live, "\033[K");
		}
		add(live, "\r\n");
	}
	/* also what the terminal echoed below the frame, like ^C */
	add(live, "\033[J");
	if (live->is_synchronised)
		add(live, "\033[?2026l");
	output_write(view->output, live->buffer, live->used);
	live->shown = live->next;
}

/* Line by line: tmux moves what is on the screen to its scrollback when all of the screen is erased
 * at once. */
static void erase(struct view *view, unsigned rows)
{
	struct live *live = view->state;

	live->used = 0;
	add(live, "\r");
	add_up(live, rows);
	for (unsigned i = 0; i < rows; i++)
		add(live, "\033[K\r\n");
	add_up(live, rows);
	output_write(view->output, live->buffer, live->used);
	live->shown.count = 0;
}

/* Takes the old frame away as it lies now. */
static void apply_size(struct view *view)
{
	struct live *live = view->state;

	live->is_resized = false;
	read_size(view);
	erase(view, rows_shown(live, live->style.columns, live->style.rows - 1));
}

/* Some terminals have given back what they had moved to their scrollback, others never do: only
 * where the cursor is tells. The answer comes like a key, so who is not in the foreground must not
 * ask. */
static void ask_place(struct view *view)
{
	static const char question[] = "\033[6n";
	struct live *live = view->state;

	if (!live->lost.count || !view->has_keys || tcgetpgrp(output_fd(view->output)) != getpgrp())
		return;
	live->asked++;
	live->asked_count = live->shown.count;
	output_write(view->output, question, sizeof(question) - 1);
}

static void draw(struct view *view, bool whole)
{
	struct live *live = view->state;
	int64_t now_ns = clock_now_ns();

	/* a terminal that does not keep up gets fewer frames, not a queue of old ones */
	if (output_is_busy(view->output) || output_is_gone(view->output))
		return;
	if (live->is_resized)
		apply_size(view);
	if (now_ns - live->painted_ns > REPAINT_NS) {
		whole = true;
		live->painted_ns = now_ns;
	}
	live->style.has_keys = view->has_keys;
	frame_draw(&live->state, now_ns, &live->style, &live->next);
	paint(view, whole);
}

static void schedule(struct view *view, int64_t delay_ns)
{
	struct live *live = view->state;
	int64_t due_ns = clock_now_ns() + delay_ns;

	if (!view->loop || (live->timer.heap_index && live->due_ns <= due_ns))
		return;
	live->due_ns = due_ns;
	loop_timer_set(view->loop, &live->timer, due_ns, on_timer, view);
}

static void on_timer(void *context)
{
	struct view *view = context;

	if (output_is_gone(view->output))
		return;
	draw(view, false);
	schedule(view, TICK_NS);
}

static void live_close(struct view *view)
{
	struct live *live = view->state;

	if (!live)
		return;
	if (view->loop)
		loop_timer_cancel(view->loop, &live->timer);
	if (live->state.probes && live->shown.count)
		draw(view, true);
	frame_state_free(&live->state);
	free(live->buffer);
	free(live);
	view->state = NULL;
}

static int live_open(struct view *view, struct error *err)
{
	struct live *live = calloc(1, sizeof(*live));
	const char *term = getenv("TERM");
	int result;

	if (!live)
		return error_errno(err, ENOMEM, "cannot make a view");
	view->state = live;
	live->style = (struct frame_style){
		.utf8 = view->utf8, .coloured = view->coloured, .columns = 80, .rows = 24};
	/* private modes that a terminal does not know are ignored by everything that follows
	 * ECMA-48; the two that people still meet and that may not are left out */
	live->is_synchronised = term && strcmp(term, "linux") != 0 && strcmp(term, "dumb") != 0 &&
				strncmp(term, "vt", 2) != 0;
	live->buffer_size = FRAME_MAX_ROWS * (FRAME_LINE_SIZE + 8) + 256;
	live->buffer = malloc(live->buffer_size);
	result = frame_state_init(&live->state, view->experiment, err);
	if (result == 0 && !live->buffer)
		result = error_errno(err, ENOMEM, "cannot make a view");
	if (result < 0) {
		live_close(view);
		return result;
	}
	live->painted_ns = clock_now_ns();
	read_size(view);
	return 0;
}

static void live_event(struct view *view, const struct event *event)
{
	struct live *live = view->state;

	frame_event(&live->state, event);
	if (event->kind == EVENT_RESULT || !view->loop)
		draw(view, false);
	else
		schedule(view, REDRAW_NS);
}

static void live_resize(struct view *view)
{
	struct live *live = view->state;

	live->is_resized = true;
	draw(view, true);
	if (!live->is_resized)
		ask_place(view);
}

/* What lies between the top and the frame begins with the lines that left last. */
static void live_place(struct view *view, unsigned row)
{
	struct live *live = view->state;
	unsigned rows;

	if (!live->asked || --live->asked || live->is_resized ||
	    live->asked_count != live->shown.count || row <= live->shown.count + 1 ||
	    row > live->style.rows)
		return;
	rows = scrollback_take(&live->lost, live->style.columns, row - 1 - live->shown.count);
	if (!rows || output_is_busy(view->output))
		return;
	erase(view, live->shown.count + rows);
	draw(view, true);
}

const struct view_part live_view = {
	.open = live_open,
	.event = live_event,
	.resize = live_resize,
	.place = live_place,
	.close = live_close,
};
