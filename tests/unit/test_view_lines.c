/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The views of lines, plain and JSON: what is told, and that a reader that is slow, gone or hostile
 * harms nobody.
 */
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/view/view.h"
#include "tests/support/fake_run.h"
#include "tests/support/hostile_text.h"
#include "tests/support/stand_ins.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS NSEC_PER_MSEC

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
		cmocka_unit_test(test_slow_reader_gets_whole_lines_and_blocks_nobody),
		cmocka_unit_test(test_reader_that_goes_away),
		cmocka_unit_test(test_plain_tells_changes_and_not_samples),
		cmocka_unit_test(test_plan_groups_the_lines_of_a_step),
		cmocka_unit_test(test_plain_calms_a_flapping_probe),
		cmocka_unit_test(test_hostile_text_is_harmless_in_plain_lines),
		cmocka_unit_test(test_json_is_one_object_a_line),
		cmocka_unit_test(test_live_needs_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
