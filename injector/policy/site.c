/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/policy/site.h"

#include "injector/base/cleanup.h"
#include "injector/experiment/format.h"
#include "injector/experiment/reader.h"
#include "injector/experiment/text.h"
#include "injector/journal/directory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SITE_FILE_MAX (64 << 10)

enum { SITE_VERSION, SITE_METRICS };

static const struct param site_root[] = {
	[SITE_VERSION] = {.name = "version",
			  .type = PARAM_INTEGER,
			  .flags = PARAM_REQUIRED,
			  .min = 1,
			  .max = 1,
			  .doc = "version of the format: 1"},
	[SITE_METRICS] = {.name = "metrics",
			  .type = PARAM_PATH,
			  .doc = "file for the textfile collector of Prometheus' node exporter"},
	{0},
};

/* Beside no experiment there is no directory that a relative path could mean. */
static void check_programs(struct reader *reader, const struct tree_node *node)
{
	const struct experiment *experiment = reader->experiment;

	for (unsigned i = 0; i < experiment->notification_count; i++) {
		const struct experiment_notification *one = &experiment->notifications[i];

		if (one->kind == NOTIFY_COMMAND &&
		    params_text(&one->params, NOTIFY_PARAM_COMMAND)[0] != '/')
			reader_problem(reader, node,
				       "command: '%.100s' must be an absolute path here",
				       params_text(&one->params, NOTIFY_PARAM_COMMAND));
	}
}

static void read_root(struct reader *reader, const struct tree_node *root, struct site *site)
{
	const char *notify_name = format_sections[SECTION_NOTIFY].name;
	struct name_list allowed = {0};
	const struct tree_node *notify = NULL;
	struct params values;

	if (!reader_is(reader, root, TREE_MAPPING, "a site file", "version: 1, notify: [...]") ||
	    !reader_init(reader, &values, site_root))
		return;
	name_list_add_table(&allowed, site_root);
	name_list_add(&allowed, notify_name);
	for (const struct tree_node *entry = root->first; entry; entry = entry->next) {
		if (entry->kind == TREE_BROKEN)
			continue;
		if (strcmp(entry->key->text, notify_name) == 0)
			notify = entry;
		else if (!reader_take(reader, &values, entry))
			reader_unknown_key(reader, entry, "a site file", &allowed, NULL);
	}
	reader_check_required(reader, &values, root, "the site file");
	if (notify) {
		reader_notify(reader, notify);
		check_programs(reader, notify);
	}
	if (params_is_set(&values, SITE_METRICS))
		site->metrics = reader_copy(reader, params_text(&values, SITE_METRICS));
	params_free(&values);
}

int site_parse(const char *text, size_t length, const char *path, struct site *out,
	       struct error *err)
{
	struct problem_list list = {0};
	struct experiment experiment = {0};
	struct reader reader = {.problems = &list, .experiment = &experiment};
	struct tree tree = {0};
	int result = 0;

	*out = (struct site){0};
	if (text_check(text, length, &list))
		tree_parse(text, length, &list, &tree);
	if (tree.root)
		read_root(&reader, tree.root, out);
	tree_free(&tree);
	out->notifications = experiment.notifications;
	out->notification_count = experiment.notification_count;
	problems_finish(&list);
	if (list.is_out_of_memory)
		result = error_errno(err, ENOMEM, "cannot read %s", path);
	else if (list.found.count)
		result = error_set(err, EINVAL, "%s:%d:%d: %s", path, list.found.list[0].line,
				   list.found.list[0].column, list.found.list[0].text);
	yaml_problems_free(&list.found);
	if (result < 0)
		site_free(out);
	return result;
}

int site_load(const char *path, struct site *out, struct error *err)
{
	cleanup_free char *text = NULL;
	size_t length = 0;
	int result = directory_read_file(path, SITE_FILE_MAX, &text, &length, err);

	*out = (struct site){0};
	if (result == -ENOENT)
		return 0;
	return result < 0 ? result : site_parse(text, length, path, out, err);
}

int site_apply(struct site *site, struct experiment *experiment, struct error *err)
{
	size_t count = experiment->notification_count + site->notification_count;
	struct experiment_notification *grown;

	if (!site->notification_count)
		return 0;
	grown = reallocarray(experiment->notifications, count, sizeof(*grown));
	if (!grown)
		return error_errno(err, ENOMEM, "cannot keep the site's notifications");
	memcpy(grown + experiment->notification_count, site->notifications,
	       site->notification_count * sizeof(*grown));
	experiment->notifications = grown;
	experiment->notification_count = (unsigned)count;
	site->notification_count = 0; /* their values have another owner now */
	return 0;
}

void site_free(struct site *site)
{
	for (unsigned i = 0; i < site->notification_count; i++)
		params_free(&site->notifications[i].params);
	free(site->notifications);
	free(site->metrics);
	*site = (struct site){0};
}
