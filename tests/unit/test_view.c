/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The views, fed with a run that never was: what stands on the screen to the letter, at every size,
 * and that a reader that is slow, gone or hostile harms nobody. */
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/printable.h"
#include "injector/view/frame.h"
#include "injector/view/view.h"
#include "tests/support/fake_run.h"
#include "tests/support/screen.h"
#include "tests/support/stand_ins.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

#define MS NSEC_PER_MSEC

/* Everything that a title, a reason or a process name could try. */
#define HOSTILE                                                                                    \
	"a\033]0;owned\007b\033[2Jc\r\nd\x9b"                                                      \
	"31me\xc2\x9b"                                                                             \
	"2Jf\xe2\x80\xae"                                                                          \
	"g\xff\xfeh\tz\x7f\xe2\x80\xa8"                                                            \
	"i"

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

struct terminal {
	int master;
	FILE *file;
	struct screen screen;
};

static void terminal_open(struct terminal *terminal, unsigned columns, unsigned rows)
{
	struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
	int slave;

	assert_int_equal(openpty(&terminal->master, &slave, NULL, NULL, &size), 0);
	fcntl(terminal->master, F_SETFL, O_NONBLOCK);
	terminal->file = fdopen(slave, "w");
	assert_non_null(terminal->file);
	screen_init(&terminal->screen, columns, rows);
}

static void terminal_read(struct terminal *terminal)
{
	char text[4096];
	ssize_t got;

	while ((got = read(terminal->master, text, sizeof(text))) > 0)
		screen_feed(&terminal->screen, text, (size_t)got);
}

static void terminal_listener(void *context, const struct event *event)
{
	(void)event;
	terminal_read(context);
}

static void test_live_view_draws_in_place(void **state)
{
	struct terminal terminal;
	struct view *view = NULL;
	struct fake_run run;
	char row[1024];
	unsigned titles = 0;

	(void)state;
	setenv("LC_ALL", "C.UTF-8", 1);
	setenv("TERM", "xterm-256color", 1);
	terminal_open(&terminal, 80, 24);
	screen_feed(&terminal.screen, "prompt$ squall run\r\n", 20);
	fake_run_init(&run, clock_now_ns());
	/* without a loop every event is drawn */
	assert_int_equal(view_new(VIEW_LIVE, &run.experiment, NULL, terminal.file, &view, NULL), 0);
	fake_run_listen(&run, view_listener(view));
	fake_run_listen(&run,
			(struct event_listener){.fn = terminal_listener, .context = &terminal});
	fake_run_play(&run, FAKE_RUN_ENDS_NS);
	view_free(view);
	terminal_read(&terminal);
	assert_int_equal(terminal.screen.overflows, 0);
	assert_int_equal(terminal.screen.unexpected, 0);
	/* one frame is on the screen, however many were drawn, and the cursor is below it */
	for (unsigned y = 0; y < 24; y++) {
		screen_row(&terminal.screen, y, row, sizeof(row));
		titles += strstr(row, "Object store slow") != NULL;
	}
	assert_int_equal(titles, 1);
	assert_int_equal(terminal.screen.x, 0);
	assert_true(terminal.screen.y > 15);
	assert_string_equal(screen_row(&terminal.screen, terminal.screen.y, row, sizeof(row)), "");
	fclose(terminal.file);
	close(terminal.master);
}

static void test_live_view_follows_the_size(void **state)
{
	struct winsize small = {.ws_col = 44, .ws_row = 12};
	struct terminal terminal;
	struct view *view = NULL;
	struct fake_run run;

	(void)state;
	setenv("LC_ALL", "C.UTF-8", 1);
	terminal_open(&terminal, 80, 24);
	fake_run_init(&run, clock_now_ns());
	assert_int_equal(view_new(VIEW_LIVE, &run.experiment, NULL, terminal.file, &view, NULL), 0);
	fake_run_listen(&run, view_listener(view));
	fake_run_listen(&run,
			(struct event_listener){.fn = terminal_listener, .context = &terminal});
	fake_run_play(&run, 3000 * MS);
	ioctl(terminal.master, TIOCSWINSZ, &small);
	screen_init(&terminal.screen, 44, 12);
	view_resize(view);
	fake_run_play(&run, FAKE_RUN_ENDS_NS);
	view_free(view);
	terminal_read(&terminal);
	assert_int_equal(terminal.screen.overflows, 0);
	assert_int_equal(terminal.screen.unexpected, 0);
	fclose(terminal.file);
	close(terminal.master);
}

static void test_terminal_that_goes_away_silences_the_view(void **state)
{
	struct terminal terminal;
	struct view *view = NULL;
	struct fake_run run;

	(void)state;
	terminal_open(&terminal, 80, 24);
	fake_run_init(&run, clock_now_ns());
	assert_int_equal(view_new(VIEW_LIVE, &run.experiment, NULL, terminal.file, &view, NULL), 0);
	fake_run_listen(&run, view_listener(view));
	fake_run_play(&run, 1000 * MS);
	close(terminal.master); /* writes now give EIO */
	fake_run_play(&run, FAKE_RUN_ENDS_NS);
	view_resize(view);
	view_free(view);
	fclose(terminal.file);
}

static void test_stopped_terminal_does_not_block(void **state)
{
	struct terminal terminal;
	struct view *view = NULL;
	struct fake_run run;
	int64_t began_ns = clock_now_ns();

	(void)state;
	terminal_open(&terminal, 80, 24);
	tcflow(fileno(terminal.file), TCOOFF); /* as Ctrl-S does */
	fake_run_init(&run, clock_now_ns());
	assert_int_equal(view_new(VIEW_LIVE, &run.experiment, NULL, terminal.file, &view, NULL), 0);
	fake_run_listen(&run, view_listener(view));
	fake_run_play(&run, FAKE_RUN_ENDS_NS);
	assert_true(clock_now_ns() - began_ns < NSEC_PER_SEC);
	tcflow(fileno(terminal.file), TCOON);
	view_free(view);
	close(terminal.master);
	fclose(terminal.file);
}

/* Takes whole lines of JSON out of `text`; returns what is left. */
static size_t take_lines(char *text, size_t length, unsigned *lines, unsigned *lost)
{
	char *start = text, *end;

	while ((end = memchr(start, '\n', length - (size_t)(start - text)))) {
		json_t *root = json_loadb(start, (size_t)(end - start), 0, NULL);

		assert_non_null(root);
		(*lines)++;
		*lost += (unsigned)json_integer_value(json_object_get(root, "count"));
		json_decref(root);
		start = end + 1;
	}
	length -= (size_t)(start - text);
	memmove(text, start, length);
	return length;
}

static void test_slow_reader_gets_whole_lines_and_blocks_nobody(void **state)
{
	struct probe_sample sample = {.result = PROBE_PASS, .latency_ns = MS, .value = NAN};
	unsigned lines = 0, lost = 0, many = 40000;
	struct view *view = NULL;
	struct loop *loop = NULL;
	struct fake_run run;
	char text[8192];
	size_t kept = 0;
	int pipes[2];
	FILE *out;

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	out = fdopen(pipes[1], "w");
	assert_int_equal(loop_new(&loop, NULL), 0);
	fake_run_init(&run, clock_now_ns());
	assert_int_equal(view_new(VIEW_JSON, &run.experiment, loop, out, &view, NULL), 0);
	fake_run_listen(&run, view_listener(view));
	/* some 8 MiB that nobody reads: would hang here if it blocked */
	for (unsigned i = 0; i < many; i++)
		fake_run_tell(&run, i, (struct event){.kind = EVENT_SAMPLE, .sample = &sample});
	for (unsigned turn = 0; turn < 2000 && (kept || lost + lines <= many); turn++) {
		ssize_t got;

		while ((got = read(pipes[0], text + kept, sizeof(text) - kept)) > 0)
			kept = take_lines(text, kept + (size_t)got, &lines, &lost);
		/* what was kept is sent by the loop; what was lost is told with the next event */
		loop_turn(loop, 5 * MS, NULL);
		if (turn % 100 == 99)
			fake_run_tell(&run, many, (struct event){.kind = EVENT_NOTE, .text = "n"});
	}
	assert_true(lost > 0);
	assert_true(lost + lines > many);
	assert_int_equal(kept, 0);
	view_free(view);
	loop_free(loop);
	close(pipes[0]);
	fclose(out);
}

static void test_reader_that_goes_away(void **state)
{
	struct view *view = NULL;
	struct fake_run run;
	int pipes[2];
	FILE *out;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	out = fdopen(pipes[1], "w");
	fake_run_init(&run, clock_now_ns());
	assert_int_equal(view_new(VIEW_PLAIN, &run.experiment, NULL, out, &view, NULL), 0);
	fake_run_listen(&run, view_listener(view));
	close(pipes[0]);
	fake_run_play(&run, FAKE_RUN_ENDS_NS);
	view_free(view);
	fclose(out);
}

/* The output of a view of `kind` over a whole run, with hostile text in it when asked for. */
static char *record(enum view_kind kind, bool hostile, size_t *out_size)
{
	struct probe_sample sample = {.result = PROBE_FAIL, .latency_ns = -1, .value = NAN};
	struct evidence evidence = {.hits = 1, .unit = "packets"};
	struct view *view = NULL;
	struct fake_run run;
	char *text = NULL, name[] = HOSTILE;
	FILE *out = open_memstream(&text, out_size);

	fake_run_init(&run, 1000 * MS);
	if (hostile) {
		run.experiment.title = run.experiment.hypothesis = name;
		run.probes[0].name = name;
	}
	assert_int_equal(view_new(kind, &run.experiment, NULL, out, &view, NULL), 0);
	fake_run_listen(&run, view_listener(view));
	fake_run_play(&run, 3000 * MS);
	if (hostile) {
		strcpy(sample.reason, HOSTILE);
		strcpy(evidence.detail, HOSTILE);
		fake_run_tell(&run, 3001 * MS,
			      (struct event){.kind = EVENT_SAMPLE, .sample = &sample});
		fake_run_tell(&run, 3002 * MS,
			      (struct event){.kind = EVENT_EVIDENCE, .evidence = &evidence});
		for (int at = EVENT_PLAN; at < EVENT_KIND_COUNT; at++)
			if (at != EVENT_SAMPLE && at != EVENT_EVIDENCE)
				fake_run_tell(&run, 3003 * MS,
					      (struct event){.kind = (enum event_kind)at,
							     .phase = PHASE_METHOD,
							     .text = HOSTILE});
	}
	fake_run_play(&run, FAKE_RUN_ENDS_NS);
	view_free(view);
	fclose(out);
	return text;
}

static void test_plain_tells_changes_and_not_samples(void **state)
{
	cleanup_free char *text = NULL;
	unsigned lines = 0;
	size_t size;

	(void)state;
	text = record(VIEW_PLAIN, false, &size);
	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	/* 130 samples were taken; what is told is what changed */
	assert_in_range(lines, 20, 32);
	assert_non_null(strstr(text, "   +2.0s  injected  delay 400ms, jitter 50ms to "
				     "10.0.5.0/24:443 (took 3.10ms)\n"));
	assert_non_null(strstr(text, "   +5.1s  probe     checkout: fail, no answer within 2s\n"));
	assert_non_null(strstr(text, "   +8.2s  probe     checkout: pass"));
	/* of the plan, what is touched and how */
	assert_non_null(strstr(text, "   +0.0s  target    10.0.5.0/24:443 by eth0\n"));
	assert_non_null(strstr(text, "   +0.0s  way       nf_tables forwards to an ifb\n"));
	assert_null(strstr(text, "ingress hook"));
	assert_null(strstr(text, "not affected"));
	assert_null(strstr(text, "phase     plan"));
	assert_non_null(strstr(text, "evidence  loss 100% to store.internal:443: 713 packets "
				     "dropped on eth0\n"));
	assert_non_null(strstr(text, "   +9.4s  recovered 1.20s after the faults\n"));
}

static void test_plan_groups_the_lines_of_a_step(void **state)
{
	static const char expected[] = "    touches   10.0.5.0/24:443 by eth0\n"
				       "    way       nf_tables forwards to an ifb\n"
				       "    changes   eth0: add ingress hook\n"
				       "    note      not affected: ARP\n"
				       "              jitter reorders\n"
				       "\n"
				       "  2 ";
	cleanup_free char *text = NULL;
	size_t size;

	(void)state;
	text = record(VIEW_PLAN, false, &size);
	if (!strstr(text, expected))
		fail_msg("not in: %s", text);
	assert_non_null(strstr(text, "    touches   process 4711 orders (www-data)\n"));
}

static void test_plain_calms_a_flapping_probe(void **state)
{
	struct probe_sample sample = {.latency_ns = MS, .value = NAN};
	cleanup_free char *text = NULL;
	struct view *view = NULL;
	struct fake_run run;
	unsigned lines = 0;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	fake_run_init(&run, 1000 * MS);
	assert_int_equal(view_new(VIEW_PLAIN, &run.experiment, NULL, out, &view, NULL), 0);
	fake_run_listen(&run, view_listener(view));
	for (unsigned i = 0; i < 1000; i++) {
		sample.result = i % 2 ? PROBE_PASS : PROBE_FAIL;
		fake_run_tell(&run, i * 10 * MS,
			      (struct event){.kind = EVENT_SAMPLE, .sample = &sample});
	}
	view_free(view);
	fclose(out);
	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	assert_in_range(lines, 8, 11);
	assert_non_null(strstr(text, "(changed 100 times)"));
}

static void test_hostile_text_is_harmless_in_plain_lines(void **state)
{
	cleanup_free char *text = NULL;
	size_t size;

	(void)state;
	text = record(VIEW_PLAIN, true, &size);
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c < 0x20 && c != '\n') || c == 0x7f || c == 0xff)
			fail_msg("byte %#x got through: %.60s", c, text + i);
	}
	assert_null(strstr(text, "\xc2\x9b"));	   /* CSI as one character */
	assert_null(strstr(text, "\xe2\x80\xae")); /* right-to-left override */
	assert_null(strstr(text, "\xe2\x80\xa8")); /* line separator */
	/* no line was broken: every one begins with its time */
	for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
		assert_int_equal(at[at[0] == '+' ? 0 : strspn(at, " ")], '+');
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

static void test_json_is_one_object_a_line(void **state)
{
	cleanup_free char *text = NULL;
	unsigned seen[EVENT_KIND_COUNT] = {0};
	char *save = NULL;
	bool round_trip = false;
	size_t size;

	(void)state;
	text = record(VIEW_JSON, true, &size);
	for (size_t i = 0; i < size; i++)
		assert_true(text[i] == '\n' || (text[i] >= 0x20 && text[i] < 0x7f + 1));
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		json_error_t error;
		json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, &error);
		const char *name, *note;

		if (!root)
			fail_msg("%s: %s", error.text, line);
		name = json_string_value(json_object_get(root, "event"));
		assert_non_null(name);
		for (unsigned i = 0; i < EVENT_KIND_COUNT; i++)
			seen[i] += strcmp(name, event_kind_names[i]) == 0;
		note = json_string_value(json_object_get(root, "text"));
		/* what is valid comes back as it was */
		round_trip |= note && strncmp(note, "a\033]0;owned\007b\033[2Jc\r\nd", 20) == 0;
		json_decref(root);
	}
	for (unsigned i = 0; i < EVENT_KIND_COUNT; i++)
		if (!seen[i])
			fail_msg("no event '%s'", event_kind_names[i]);
	assert_in_range(seen[EVENT_SAMPLE], 100, 200);
	assert_true(round_trip);
}

static void test_live_needs_a_terminal(void **state)
{
	cleanup_free char *text = NULL;
	size_t size;

	(void)state;
	text = record(VIEW_LIVE, false, &size);
	assert_non_null(strstr(text, "   +2.0s  injected  delay"));
	assert_null(strchr(text, 033));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame_at_80x24),
		cmocka_unit_test(test_frame_at_40x10_in_ascii),
		cmocka_unit_test(test_no_line_is_too_wide_at_any_size),
		cmocka_unit_test(test_frame_keeps_its_shape_during_a_run),
		cmocka_unit_test(test_live_view_draws_in_place),
		cmocka_unit_test(test_live_view_follows_the_size),
		cmocka_unit_test(test_terminal_that_goes_away_silences_the_view),
		cmocka_unit_test(test_stopped_terminal_does_not_block),
		cmocka_unit_test(test_slow_reader_gets_whole_lines_and_blocks_nobody),
		cmocka_unit_test(test_reader_that_goes_away),
		cmocka_unit_test(test_plain_tells_changes_and_not_samples),
		cmocka_unit_test(test_plan_groups_the_lines_of_a_step),
		cmocka_unit_test(test_plain_calms_a_flapping_probe),
		cmocka_unit_test(test_hostile_text_is_harmless_in_plain_lines),
		cmocka_unit_test(test_hostile_text_is_harmless_in_the_live_view),
		cmocka_unit_test(test_json_is_one_object_a_line),
		cmocka_unit_test(test_live_needs_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
