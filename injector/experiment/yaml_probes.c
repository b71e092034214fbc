/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * probes: {NAME: {KIND: SUBJECT, every:, timeout:, expect: {...}, keys of the kind}}
 */
#include "injector/experiment/format.h"
#include "injector/experiment/reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SUBJECT_MAX 4096 /* bytes of a URL or an argument */

static const char probe_like[] = "{http: \"http://127.0.0.1/\", every: 1s, expect: {status: 200}}";

struct probe_reading {
	struct reader *reader;
	struct probe_spec *spec;
	const struct tree_node *node, *kind, *expect;
	struct params common;
	char what[80]; /* "probe 'checkout'" */
};

static void list_keys(const struct probe_ops *ops, struct name_list *names)
{
	if (ops)
		name_list_add(names, ops->name);
	else
		for (const struct probe_ops *const *each = probe_all(); *each; each++)
			name_list_add(names, (*each)->name);
	name_list_add_table(names, format_probe);
	name_list_add(names, "expect");
	if (ops)
		name_list_add_table(names, ops->params);
}

/* `status: 200` beside `expect` instead of in it. */
static const char *explain_key(const struct probe_ops *ops, const char *key, char *out, size_t size)
{
	bool is_expected = ops && ops->expect && params_find(ops->expect, key) >= 0;

	for (const struct probe_ops *const *each = probe_all(); !ops && *each; each++)
		is_expected |= (*each)->expect && params_find((*each)->expect, key) >= 0;
	if (!is_expected)
		return NULL;
	snprintf(out, size, "it belongs in 'expect: {%s: ...}'", key);
	return out;
}

/* Is the entry the kind of the probe? A word may be a kind and a key of another kind: `command`
 * narrows a `process` probe down. */
static bool is_kind(const struct tree_node *probe, const struct tree_node *entry)
{
	if (entry->kind == TREE_BROKEN || !probe_find(entry->key->text))
		return false;
	for (const struct tree_node *at = probe->first; at; at = at->next) {
		const struct probe_ops *other = probe_find(at->key->text);

		if (at != entry && other && other->params &&
		    params_find(other->params, entry->key->text) >= 0)
			return false;
	}
	return true;
}

static void report_no_kind(struct probe_reading *reading)
{
	struct name_list kinds = {0};
	char list[200] = "";

	for (const struct probe_ops *const *each = probe_all(); *each; each++) {
		name_list_add(&kinds, (*each)->name);
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
			 list[0] ? ", " : "", (*each)->name);
	}
	/* a misspelt kind is reported as such */
	for (const struct tree_node *entry = reading->node->first; entry; entry = entry->next)
		if (entry->kind == TREE_BROKEN || names_nearest(kinds.names, entry->key->text))
			return;
	reader_problem(reading->reader, reading->node, "%s has no kind; give one of: %s",
		       reading->what, list);
}

static void find_kind(struct probe_reading *reading)
{
	for (const struct tree_node *entry = reading->node->first; entry; entry = entry->next) {
		if (!is_kind(reading->node, entry))
			continue;
		if (!reading->kind) {
			reading->kind = entry;
			reading->spec->ops = probe_find(entry->key->text);
		} else {
			reader_problem(reading->reader, entry->key,
				       "a probe is of one kind: '%s' is already given in line %d",
				       reading->spec->ops->name,
				       TREE_LINE(reading->kind->key->line));
		}
	}
	if (!reading->kind)
		report_no_kind(reading);
}

static void add_subject(struct probe_reading *reading, const struct tree_node *node)
{
	struct probe_spec *spec = reading->spec;
	struct reader *reader = reading->reader;
	char **grown;

	if (node->kind != TREE_SCALAR || node->is_null) {
		reader_problem(reader, node, "'%s' must be: %s; here is %s", spec->ops->name,
			       spec->ops->subject_doc, tree_kind_name(node));
		return;
	}
	if (reader_is_secret(reader, node, spec->ops->name, false))
		return;
	if (!spec->ops->subject_is_list || spec->subject_count == 0) {
		if (!*node->text)
			reader_problem(reader, node, "'%s' is empty; it must be: %s",
				       spec->ops->name, spec->ops->subject_doc);
		for (const char *at = node->text; *at; at++)
			if ((unsigned char)*at < 0x20 || *at == 0x7f) {
				reader_problem(reader, node,
					       "'%s' contains a control character or a line break",
					       spec->ops->name);
				break;
			}
	}
	if (strlen(node->text) > SUBJECT_MAX)
		reader_problem(reader, node, "'%s' has %zu bytes; at most %d are allowed",
			       spec->ops->name, strlen(node->text), SUBJECT_MAX);
	/* one slot ahead: the array ends with NULL */
	grown = reader_grow(reader, spec->subject, spec->subject_count + 1, sizeof(char *));
	if (!grown)
		return;
	spec->subject = grown;
	spec->subject[spec->subject_count] = reader_copy(reader, node->text);
	spec->subject[++spec->subject_count] = NULL;
}

/* `command: "redis-cli ping"`: no shell is there that would split it. */
static void refuse_line(struct probe_reading *reading, const struct tree_node *node)
{
	char words[200] = "", line[160], *rest = line, *word;

	snprintf(line, sizeof(line), "%s", node->text);
	while ((word = strsep(&rest, " ")))
		if (*word)
			snprintf(words + strlen(words), sizeof(words) - strlen(words), "%s%s",
				 words[0] ? ", " : "", word);
	reader_problem(reading->reader, node,
		       "'%s' is a list of words, which no shell splits or expands; write [%s]",
		       reading->spec->ops->name, words);
}

static void read_subject(struct probe_reading *reading)
{
	const struct probe_ops *ops = reading->spec->ops;
	const struct tree_node *node = reading->kind;

	if (node->kind != TREE_LIST || !ops->subject_is_list) {
		add_subject(reading, node);
		if (ops->subject_is_list && node->kind == TREE_SCALAR && strchr(node->text, ' '))
			refuse_line(reading, node);
		return;
	}
	if (!node->count)
		reader_problem(reading->reader, node, "'%s' is an empty list; it must be: %s",
			       ops->name, ops->subject_doc);
	for (const struct tree_node *at = node->first; at; at = at->next)
		add_subject(reading, at);
}

static void read_expect(struct probe_reading *reading)
{
	const struct probe_ops *ops = reading->spec->ops;
	char like[120], what[sizeof(reading->what) + 16];

	if (!ops->expect || !ops->expect[0].name) {
		reader_problem(reading->reader, reading->expect->key,
			       "a probe of kind '%s' expects nothing that could be set", ops->name);
		return;
	}
	snprintf(like, sizeof(like), "{%s: ...}", ops->expect[0].name);
	snprintf(what, sizeof(what), "'expect' of %s", reading->what);
	params_free(&reading->spec->expect);
	if (!reader_table(reading->reader, reading->expect, what, like, ops->expect,
			  &reading->spec->expect) &&
	    !reading->spec->expect.settings)
		reader_init(reading->reader, &reading->spec->expect, ops->expect);
}

static void read_keys(struct probe_reading *reading)
{
	struct reader *reader = reading->reader;
	const struct probe_ops *ops = reading->spec->ops;
	struct name_list allowed = {0};
	char more[120];

	list_keys(ops, &allowed);
	for (const struct tree_node *entry = reading->node->first; entry; entry = entry->next) {
		if (entry->kind == TREE_BROKEN || is_kind(reading->node, entry))
			continue;
		if (strcmp(entry->key->text, "expect") == 0)
			reading->expect = entry;
		else if (!reader_take(reader, &reading->common, entry) &&
			 !reader_take(reader, &reading->spec->params, entry))
			reader_unknown_key(reader, entry, reading->what, &allowed,
					   explain_key(ops, entry->key->text, more, sizeof(more)));
	}
}

static void read_probe(struct reader *reader, const struct tree_node *node, struct probe_spec *spec)
{
	struct probe_reading reading = {.reader = reader, .spec = spec, .node = node};
	unsigned before = reader->problems->found.count;
	struct error err = ERROR_INIT;

	snprintf(reading.what, sizeof(reading.what), "probe '%.63s'", spec->name);
	if (!reader_is(reader, node, TREE_MAPPING, reading.what, probe_like))
		return;
	find_kind(&reading);
	if (!reader_init(reader, &reading.common, format_probe))
		return;
	if (!spec->ops || (reader_init(reader, &spec->params, spec->ops->params) &&
			   reader_init(reader, &spec->expect, spec->ops->expect)))
		read_keys(&reading);
	if (spec->ops && spec->params.settings && spec->expect.settings) {
		read_subject(&reading);
		reader_check_required(reader, &spec->params, node, reading.what);
		if (reading.expect)
			read_expect(&reading);
	}
	spec->every_ns = params_number(&reading.common, PROBE_EVERY, 0);
	spec->timeout_ns = params_number(&reading.common, PROBE_TIMEOUT, 0);
	params_free(&reading.common);
	if (!spec->ops || !spec->ops->check || reader->problems->found.count != before ||
	    reader->problems->is_full || reader->problems->is_out_of_memory)
		return;
	if (spec->ops->check(spec, &err) < 0)
		reader_problem(reader, reading.kind, "%s: %s%s%s", spec->ops->name, err.text,
			       err.remedy[0] ? "; remedy: " : "", err.remedy);
}

static bool is_new(struct reader *reader, const struct tree_node *entry)
{
	const struct experiment *experiment = reader->experiment;

	for (unsigned i = 0; i < experiment->probe_count; i++)
		if (strcmp(experiment->probes[i].name, entry->key->text) == 0)
			return reader_defined_twice(reader, entry, "probe",
						    experiment->probes[i].line);
	return true;
}

void reader_probes(struct reader *reader, const struct tree_node *node)
{
	struct experiment *experiment = reader->experiment;

	if (!reader_is(reader, node, TREE_MAPPING, "'probes'",
		       format_sections[SECTION_PROBES].like)) {
		reader->has_no_probes = true;
		return;
	}
	for (const struct tree_node *entry = node->first; entry; entry = entry->next) {
		struct probe_spec *grown, *spec;

		if (entry->kind == TREE_BROKEN || !reader_check_name(reader, entry, "probe") ||
		    !is_new(reader, entry))
			continue;
		if (experiment->probe_count == EXPERIMENT_MAX_PROBES) {
			reader_problem(reader, entry->key, "more than %d probes",
				       EXPERIMENT_MAX_PROBES);
			return;
		}
		grown = reader_grow(reader, experiment->probes, experiment->probe_count,
				    sizeof(*grown));
		if (!grown)
			return;
		experiment->probes = grown;
		spec = &grown[experiment->probe_count];
		*spec = (struct probe_spec){.line = entry->key->line, .column = entry->key->column};
		spec->name = reader_copy(reader, entry->key->text);
		if (!spec->name)
			return;
		experiment->probe_count++;
		read_probe(reader, entry, spec);
		if (reader->problems->is_full || reader->problems->is_out_of_memory)
			return;
	}
}
