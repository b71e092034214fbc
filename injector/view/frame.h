/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The live display without a terminal: what is known of the run, and a pure function that draws it
 * into lines of text. No line is wider than asked for.
 */
#ifndef SQUALL_VIEW_FRAME_H
#define SQUALL_VIEW_FRAME_H

#include "injector/run/event.h"
#include "injector/run/histogram.h"
#include "injector/run/result.h"
#include "injector/view/words.h"

#include <stdbool.h>
#include <stdint.h>

#define FRAME_HISTORY	  64 /* samples of a sparkline */
#define FRAME_MESSAGES	  6
#define FRAME_MAX_ROWS	  64
#define FRAME_MAX_COLUMNS 200
#define FRAME_LINE_SIZE	  2048

struct frame_probe {
	bool is_seen, has_values; /* has_values: a number is compared, not a latency */
	enum probe_result last;
	double latest; /* nanoseconds or the value; NAN: none */
	struct histogram latencies;
	unsigned attempts, bad;
	char reason[160];
	int64_t told_ns; /* of the last message about it; 0: never */
	bool told_pass;
	unsigned history_at, history_count;
	struct {
		float value;
		bool is_bad;
	} history[FRAME_HISTORY];
};

struct frame_fault {
	bool is_injected, is_ended, is_restored, has_failed, has_evidence;
	unsigned injections; /* pulses are counted one by one */
	int64_t injected_ns, ended_ns;
	struct evidence evidence;
};

struct frame_message {
	int64_t time_ns;
	const char *label;
	enum tone tone;
	char text[400];
};

/* What is shown. Filled by frame_event(); all memory is owned by it. */
struct frame_state {
	const struct experiment *experiment;
	char run_id[RUN_ID_SIZE];
	int64_t started_ns;
	enum run_phase phase;
	int64_t phase_ns;	     /* when it began */
	int64_t method_ns, ended_ns; /* began, ended; 0: not */
	bool is_stopping, is_finished;
	enum verdict verdict;
	char why[512];
	struct frame_probe *probes;
	struct frame_fault *faults;
	struct frame_message messages[FRAME_MESSAGES]; /* a ring */
	unsigned message_count;			       /* ever */
};

struct frame_style {
	bool utf8, coloured;
	bool has_keys;		/* they are heard, and named in the title */
	unsigned columns, rows; /* of the terminal: the frame leaves the last of each free */
};

struct frame_line {
	char text[FRAME_LINE_SIZE]; /* with escape sequences */
	unsigned width;		    /* columns */
};

struct frame {
	struct frame_line lines[FRAME_MAX_ROWS];
	unsigned count;
};

int frame_state_init(struct frame_state *state, const struct experiment *experiment,
		     struct error *err);
void frame_state_free(struct frame_state *state);
void frame_event(struct frame_state *state, const struct event *event);
void frame_draw(const struct frame_state *state, int64_t now_ns, const struct frame_style *style,
		struct frame *out);

/* The two tables of a frame: frame_faults.c, frame_probes.c. They draw `rows` rows at most. */
struct frame_canvas {
	const struct frame_state *state;
	const struct frame_style *style;
	struct frame *frame;
	int64_t now_ns;
	unsigned columns;
};
void frame_draw_faults(struct frame_canvas *canvas, unsigned rows, bool has_header,
		       bool has_evidence);
void frame_draw_probes(struct frame_canvas *canvas, unsigned rows, bool has_header);

/* Lines. Text is cleaned and cut; nothing goes beyond the frame's width. */
struct frame_line *frame_add_line(struct frame_canvas *canvas);
/* At most `columns` columns (0: as many as there are). */
void frame_put(struct frame_canvas *canvas, struct frame_line *line, enum tone tone,
	       unsigned columns, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Spaces up to `column`. */
void frame_pad(struct frame_canvas *canvas, struct frame_line *line, unsigned column);
/* The text so that it ends at `column`. */
void frame_put_right(struct frame_canvas *canvas, struct frame_line *line, enum tone tone,
		     unsigned column, const char *text);

enum frame_glyph {
	GLYPH_PENDING,
	GLYPH_ACTIVE,
	GLYPH_GOOD,
	GLYPH_BAD,
	GLYPH_UNKNOWN,
	GLYPH_PLANNED, /* timeline: part of a fault still to come */
	GLYPH_DONE,    /* ... that has been */
	GLYPH_NOW,
	GLYPH_INSTANT,
	GLYPH_DASH,
	GLYPH_MISS, /* sparkline: a failed attempt */
};
const char *frame_glyph(const struct frame_canvas *canvas, enum frame_glyph glyph);

#endif
