/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What stands on the screen of a run that never was: to the letter, at every size, and whatever is
 * in it.
 */
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/printable.h"
#include "injector/view/frame.h"
#include "tests/support/fake_run.h"
#include "tests/support/hostile_text.h"
#include "tests/support/screen.h"
#include "tests/support/stand_ins.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS NSEC_PER_MSEC

static void on_event(void *context, const struct event *event)
{
	frame_event(context, event);
}

/* The frame at `at_ns` of the fake run. */
static void draw_at(struct fake_run *run, int64_t at_ns, const struct frame_style *style,
		    struct frame *out)
{
	struct frame_state state;

	fake_run_init(run, 1000 * MS);
	assert_int_equal(frame_state_init(&state, &run->experiment, NULL), 0);
	fake_run_listen(run, (struct event_listener){.fn = on_event, .context = &state});
	fake_run_play(run, at_ns);
	frame_draw(&state, run->start_ns + at_ns, style, out);
	frame_state_free(&state);
}

static void assert_frame(const struct frame *frame, const char *const *expected, unsigned count)
{
	char line[FRAME_LINE_SIZE];

	for (unsigned i = 0; i < frame->count || i < count; i++) {
		size_t length;

		snprintf(line, sizeof(line), "%s",
			 i < frame->count ? frame->lines[i].text : "(none)");
		for (length = strlen(line); length && line[length - 1] == ' ';)
			line[--length] = '\0';
		if (i >= count || strcmp(line, expected[i]) != 0)
			fail_msg("line %u\n  is       '%s'\n  expected '%s'", i, line,
				 i < count ? expected[i] : "(none)");
	}
}

static void test_frame_at_80x24(void **state)
{
	static const char *const expected[] = {
#include "tests/unit/view_80x24.inc"
	};
	struct frame_style style = {.utf8 = true, .columns = 80, .rows = 24};
	struct frame frame;
	struct fake_run run;

	(void)state;
	draw_at(&run, 6500 * MS, &style, &frame);
	assert_frame(&frame, expected, sizeof(expected) / sizeof(*expected));
}

static void test_frame_at_40x10_in_ascii(void **state)
{
	static const char *const expected[] = {
#include "tests/unit/view_40x10.inc"
	};
	struct frame_style style = {.utf8 = false, .columns = 40, .rows = 10};
	struct frame frame;
	struct fake_run run;

	(void)state;
	draw_at(&run, 6500 * MS, &style, &frame);
	assert_frame(&frame, expected, sizeof(expected) / sizeof(*expected));
}

/* Columns of a drawn line, colours not counted, by another way than the code under test. */
static unsigned drawn_width(const char *text)
{
	unsigned width = 0;

	for (; *text; text++) {
		if (*text == 033) {
			while (*text && *text != 'm')
				text++;
			continue;
		}
		width += ((unsigned char)*text & 0xc0) != 0x80;
	}
	return width;
}

static void test_no_line_is_too_wide_at_any_size(void **state)
{
	static const int64_t times[] = {0, 1000 * MS, 2500 * MS, 5500 * MS, 8100 * MS, 9500 * MS};
	struct frame *frame = malloc(sizeof(*frame));
	struct fake_run run;

	(void)state;
	assert_non_null(frame);
	for (unsigned columns = 1; columns < 260; columns += columns < 100 ? 1 : 13)
		for (unsigned rows = 1; rows < 80; rows += rows < 26 ? 1 : 9)
			for (unsigned i = 0; i < sizeof(times) / sizeof(*times); i++) {
				struct frame_style style = {.utf8 = (columns + rows) % 2,
							    .coloured = rows % 2,
							    .columns = columns,
							    .rows = rows};

				draw_at(&run, times[i], &style, frame);
				assert_true(frame->count <= (rows > 1 ? rows - 1 : 1));
				for (unsigned j = 0; j < frame->count; j++) {
					unsigned width = drawn_width(frame->lines[j].text);

					if (width > (columns > 1 ? columns - 1 : 1))
						fail_msg("%ux%u line %u has %u columns: %s",
							 columns, rows, j, width,
							 frame->lines[j].text);
					assert_int_equal(width, frame->lines[j].width);
				}
			}
	free(frame);
}

static void test_frame_keeps_its_shape_during_a_run(void **state)
{
	struct frame_style style = {.utf8 = true, .columns = 80, .rows = 24};
	struct frame frame;
	struct fake_run run;
	unsigned count = 0;

	(void)state;
	for (int64_t at_ns = 0; at_ns <= 9500 * MS; at_ns += 100 * MS) {
		draw_at(&run, at_ns, &style, &frame);
		/* it may only grow, by messages at its end */
		assert_true(frame.count >= count);
		count = frame.count;
		assert_non_null(strstr(frame.lines[4].text, "Faults"));
		assert_non_null(strstr(frame.lines[12].text, "Probes"));
	}
}

static void test_hostile_text_is_harmless_in_the_live_view(void **state)
{
	struct frame_style style = {.utf8 = true, .columns = 80, .rows = 40};
	struct probe_sample sample = {.result = PROBE_FAIL, .latency_ns = -1, .value = NAN};
	struct frame_state frame_state;
	struct screen screen;
	struct frame frame;
	struct fake_run run;
	char name[] = HOSTILE;

	(void)state;
	screen_init(&screen, 80, 40);
	for (unsigned utf8 = 0; utf8 < 2; utf8++) {
		fake_run_init(&run, 1000 * MS);
		run.experiment.title = run.experiment.hypothesis = run.probes[0].name = name;
		style.utf8 = utf8;
		assert_int_equal(frame_state_init(&frame_state, &run.experiment, NULL), 0);
		fake_run_listen(&run,
				(struct event_listener){.fn = on_event, .context = &frame_state});
		fake_run_play(&run, 2100 * MS);
		strcpy(sample.reason, HOSTILE);
		fake_run_tell(&run, 2200 * MS,
			      (struct event){.kind = EVENT_SAMPLE, .sample = &sample});
		fake_run_tell(&run, 2300 * MS, (struct event){.kind = EVENT_NOTE, .text = HOSTILE});
		frame_draw(&frame_state, run.start_ns + 2400 * MS, &style, &frame);
		for (unsigned i = 0; i < frame.count; i++) {
			screen_feed(&screen, frame.lines[i].text, strlen(frame.lines[i].text));
			screen_feed(&screen, "\r\n", 2);
			for (const char *at = frame.lines[i].text; *at && !utf8; at++)
				assert_true(*at > 0);
		}
		frame_state_free(&frame_state);
	}
	assert_int_equal(screen.unexpected, 0);
	assert_int_equal(screen.overflows, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame_at_80x24),
		cmocka_unit_test(test_frame_at_40x10_in_ascii),
		cmocka_unit_test(test_no_line_is_too_wide_at_any_size),
		cmocka_unit_test(test_frame_keeps_its_shape_during_a_run),
		cmocka_unit_test(test_hostile_text_is_harmless_in_the_live_view),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
