/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Draws the live display. Shares out the rows by importance: title and phase, faults and probes,
 * the last message, then headers, evidence, the hypothesis, air, more messages. The share depends
 * on the experiment and on the size of the terminal alone, so the frame keeps its shape during a
 * run. */
#include "injector/view/frame.h"

#include "injector/base/clock.h"
#include "injector/base/printable.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *frame_glyph(const struct frame_canvas *canvas, enum frame_glyph glyph)
{
	static const char *const glyphs[][2] = {
		[GLYPH_PENDING] = {"o", "○"}, [GLYPH_ACTIVE] = {"*", "●"},
		[GLYPH_GOOD] = {"+", "✓"},    [GLYPH_BAD] = {"x", "✗"},
		[GLYPH_UNKNOWN] = {"?", "?"}, [GLYPH_PLANNED] = {"-", "░"},
		[GLYPH_DONE] = {"#", "█"},    [GLYPH_NOW] = {"|", "│"},
		[GLYPH_INSTANT] = {"^", "◆"}, [GLYPH_DASH] = {"-", "─"},
		[GLYPH_MISS] = {"x", "×"},
	};

	return glyphs[glyph][canvas->style->utf8];
}

struct frame_line *frame_add_line(struct frame_canvas *canvas)
{
	struct frame *frame = canvas->frame;
	/* the last line takes what is too much; frame_draw() plans so that nothing is */
	struct frame_line *line =
		&frame->lines[frame->count < FRAME_MAX_ROWS ? frame->count : FRAME_MAX_ROWS - 1];

	if (frame->count < FRAME_MAX_ROWS)
		frame->count++;
	line->text[0] = '\0';
	line->width = 0;
	return line;
}

static void append(struct frame_canvas *canvas, struct frame_line *line, enum tone tone,
		   unsigned columns, const char *text)
{
	char clean[FRAME_MAX_COLUMNS * 4 + 8];
	const char *start = canvas->style->coloured ? tone_start(tone) : "";
	size_t used = strlen(line->text), needed;
	unsigned width;

	if (line->width >= canvas->columns)
		return;
	if (!columns || columns > canvas->columns - line->width)
		columns = canvas->columns - line->width;
	width = printable_fit(text, columns, canvas->style->utf8, clean, sizeof(clean));
	needed = strlen(clean) + strlen(start) + sizeof(TONE_END);
	if (used + needed > sizeof(line->text))
		return;
	snprintf(line->text + used, sizeof(line->text) - used, "%s%s%s", start, clean,
		 *start ? TONE_END : "");
	line->width += width;
}

void frame_put(struct frame_canvas *canvas, struct frame_line *line, enum tone tone,
	       unsigned columns, const char *format, ...)
{
	char text[FRAME_MAX_COLUMNS * 4 + 8];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	append(canvas, line, tone, columns, text);
}

void frame_pad(struct frame_canvas *canvas, struct frame_line *line, unsigned column)
{
	if (column > line->width)
		frame_put(canvas, line, TONE_NORMAL, 0, "%*s", (int)(column - line->width), "");
}

void frame_put_right(struct frame_canvas *canvas, struct frame_line *line, enum tone tone,
		     unsigned column, const char *text)
{
	unsigned width = printable_width(text);

	if (width < column)
		frame_pad(canvas, line, column - width);
	append(canvas, line, tone, 0, text);
}

static void draw_title(struct frame_canvas *canvas)
{
	const struct frame_state *state = canvas->state;
	struct frame_line *line = frame_add_line(canvas);
	bool has_keys = canvas->style->has_keys && !state->is_finished && !state->is_stopping;
	char right[96], clock[24];
	unsigned width;

	words_of_clock(state->started_ns ? canvas->now_ns - state->started_ns : 0, clock,
		       sizeof(clock));
	snprintf(right, sizeof(right), "%s%s%s%s",
		 has_keys && canvas->columns >= 72 ? "q: stop  n: next   " : "",
		 canvas->columns >= 60 && *state->run_id ? "run " : "", state->run_id,
		 *state->run_id ? "  " : "");
	snprintf(right + strlen(right), sizeof(right) - strlen(right), "%s", clock);
	width = printable_width(right);
	if (width + 10 < canvas->columns)
		frame_put(canvas, line, TONE_TITLE, canvas->columns - width - 2, "%s",
			  state->experiment->title ? state->experiment->title : "squall");
	frame_put_right(canvas, line, TONE_QUIET, canvas->columns, right);
}

/* How long the phase will still take, when that is known; -1: not. */
static int64_t time_left(const struct frame_state *state, int64_t now_ns)
{
	const struct experiment *experiment = state->experiment;
	int64_t takes_ns = 0;

	if (state->phase == PHASE_STEADY_STATE)
		takes_ns = experiment->steady_state.within_ns ? experiment->steady_state.within_ns
							      : experiment->steady_state.for_ns;
	if (state->phase == PHASE_METHOD)
		takes_ns = experiment_method_ns(experiment);
	if (state->phase == PHASE_RECOVERY)
		takes_ns = experiment->recovery.within_ns;
	if (takes_ns <= 0 || now_ns - state->phase_ns > takes_ns)
		return -1;
	return takes_ns - (now_ns - state->phase_ns);
}

static bool has_phase(const struct experiment *experiment, enum run_phase phase)
{
	if (phase == PHASE_STEADY_STATE)
		return experiment->steady_state.count > 0;
	if (phase == PHASE_RECOVERY)
		return experiment->recovery.count > 0;
	return true;
}

static void draw_verdict(struct frame_canvas *canvas)
{
	const struct frame_state *state = canvas->state;
	struct frame_line *line = frame_add_line(canvas);
	bool held = state->verdict == VERDICT_HELD;
	enum tone tone = held ? TONE_GOOD : TONE_BAD;

	frame_put(canvas, line, tone, 0, "%s %s",
		  frame_glyph(canvas, held ? GLYPH_GOOD : GLYPH_BAD),
		  words_of_verdict(state->experiment, state->verdict));
	frame_put(canvas, line, TONE_NORMAL, 0, ": %s", state->why);
}

static void draw_phases(struct frame_canvas *canvas)
{
	const struct frame_state *state = canvas->state;
	struct frame_line *line;
	bool roomy = canvas->columns >= 72, first = true;
	int64_t left_ns = time_left(state, canvas->now_ns);
	char left[48] = "", clock[24];

	if (state->is_finished) {
		draw_verdict(canvas);
		return;
	}
	line = frame_add_line(canvas);
	for (int phase = PHASE_PLAN; phase < PHASE_FINISHED; phase++) {
		bool past = phase < (int)state->phase, now = phase == (int)state->phase;

		if (!has_phase(state->experiment, (enum run_phase)phase) || (!roomy && !now))
			continue;
		if (!first)
			frame_put(canvas, line, TONE_QUIET, 0, " %s ",
				  frame_glyph(canvas, GLYPH_DASH));
		first = false;
		frame_put(canvas, line,
			  past	? TONE_GOOD
			  : now ? TONE_TITLE
				: TONE_QUIET,
			  0, "%s %s",
			  frame_glyph(canvas, past  ? GLYPH_GOOD
					      : now ? GLYPH_ACTIVE
						    : GLYPH_PENDING),
			  run_phase_names[phase]);
	}
	if (state->is_stopping)
		frame_put_right(canvas, line, TONE_WARNING, canvas->columns, "stopping");
	else if (left_ns >= 0) {
		/* rounded up: "0:00 left" is not shown for a whole second */
		words_of_clock(left_ns + NSEC_PER_SEC - 1, clock, sizeof(clock));
		snprintf(left, sizeof(left), "%s left", clock);
		frame_put_right(canvas, line, TONE_TITLE, canvas->columns, left);
	}
}

static void draw_messages(struct frame_canvas *canvas, unsigned rows)
{
	const struct frame_state *state = canvas->state;
	unsigned count =
		state->message_count < FRAME_MESSAGES ? state->message_count : FRAME_MESSAGES;
	char clock[24];

	if (count > rows)
		count = rows;
	for (unsigned i = state->message_count - count; i < state->message_count; i++) {
		const struct frame_message *message = &state->messages[i % FRAME_MESSAGES];
		struct frame_line *line = frame_add_line(canvas);

		words_of_clock(message->time_ns - state->started_ns, clock, sizeof(clock));
		frame_put_right(canvas, line, TONE_QUIET, canvas->columns >= 60 ? 7 : 5, clock);
		frame_put(canvas, line, message->tone, 0, " %s", message->label);
		if (canvas->columns >= 60)
			frame_pad(canvas, line, 18);
		frame_put(canvas, line, TONE_NORMAL, 0, " %s", message->text);
	}
}

/* Rows for each part. */
struct share {
	unsigned faults, probes, messages;
	bool fault_header, probe_header, evidence, hypothesis;
	unsigned blanks; /* bits: above the faults, the probes, the messages */
};

static bool take(unsigned *left, unsigned rows)
{
	if (*left < rows)
		return false;
	*left -= rows;
	return true;
}

static struct share share_rows(const struct experiment *experiment, unsigned rows, unsigned columns)
{
	unsigned faults = experiment->step_count, probes = experiment->probe_count;
	struct share share = {.messages = 1};
	unsigned left = rows > 3 ? rows - 3 : 0; /* title, phase, one message */

	if (rows < 3)
		share.messages = 0;
	/* too many: half for each, and what one does not need is the other's */
	share.faults = faults;
	share.probes = probes;
	if (faults + probes > left) {
		share.faults = left / 2 < faults ? left / 2 : faults;
		share.probes = left - share.faults < probes ? left - share.faults : probes;
		share.faults = left - share.probes < faults ? left - share.probes : faults;
	}
	left -= share.faults + share.probes;
	share.fault_header = share.faults && columns >= 60 && take(&left, 1);
	share.probe_header = share.probes && columns >= 60 && take(&left, 1);
	share.blanks |= share.faults && take(&left, 1) ? 1 : 0;
	share.evidence = share.faults && columns >= 60 && take(&left, share.faults);
	share.hypothesis = experiment->hypothesis && take(&left, 1);
	share.blanks |= share.probes && take(&left, 1) ? 2 : 0;
	share.blanks |= take(&left, 1) ? 4 : 0;
	share.messages += left < FRAME_MESSAGES - 1 ? left : FRAME_MESSAGES - 1;
	return share;
}

void frame_draw(const struct frame_state *state, int64_t now_ns, const struct frame_style *style,
		struct frame *out)
{
	unsigned rows = style->rows > 1 ? style->rows - 1 : 1;
	struct frame_canvas canvas = {
		.state = state,
		.style = style,
		.frame = out,
		.now_ns = now_ns,
		.columns = style->columns > 1 ? style->columns - 1 : 1,
	};
	struct share share;

	if (rows > FRAME_MAX_ROWS)
		rows = FRAME_MAX_ROWS;
	if (canvas.columns > FRAME_MAX_COLUMNS)
		canvas.columns = FRAME_MAX_COLUMNS;
	out->count = 0;
	if (rows > 1)
		draw_title(&canvas);
	share = share_rows(state->experiment, rows, canvas.columns);
	if (share.hypothesis)
		frame_put(&canvas, frame_add_line(&canvas), TONE_QUIET, 0, "%s",
			  state->experiment->hypothesis);
	draw_phases(&canvas);
	if (share.blanks & 1)
		frame_add_line(&canvas);
	frame_draw_faults(&canvas, share.faults, share.fault_header, share.evidence);
	if (share.blanks & 2)
		frame_add_line(&canvas);
	frame_draw_probes(&canvas, share.probes, share.probe_header);
	if (share.blanks & 4)
		frame_add_line(&canvas);
	draw_messages(&canvas, share.messages);
}
