/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * HTML, Markdown, JUnit and JSON of every kind of run, judged by other people's readers: xmllint
 * with the structure that CI servers read, and a JSON Schema validator. */
#include "injector/base/cleanup.h"
#include "injector/base/json.h"
#include "injector/report/markup.h"
#include "injector/report/report.h"
#include "injector/report/stored.h"
#include "tests/support/fake_run.h"
#include "tests/support/stand_ins.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000000LL

/* Every way that a text could become more than text. */
#define HOSTILE                                                                                    \
	"<script>alert(1)</script> \"' onload=x & ]]> --> {{x}} ![i](http://e.example) `c` | *b* " \
	"@all \033]0;owned\007\r\nd\x9b \xe2\x80\xae \xef\xbf\xbf \xff"

enum how { RUN_FAILED, RUN_HELD, RUN_STOPPED, RUN_LEFT, RUN_HOSTILE, RUN_EMPTY, RUN_KINDS };

static void poison(struct run_result *result)
{
	strcpy(result->last_reasons[0], HOSTILE);
	strcpy(result->steps[0].text, HOSTILE);
	strcpy(result->steps[0].failure, HOSTILE);
	strcpy(result->steps[0].evidence.detail, "<i>" HOSTILE);
	strcpy(result->stop_reason, HOSTILE);
	strcpy(result->recovery, HOSTILE);
	strcpy(result->command_end, HOSTILE);
	result->command_status = 1;
}

static json_t *stored(enum how how)
{
	static char hostile[] = HOSTILE;
	struct run_result *result = NULL;
	struct fake_run run;
	json_t *root;

	fake_run_init(&run, 1000 * MS);
	run.is_healthy = how == RUN_HELD;
	if (how == RUN_HOSTILE)
		run.experiment.title = run.experiment.hypothesis = run.experiment.path =
			run.probes[0].name = hostile;
	assert_int_equal(result_new(&run.experiment, "k3f9a2", &result, NULL), 0);
	fake_run_listen(&run, result_listener(result));
	if (how != RUN_EMPTY)
		fake_run_play(&run, how == RUN_STOPPED ? 5500 * MS : FAKE_RUN_ENDS_NS);
	if (how == RUN_STOPPED)
		fake_run_tell(&run, 5500 * MS,
			      (struct event){.kind = EVENT_STOPPING,
					     .number = STOP_SIGNAL,
					     .text = "got SIGINT (Ctrl-C)"});
	if (how == RUN_LEFT || how == RUN_HOSTILE)
		fake_run_tell(&run, 9500 * MS,
			      (struct event){.kind = EVENT_LEFT,
					     .text = how == RUN_LEFT ? "eth0: a qdisc is left"
								     : HOSTILE});
	if (how == RUN_HOSTILE) {
		fake_run_tell(&run, 9500 * MS, (struct event){.kind = EVENT_NOTE, .text = HOSTILE});
		fake_run_tell(
			&run, 9500 * MS,
			(struct event){.kind = EVENT_PLAN, .number = PLAN_TARGET, .text = HOSTILE});
		poison(result);
	}
	result_finish(result);
	root = report_build(result);
	result_free(result);
	assert_non_null(root);
	return root;
}

static char *written(void (*write)(const json_t *root, FILE *out), enum how how)
{
	json_t *root = stored(how);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	write(root, out);
	assert_int_equal(fclose(out), 0);
	json_decref(root);
	return text;
}

/* The exit code of a command that reads `text`; its output is shown when it fails. */
static void assert_accepts(const char *command, const char *text)
{
	cleanup_free char *line = NULL;
	FILE *pipe;

	assert_true(asprintf(&line, "%s >&2", command) > 0);
	pipe = popen(line, "w");
	assert_non_null(pipe);
	fputs(text, pipe);
	if (pclose(pipe) != 0)
		fail_msg("%s: refused: %s", command, text);
}

static bool has_command(const char *command)
{
	cleanup_free char *line = NULL;

	assert_true(asprintf(&line, "%s >/dev/null 2>&1", command) > 0);
	return system(line) == 0; /* NOLINT(cert-env33-c): a test */
}

static void need(const char *command, const char *package)
{
	if (has_command(command))
		return;
	printf("%s is not installed (remedy: sudo make setup)\n", package);
	if (getenv("SQUALL_MUST_RUN") && strcmp(getenv("SQUALL_MUST_RUN"), "1") == 0)
		fail_msg("%s is needed", package);
	skip();
}

static void test_junit_is_what_ci_servers_read(void **state)
{
	(void)state;
	need("command -v xmllint", "libxml2-utils");
	for (int how = 0; how < RUN_KINDS; how++) {
		cleanup_free char *xml = written(report_junit, (enum how)how);

		assert_accepts("xmllint --noout --nonet --schema tests/data/junit.xsd - 2>&1", xml);
	}
}

static void test_junit_counts_what_failed(void **state)
{
	cleanup_free char *failed = written(report_junit, RUN_FAILED);
	cleanup_free char *held = written(report_junit, RUN_HELD);
	cleanup_free char *left = written(report_junit, RUN_LEFT);

	(void)state;
	/* the hypothesis and the one required probe */
	assert_non_null(strstr(failed, "tests=\"7\" failures=\"2\" errors=\"0\" skipped=\"0\""));
	assert_non_null(strstr(failed, "<failure message=\"30 of 60 attempts did not pass: no "
				       "answer within 2s\" type=\"failed\"/>"));
	assert_non_null(strstr(held, "failures=\"0\" errors=\"0\" skipped=\"0\""));
	assert_null(strstr(held, "<failure"));
	assert_non_null(strstr(left, "<error message=\"something is left"));
}

static void test_html_is_well_formed_and_needs_nothing_else(void **state)
{
	static const char *const wanted[] = {
		"<title>Object store slow: Failed</title>",
		"Content-Security-Policy\" content=\"default-src 'none'; style-src "
		"'unsafe-inline'\"",
		"<svg viewBox=",
		"<title>Latency of probe checkout over the run</title>",
		"<dd class=\"bad\">30<small>",
		"2440 packets delayed on eth0",
		"gone, read back",
		"<time>+2.00s</time><b class=\"fault-word\">injected</b>",
		"class=\"recovered\"",
		"class=\"shade\"",
	};
	static const char *const absent[] = {"<script", "http://", "https://", "@import",
					     "url(",	"src=",	   "href="};
	cleanup_free char *html = written(report_html, RUN_FAILED);

	(void)state;
	for (unsigned i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		if (!strstr(html, wanted[i]))
			fail_msg("not there: %s\nin: %s", wanted[i], html);
	for (unsigned i = 0; i < sizeof(absent) / sizeof(*absent); i++)
		if (strstr(html, absent[i]))
			fail_msg("there: %s", absent[i]);
}

static void test_hostile_text_stays_text(void **state)
{
	static const char *const html_absent[] = {"<script", "<i>", "\033", "\a", "\xe2\x80\xae"};
	static const char *const markdown_absent[] = {"<script", "![i]", "](http", " `c`",
						      " | *b*",	 "@all", "\033",   "http://"};
	cleanup_free char *html = written(report_html, RUN_HOSTILE);
	cleanup_free char *xml = written(report_junit, RUN_HOSTILE);
	cleanup_free char *markdown = written(report_markdown, RUN_HOSTILE);

	(void)state;
	assert_non_null(strstr(html, "&lt;script&gt;alert(1)&lt;/script&gt; &quot;&#39; onload=x"));
	for (unsigned i = 0; i < sizeof(html_absent) / sizeof(*html_absent); i++) {
		assert_null(strstr(html, html_absent[i]));
		assert_null(strstr(xml, html_absent[i]));
	}
	assert_non_null(strstr(markdown, "&lt;script&gt;"));
	for (unsigned i = 0; i < sizeof(markdown_absent) / sizeof(*markdown_absent); i++)
		if (strstr(markdown, markdown_absent[i]))
			fail_msg("there: %s\nin: %s", markdown_absent[i], markdown);
}

static void test_markdown_says_what_matters(void **state)
{
	static const char *const wanted[] = {
		"# Object store slow\n",
		"**failed**: probe checkout failed 30 of 60 attempts",
		"| checkout | during | 60 | 30 | 426ms |",
		"| +2.0s | +6.0s | 2440 packets delayed on eth0 | restored, verified |\n",
		"- recovered in 1.20s (allowed: 5s)\n",
	};
	cleanup_free char *text = written(report_markdown, RUN_FAILED);
	cleanup_free char *left = written(report_markdown, RUN_LEFT);

	(void)state;
	for (unsigned i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		if (!strstr(text, wanted[i]))
			fail_msg("not there: %s\nin: %s", wanted[i], text);
	/* emphasis of our own is no text to be escaped */
	assert_non_null(strstr(left, "- **not everything is restored**\n"));
}

static void test_json_follows_its_schema(void **state)
{
	static const char check[] =
		"/usr/bin/python3 -c '"
		"import json, sys, jsonschema\n"
		"schema = json.load(open(\"schema/result.schema.json\"))\n"
		"jsonschema.Draft202012Validator.check_schema(schema)\n"
		"result = json.load(sys.stdin)\n"
		"jsonschema.Draft202012Validator(schema).validate(result)\n"
		"assert set(result) <= set(schema[\"properties\"]), set(result)\n'";

	(void)state;
	need("/usr/bin/python3 -c 'import jsonschema'", "python3-jsonschema");
	for (int how = 0; how < RUN_KINDS; how++) {
		json_t *root = stored((enum how)how);
		cleanup_free char *text = json_dumps(root, JSON_COMPACT);

		assert_accepts(check, text);
		json_decref(root);
	}
	assert_true(!has_command("echo '{\"schema_version\": 1}' | /usr/bin/python3 -c '"
				 "import json, sys, jsonschema; jsonschema.validate(json.load("
				 "sys.stdin), json.load(open(\"schema/result.schema.json\")))'"));
}

static int read_back(const char *text, json_t **out, struct error *err)
{
	FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text) ? strlen(text) : 1, "r");
	int result;

	assert_non_null(in);
	result = stored_read(in, "x.json", out, err);
	fclose(in);
	return result;
}

static void test_what_is_no_result_is_refused(void **state)
{
	static const char *const texts[] = {
		"x",
		"[]",
		"{}",
		"{\"schema_version\": 1}",
		"{\"verdict\": \"held\"}",
		"{\"schema_version\": \"1\", \"verdict\": \"held\"}",
		"{\"schema_version\": 2, \"verdict\": \"held\"}",
		"{\"schema_version\": 1, \"schema_version\": 1, \"verdict\": \"held\"}",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct error err = ERROR_INIT;
		json_t *root = NULL;

		assert_int_equal(read_back(texts[i], &root, &err), -EINVAL);
		assert_non_null(strstr(err.text, "x.json"));
	}
}

/* A file that claims to be a result and has everything wrong is still only text. */
static void test_a_result_of_wrong_types_is_written_all_the_same(void **state)
{
	static const char text[] =
		"{\"schema_version\": 1, \"verdict\": \"held\", \"title\": 7, \"took_ns\": \"x\","
		"\"probes\": [1, {\"name\": [], \"windows\": {\"during\": {\"attempts\": 5}},"
		"\"series\": {\"from_ns\": [\"a\", -9223372036854775807], \"to_ns\": [1e300],"
		"\"attempts_a_point\": 9}}, {\"required\": true, \"windows\": []}],"
		"\"steps\": [null, {\"injected\": true, \"restored\": false, \"windows\": [{}, "
		"3]}],"
		"\"plan\": {}, \"left\": [1], \"log\": [1, {\"after_ns\": 9e99}], \"stop\": 3,"
		"\"recovery\": {\"took_ns\": 9223372036854775807}, \"environment\": [],"
		"\"method_ended_after_ns\": 0, \"notes\": [[]]}";
	json_t *root = NULL;
	FILE *out = fopen("/dev/null", "w");

	(void)state;
	assert_int_equal(read_back(text, &root, NULL), 0);
	report_text(root, out, true, 80);
	report_html(root, out);
	report_markdown(root, out);
	report_junit(root, out);
	assert_int_equal(fclose(out), 0);
	json_decref(root);
}

static void test_markup_escapes_every_text(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct markup page = {.out = out};

	(void)state;
	markup_put(&page, "<%s a=\"%s\" %d %u %lld %zu %.2f %%>", "a<b", "\"'&", -1, 2U, -3LL,
		   (size_t)4, 5.678);
	fclose(out);
	assert_string_equal(text, "<a&lt;b a=\"&quot;&#39;&amp;\" -1 2 -3 4 5.68 %>");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_junit_is_what_ci_servers_read),
		cmocka_unit_test(test_junit_counts_what_failed),
		cmocka_unit_test(test_html_is_well_formed_and_needs_nothing_else),
		cmocka_unit_test(test_hostile_text_stays_text),
		cmocka_unit_test(test_markdown_says_what_matters),
		cmocka_unit_test(test_json_follows_its_schema),
		cmocka_unit_test(test_what_is_no_result_is_refused),
		cmocka_unit_test(test_a_result_of_wrong_types_is_written_all_the_same),
		cmocka_unit_test(test_markup_escapes_every_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
