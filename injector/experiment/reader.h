/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tree -> parameter tables, with the messages that go with it. Every function reports what is wrong
 * and goes on: the caller looks at problems at the end. Internal to injector/experiment.
 */
#ifndef SQUALL_EXPERIMENT_READER_H
#define SQUALL_EXPERIMENT_READER_H

#include "injector/base/params.h"
#include "injector/experiment/model.h"
#include "injector/experiment/problems.h"
#include "injector/experiment/tree.h"

#include <stdbool.h>

struct reader {
	struct problem_list *problems;
	struct experiment *experiment;	  /* being filled */
	struct experiment_inputs *inputs; /* NULL: none */
	bool has_no_probes,
		has_no_targets; /* unreadable: say nothing of names that are not there */
};

/* Names that are allowed in one place. */
#define NAME_LIST_MAX 64
struct name_list {
	const char *names[NAME_LIST_MAX + 1];
	unsigned count;
};
void name_list_add(struct name_list *list, const char *name);
void name_list_add_table(struct name_list *list, const struct param *table);

/* At a node; nothing is said about a TREE_BROKEN one. */
void reader_problem(struct reader *reader, const struct tree_node *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A secret where one cannot be: reported. */
bool reader_is_secret(struct reader *reader, const struct tree_node *node, const char *name,
		      bool is_allowed);
/* Is it of that kind? Otherwise: "WHAT must be a mapping like LIKE, not a list". */
bool reader_is(struct reader *reader, const struct tree_node *node, enum tree_kind kind,
	       const char *what, const char *like);
/* Stores the entry when its key is in the table. False: no such key there, nothing was done. */
bool reader_take(struct reader *reader, struct params *params, const struct tree_node *entry);
/* Parses `entry` (a value or a list) as parameter `index`. */
void reader_take_as(struct reader *reader, struct params *params, unsigned index,
		    const struct tree_node *entry);
/* "unknown key 'latncy' in WHERE; did you mean 'latency'? (allowed: ...)"; `more` may be NULL. */
void reader_unknown_key(struct reader *reader, const struct tree_node *entry, const char *where,
			const struct name_list *allowed, const char *more);
/* Reports what PARAM_REQUIRED is missing in the mapping (PARAM_TARGET aside). */
void reader_check_required(struct reader *reader, const struct params *params,
			   const struct tree_node *mapping, const char *where);
/* Is there a key of that name, or one that was reported as a misspelling of it? */
bool reader_has_misspelt(const struct tree_node *mapping, const char *name);
/* A whole mapping by one table. False: it is no mapping, or memory is out. Caller: params_free. */
bool reader_table(struct reader *reader, const struct tree_node *node, const char *what,
		  const char *like, const struct param *table, struct params *out);
/* Empty values of `table`. False: memory is out. */
bool reader_init(struct reader *reader, struct params *out, const struct param *table);
/* Is it usable as the name of a target or probe (entry's key)? */
bool reader_check_name(struct reader *reader, const struct tree_node *entry, const char *what);
/* Room for one more in an array of `count` elements; NULL and is_out_of_memory otherwise. */
void *reader_grow(struct reader *reader, void *array, unsigned count, size_t size);
char *reader_copy(struct reader *reader, const char *text);

/* "file.yaml:3" of a line that may be in another file than the problem. */
const char *reader_where(const struct reader *reader, int line, char *out, size_t size);
/* In one file the second of two equal keys is dropped; between files it is looked for: the entry
 * was defined at that line, too. False, after a message. */
bool reader_defined_twice(struct reader *reader, const struct tree_node *entry, const char *what,
			  int line);
/* Index of the probe, or -1 after a message at line:column. */
int reader_find_probe(struct reader *reader, const char *name, int line, int column);
/* Index of the named target, or -1 after a message at line:column. */
int reader_find_target(struct reader *reader, const char *name, int line, int column);

/* lists.c: what is in the files that the target names, as its values. */
/* yaml_targets.c: see there; once all targets and steps are known. */
void reader_check_targets(struct reader *reader);
void reader_load_lists(struct reader *reader, struct experiment_target *target);

/* The parts of a file, each in its own file. */
void reader_probes(struct reader *reader, const struct tree_node *node);
void reader_targets(struct reader *reader, const struct tree_node *node);
void reader_method(struct reader *reader, const struct tree_node *node);
void reader_require_before(struct reader *reader, const struct tree_node *node);
void reader_steady_state(struct reader *reader, const struct tree_node *node);
void reader_aborts(struct reader *reader, const struct tree_node *node);
void reader_expect(struct reader *reader, const struct tree_node *node);
void reader_notify(struct reader *reader, const struct tree_node *node);
void reader_recovery(struct reader *reader, const struct tree_node *node);

#endif
