/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * notify: [{webhook: URL, format:, header:, on: [...]}, {command: [...]}, {syslog: notice}]
 *
 * Nothing said about a webhook shows its URL: whoever knows it may write there.
 */
#include "injector/experiment/format.h"
#include "injector/experiment/reader.h"

#include "injector/probes/http_request.h"
#include "injector/probes/http_url.h"

#include <string.h>

#define DEFAULT_MOMENTS                                                                            \
	(1U << NOTIFY_INJECTED | 1U << NOTIFY_ABORTED | 1U << NOTIFY_RESTORED |                    \
	 1U << NOTIFY_VERDICT)

static const char notify_like[] = "{webhook: \"https://hooks.example.org/x\", on: [aborted]}";

/* Which of the three it is; -1 after a message. */
static int find_kind(struct reader *reader, const struct tree_node *node,
		     const struct params *values)
{
	int kind = -1;

	for (int i = NOTIFY_PARAM_WEBHOOK; i <= NOTIFY_PARAM_SYSLOG; i++) {
		if (!params_is_set(values, (unsigned)i))
			continue;
		if (kind >= 0) {
			reader_problem(reader, tree_find(node, format_notify[i].name),
				       "one notification goes one way: '%s' is already given; "
				       "write another entry",
				       format_notify[kind].name);
			return -1;
		}
		kind = i;
	}
	/* a misspelt one, or one without a value, was reported as such */
	if (kind < 0 && !reader_has_misspelt(node, "webhook") &&
	    !reader_has_misspelt(node, "command") && !reader_has_misspelt(node, "syslog"))
		reader_problem(reader, node,
			       "it is not said who is told; give one of: webhook, command, syslog");
	return kind;
}

static void check_webhook(struct reader *reader, const struct tree_node *node,
			  const struct params *values)
{
	const char *url = params_text(values, NOTIFY_PARAM_WEBHOOK);
	const struct tree_node *header = tree_find(node, "header");
	struct error err = ERROR_INIT;
	struct endpoint_host server;

	if (http_url_parse(url, &server, NULL) < 0)
		reader_problem(reader, tree_find(node, "webhook"),
			       "webhook: this is no URL of the form https://HOST/PATH with one "
			       "host, no user information and no characters that need %%XX (it is "
			       "not shown: it may be a secret)");
	if (http_request_check_headers(values, NOTIFY_PARAM_HEADER, &err) < 0)
		reader_problem(reader, header, "header: %s", err.text);
}

static void check_others(struct reader *reader, const struct tree_node *node,
			 const struct params *values, int kind)
{
	static const unsigned of_webhooks[] = {NOTIFY_PARAM_FORMAT, NOTIFY_PARAM_HEADER,
					       NOTIFY_PARAM_CA, NOTIFY_PARAM_INSECURE};

	for (unsigned i = 0; i < sizeof(of_webhooks) / sizeof(*of_webhooks); i++) {
		const char *name = format_notify[of_webhooks[i]].name;

		if (params_is_set(values, of_webhooks[i]))
			reader_problem(reader, tree_find(node, name),
				       "'%s' is for a webhook, not for '%s'", name,
				       format_notify[kind].name);
	}
	if (kind == NOTIFY_PARAM_SYSLOG && params_is_set(values, NOTIFY_PARAM_TIMEOUT))
		reader_problem(reader, tree_find(node, "timeout"),
			       "'timeout' is not for 'syslog', which is never waited for");
	if (kind == NOTIFY_PARAM_COMMAND && params_count(values, NOTIFY_PARAM_COMMAND) == 1 &&
	    strchr(params_text(values, NOTIFY_PARAM_COMMAND), ' '))
		reader_problem(reader, tree_find(node, "command"),
			       "'command' is a list of words, which no shell splits or expands; "
			       "write [PROGRAM, ARGUMENT, ...]");
}

static unsigned read_moments(const struct params *values)
{
	unsigned moments = 0;

	for (unsigned i = 0; i < params_count(values, NOTIFY_PARAM_ON); i++)
		moments |= 1U << params_value(values, NOTIFY_PARAM_ON, i)->number;
	return moments ? moments : DEFAULT_MOMENTS;
}

static void read_notification(struct reader *reader, const struct tree_node *node)
{
	struct experiment *experiment = reader->experiment;
	struct experiment_notification *grown;
	struct params values;
	int kind = -1;

	if (reader_table(reader, node, "a notification", notify_like, format_notify, &values))
		kind = find_kind(reader, node, &values);
	if (kind == NOTIFY_PARAM_WEBHOOK)
		check_webhook(reader, node, &values);
	else if (kind >= 0)
		check_others(reader, node, &values, kind);
	grown = kind < 0 ? NULL
			 : reader_grow(reader, experiment->notifications,
				       experiment->notification_count, sizeof(*grown));
	if (!grown) {
		params_free(&values);
		return;
	}
	experiment->notifications = grown;
	grown[experiment->notification_count++] = (struct experiment_notification){
		.kind = (enum notify_kind)kind, .moments = read_moments(&values), .params = values};
}

void reader_notify(struct reader *reader, const struct tree_node *node)
{
	if (!reader_is(reader, node, TREE_LIST, "'notify'", format_sections[SECTION_NOTIFY].like))
		return;
	for (const struct tree_node *at = node->first; at; at = at->next) {
		if (reader->problems->is_full || reader->problems->is_out_of_memory)
			return;
		if (reader->experiment->notification_count == EXPERIMENT_MAX_NOTIFICATIONS) {
			reader_problem(reader, at, "more than %d notifications",
				       EXPERIMENT_MAX_NOTIFICATIONS);
			return;
		}
		read_notification(reader, at);
	}
}
