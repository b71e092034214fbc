/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A YAML file as a tree of nodes that know their position. A plain subset: no anchors, aliases,
 * tags, merge keys or second documents. Internal to injector/experiment.
 */
#ifndef SQUALL_EXPERIMENT_TREE_H
#define SQUALL_EXPERIMENT_TREE_H

#include "injector/experiment/problems.h"

#include <stdbool.h>
#include <stddef.h>

#define TREE_MAX_DEPTH 8

enum tree_kind {
	TREE_SCALAR,
	TREE_LIST,
	TREE_MAPPING,
	TREE_BROKEN, /* reported already: say nothing more about it */
};

struct tree_node {
	enum tree_kind kind;
	int line, column;	 /* the line with the file in it, see problems.h */
	const char *text;	 /* TREE_SCALAR */
	bool is_null;		 /* TREE_SCALAR: nothing there, ~ or null */
	bool is_secret;		 /* TREE_SCALAR: may not be shown to anybody */
	struct tree_node *key;	 /* of an entry of a mapping; a TREE_SCALAR */
	struct tree_node *first; /* TREE_LIST, TREE_MAPPING: entries in the order of the file */
	struct tree_node *next;
	struct tree_node *last;
	unsigned count;
};

struct tree {
	struct tree_node *root; /* NULL: no tree, the problems say why */
	struct tree_block *blocks;
};

/* Never fails: no root when the text is not well-formed, with at least one problem (or
 * problems->is_out_of_memory). Duplicate keys are reported and left out. Caller: tree_free(). */
void tree_parse(const char *text, size_t length, struct problem_list *problems, struct tree *out);
void tree_free(struct tree *tree);

/* The entry of a mapping with that key, or NULL. */
const struct tree_node *tree_find(const struct tree_node *mapping, const char *key);
/* Something in it was reported already: what seems to be missing may be that. */
bool tree_has_broken(const struct tree_node *mapping);
/* For what is made from a tree, and goes with it. NULL: problems->is_out_of_memory. */
void *tree_allocate(struct tree *tree, struct problem_list *problems, size_t size);
void tree_append(struct tree_node *parent, struct tree_node *child);
/* "a mapping", "a list", "a single value", "nothing" */
const char *tree_kind_name(const struct tree_node *node);

#endif
