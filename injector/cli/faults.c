/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `squall faults`: what can be injected, from the parameter tables alone. The example is made from
 * them as well, so that it cannot fall behind. */
#include "injector/cli/commands.h"

#include "faults/fault.h"
#include "injector/base/json.h"
#include "injector/base/log.h"
#include "injector/base/page.h"
#include "injector/cli/example.h"
#include "injector/cli/options.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
	"usage: squall faults [--json] [NAME]\n"
	"\n"
	"Lists the faults that can be injected; with NAME, the parameters of one of them.\n"
	"\n"
	"  --json      the same as JSON\n"
	"  --help      this text\n"
	"\n"
	"Exit code: 0, or 2 when there is no fault of that name.\n";

static void show_list(struct page *page)
{
	unsigned names = 8;

	for (const struct fault_ops *const *at = fault_all(); *at; at++) {
		unsigned length = (unsigned)strlen((*at)->name) + 2;

		names = length > names ? length : names;
	}
	page_put(page, TONE_TITLE, "Fault");
	page_tab(page, names);
	page_put(page, TONE_TITLE, "Target");
	page_tab(page, names + 10);
	page_put(page, TONE_TITLE, "What it does");
	page_line(page);
	for (const struct fault_ops *const *at = fault_all(); *at; at++) {
		page_put(page, TONE_FAULT, "%s", (*at)->name);
		page_tab(page, names);
		page_put(page, TONE_NORMAL, "%s",
			 (*at)->target_kind == TARGET_NONE ? "-"
							   : target_kind_name((*at)->target_kind));
		page_tab(page, names + 10);
		page_wrap(page, TONE_NORMAL, names + 10, "%s", (*at)->summary);
	}
	page_line(page);
	page_wrap(page, TONE_QUIET, 0, "Parameters of one of them: squall faults NAME");
}

/* What of a selector table `ops` takes; NULL: all of it. */
static void show_table(struct page *page, const char *title, const struct param *table,
		       const struct fault_ops *ops)
{
	unsigned names = 12;
	char what[512];

	for (const struct param *at = table; at->name; at++) {
		unsigned length = (unsigned)strlen(at->name) + 4;

		names = length > names ? length : names;
	}
	page_line(page);
	page_wrap(page, TONE_TITLE, 0, "%s", title);
	if (!table->name) {
		page_tab(page, 2);
		page_wrap(page, TONE_QUIET, 2, "none");
	}
	for (unsigned key = 0; table->name; table++, key++) {
		if (ops && !fault_takes(ops, key))
			continue;
		param_describe(table, what, sizeof(what));
		page_tab(page, 2);
		page_put(page, TONE_FAULT, "%s", table->name);
		page_tab(page, names);
		page_wrap(page, TONE_NORMAL, names, "%s", table->doc ? table->doc : "");
		page_tab(page, names);
		page_wrap(page, TONE_QUIET, names, "%s%s%s%s", what,
			  table->type == PARAM_TARGET	  ? ", or its keys in its place"
			  : table->flags & PARAM_REQUIRED ? "; required"
							  : "",
			  table->fallback ? "; default " : "",
			  table->fallback ? table->fallback : "");
	}
}

static void show_fault(struct page *page, const struct fault_ops *ops)
{
	const struct param *target = target_params(ops->target_kind);
	char text[1024], title[128];

	page_put(page, TONE_TITLE, "%s", ops->name);
	page_put(page, TONE_NORMAL, "  ");
	page_wrap(page, TONE_NORMAL, page->column, "%s", ops->summary);
	show_table(page, "Parameters", ops->params, NULL);
	if (target) {
		snprintf(title, sizeof(title), "Target: %s selected by",
			 target_kind_name(ops->target_kind));
		show_table(page, title, target, ops);
	}
	page_line(page);
	page_wrap(page, TONE_TITLE, 0, "Example, in the method of an experiment");
	example_step(ops, text, sizeof(text));
	page_tab(page, 2);
	page_uncut(page, TONE_NORMAL, text);
	page_line(page);
	page_wrap(page, TONE_TITLE, 0, "Example, on the command line");
	example_command(ops, text, sizeof(text));
	page_tab(page, 2);
	page_uncut(page, TONE_NORMAL, text);
}

static json_t *table_json(const struct param *table, const struct fault_ops *ops)
{
	json_t *list = json_array();
	char what[512];

	for (unsigned key = 0; table && table->name; table++, key++) {
		json_t *root;

		if (ops && !fault_takes(ops, key))
			continue;
		root = json_object();
		param_describe(table, what, sizeof(what));
		json_object_set_new(root, "name", json_text(table->name));
		json_object_set_new(root, "type", json_text(param_type_name(table->type)));
		json_object_set_new(root, "allowed", json_text(what));
		json_object_set_new(root, "required", json_boolean(table->flags & PARAM_REQUIRED));
		json_object_set_new(root, "list", json_boolean(table->flags & PARAM_LIST));
		json_object_set_new(root, "default", json_text(table->fallback));
		json_object_set_new(root, "doc", json_text(table->doc));
		json_array_append_new(list, root);
	}
	return list;
}

static json_t *fault_json(const struct fault_ops *ops)
{
	json_t *root = json_object();
	char text[1024];

	json_object_set_new(root, "name", json_text(ops->name));
	json_object_set_new(root, "summary", json_text(ops->summary));
	json_object_set_new(root, "instant_by_default", json_boolean(example_is_instant(ops)));
	json_object_set_new(root, "target",
			    ops->target_kind == TARGET_NONE
				    ? json_null()
				    : json_text(target_kind_name(ops->target_kind)));
	json_object_set_new(root, "parameters", table_json(ops->params, NULL));
	json_object_set_new(root, "selectors", table_json(target_params(ops->target_kind), ops));
	example_step(ops, text, sizeof(text));
	json_object_set_new(root, "example", json_text(text));
	return root;
}

static const struct fault_ops *find(const char *name, struct error *err)
{
	const struct fault_ops *ops = fault_find(name);
	const char *names[64], *nearest;
	unsigned count = 0;

	if (ops)
		return ops;
	for (const struct fault_ops *const *at = fault_all(); *at && count < 63; at++)
		names[count++] = (*at)->name;
	names[count] = NULL;
	nearest = names_nearest(names, name);
	error_set(err, EINVAL, "there is no fault '%s'%s%s%s", name,
		  nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
	error_remedy(err, "see: squall faults");
	return NULL;
}

int cli_faults(int argc, char **argv, struct error *err)
{
	const struct fault_ops *ops = NULL;
	struct options options = {.help = usage, .has_json = true, .max_operands = 1};
	struct page page;
	json_t *root;
	int result = options_parse(&options, argc, argv, err);

	if (result < 0 || options.helped)
		return result;
	if (options.operand_count) {
		ops = find(options.operands[0], err);
		if (!ops)
			return -EINVAL;
	}
	if (options.json) {
		root = ops ? fault_json(ops) : json_array();
		for (const struct fault_ops *const *at = fault_all(); !ops && *at; at++)
			json_array_append_new(root, fault_json(*at));
		return json_print(root, stdout, true, err);
	}
	page_init(&page, stdout, log_has_colour(STDOUT_FILENO), 0);
	if (ops)
		show_fault(&page, ops);
	else
		show_list(&page);
	return 0;
}
