/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/report/course.h"

#include "injector/base/cleanup.h"
#include "injector/base/json.h"
#include "injector/view/words.h"

#include <string.h>
#include <sys/utsname.h>

static void add_number(json_t *list, bool is_there, int64_t number)
{
	json_array_append_new(list, is_there ? json_integer(number) : json_null());
}

static void add_real(json_t *list, bool is_there, double number)
{
	json_array_append_new(list, is_there ? json_real(number) : json_null());
}

json_t *course_series(const struct run_result *result, unsigned probe)
{
	const struct series *series = &result->history.probes[probe].series;
	static const char *const names[] = {"from_ns",	 "to_ns",    "attempts", "failed",
					    "unknown",	 "min_ns",   "max_ns",	 "mean_ns",
					    "value_min", "value_max"};
	enum { FROM, TO, ATTEMPTS, FAILED, UNKNOWN, MIN, MAX, MEAN, LOW, HIGH, COLUMNS };
	json_t *root = json_object(), *columns[COLUMNS];

	for (unsigned i = 0; i < COLUMNS; i++)
		columns[i] = json_array();
	for (unsigned i = 0; i < series->count; i++) {
		const struct series_point *at = &series->points[i];
		bool has_latency = at->answered > 0, has_value = at->valued > 0;

		add_number(columns[FROM], true, at->first_ns - result->started_ns);
		add_number(columns[TO], true, at->last_ns - result->started_ns);
		add_number(columns[ATTEMPTS], true, at->attempts);
		add_number(columns[FAILED], true, at->failed);
		add_number(columns[UNKNOWN], true, at->unknown);
		add_number(columns[MIN], has_latency, at->min_ns);
		add_number(columns[MAX], has_latency, at->max_ns);
		add_number(columns[MEAN], has_latency,
			   has_latency ? (int64_t)(at->sum_ns / at->answered) : 0);
		add_real(columns[LOW], has_value, at->value_min);
		add_real(columns[HIGH], has_value, at->value_max);
	}
	json_object_set_new(root, "attempts_a_point", json_integer(series->each));
	json_object_set_new(root, "attempts_lost", json_integer(series->lost));
	for (unsigned i = 0; i < COLUMNS; i++)
		json_object_set_new(root, names[i], columns[i]);
	return root;
}

json_t *course_windows(const struct run_result *result, unsigned step)
{
	const struct history_step *history = &result->history.steps[step];
	json_t *list = json_array();

	for (unsigned i = 0; i < history->count && !run_is_instant(result->experiment, step); i++) {
		const struct history_window *at = &history->windows[i];
		json_t *window = json_object();

		json_object_set_new(window, "from_ns",
				    json_integer(at->from_ns - result->started_ns));
		json_object_set_new(
			window, "to_ns",
			json_count_or_null(at->to_ns ? at->to_ns - result->started_ns : -1));
		json_array_append_new(list, window);
	}
	return list;
}

/* Samples have no line of their own among the words of events. */
static bool words_of_entry(const struct run_result *result, const struct history_entry *entry,
			   struct words *out)
{
	const struct event event = {
		.kind = entry->kind,
		.phase = entry->phase,
		.step = entry->step,
		.probe = entry->probe,
		.duration_ns = entry->duration_ns,
		.number = entry->number,
		.text = entry->text,
	};

	if (entry->kind != EVENT_SAMPLE)
		return words_of_event(result->experiment, &event, out);
	out->label = "probe";
	snprintf(out->text, sizeof(out->text), "%s: %s%s%s",
		 result->experiment->probes[entry->probe].name, probe_result_names[entry->result],
		 entry->text ? ", " : "", entry->text ? entry->text : "");
	return true;
}

json_t *course_log(const struct run_result *result)
{
	const struct history *history = &result->history;
	json_t *list = json_array();

	for (unsigned i = 0; i < history_count(history); i++) {
		const struct history_entry *entry = history_at(history, i);
		struct words words;
		json_t *root;

		if (!words_of_entry(result, entry, &words))
			continue;
		root = json_object();
		json_object_set_new(root, "after_ns",
				    json_integer(entry->time_ns - result->started_ns));
		json_object_set_new(root, "event", json_string(event_kind_names[entry->kind]));
		json_object_set_new(root, "label", json_string(words.label));
		json_object_set_new(root, "phase", json_string(run_phase_names[entry->phase]));
		if (entry->kind == EVENT_SAMPLE)
			json_object_set_new(root, "result",
					    json_string(probe_result_names[entry->result]));
		json_object_set_new(root, "text", json_text(words.text));
		json_array_append_new(list, root);
	}
	return list;
}

/* PRETTY_NAME of os-release(5), without its quotes; false: there is none. */
static bool read_distribution(char *out, size_t size)
{
	static const char key[] = "PRETTY_NAME=";
	cleanup_file FILE *file = fopen("/etc/os-release", "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		char *value = line + sizeof(key) - 1;

		if (strncmp(line, key, sizeof(key) - 1) != 0)
			continue;
		value[strcspn(value, "\n")] = '\0';
		if (*value == '"' || *value == '\'') {
			value++;
			value[strcspn(value, "\"'")] = '\0';
		}
		snprintf(out, size, "%.*s", (int)size - 1, value);
		return true;
	}
	return false;
}

json_t *course_environment(void)
{
	json_t *root = json_object();
	struct utsname system;
	char distribution[128];

	if (uname(&system) == 0) {
		json_object_set_new(root, "host", json_text(system.nodename));
		json_object_set_new(root, "kernel", json_text(system.release));
		json_object_set_new(root, "kernel_version", json_text(system.version));
		json_object_set_new(root, "machine", json_text(system.machine));
	}
	json_object_set_new(root, "distribution",
			    read_distribution(distribution, sizeof(distribution))
				    ? json_text(distribution)
				    : json_null());
	return root;
}
