/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is said: the same sentence everywhere, in the form that the receiver takes.
 */
#include "injector/run/notify_internal.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/json.h"
#include "injector/base/printable.h"
#include "injector/experiment/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *time_or_null(int64_t wall_ns)
{
	char text[40];

	if (!wall_ns)
		return json_null();
	clock_format_wall(wall_ns, text, sizeof(text));
	return json_string(text);
}

static char *as_json(const struct notify *notify, const struct notify_message *message)
{
	const struct experiment *experiment = notify->options.experiment;
	char fault[300] = "";
	char *text;
	json_t *root;

	if (message->step >= 0)
		experiment_describe_step(experiment, (unsigned)message->step, fault, sizeof(fault));
	root = json_pack(
		"{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "event",
		format_notify_moments[message->moment], "text", json_text(message->text), "run",
		json_text(notify->run_id), "host", json_text(notify->host), "title",
		json_text(experiment->title), "time", time_or_null(message->wall_ns), "step",
		json_count_or_null(message->step < 0 ? -1 : message->step + 1), "fault",
		json_text(fault), "expected_end", time_or_null(message->until_wall_ns), "verdict",
		message->verdict ? json_string(message->verdict) : json_null(), "exit_code",
		json_count_or_null(message->verdict ? message->exit_code : -1));
	text = json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(root);
	return text;
}

/* In a message of Slack's & < > command links and mentions (api.slack.com/reference/surfaces/
 * formatting): titles and reasons come from anywhere. */
static void escape(const char *text, char *out, size_t size)
{
	size_t used = 0;

	for (; *text && used + 6 < size; text++) {
		const char *as = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : "&gt;";

		if (*text == '&' || *text == '<' || *text == '>')
			used = (size_t)(stpcpy(out + used, as) - out);
		else
			out[used++] = *text;
	}
	out[used] = '\0';
}

static char *as_slack(const struct notify *notify, const struct notify_message *message)
{
	const char *title = notify->options.experiment->title;
	char clean_title[600], clean_text[2000], all[3000];
	char *text;
	json_t *root;

	escape(title ? title : "squall", clean_title, sizeof(clean_title));
	escape(message->text, clean_text, sizeof(clean_text));
	snprintf(all, sizeof(all), "*%s* (%s, run %s): %s", clean_title, notify->host,
		 notify->run_id, clean_text);
	root = json_pack("{s:o}", "text", json_text(all));
	text = json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(root);
	return text;
}

/* For `read -r line` in a script, and for jq. */
static char *as_lines(const struct notify *notify, const struct notify_message *message)
{
	cleanup_free char *json = as_json(notify, message);
	char *text = NULL;

	return !json || asprintf(&text, "%s\n%s\n", message->text, json) < 0 ? NULL : text;
}

static char *as_log_line(const struct notify *notify, const struct notify_message *message)
{
	char *text = NULL;

	return asprintf(&text, "%s: %s", notify->run_id, message->text) < 0 ? NULL : text;
}

char *notify_body(const struct notify *notify, const struct notify_way *way,
		  const struct notify_message *given)
{
	struct notify_message message = *given;

	printable_clean(message.text, true);
	switch (way->spec->kind) {
	case NOTIFY_COMMAND:
		return as_lines(notify, &message);
	case NOTIFY_SYSLOG:
		return as_log_line(notify, &message);
	default:
		break;
	}
	return params_number(&way->spec->params, NOTIFY_PARAM_FORMAT, NOTIFY_JSON) == NOTIFY_SLACK
		       ? as_slack(notify, &message)
		       : as_json(notify, &message);
}
