/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The faults in the live display: one row each, with its part of the timeline and the proof that it
 * bites.
 */
#include "injector/view/frame.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <stdio.h>
#include <string.h>

#define BAR_FROM  60 /* columns from which there is a timeline */
#define SHORT_COL 15 /* evidence in short, when it has no row of its own */

struct timeline {
	int64_t length_ns;
	int64_t now_ns; /* since the method began; -1: not yet or no more */
	unsigned columns;
};

static struct timeline timeline_of(const struct frame_canvas *canvas, unsigned columns)
{
	const struct frame_state *state = canvas->state;
	struct timeline line = {.columns = columns, .now_ns = -1};
	int64_t ran_ns = 0;

	line.length_ns = experiment_method_ns(state->experiment);
	if (line.length_ns <= 0)
		line.length_ns = state->experiment->limits.duration_ns;
	if (state->method_ns)
		ran_ns = (state->ended_ns ? state->ended_ns : canvas->now_ns) - state->method_ns;
	if (state->method_ns && !state->ended_ns)
		line.now_ns = ran_ns;
	if (ran_ns > line.length_ns)
		line.length_ns = ran_ns;
	if (line.length_ns < NSEC_PER_MSEC)
		line.length_ns = NSEC_PER_MSEC;
	return line;
}

static unsigned column_of(const struct timeline *line, int64_t at_ns)
{
	unsigned column;

	if (at_ns <= 0)
		return 0;
	column = (unsigned)((double)at_ns / (double)line->length_ns * line->columns);
	return column < line->columns ? column : line->columns - 1;
}

static void draw_axis(struct frame_canvas *canvas, struct frame_line *out,
		      const struct timeline *line)
{
	static const int64_t nice[] = {1,   2,	 5,    10,   15,   30,	  60,	 120,	300,
				       600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400};
	unsigned start = out->width;
	int64_t step_ns = NSEC_PER_SEC;
	char label[QUANTITY_TEXT_SIZE];

	for (unsigned i = 0; i < sizeof(nice) / sizeof(*nice); i++) {
		step_ns = nice[i] * NSEC_PER_SEC;
		if ((double)step_ns / (double)line->length_ns * line->columns >= 9)
			break;
	}
	for (int64_t at_ns = 0; at_ns < line->length_ns; at_ns += step_ns) {
		unsigned column = column_of(line, at_ns);

		quantity_format_duration(at_ns, label);
		if (column + strlen(label) > line->columns)
			break;
		frame_pad(canvas, out, start + column);
		frame_put(canvas, out, TONE_QUIET, 0, "%s", label);
	}
}

/* Between two pulses it is not over. */
static bool is_over(const struct frame_fault *fault, const struct experiment_step *plan)
{
	return fault->is_ended && (!plan->shape.every_ns || fault->injections >= plan->shape.count);
}

/* A fault in pulses is there in some columns and in others not. */
static bool has_pulse(const struct timeline *line, const struct experiment_step *plan,
		      int64_t began_ns, unsigned column)
{
	double wide_ns = (double)line->length_ns / line->columns;

	return shape_is_active_within(&plan->shape, (int64_t)(column * wide_ns) - began_ns,
				      (int64_t)((column + 1) * wide_ns) - began_ns);
}

/* What stands in one column of a fault's bar. */
static enum frame_glyph cell(const struct frame_canvas *canvas, const struct timeline *line,
			     unsigned step, unsigned column, enum tone *out_tone, bool *out_blank)
{
	const struct experiment_step *plan = &canvas->state->experiment->steps[step];
	const struct frame_fault *fault = &canvas->state->faults[step];
	int64_t method_ns = canvas->state->method_ns, end_ns = plan->at_ns + plan->for_ns;
	bool instant = run_is_instant(canvas->state->experiment, step);
	bool active = fault->is_injected && !fault->is_ended;

	*out_blank = false;
	*out_tone = active ? TONE_FAULT : TONE_QUIET;
	if (!plan->for_ns)
		end_ns = instant ? plan->at_ns : line->length_ns;
	if (instant && column == column_of(line, fault->is_injected ? fault->injected_ns - method_ns
								    : plan->at_ns)) {
		*out_tone = fault->is_injected ? TONE_FAULT : TONE_QUIET;
		return GLYPH_INSTANT;
	}
	if (!instant && fault->is_injected) {
		int64_t until_ns = fault->is_ended ? fault->ended_ns : canvas->now_ns;

		if (column >= column_of(line, fault->injected_ns - method_ns) &&
		    column <= column_of(line, until_ns - method_ns - 1) &&
		    has_pulse(line, plan, fault->injected_ns - method_ns, column))
			return GLYPH_DONE;
	}
	if (line->now_ns >= 0 && column == column_of(line, line->now_ns)) {
		*out_tone = TONE_TITLE;
		return GLYPH_NOW;
	}
	*out_tone = TONE_QUIET;
	if (!instant && !is_over(fault, plan) && !canvas->state->ended_ns &&
	    column >= column_of(line, plan->at_ns) && column <= column_of(line, end_ns - 1) &&
	    (line->now_ns < 0 || column > column_of(line, line->now_ns)) &&
	    has_pulse(line, plan, plan->at_ns, column))
		return GLYPH_PLANNED;
	*out_blank = true;
	return GLYPH_PLANNED;
}

static void draw_bar(struct frame_canvas *canvas, struct frame_line *out,
		     const struct timeline *line, unsigned step)
{
	char run[FRAME_MAX_COLUMNS * 4 + 8] = "";
	enum tone tone = TONE_NORMAL;
	size_t used = 0;

	/* cells of one tone in one piece: fewer escape sequences over a slow line */
	for (unsigned column = 0; column < line->columns; column++) {
		enum tone next;
		bool blank;
		const char *glyph =
			frame_glyph(canvas, cell(canvas, line, step, column, &next, &blank));

		if (next != tone && used) {
			frame_put(canvas, out, tone, 0, "%s", run);
			used = 0;
		}
		tone = next;
		used += (size_t)snprintf(run + used, sizeof(run) - used, "%s", blank ? " " : glyph);
	}
	frame_put(canvas, out, tone, 0, "%s", run);
}

static void glyph_of(const struct frame_canvas *canvas, unsigned step, enum frame_glyph *out_glyph,
		     enum tone *out_tone)
{
	const struct frame_fault *fault = &canvas->state->faults[step];
	bool instant = run_is_instant(canvas->state->experiment, step);

	*out_glyph = GLYPH_ACTIVE;
	*out_tone = fault->is_ended ? TONE_QUIET : TONE_FAULT;
	if (fault->has_failed) {
		*out_glyph = GLYPH_BAD;
		*out_tone = TONE_BAD;
	} else if (!fault->is_injected) {
		*out_glyph = GLYPH_PENDING;
		*out_tone = TONE_QUIET;
	} else if (fault->is_restored || instant) {
		*out_glyph = GLYPH_GOOD;
		*out_tone = TONE_GOOD;
	}
}

/* The proof that it bites, or when it begins. */
static enum tone say_state(const struct frame_canvas *canvas, unsigned step, bool brief, char *out,
			   size_t size)
{
	const struct frame_state *state = canvas->state;
	const struct experiment_step *plan = &state->experiment->steps[step];
	const struct frame_fault *fault = &state->faults[step];
	int64_t since_ns = state->method_ns ? canvas->now_ns - state->method_ns : 0;
	char text[QUANTITY_TEXT_SIZE];

	if (fault->has_failed) {
		snprintf(out, size, brief ? "failed" : "could not be injected");
		return TONE_BAD;
	}
	if (!fault->is_injected) {
		if (state->ended_ns || state->phase > PHASE_METHOD)
			snprintf(out, size, brief ? "not reached" : "was not reached");
		else if (state->method_ns)
			snprintf(out, size, "in %s",
				 words_of_clock(plan->at_ns - since_ns + NSEC_PER_SEC - 1, text,
						sizeof(text)));
		else
			snprintf(out, size, "at %s", quantity_format_duration(plan->at_ns, text));
		return TONE_QUIET;
	}
	if (!fault->has_evidence) {
		snprintf(out, size, brief ? "%s" : "%s, no evidence yet",
			 run_is_instant(state->experiment, step) ? "done"
			 : fault->is_ended			 ? "ended"
								 : "in force");
		return TONE_QUIET;
	}
	if (!fault->evidence.hits) {
		snprintf(out, size, "nothing hit%s", fault->is_ended ? "" : " yet");
		return TONE_WARNING;
	}
	if (brief)
		words_of_hits(&fault->evidence, out, size);
	else
		words_of_evidence(&fault->evidence, out, size);
	return TONE_NORMAL;
}

/* With a row for the evidence the words have the first row to themselves and the bar stands below
 * them. */
static void draw_fault(struct frame_canvas *canvas, unsigned step, unsigned name_columns,
		       const struct timeline *line, bool has_evidence)
{
	struct frame_line *out = frame_add_line(canvas);
	enum frame_glyph glyph;
	enum tone tone;
	char text[300];

	glyph_of(canvas, step, &glyph, &tone);
	frame_put(canvas, out, tone, 0, "%s ", frame_glyph(canvas, glyph));
	experiment_describe_step(canvas->state->experiment, step, text, sizeof(text));
	frame_put(canvas, out, TONE_NORMAL, has_evidence ? 0 : name_columns, "%s", text);
	if (has_evidence) {
		out = frame_add_line(canvas);
		tone = say_state(canvas, step, false, text, sizeof(text));
		frame_pad(canvas, out, 2);
		frame_put(canvas, out, tone == TONE_NORMAL ? TONE_QUIET : tone, name_columns, "%s",
			  text);
		frame_pad(canvas, out, 3 + name_columns);
		draw_bar(canvas, out, line, step);
		return;
	}
	frame_pad(canvas, out, 3 + name_columns);
	draw_bar(canvas, out, line, step);
	if (line->columns)
		frame_pad(canvas, out, 4 + name_columns + line->columns);
	tone = say_state(canvas, step, true, text, sizeof(text));
	frame_put(canvas, out, tone, 0, "%s", text);
}

/* When there is no room for all: those in force first, then the next ones, in the order of the
 * file. */
static unsigned rank_of(const struct frame_state *state, unsigned step)
{
	const struct frame_fault *fault = &state->faults[step];
	bool is_done = fault->is_ended || run_is_instant(state->experiment, step);

	return !fault->is_injected ? 1 : is_done ? 2 : 0;
}

static bool is_chosen(const struct frame_state *state, unsigned step, unsigned rows)
{
	unsigned before = 0, own = rank_of(state, step);

	for (unsigned i = 0; i < state->experiment->step_count; i++)
		before += rank_of(state, i) < own || (rank_of(state, i) == own && i < step);
	return before < rows;
}

void frame_draw_faults(struct frame_canvas *canvas, unsigned rows, bool has_header,
		       bool has_evidence)
{
	unsigned count = canvas->state->experiment->step_count, columns = canvas->columns;
	unsigned names, bar = 0, hidden = rows < count && rows ? count - rows + 1 : 0;
	struct timeline line;
	struct frame_line *out;

	if (!rows)
		return;
	if (columns >= BAR_FROM) {
		names = columns * 45 / 100 - (has_evidence ? 3 : 8);
		bar = columns - names - 3 - (has_evidence ? 0 : SHORT_COL + 1);
	} else {
		names = columns > SHORT_COL + 10 ? columns - SHORT_COL - 3 : columns;
	}
	line = timeline_of(canvas, bar);
	if (has_header) {
		out = frame_add_line(canvas);
		frame_put(canvas, out, TONE_TITLE, 0, "Faults");
		frame_pad(canvas, out, 3 + names);
		draw_axis(canvas, out, &line);
	}
	for (unsigned i = 0; i < count; i++)
		if (is_chosen(canvas->state, i, hidden ? rows - 1 : rows))
			draw_fault(canvas, i, names, &line, has_evidence);
	if (hidden)
		frame_put(canvas, frame_add_line(canvas), TONE_QUIET, 0, "  and %u more fault%s",
			  hidden, hidden == 1 ? "" : "s");
}
