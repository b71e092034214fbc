/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What must hold before and afterwards, and when to stop: require-before, steady-state, recovery,
 * abort-when. What is expected meanwhile is read in yaml_expect.c.
 */
#include "injector/experiment/format.h"
#include "injector/experiment/reader.h"

#include "injector/base/quantity.h"

#include <stdlib.h>

#define ABORT_MAX_IN_A_ROW 10000

/* The list of probes that both steady-state and recovery begin with. */
static void bind_required(struct reader *reader, const struct params *values, unsigned index,
			  struct experiment_requirement *out)
{
	bool is_there[EXPERIMENT_MAX_PROBES] = {0};

	for (unsigned i = 0; i < params_count(values, index); i++) {
		const struct param_value *name = params_value(values, index, i);
		int probe = reader_find_probe(reader, name->text, name->line, name->column);
		unsigned *grown;

		if (reader->problems->is_full)
			return;
		if (probe < 0)
			continue;
		if (is_there[probe]) {
			problems_add(reader->problems, name->line, name->column,
				     "probe '%.63s' is required twice", name->text);
			continue;
		}
		is_there[probe] = true;
		grown = reader_grow(reader, out->probes, out->count, sizeof(*grown));
		if (!grown)
			return;
		out->probes = grown;
		out->probes[out->count++] = (unsigned)probe;
	}
}

/* Each probe keeps its own time; the phase lasts as long as the longest. */
static void merge_steady(struct reader *reader, const struct tree_node *node,
			 const struct experiment_requirement *one,
			 struct experiment_requirement *all)
{
	for (unsigned i = 0; i < one->count; i++) {
		unsigned *probes;
		int64_t *each;

		for (unsigned j = 0; j < all->count; j++)
			if (all->probes[j] == one->probes[i])
				reader_problem(reader, node, "probe '%.63s' is required twice",
					       reader->experiment->probes[one->probes[i]].name);
		probes = reader_grow(reader, all->probes, all->count, sizeof(*probes));
		if (!probes)
			return;
		all->probes = probes;
		each = reader_grow(reader, all->each_ns, all->count, sizeof(*each));
		if (!each)
			return;
		all->each_ns = each;
		all->each_ns[all->count] = one->for_ns;
		all->probes[all->count++] = one->probes[i];
	}
	if (one->for_ns > all->for_ns)
		all->for_ns = one->for_ns;
	if (one->within_ns > all->within_ns)
		all->within_ns = one->within_ns;
}

/* One of several: {require: [...], for: ..., within: ...}, added to what there is. */
static void read_steady(struct reader *reader, const struct tree_node *node)
{
	struct experiment_requirement *steady = &reader->experiment->steady_state, one = {0};
	const struct tree_node *within;
	struct params values;

	if (reader_table(reader, node, "'steady-state'", format_sections[SECTION_STEADY_STATE].like,
			 format_steady_state, &values)) {
		bind_required(reader, &values, STEADY_REQUIRE, &one);
		one.for_ns = params_number(&values, STEADY_FOR, 0);
		one.within_ns = params_number(&values, STEADY_WITHIN, 0);
		within = tree_find(node, "within");
		if (within && one.within_ns && one.within_ns < one.for_ns)
			reader_problem(reader, within,
				       "'within' (%s) is shorter than 'for' (%s): it could never "
				       "be steady for so long",
				       params_text(&values, STEADY_WITHIN),
				       params_text(&values, STEADY_FOR));
		merge_steady(reader, node, &one, steady);
	}
	free(one.probes);
	params_free(&values);
}

void reader_steady_state(struct reader *reader, const struct tree_node *node)
{
	if (node->kind != TREE_LIST || !node->count) {
		read_steady(reader, node);
		return;
	}
	for (const struct tree_node *at = node->first; at; at = at->next)
		read_steady(reader, at);
}

void reader_recovery(struct reader *reader, const struct tree_node *node)
{
	struct experiment_requirement *recovery = &reader->experiment->recovery;
	struct params values;

	if (reader_table(reader, node, "'recovery'", format_sections[SECTION_RECOVERY].like,
			 format_recovery, &values)) {
		bind_required(reader, &values, RECOVERY_REQUIRE, recovery);
		recovery->within_ns = params_number(&values, RECOVERY_WITHIN, 0);
		recovery->for_ns = params_number(&values, RECOVERY_HOLD, 0);
		recovery->weight = (unsigned)params_number(&values, RECOVERY_WEIGHT, 1);
	}
	params_free(&values);
}

/* `fails: 3` in a row, or `fails: 20%` with `over`. */
static void read_fails(struct reader *reader, const struct tree_node *node,
		       const struct params *values, struct experiment_abort *abort)
{
	const struct param_value *fails = params_value(values, ABORT_FAILS, 0);
	const struct tree_node *over = tree_find(node, "over");
	int64_t number = 0;

	if (!fails)
		return;
	if (quantity_parse_integer(fails->text, &number, NULL) == 0) {
		abort->fails = (unsigned)number;
		if (number < 1 || number > ABORT_MAX_IN_A_ROW)
			problems_add(reader->problems, fails->line, fails->column,
				     "fails: '%.40s' is out of range: 1 to %d failures in a row",
				     fails->text, ABORT_MAX_IN_A_ROW);
		else if (over)
			reader_problem(reader, over->key,
				       "'over' goes with a share; 'fails: %s' means %s failures in "
				       "a row (write 'fails: 20%%' for a share)",
				       fails->text, fails->text);
		return;
	}
	if (quantity_parse_share(fails->text, &abort->share_ppb, NULL) < 0)
		problems_add(reader->problems, fails->line, fails->column,
			     "fails: '%.40s' is neither a number of failures in a row (3) nor a "
			     "share of the attempts (20%%)",
			     fails->text);
	else if (abort->share_ppb < 1 || abort->share_ppb > SHARE_ONE)
		problems_add(reader->problems, fails->line, fails->column,
			     "fails: '%.40s' is out of range: more than 0%% and at most 100%%",
			     fails->text);
	else if (!over)
		reader_problem(reader, node,
			       "'over' is missing: the time over which %s of the attempts are "
			       "counted, like over: 30s",
			       fails->text);
}

static void read_abort(struct reader *reader, const struct tree_node *node)
{
	struct experiment *experiment = reader->experiment;
	struct experiment_abort abort = {0}, *grown;
	const struct param_value *probe;
	struct params values;
	int index;

	if (!reader_table(reader, node, "an abort condition", "{probe: shop, fails: 3}",
			  format_abort, &values)) {
		params_free(&values);
		return;
	}
	abort.over_ns = params_number(&values, ABORT_OVER, 0);
	read_fails(reader, node, &values, &abort);
	probe = params_value(&values, ABORT_PROBE, 0);
	index = probe ? reader_find_probe(reader, probe->text, probe->line, probe->column) : -1;
	grown = index < 0 ? NULL
			  : reader_grow(reader, experiment->aborts, experiment->abort_count,
					sizeof(*grown));
	if (grown) {
		abort.probe = (unsigned)index;
		experiment->aborts = grown;
		grown[experiment->abort_count++] = abort;
		if (abort.share_ppb && abort.over_ns &&
		    abort.over_ns < experiment->probes[index].every_ns)
			reader_problem(reader, tree_find(node, "over"),
				       "'over' is shorter than the interval of probe '%s': there "
				       "may be no attempt to count",
				       probe->text);
	}
	params_free(&values);
}

void reader_aborts(struct reader *reader, const struct tree_node *node)
{
	unsigned read = 0;

	if (!reader_is(reader, node, TREE_LIST, "'abort-when'",
		       format_sections[SECTION_ABORT_WHEN].like))
		return;
	for (const struct tree_node *at = node->first; at; at = at->next) {
		if (reader->problems->is_full || reader->problems->is_out_of_memory)
			return;
		if (read++ == EXPERIMENT_MAX_ABORTS) {
			reader_problem(reader, at, "more than %d abort conditions",
				       EXPERIMENT_MAX_ABORTS);
			return;
		}
		read_abort(reader, at);
	}
}

void reader_require_before(struct reader *reader, const struct tree_node *node)
{
	static const struct param table[] = {{.name = "require-before",
					      .type = PARAM_NAME,
					      .flags = PARAM_LIST,
					      .doc = "probes"},
					     {0}};
	struct experiment_requirement *before = &reader->experiment->require_before;
	struct params values;

	if (!reader_init(reader, &values, table))
		return;
	reader_take_as(reader, &values, 0, node);
	bind_required(reader, &values, 0, before);
	params_free(&values);
}
