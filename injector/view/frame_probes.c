/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The probes in the live display: state, latest value, the last values as a sparkline, percentiles
 * over the whole run, failures. */
#include "injector/view/frame.h"

#include "injector/base/quantity.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct layout {
	unsigned name, spark, reason;
	bool has_percentiles;
};

static void glyph_of(const struct frame_probe *probe, enum frame_glyph *out_glyph,
		     enum tone *out_tone)
{
	static const enum frame_glyph glyphs[] = {GLYPH_GOOD, GLYPH_BAD, GLYPH_UNKNOWN};
	static const enum tone tones[] = {TONE_GOOD, TONE_BAD, TONE_WARNING};

	*out_glyph = probe->is_seen ? glyphs[probe->last] : GLYPH_PENDING;
	*out_tone = probe->is_seen ? tones[probe->last] : TONE_QUIET;
}

static void say_value(const struct frame_probe *probe, double value, char *out, size_t size)
{
	char text[QUANTITY_TEXT_SIZE];

	if (!isfinite(value))
		snprintf(out, size, "-");
	else if (probe->has_values)
		snprintf(out, size, "%.4g", value);
	else
		snprintf(out, size, "%s", quantity_format_latency((int64_t)value, text));
}

/* Lowest and highest of what is shown, at least a factor of four apart: noise is not drama. */
static void scale_of(const struct frame_probe *probe, unsigned count, float *out_low,
		     float *out_high)
{
	float low = INFINITY, high = 0;

	for (unsigned i = probe->history_at - count; i < probe->history_at; i++) {
		float value = probe->history[i % FRAME_HISTORY].value;

		if (!isfinite(value) || value <= 0)
			continue;
		low = value < low ? value : low;
		high = value > high ? value : high;
	}
	if (!isfinite(low))
		low = 1;
	*out_low = low;
	*out_high = high > low * 4 ? high : low * 4;
}

/* 0 to 7. Logarithmic: ten times slower must not hide what twice as slow looks like. */
static unsigned level_of(float value, float low, float high)
{
	/* an eighth of the way, and a hair: rounding shall not decide about what lies between two
	 */
	const float step = sqrtf(sqrtf(sqrtf(high / low))) * 1.0001F;
	unsigned level = 0;

	for (float next = low * step; level < 7 && value >= next; next *= step)
		level++;
	return level;
}

static void draw_spark(struct frame_canvas *canvas, struct frame_line *line,
		       const struct frame_probe *probe, unsigned columns)
{
	static const char *const bars[2][8] = {
		{"_", ".", ".", "-", "-", "=", "=", "#"},
		{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
	};
	unsigned count = probe->history_count < columns ? probe->history_count : columns;
	char run[FRAME_HISTORY * 4 + 8] = "";
	bool run_is_bad = false;
	size_t used = 0;
	float low, high;

	scale_of(probe, count, &low, &high);
	frame_pad(canvas, line, line->width + columns - count);
	for (unsigned i = probe->history_at - count; i < probe->history_at; i++) {
		float value = probe->history[i % FRAME_HISTORY].value;
		bool is_bad = probe->history[i % FRAME_HISTORY].is_bad;
		const char *glyph = frame_glyph(canvas, GLYPH_MISS);

		if (isfinite(value))
			glyph = bars[canvas->style->utf8][level_of(value, low, high)];
		if (is_bad != run_is_bad && used) {
			frame_put(canvas, line, run_is_bad ? TONE_BAD : TONE_NORMAL, 0, "%s", run);
			used = 0;
		}
		run_is_bad = is_bad;
		used += (size_t)snprintf(run + used, sizeof(run) - used, "%s", glyph);
	}
	if (used)
		frame_put(canvas, line, run_is_bad ? TONE_BAD : TONE_NORMAL, 0, "%s", run);
}

static void draw_percentile(struct frame_canvas *canvas, struct frame_line *line,
			    const struct frame_probe *probe, double p)
{
	int64_t value = probe->has_values ? -1 : histogram_percentile(&probe->latencies, p);
	char text[32];

	say_value(probe, value < 0 ? NAN : (double)value, text, sizeof(text));
	frame_put_right(canvas, line, TONE_NORMAL, line->width + 8, text);
}

static void draw_probe(struct frame_canvas *canvas, unsigned index, const struct layout *layout)
{
	const struct frame_probe *probe = &canvas->state->probes[index];
	struct frame_line *line = frame_add_line(canvas);
	char text[64], bad[16], attempts[16];
	enum frame_glyph glyph;
	enum tone tone;

	glyph_of(probe, &glyph, &tone);
	frame_put(canvas, line, tone, 0, "%s ", frame_glyph(canvas, glyph));
	frame_put(canvas, line, TONE_NORMAL, layout->name, "%s",
		  canvas->state->experiment->probes[index].name);
	frame_pad(canvas, line, 2 + layout->name);
	say_value(probe, probe->latest, text, sizeof(text));
	frame_put_right(canvas, line, TONE_NORMAL, line->width + 8, text);
	if (layout->spark) {
		frame_put(canvas, line, TONE_NORMAL, 0, " ");
		draw_spark(canvas, line, probe, layout->spark);
	}
	if (layout->has_percentiles) {
		draw_percentile(canvas, line, probe, 0.5);
		draw_percentile(canvas, line, probe, 0.99);
	}
	snprintf(text, sizeof(text), "%s/%s", words_of_count(probe->bad, bad, sizeof(bad)),
		 words_of_count(probe->attempts, attempts, sizeof(attempts)));
	frame_put_right(canvas, line, probe->bad ? TONE_WARNING : TONE_NORMAL, line->width + 12,
			text);
	if (layout->reason && probe->is_seen && probe->last != PROBE_PASS)
		frame_put(canvas, line, TONE_QUIET, layout->reason, "  %s", probe->reason);
}

static struct layout layout_of(const struct frame_canvas *canvas)
{
	const struct experiment *experiment = canvas->state->experiment;
	struct layout layout = {.name = 6};
	unsigned columns = canvas->columns, fixed;

	for (unsigned i = 0; i < experiment->probe_count; i++) {
		unsigned length = (unsigned)strlen(experiment->probes[i].name);

		layout.name = length > layout.name ? length : layout.name;
	}
	if (layout.name > columns / 4)
		layout.name = columns / 4;
	layout.has_percentiles = columns >= 60;
	fixed = 2 + layout.name + 8 + 1 + 12 + (layout.has_percentiles ? 16 : 0);
	if (columns >= fixed + 5)
		layout.spark = columns - fixed;
	if (layout.spark > FRAME_HISTORY)
		layout.spark = FRAME_HISTORY;
	/* beyond a comfortable sparkline, room is better spent on the reason */
	if (layout.spark > 60)
		layout.spark -= 24;
	if (columns > fixed + layout.spark + 15)
		layout.reason = columns - fixed - layout.spark;
	return layout;
}

static void draw_header(struct frame_canvas *canvas, const struct layout *layout)
{
	struct frame_line *line = frame_add_line(canvas);

	frame_put(canvas, line, TONE_TITLE, 0, "Probes");
	frame_pad(canvas, line, 2 + layout->name);
	frame_put_right(canvas, line, TONE_QUIET, line->width + 8, "latest");
	if (layout->spark)
		frame_pad(canvas, line, line->width + 1 + layout->spark);
	if (layout->has_percentiles) {
		frame_put_right(canvas, line, TONE_QUIET, line->width + 8, "p50");
		frame_put_right(canvas, line, TONE_QUIET, line->width + 8, "p99");
	}
	frame_put_right(canvas, line, TONE_QUIET, line->width + 12, "failed");
}

/* When there is no room for all: those that do not pass first. */
static bool is_chosen(const struct frame_state *state, unsigned index, unsigned rows)
{
	unsigned before = 0;
	bool own = state->probes[index].is_seen && state->probes[index].last != PROBE_PASS;

	if (rows >= state->experiment->probe_count)
		return true;
	for (unsigned i = 0; i < state->experiment->probe_count; i++) {
		bool bad = state->probes[i].is_seen && state->probes[i].last != PROBE_PASS;

		before += (bad && !own) || (bad == own && i < index);
	}
	return before < rows;
}

void frame_draw_probes(struct frame_canvas *canvas, unsigned rows, bool has_header)
{
	unsigned count = canvas->state->experiment->probe_count;
	unsigned hidden = rows && rows < count ? count - rows + 1 : 0;
	struct layout layout = layout_of(canvas);

	if (!rows)
		return;
	if (has_header)
		draw_header(canvas, &layout);
	for (unsigned i = 0; i < count; i++)
		if (is_chosen(canvas->state, i, hidden ? rows - 1 : rows))
			draw_probe(canvas, i, &layout);
	if (hidden)
		frame_put(canvas, frame_add_line(canvas), TONE_QUIET, 0, "  and %u more probe%s",
			  hidden, hidden == 1 ? "" : "s");
}
