/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The summary and the JSON of a finished run. */
#include "injector/base/cleanup.h"
#include "injector/base/json.h"
#include "injector/base/printable.h"
#include "injector/report/report.h"
#include "tests/support/fake_run.h"
#include "tests/support/stand_ins.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000000LL
#define HOSTILE                                                                                    \
	"a\033]0;owned\007b\033[2Jc\r\nd\x9b"                                                      \
	"31me\xc2\x9b"                                                                             \
	"2Jf\xe2\x80\xaeg\xff\xfeh\tz\x7f"

/* What kind of run to report on. */
enum how { RUN_FAILED, RUN_HELD, RUN_LEFT, RUN_STOPPED, RUN_HOSTILE, RUN_EMPTY };

static struct run_result *make(struct fake_run *run, enum how how)
{
	static char hostile[] = HOSTILE;
	struct run_result *result = NULL;
	struct event left = {.kind = EVENT_LEFT,
			     .text = "eth0: qdisc 'netem 8001:' is still there; remove it with: "
				     "tc qdisc del dev eth0 root"};

	fake_run_init(run, 1000 * MS);
	run->is_healthy = how != RUN_FAILED;
	if (how == RUN_HOSTILE) {
		run->experiment.title = run->experiment.hypothesis = run->probes[0].name = hostile;
		left.text = HOSTILE;
	}
	assert_int_equal(result_new(&run->experiment, "k3f9a2", &result, NULL), 0);
	fake_run_listen(run, result_listener(result));
	if (how == RUN_EMPTY)
		return result;
	fake_run_play(run, how == RUN_STOPPED ? 5500 * MS : FAKE_RUN_ENDS_NS);
	if (how == RUN_STOPPED) {
		fake_run_tell(run, 5500 * MS,
			      (struct event){.kind = EVENT_STOPPING,
					     .number = STOP_SIGNAL,
					     .text = "got SIGINT (Ctrl-C)"});
		fake_run_tell(run, 5512 * MS,
			      (struct event){.kind = EVENT_STOPPED, .duration_ns = 12 * MS});
		fake_run_tell(run, 5520 * MS, (struct event){.kind = EVENT_RESTORED, .step = 0});
		fake_run_tell(run, 5521 * MS, (struct event){.kind = EVENT_RESTORED, .step = 2});
	}
	if (how == RUN_LEFT || how == RUN_HOSTILE)
		fake_run_tell(run, 9500 * MS, left);
	if (how == RUN_HOSTILE) {
		fake_run_tell(run, 9500 * MS, (struct event){.kind = EVENT_NOTE, .text = HOSTILE});
		fake_run_tell(
			run, 9500 * MS,
			(struct event){.kind = EVENT_PLAN, .number = PLAN_CHANGE, .text = HOSTILE});
		strcpy(result->last_reasons[0], HOSTILE);
		strcpy(result->steps[0].text, HOSTILE);
		strcpy(result->steps[0].failure, HOSTILE);
		strcpy(result->steps[0].evidence.detail, HOSTILE);
	}
	result_finish(result);
	return result;
}

static char *text_of(const struct run_result *result, bool coloured, unsigned width)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	json_t *root = report_build(result);

	assert_non_null(root);
	report_text(root, out, coloured, width);
	fclose(out);
	json_decref(root);
	return text;
}

static json_t *json_of(const struct run_result *result)
{
	cleanup_free char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	json_t *root = report_build(result);

	assert_int_equal(json_print(root, out, false, NULL), 0);
	fclose(out);
	root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	return root;
}

static void test_text_says_what_matters(void **state)
{
	static const char *const expected[] = {
		"Object store slow                                                     run "
		"k3f9a2\n",
		"FAILED  probe checkout failed 30 of 60 attempts during the faults (no answer\n"
		"        within 2s)\n",
		"checkout    before    26.1ms    34.0ms            0/20\n",
		"            during     426ms     434ms           30/60    50%\n",
		"    +2.0s to +6.0s, injected in 3.10ms, ended in 4.20ms\n",
		"    2440 packets delayed on eth0\n",
		"Recovered   1.20s after the faults (allowed: 5s)\n",
		"Changed     eth0: add ingress hook\n"
		"            everything is restored and verified\n",
	};
	cleanup_free char *text = NULL;
	struct fake_run run;
	struct run_result *result = make(&run, RUN_FAILED);

	(void)state;
	text = text_of(result, false, 80);
	for (unsigned i = 0; i < sizeof(expected) / sizeof(*expected); i++)
		if (!strstr(text, expected[i]))
			fail_msg("not said: %s\nin: %s", expected[i], text);
	assert_null(strchr(text, 033));
	result_free(result);
}

static void test_text_names_what_is_left(void **state)
{
	cleanup_free char *text = NULL;
	struct fake_run run;
	struct run_result *result = make(&run, RUN_LEFT);

	(void)state;
	text = text_of(result, false, 80);
	assert_non_null(strstr(text, "NOT RESTORED  1 change could not be undone"));
	assert_non_null(strstr(text, "Left on this machine"));
	assert_non_null(strstr(text, "tc qdisc del dev eth0"));
	assert_null(strstr(text, "everything is restored"));
	result_free(result);
}

static void test_text_tells_the_stop_latency(void **state)
{
	cleanup_free char *text = NULL;
	struct fake_run run;
	struct run_result *result = make(&run, RUN_STOPPED);

	(void)state;
	text = text_of(result, false, 80);
	assert_non_null(strstr(text, "INTERRUPTED  got SIGINT (Ctrl-C)"));
	assert_non_null(strstr(
		text, "Stopped     got SIGINT (Ctrl-C); all faults out of force after 12.0ms"));
	result_free(result);
}

/* Without a probe there was nothing that could hold or fail. */
static void test_text_without_probes_is_done_not_held(void **state)
{
	cleanup_free char *text = NULL, *idle = NULL;
	struct fake_run run;
	struct run_result *result = make(&run, RUN_HELD);

	(void)state;
	run.experiment.probe_count = 0;
	run.experiment.recovery.count = 0;
	result->recovery_ns = -1;
	result_finish(result);
	text = text_of(result, false, 80);
	assert_non_null(strstr(text, "DONE  3 faults injected and undone; no probe watched\n"));
	run.experiment.allow_idle = true;
	for (unsigned i = 0; i < run.experiment.step_count; i++)
		result->steps[i].evidence = (struct evidence){.unit = "packets"};
	result_finish(result);
	idle = text_of(result, false, 80);
	assert_non_null(strstr(idle, "no probe watched, and nothing was hit\n"));
	run.experiment.probe_count = FAKE_PROBES;
	result_free(result);
}

static void test_text_says_why_the_command_failed(void **state)
{
	cleanup_free char *text = NULL;
	struct fake_run run;
	struct run_result *result = make(&run, RUN_HELD);

	(void)state;
	fake_run_tell(&run, 9600 * MS,
		      (struct event){.kind = EVENT_COMMAND,
				     .number = 127,
				     .text = "cannot start 'tset': no such program in PATH"});
	result_finish(result);
	text = text_of(result, false, 100);
	assert_non_null(strstr(text, "FAILED  the command failed: cannot start 'tset'"));
	assert_non_null(strstr(text, "Command     cannot start 'tset': no such program in PATH\n"));
	result_free(result);
}

static void test_text_stays_within_its_width(void **state)
{
	static const enum how hows[] = {RUN_FAILED,  RUN_HELD,	  RUN_LEFT,
					RUN_STOPPED, RUN_HOSTILE, RUN_EMPTY};

	(void)state;
	for (unsigned i = 0; i < sizeof(hows) / sizeof(*hows); i++) {
		struct fake_run run;
		struct run_result *result = make(&run, hows[i]);

		for (unsigned width = 20; width <= 200; width++) {
			cleanup_free char *text = text_of(result, false, width);
			char *save = NULL;

			for (char *line = strtok_r(text, "\n", &save); line;
			     line = strtok_r(NULL, "\n", &save))
				/* what is left stays in one piece, to be copied */
				if (printable_width(line) > width && strncmp(line, "  - ", 4) != 0)
					fail_msg("%u columns at width %u: %s",
						 printable_width(line), width, line);
		}
		result_free(result);
	}
}

static void test_hostile_text_is_stripped(void **state)
{
	struct fake_run run;
	struct run_result *result = make(&run, RUN_HOSTILE);

	(void)state;
	for (unsigned coloured = 0; coloured < 2; coloured++) {
		cleanup_free char *text = text_of(result, coloured, 80);

		for (const char *at = text; *at; at++) {
			unsigned char c = (unsigned char)*at;

			/* colours are the only sequences */
			if (coloured && c == 033) {
				assert_int_equal(at[1], '[');
				assert_int_equal(at[2 + strspn(at + 2, "0123456789;")], 'm');
				continue;
			}
			if ((c < 0x20 && c != '\n') || c == 0x7f || c == 0xff)
				fail_msg("byte %#x got through", c);
		}
		assert_null(strstr(text, "\xc2\x9b"));
		assert_null(strstr(text, "\xe2\x80\xae"));
	}
	result_free(result);
}

static json_int_t number_at(json_t *root, const char *a, const char *b, const char *c)
{
	json_t *at = json_object_get(json_object_get(json_object_get(root, a), b), c);

	assert_true(json_is_integer(at));
	return json_integer_value(at);
}

static void test_json_has_the_whole_result(void **state)
{
	struct fake_run run;
	struct run_result *result = make(&run, RUN_FAILED);
	json_t *root = json_of(result), *checkout, *step, *evidence;

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(root, "schema_version")), 1);
	assert_string_equal(json_string_value(json_object_get(root, "verdict")), "failed");
	assert_int_equal(json_integer_value(json_object_get(root, "exit_code")), 1);
	assert_string_equal(json_string_value(json_object_get(root, "started")),
			    "2026-01-01T12:00:00.000Z");
	assert_true(json_is_null(json_object_get(root, "stop")));
	assert_int_equal(json_array_size(json_object_get(root, "steps")), 3);
	checkout = json_array_get(json_object_get(root, "probes"), 0);
	assert_string_equal(json_string_value(json_object_get(checkout, "name")), "checkout");
	assert_int_equal(number_at(checkout, "windows", "during", "failed"), 30);
	assert_int_equal(number_at(checkout, "windows", "before", "attempts"), 20);
	assert_true(number_at(json_object_get(checkout, "windows"), "during", "latency", "p50_ns") >
		    400 * MS);
	step = json_array_get(json_object_get(root, "steps"), 0);
	evidence = json_object_get(step, "evidence");
	assert_int_equal(json_integer_value(json_object_get(evidence, "hits")), 2440);
	assert_int_equal(json_integer_value(json_object_get(evidence, "dropped")), 0);
	assert_int_equal(json_integer_value(json_object_get(evidence, "passed")), 2440);
	assert_int_equal(json_integer_value(json_object_get(evidence, "delayed")), 2440);
	assert_true(json_is_true(json_object_get(step, "restored")));
	/* a kill has nothing to restore */
	step = json_array_get(json_object_get(root, "steps"), 1);
	assert_true(json_is_null(json_object_get(step, "restored")));
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(root, "recovery"), "took_ns")),
		1200 * MS);
	json_decref(root);
	result_free(result);
}

static void test_json_of_every_kind_of_run_parses(void **state)
{
	(void)state;
	for (int how = RUN_FAILED; how <= RUN_EMPTY; how++) {
		struct fake_run run;
		struct run_result *result = make(&run, (enum how)how);
		json_t *root = json_of(result);

		assert_int_equal(json_integer_value(json_object_get(root, "exit_code")),
				 result->verdict);
		assert_int_equal(json_array_size(json_object_get(root, "left")),
				 result->left_count);
		json_decref(root);
		result_free(result);
	}
}

static void test_json_reports_a_full_disk(void **state)
{
	struct error err = ERROR_INIT;
	struct fake_run run;
	struct run_result *result = make(&run, RUN_FAILED);
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(full);
	assert_int_equal(json_print(report_build(result), full, true, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "No space left"));
	fclose(full);
	result_free(result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_says_what_matters),
		cmocka_unit_test(test_text_names_what_is_left),
		cmocka_unit_test(test_text_tells_the_stop_latency),
		cmocka_unit_test(test_text_without_probes_is_done_not_held),
		cmocka_unit_test(test_text_says_why_the_command_failed),
		cmocka_unit_test(test_text_stays_within_its_width),
		cmocka_unit_test(test_hostile_text_is_stripped),
		cmocka_unit_test(test_json_has_the_whole_result),
		cmocka_unit_test(test_json_of_every_kind_of_run_parses),
		cmocka_unit_test(test_json_reports_a_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
