/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * expect: [{probe: NAME, holds: 99%}, {probe: NAME, detected-within: 30s}, {probe: NAME,
 * degrades-to: NAME}], each with `of: STEP` and `weight: N`.
 */
#include "injector/experiment/format.h"
#include "injector/experiment/reader.h"

#include "injector/base/quantity.h"

#include <string.h>

static const char expect_like[] = "{probe: shop, holds: 99%}";

/* Index of a step by its name, or -1 after a message. */
static int find_step(struct reader *reader, const struct param_value *name)
{
	const struct experiment *experiment = reader->experiment;
	const char *names[EXPERIMENT_MAX_STEPS + 1] = {0}, *nearest;
	unsigned count = 0;

	for (unsigned i = 0; i < experiment->step_count; i++) {
		if (!experiment->steps[i].name)
			continue;
		if (strcmp(experiment->steps[i].name, name->text) == 0)
			return (int)i;
		names[count++] = experiment->steps[i].name;
	}
	nearest = names_nearest(names, name->text);
	problems_add(reader->problems, name->line, name->column, "there is no step '%.60s'%s%s%s",
		     name->text, nearest ? "; did you mean '" : "; a step gets its name by 'name: ",
		     nearest ? nearest : name->text, nearest ? "'?" : "'");
	return -1;
}

/* Exactly one of the three. */
static void read_kind(struct reader *reader, const struct tree_node *node,
		      const struct params *values, struct experiment_expectation *out)
{
	const struct param_value *instead;
	bool is_misspelt = false;
	unsigned given = 0;

	for (unsigned i = EXPECT_HOLDS; i <= EXPECT_DEGRADES_TO; i++) {
		is_misspelt |= reader_has_misspelt(node, format_expect[i].name);
		if (!tree_find(node, format_expect[i].name))
			continue;
		out->kind = (enum expectation_kind)(i - EXPECT_HOLDS);
		given++;
	}
	if (given == 0 && is_misspelt)
		return;
	if (given != 1) {
		reader_problem(reader, node,
			       "an expectation says one of: holds: 99%%, detected-within: 30s, "
			       "degrades-to: PROBE");
		return;
	}
	out->share_ppb = params_number(values, EXPECT_HOLDS, SHARE_ONE);
	out->within_ns = params_number(values, EXPECT_DETECTED, 0);
	instead = params_value(values, EXPECT_DEGRADES_TO, 0);
	if (instead) {
		int index =
			reader_find_probe(reader, instead->text, instead->line, instead->column);

		out->fallback = index < 0 ? 0 : (unsigned)index;
		if (index >= 0 && out->fallback == out->probe)
			problems_add(reader->problems, instead->line, instead->column,
				     "a probe cannot stand in for itself");
	}
}

static void read_expectation(struct reader *reader, const struct tree_node *node)
{
	struct experiment *experiment = reader->experiment;
	struct experiment_expectation one = {.step = -1}, *grown;
	const struct param_value *probe, *step;
	struct params values;
	int index;

	if (!reader_table(reader, node, "an expectation", expect_like, format_expect, &values)) {
		params_free(&values);
		return;
	}
	probe = params_value(&values, EXPECT_PROBE, 0);
	index = probe ? reader_find_probe(reader, probe->text, probe->line, probe->column) : -1;
	one.probe = index < 0 ? UINT32_MAX : (unsigned)index;
	one.weight = (unsigned)params_number(&values, EXPECT_WEIGHT, 1);
	read_kind(reader, node, &values, &one);
	step = params_value(&values, EXPECT_OF, 0);
	if (step)
		one.step = find_step(reader, step);
	grown = index < 0 ? NULL
			  : reader_grow(reader, experiment->expectations,
					experiment->expectation_count, sizeof(*grown));
	if (grown) {
		experiment->expectations = grown;
		grown[experiment->expectation_count++] = one;
	}
	params_free(&values);
}

void reader_expect(struct reader *reader, const struct tree_node *node)
{
	unsigned read = 0;

	if (!reader_is(reader, node, TREE_LIST, "'expect'", format_sections[SECTION_EXPECT].like))
		return;
	for (const struct tree_node *at = node->first; at; at = at->next) {
		if (reader->problems->is_full || reader->problems->is_out_of_memory)
			return;
		if (read++ == EXPERIMENT_MAX_EXPECTATIONS) {
			reader_problem(reader, at, "more than %d expectations",
				       EXPERIMENT_MAX_EXPECTATIONS);
			return;
		}
		read_expectation(reader, at);
	}
}
