/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading the policy: from a file that only root can have written, with the reader of experiments.
 */
#include "injector/policy/policy.h"

#include "faults/fault.h"
#include "injector/base/cleanup.h"
#include "injector/experiment/reader.h"
#include "injector/experiment/text.h"
#include "injector/journal/directory.h"
#include "injector/policy/policy_format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLICY_FILE_MAX (256 << 10)

void policy_free(struct policy *policy)
{
	if (!policy)
		return;
	params_free(&policy->root);
	for (unsigned i = 0; i < POLICY_SECTION_COUNT; i++)
		params_free(&policy->sections[i]);
	free(policy->windows);
	free(policy->blackout);
	free(policy);
}

static void report_value(struct reader *reader, const struct param_value *value,
			 const struct error *err)
{
	problems_add(reader->problems, value->line, value->column, "%s%s%s", err->text,
		     err->remedy[0] ? "; remedy: " : "", err->remedy);
}

static void read_times(struct reader *reader, struct policy *policy)
{
	unsigned windows = params_count(&policy->root, POLICY_WINDOWS);
	unsigned days = params_count(&policy->root, POLICY_BLACKOUT);

	policy->windows = calloc(windows + 1, sizeof(*policy->windows));
	policy->blackout = calloc(days + 1, sizeof(*policy->blackout));
	if (!policy->windows || !policy->blackout) {
		reader->problems->is_out_of_memory = true;
		return;
	}
	for (unsigned i = 0; i < windows; i++) {
		const struct param_value *value = params_value(&policy->root, POLICY_WINDOWS, i);
		struct error err = ERROR_INIT;

		if (calendar_parse_window(value->text, &policy->windows[i], &err) < 0)
			report_value(reader, value, &err);
	}
	for (unsigned i = 0; i < days; i++) {
		const struct param_value *value = params_value(&policy->root, POLICY_BLACKOUT, i);
		struct error err = ERROR_INIT;

		if (calendar_parse_dates(value->text, &policy->blackout[i], &err) < 0)
			report_value(reader, value, &err);
	}
}

/* A rule about a fault that does not exist would protect nobody. */
static void check_faults(struct reader *reader, const struct policy *policy)
{
	const struct params *allow = &policy->sections[POLICY_ALLOW];
	struct name_list known = {0};

	for (const struct fault_ops *const *ops = fault_all(); *ops; ops++)
		name_list_add(&known, (*ops)->name);
	for (unsigned i = 0; i < params_count(allow, POLICY_ALLOW_FAULTS); i++) {
		const struct param_value *value = params_value(allow, POLICY_ALLOW_FAULTS, i);
		const char *nearest = names_nearest(known.names, value->text);

		if (!fault_find(value->text))
			problems_add(reader->problems, value->line, value->column,
				     "there is no fault '%.40s'%s%s%s", value->text,
				     nearest ? "; did you mean '" : "; squall faults lists them",
				     nearest ? nearest : "", nearest ? "'?" : "");
	}
}

/* What is a name today may be another address tomorrow: rules are about addresses. */
static void check_addresses(struct reader *reader, const struct params *params, unsigned index)
{
	for (unsigned i = 0; i < params_count(params, index); i++) {
		const struct param_value *value = params_value(params, index, i);

		if (value->endpoint.is_name)
			problems_add(reader->problems, value->line, value->column,
				     "'%.60s' is a host name; a rule needs addresses", value->text);
	}
}

/* A rule about files that is no path would never hold. */
static void check_paths(struct reader *reader, const struct params *params, unsigned index)
{
	for (unsigned i = 0; i < params_count(params, index); i++) {
		const struct param_value *value = params_value(params, index, i);

		if (value->text[0] != '/' && value->text[0] != '*')
			problems_add(reader->problems, value->line, value->column,
				     "'%.60s' is no path: it begins with / (or *), like "
				     "/etc/nginx/*",
				     value->text);
	}
}

static int find_section(const char *name)
{
	for (int i = 0; i < POLICY_SECTION_COUNT; i++)
		if (strcmp(policy_sections[i].name, name) == 0)
			return i;
	return -1;
}

static void read_section(struct reader *reader, const struct tree_node *entry, unsigned index,
			 struct policy *policy)
{
	const struct policy_section_format *section = &policy_sections[index];
	struct params read;

	/* the empty values of before stay when there is nothing to read */
	if (!reader_table(reader, entry, section->name, section->like, section->table, &read))
		return;
	params_free(&policy->sections[index]);
	policy->sections[index] = read;
}

static void read_root(struct reader *reader, const struct tree_node *root, struct policy *policy)
{
	struct name_list allowed = {0};

	if (!reader_is(reader, root, TREE_MAPPING, "a policy",
		       "version: 1, allow: {...}, limits: {...}"))
		return;
	name_list_add_table(&allowed, policy_root);
	for (unsigned i = 0; i < POLICY_SECTION_COUNT; i++)
		name_list_add(&allowed, policy_sections[i].name);
	for (const struct tree_node *entry = root->first; entry; entry = entry->next) {
		int section = find_section(entry->key->text);

		if (section >= 0)
			read_section(reader, entry, (unsigned)section, policy);
		else if (entry->kind != TREE_BROKEN && !reader_take(reader, &policy->root, entry))
			reader_unknown_key(reader, entry, "a policy", &allowed, NULL);
	}
	reader_check_required(reader, &policy->root, root, "the policy");
	read_times(reader, policy);
	check_faults(reader, policy);
	check_addresses(reader, &policy->sections[POLICY_ALLOW], POLICY_ALLOW_NETWORKS);
	check_addresses(reader, &policy->sections[POLICY_PROTECT], POLICY_PROTECT_ADDRESSES);
	check_paths(reader, &policy->sections[POLICY_ALLOW], POLICY_ALLOW_FILES);
	check_paths(reader, &policy->sections[POLICY_PROTECT], POLICY_PROTECT_FILES);
}

static struct policy *make_empty(struct reader *reader, const char *path)
{
	struct policy *policy = calloc(1, sizeof(*policy));
	bool is_made = policy && reader_init(reader, &policy->root, policy_root);

	for (unsigned i = 0; is_made && i < POLICY_SECTION_COUNT; i++)
		is_made = reader_init(reader, &policy->sections[i], policy_sections[i].table);
	if (!is_made) {
		reader->problems->is_out_of_memory = true;
		policy_free(policy);
		return NULL;
	}
	snprintf(policy->path, sizeof(policy->path), "%s", path);
	return policy;
}

int policy_parse(const char *text, size_t length, const char *path, struct policy **out,
		 struct yaml_problems *problems, struct error *err)
{
	struct problem_list list = {0};
	struct reader reader = {.problems = &list};
	struct policy *policy = make_empty(&reader, path);
	struct tree tree = {0};

	if (policy && text_check(text, length, &list))
		tree_parse(text, length, &list, &tree);
	if (policy && tree.root)
		read_root(&reader, tree.root, policy);
	tree_free(&tree);
	problems_finish(&list);
	*problems = list.found;
	if (list.is_out_of_memory || list.found.count) {
		policy_free(policy);
		if (list.is_out_of_memory)
			return error_errno(err, ENOMEM, "cannot read %s", path);
		error_set(err, EINVAL, "%s:%d:%d: %s", path, list.found.list[0].line,
			  list.found.list[0].column, list.found.list[0].text);
		return error_remedy(err,
				    "until it is mended nothing may be injected: squall policy");
	}
	*out = policy;
	return 0;
}

int policy_load(const char *path, struct policy **out, struct yaml_problems *problems,
		struct error *err)
{
	cleanup_free char *text = NULL;
	size_t length = 0;
	int result;

	*problems = (struct yaml_problems){0};
	result = directory_read_file(path, POLICY_FILE_MAX, &text, &length, err);
	if (result == -ENOENT)
		return 0;
	if (result == 0)
		result = policy_parse(text, length, path, out, problems, err);
	return result;
}
