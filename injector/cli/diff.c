/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall diff: two stored results side by side. Both are read with the rights of who called, after
 * root's are gone for good.
 */
#include "injector/cli/commands.h"

#include "injector/base/json.h"
#include "injector/base/log.h"
#include "injector/base/page.h"
#include "injector/base/quantity.h"
#include "injector/cli/options.h"
#include "injector/cli/results.h"
#include "injector/report/stored.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char help[] = "usage: squall diff [--json] A B\n\n"
			   "Compares two results (runs, files, or 'last'): verdict, score, "
			   "recovery, each probe during\n"
			   "the faults, what each fault hit, and what they were made from.\n\n"
			   "  --json  the differences as one JSON object\n"
			   "  --help  this text\n\n"
			   "Exit code: 0 when the verdicts are the same, 1 when they differ, 2 "
			   "when a result cannot be\n"
			   "read.\n";

struct comparison {
	json_t *a, *b; /* owned */
	json_t *rows;  /* [{what, a, b, same}], owned */
};

/* Takes both values. */
static void add_row(struct comparison *compare, const char *what, json_t *a, json_t *b)
{
	bool same = json_equal(a ? a : json_null(), b ? b : json_null());

	json_array_append_new(compare->rows, json_pack("{s:o, s:o, s:o, s:b}", "what",
						       json_text(what), "a", a ? a : json_null(),
						       "b", b ? b : json_null(), "same", same));
}

static json_t *copy_of(const json_t *at, const char *key)
{
	return json_deep_copy(json_object_get(at, key));
}

static json_t *duration_of(int64_t ns)
{
	char text[QUANTITY_TEXT_SIZE];

	return ns < 0 ? NULL : json_text(quantity_format_latency(ns, text));
}

static const json_t *find(const json_t *list, const char *name)
{
	const json_t *at;
	size_t i;

	json_array_foreach (list, i, at)
		if (strcmp(stored_text(at, "name"), name) == 0)
			return at;
	return NULL;
}

static const json_t *during(const json_t *probe)
{
	return json_object_get(json_object_get(probe, "windows"), "during");
}

static json_t *failures_of(const json_t *window)
{
	char text[64];

	if (!window)
		return NULL;
	snprintf(text, sizeof(text), "%lld/%lld failed",
		 (long long)(stored_number(window, "failed") + stored_number(window, "unknown")),
		 (long long)stored_number(window, "attempts"));
	return json_text(text);
}

static void compare_probe(struct comparison *compare, const char *name)
{
	static const char *const figures[] = {"p50_ns", "p99_ns"};
	const json_t *a = during(find(json_object_get(compare->a, "probes"), name));
	const json_t *b = during(find(json_object_get(compare->b, "probes"), name));
	char what[160];

	snprintf(what, sizeof(what), "probe %s", name);
	add_row(compare, what, failures_of(a), failures_of(b));
	for (unsigned i = 0; i < 2; i++) {
		snprintf(what, sizeof(what), "probe %s, %.3s", name, figures[i]);
		add_row(compare, what,
			duration_of(stored_number(json_object_get(a, "latency"), figures[i])),
			duration_of(stored_number(json_object_get(b, "latency"), figures[i])));
	}
}

static void compare_probes(struct comparison *compare)
{
	const json_t *at, *of_a = json_object_get(compare->a, "probes");
	size_t i;

	json_array_foreach (of_a, i, at)
		compare_probe(compare, stored_text(at, "name"));
	json_array_foreach (json_object_get(compare->b, "probes"), i, at)
		if (!find(of_a, stored_text(at, "name")))
			compare_probe(compare, stored_text(at, "name"));
}

static json_t *hits_of(const json_t *step)
{
	char text[300];

	if (!stored_has(step, "text"))
		return NULL;
	if (!stored_is(step, "injected"))
		return json_string("was not injected");
	stored_evidence(step, text, sizeof(text));
	return json_text(text);
}

static void compare_steps(struct comparison *compare)
{
	const json_t *a = json_object_get(compare->a, "steps");
	const json_t *b = json_object_get(compare->b, "steps");
	size_t count =
		json_array_size(a) > json_array_size(b) ? json_array_size(a) : json_array_size(b);
	char what[64];

	for (size_t i = 0; i < count; i++) {
		snprintf(what, sizeof(what), "fault %zu", i + 1);
		add_row(compare, what, copy_of(json_array_get(a, i), "text"),
			copy_of(json_array_get(b, i), "text"));
		snprintf(what, sizeof(what), "fault %zu, hit", i + 1);
		add_row(compare, what, hits_of(json_array_get(a, i)),
			hits_of(json_array_get(b, i)));
	}
}

static json_t *value_of(const json_t *variable)
{
	if (stored_is(variable, "secret"))
		return json_string("(secret)");
	return copy_of(variable, "value");
}

static void compare_origins(struct comparison *compare)
{
	const json_t *a = json_object_get(compare->a, "experiment"), *at;
	const json_t *b = json_object_get(compare->b, "experiment");
	bool same = json_equal(json_object_get(a, "sources"), json_object_get(b, "sources"));
	char what[160];
	size_t i;

	add_row(compare, "seed", copy_of(compare->a, "seed"), copy_of(compare->b, "seed"));
	add_row(compare, "experiment", json_string(same ? "the same" : "this text"),
		json_string(same ? "the same" : "another text"));
	json_array_foreach (json_object_get(a, "variables"), i, at) {
		snprintf(what, sizeof(what), "variable %.100s", stored_text(at, "name"));
		add_row(compare, what, value_of(at),
			value_of(find(json_object_get(b, "variables"), stored_text(at, "name"))));
	}
}

static void compare_all(struct comparison *compare)
{
	const json_t *a = compare->a, *b = compare->b;

	add_row(compare, "run", copy_of(a, "run"), copy_of(b, "run"));
	add_row(compare, "started", copy_of(a, "started"), copy_of(b, "started"));
	add_row(compare, "verdict", copy_of(a, "verdict"), copy_of(b, "verdict"));
	add_row(compare, "because", copy_of(a, "why"), copy_of(b, "why"));
	add_row(compare, "score", copy_of(a, "score"), copy_of(b, "score"));
	add_row(compare, "took", duration_of(stored_number(a, "took_ns")),
		duration_of(stored_number(b, "took_ns")));
	add_row(compare, "recovered in",
		duration_of(stored_number(json_object_get(a, "recovery"), "took_ns")),
		duration_of(stored_number(json_object_get(b, "recovery"), "took_ns")));
	compare_probes(compare);
	compare_steps(compare);
	compare_origins(compare);
}

static void show_value(struct page *page, const json_t *value, enum tone tone, unsigned column)
{
	page_tab(page, column);
	if (json_is_integer(value))
		page_wrap(page, tone, column, "%lld", (long long)json_integer_value(value));
	else
		page_wrap(page, tone, column, "%s",
			  json_is_string(value) ? json_string_value(value) : "-");
}

/* What is the same has one line, what differs one for each. */
static void show(const struct comparison *compare)
{
	unsigned names = 12;
	struct page page;
	const json_t *at;
	size_t i;

	page_init(&page, stdout, log_has_colour(STDOUT_FILENO), 0);
	json_array_foreach (compare->rows, i, at)
		if (strlen(stored_text(at, "what")) + 4 > names)
			names = (unsigned)strlen(stored_text(at, "what")) + 4;
	names = names > 40 ? 40 : names;
	json_array_foreach (compare->rows, i, at) {
		bool same = stored_is(at, "same");

		if (same && !stored_has(at, "a"))
			continue;
		page_put(&page, same ? TONE_QUIET : TONE_TITLE, "%s", stored_text(at, "what"));
		page_tab(&page, names - 2);
		page_put(&page, TONE_QUIET, "%s", same ? "=" : "A");
		show_value(&page, json_object_get(at, "a"), same ? TONE_QUIET : TONE_NORMAL, names);
		if (same)
			continue;
		page_tab(&page, names - 2);
		page_put(&page, TONE_QUIET, "B");
		show_value(&page, json_object_get(at, "b"), TONE_NORMAL, names);
	}
}

static int read_both(struct comparison *compare, char **operands, struct error *err)
{
	FILE *files[2] = {NULL, NULL};
	char paths[2][512];
	int result = 0;

	for (unsigned i = 0; i < 2 && result == 0; i++) {
		files[i] = results_open(operands[i], paths[i], sizeof(paths[i]), err);
		if (!files[i])
			result = err->code ? -err->code : -EIO;
	}
	if (result == 0)
		result = results_give_up_rights(err);
	if (result == 0)
		result = stored_read(files[0], paths[0], &compare->a, err);
	if (result == 0)
		result = stored_read(files[1], paths[1], &compare->b, err);
	for (unsigned i = 0; i < 2; i++)
		if (files[i] && files[i] != stdin)
			fclose(files[i]);
	return result;
}

int cli_diff(int argc, char **argv, struct error *err)
{
	struct options options = {.help = help, .has_json = true, .max_operands = 2};
	struct comparison compare = {0};
	int result = options_parse(&options, argc, argv, err);
	bool differs = false;

	if (result < 0 || options.helped)
		return result;
	if (options.operand_count < 2) {
		error_set(err, EINVAL, "diff: two results are needed");
		return error_remedy(err, "squall diff --help");
	}
	result = read_both(&compare, options.operands, err);
	if (result == 0) {
		compare.rows = json_array();
		compare_all(&compare);
		differs = strcmp(stored_text(compare.a, "verdict"),
				 stored_text(compare.b, "verdict")) != 0;
		if (options.json)
			result = json_print(json_pack("{s:b, s:O}", "same_verdict", !differs,
						      "rows", compare.rows),
					    stdout, true, err);
		else
			show(&compare);
	}
	json_decref(compare.a);
	json_decref(compare.b);
	json_decref(compare.rows);
	if (result == 0)
		result = options_flush(err);
	return result < 0 ? result : differs;
}
