/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * JUnit XML as CI servers read it. A failure is what the system under test did not pass; an error
 * is what kept the run from finding out, or what squall left behind. */
#include "injector/report/report.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/report/markup.h"
#include "injector/report/stored.h"

#include <string.h>

enum outcome { OUTCOME_PASS, OUTCOME_FAILURE, OUTCOME_ERROR, OUTCOME_SKIPPED, OUTCOME_COUNT };

struct junit {
	struct markup xml;
	const json_t *root;
	bool counting; /* first round: the head wants the numbers */
	unsigned counts[OUTCOME_COUNT];
};

static double seconds(int64_t ns)
{
	return ns > 0 ? (double)ns / NSEC_PER_SEC : 0;
}

static void put_case(struct junit *junit, const char *group, const char *name, int64_t took_ns,
		     enum outcome outcome, const char *why)
{
	static const char *const elements[] = {[OUTCOME_FAILURE] = "failure",
					       [OUTCOME_ERROR] = "error",
					       [OUTCOME_SKIPPED] = "skipped"};
	struct markup *xml = &junit->xml;

	junit->counts[outcome]++;
	if (junit->counting)
		return;
	markup_put(xml, "    <testcase classname=\"squall.%s\" name=\"%s\" time=\"%.3f\"", group,
		   name, seconds(took_ns));
	if (outcome == OUTCOME_PASS)
		markup_put(xml, "/>\n");
	else if (outcome == OUTCOME_SKIPPED)
		markup_put(xml, ">\n      <skipped message=\"%s\"/>\n    </testcase>\n", why);
	else
		markup_put(xml, ">\n      <%s message=\"%s\" type=\"%s\"/>\n    </testcase>\n",
			   elements[outcome], why, stored_text(junit->root, "verdict"));
}

static void put_hypothesis(struct junit *junit)
{
	const json_t *root = junit->root;
	const char *verdict = stored_text(root, "verdict"),
		   *title = stored_text(root, "hypothesis");
	enum outcome outcome = strcmp(verdict, "held") == 0	 ? OUTCOME_PASS
			       : strcmp(verdict, "failed") == 0	 ? OUTCOME_FAILURE
			       : strcmp(verdict, "aborted") == 0 ? OUTCOME_FAILURE
								 : OUTCOME_ERROR;

	put_case(junit, "verdict", *title ? title : stored_text(root, "title"),
		 stored_number(root, "took_ns"), outcome, stored_text(root, "why"));
}

/* It is then judged by what was expected of it, not by every attempt. */
static bool has_expectation(const json_t *root, const char *probe)
{
	const json_t *at;
	size_t i;

	json_array_foreach (json_object_get(root, "expectations"), i, at)
		if (strcmp(stored_text(at, "probe"), probe) == 0)
			return true;
	return false;
}

static void put_probe(struct junit *junit, const json_t *probe)
{
	const json_t *during = json_object_get(json_object_get(probe, "windows"), "during");
	int64_t attempts = stored_number(during, "attempts"),
		failed = stored_number(during, "failed"),
		unknown = stored_number(during, "unknown");
	char name[320], why[400];

	if (!stored_is(probe, "required") ||
	    has_expectation(junit->root, stored_text(probe, "name")))
		return;
	snprintf(name, sizeof(name), "probe %.280s passes during the faults",
		 stored_text(probe, "name"));
	snprintf(why, sizeof(why), "%lld of %lld attempts did not pass: %.300s",
		 (long long)(failed + unknown), (long long)attempts,
		 stored_text(probe, "last_failure"));
	if (attempts <= 0)
		put_case(junit, "probe", name, 0, OUTCOME_SKIPPED, "no attempt was made");
	else
		put_case(junit, "probe", name,
			 stored_number(junit->root, "faults_ended_after_ns") -
				 stored_number(junit->root, "faults_started_after_ns"),
			 failed > 0    ? OUTCOME_FAILURE
			 : unknown > 0 ? OUTCOME_ERROR
				       : OUTCOME_PASS,
			 why);
}

static void put_step(struct junit *junit, const json_t *step, size_t index)
{
	int64_t took_ns =
		stored_number(step, "ended_after_ns") - stored_number(step, "injected_after_ns");
	char name[400];

	snprintf(name, sizeof(name), "fault %zu: %.340s", index + 1, stored_text(step, "text"));
	if (!stored_is(step, "injected"))
		put_case(junit, "fault", name, 0,
			 *stored_text(step, "failure") ? OUTCOME_ERROR : OUTCOME_SKIPPED,
			 *stored_text(step, "failure") ? stored_text(step, "failure")
						       : "was not injected");
	else if (stored_is_unrestored(step))
		put_case(junit, "fault", name, took_ns, OUTCOME_ERROR,
			 "nobody has verified that it is undone");
	else
		put_case(junit, "fault", name, took_ns, OUTCOME_PASS, "");
}

static void put_cases(struct junit *junit)
{
	const json_t *root = junit->root, *recovery = json_object_get(root, "recovery"), *at;
	int64_t took_ns = stored_number(recovery, "took_ns");
	size_t i;

	put_hypothesis(junit);
	json_array_foreach (json_object_get(root, "probes"), i, at)
		put_probe(junit, at);
	json_array_foreach (json_object_get(root, "steps"), i, at)
		put_step(junit, at, i);
	json_array_foreach (json_object_get(root, "expectations"), i, at)
		put_case(junit, "expect", stored_text(at, "text"), 0,
			 stored_is(at, "met")	   ? OUTCOME_PASS
			 : stored_has_faults(root) ? OUTCOME_FAILURE
						   : OUTCOME_SKIPPED,
			 "not met");
	if (json_is_object(recovery))
		put_case(junit, "recovery", "all required probes pass again in time", took_ns,
			 stored_is(recovery, "recovered") ? OUTCOME_PASS
			 : *stored_text(recovery, "text") ? OUTCOME_FAILURE
							  : OUTCOME_SKIPPED,
			 *stored_text(recovery, "text") ? stored_text(recovery, "text")
							: "was not observed");
	put_case(junit, "restore", "everything is restored and verified", 0,
		 stored_is_restored(root) ? OUTCOME_PASS : OUTCOME_ERROR,
		 "something is left; see squall report and squall restore");
}

/* The summary goes with it, line by line: an XML reader would keep no line break of an attribute.
 */
static void put_summary(struct junit *junit)
{
	cleanup_free char *text = NULL;
	char *line, *rest;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	report_text(junit->root, out, false, 100);
	if (fclose(out) != 0)
		return;
	markup_put(&junit->xml, "    <system-out>");
	for (rest = text; (line = strsep(&rest, "\n"));)
		markup_put(&junit->xml, "%s\n", line);
	markup_put(&junit->xml, "</system-out>\n");
}

void report_junit(const json_t *root, FILE *out)
{
	struct junit junit = {.xml = {.out = out}, .root = root, .counting = true};
	const unsigned *counts = junit.counts;
	double took = seconds(stored_number(root, "took_ns"));
	unsigned tests;
	char stamp[24], score[64];

	put_cases(&junit);
	junit.counting = false;
	tests = counts[OUTCOME_PASS] + counts[OUTCOME_FAILURE] + counts[OUTCOME_ERROR] +
		counts[OUTCOME_SKIPPED];
	/* without the fraction and the zone, as the schemas want it */
	snprintf(stamp, sizeof(stamp), "%.19s", stored_text(root, "started"));
	markup_put(&junit.xml,
		   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		   "<testsuites name=\"squall\" tests=\"%u\" failures=\"%u\" errors=\"%u\" "
		   "time=\"%.3f\">\n"
		   "  <testsuite name=\"%s\" tests=\"%u\" failures=\"%u\" errors=\"%u\" "
		   "skipped=\"%u\" time=\"%.3f\"",
		   tests, counts[OUTCOME_FAILURE], counts[OUTCOME_ERROR], took,
		   stored_text(root, "title"), tests, counts[OUTCOME_FAILURE],
		   counts[OUTCOME_ERROR], counts[OUTCOME_SKIPPED], took);
	if (strlen(stamp) == 19)
		markup_put(&junit.xml, " timestamp=\"%s\"", stamp);
	markup_put(&junit.xml,
		   " hostname=\"%s\">\n    <properties>\n"
		   "      <property name=\"run\" value=\"%s\"/>\n"
		   "      <property name=\"verdict\" value=\"%s\"/>\n"
		   "      <property name=\"exit-code\" value=\"%lld\"/>\n"
		   "      <property name=\"squall\" value=\"%s\"/>\n",
		   stored_text(json_object_get(root, "environment"), "host"),
		   stored_text(root, "run"), stored_text(root, "verdict"),
		   (long long)stored_number(root, "exit_code"),
		   stored_text(root, "squall_version"));
	if (stored_score(root, score, sizeof(score)))
		markup_put(&junit.xml, "      <property name=\"score\" value=\"%s\"/>\n", score);
	markup_put(&junit.xml, "    </properties>\n");
	put_cases(&junit);
	put_summary(&junit);
	markup_put(&junit.xml, "  </testsuite>\n</testsuites>\n");
}
