/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libyaml's events -> tree. Events, not libyaml's own loader: that one resolves aliases (a few
 * hundred bytes can become gigabytes), takes the last of two equal keys and forgets positions.
 */
#include "injector/experiment/tree.h"

#include "injector/experiment/hint.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define BLOCK_SIZE 65536

struct tree_block {
	struct tree_block *next;
	size_t used, size;
	char bytes[];
};

struct builder {
	struct tree *tree;
	struct problem_list *problems;
	const char *text;
	size_t length;
	unsigned documents;
	struct level {
		struct tree_node *node;
		struct tree_node *key; /* mapping: read, its value is awaited */
	} levels[TREE_MAX_DEPTH];
	unsigned depth;
};

void *tree_allocate(struct tree *tree, struct problem_list *problems, size_t size)
{
	struct tree_block *block = tree->blocks;
	void *result;

	size = (size + 15) & ~(size_t)15;
	if (!block || block->size - block->used < size) {
		size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;

		block = malloc(sizeof(*block) + room);
		if (!block) {
			problems->is_out_of_memory = true;
			return NULL;
		}
		*block = (struct tree_block){.next = tree->blocks, .size = room};
		tree->blocks = block;
	}
	result = block->bytes + block->used;
	block->used += size;
	return memset(result, 0, size);
}

static void *allocate(struct builder *builder, size_t size)
{
	return tree_allocate(builder->tree, builder->problems, size);
}

void tree_free(struct tree *tree)
{
	while (tree->blocks) {
		struct tree_block *next = tree->blocks->next;

		free(tree->blocks);
		tree->blocks = next;
	}
	tree->root = NULL;
}

static struct tree_node *new_node(struct builder *builder, enum tree_kind kind,
				  const yaml_mark_t *at)
{
	struct tree_node *node = allocate(builder, sizeof(*node));

	if (node) {
		node->kind = kind;
		node->line = ((int)at->line + 1) | (int)(builder->problems->file << TREE_LINE_BITS);
		node->column = (int)at->column + 1;
	}
	return node;
}

/* What makes the same file mean something else elsewhere: refused, named, and otherwise ignored. */
static void refuse_decoration(struct builder *builder, const yaml_event_t *event,
			      const yaml_char_t *anchor, const yaml_char_t *tag)
{
	int line = (int)event->start_mark.line + 1, column = (int)event->start_mark.column + 1;

	if (anchor)
		problems_add(builder->problems, line, column,
			     "anchors are not allowed ('&%.60s'); if the value begins with '&', "
			     "put it in quotes",
			     (const char *)anchor);
	if (tag)
		problems_add(builder->problems, line, column,
			     "tags are not allowed ('%.60s'); if the value begins with '!', put it "
			     "in quotes",
			     (const char *)tag);
}

static struct tree_node *new_scalar(struct builder *builder, const yaml_event_t *event)
{
	struct tree_node *node = new_node(builder, TREE_SCALAR, &event->start_mark);
	const char *value = (const char *)event->data.scalar.value;
	size_t length = event->data.scalar.length;
	yaml_scalar_style_t style = event->data.scalar.style;
	char *copy;

	refuse_decoration(builder, event, event->data.scalar.anchor, event->data.scalar.tag);
	if (!node)
		return NULL;
	if (memchr(value, '\0', length)) {
		problems_add(builder->problems, node->line, node->column,
			     "the value contains a NUL character");
		node->kind = TREE_BROKEN;
		length = 0;
	}
	/* the line end that closes a block text ("|", ">") is not part of what was meant */
	if (style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE)
		while (length && value[length - 1] == '\n')
			length--;
	copy = allocate(builder, length + 1);
	if (!copy)
		return NULL;
	memcpy(copy, value, length);
	node->text = copy;
	node->is_null = style == YAML_PLAIN_SCALAR_STYLE &&
			(!*copy || strcmp(copy, "~") == 0 || strcmp(copy, "null") == 0);
	return node;
}

void tree_append(struct tree_node *parent, struct tree_node *child)
{
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
	parent->count++;
}

static void take_key(struct builder *builder, struct level *level, struct tree_node *node)
{
	if (node->kind == TREE_SCALAR && node->is_null) {
		problems_add(builder->problems, node->line, node->column, "a key is missing");
		node->kind = TREE_BROKEN;
	} else if (node->kind == TREE_SCALAR && strcmp(node->text, "<<") == 0) {
		problems_add(builder->problems, node->line, node->column,
			     "merge keys ('<<') are not allowed; write the keys out");
		node->kind = TREE_BROKEN;
	} else if (node->kind == TREE_LIST || node->kind == TREE_MAPPING) {
		/* a list as a key is most often [fd00::1]:443 without quotes */
		problems_add(builder->problems, node->line, node->column,
			     "a key must be a single word, not %s%s", tree_kind_name(node),
			     node->kind == TREE_LIST ? HINT_IPV6 : "");
	}
	level->key = node;
}

/* Puts a node where the events are: a key that is a collection, and its value, are left out. */
static void place(struct builder *builder, struct tree_node *node)
{
	struct level *level;

	if (builder->depth == 0) {
		builder->tree->root = node;
		return;
	}
	level = &builder->levels[builder->depth - 1];
	if (level->node->kind == TREE_MAPPING && !level->key) {
		take_key(builder, level, node);
		return;
	}
	if (level->node->kind == TREE_MAPPING) {
		node->key = level->key;
		level->key = NULL;
		if (node->key->kind != TREE_SCALAR)
			return;
	}
	tree_append(level->node, node);
}

static bool open_collection(struct builder *builder, enum tree_kind kind, const yaml_event_t *event,
			    const yaml_char_t *anchor, const yaml_char_t *tag)
{
	struct tree_node *node = new_node(builder, kind, &event->start_mark);

	refuse_decoration(builder, event, anchor, tag);
	if (!node)
		return false;
	if (builder->depth == TREE_MAX_DEPTH) {
		problems_add(builder->problems, node->line, node->column,
			     "nested too deeply: at most %d levels are allowed", TREE_MAX_DEPTH);
		return false;
	}
	place(builder, node);
	builder->levels[builder->depth++] = (struct level){.node = node};
	return true;
}

static int compare_keys(const void *a, const void *b)
{
	const struct tree_node *x = *(struct tree_node *const *)a;
	const struct tree_node *y = *(struct tree_node *const *)b;
	int order = strcmp(x->key->text, y->key->text);

	if (order)
		return order;
	if (x->key->line != y->key->line)
		return x->key->line < y->key->line ? -1 : 1;
	return x->key->column < y->key->column ? -1 : 1;
}

/* Sorted, so that a mapping of 100,000 keys does not take 10,000,000,000 comparisons. */
static void drop_duplicates(struct builder *builder, struct tree_node *mapping)
{
	struct tree_node **sorted, *entry;
	unsigned count = 0;

	if (mapping->count < 2)
		return;
	sorted = malloc(mapping->count * sizeof(struct tree_node *));
	if (!sorted) {
		builder->problems->is_out_of_memory = true;
		return;
	}
	for (entry = mapping->first; entry; entry = entry->next)
		sorted[count++] = entry;
	qsort(sorted, count, sizeof(struct tree_node *), compare_keys);
	for (unsigned first = 0, i = 1; i < count; i++) {
		const struct tree_node *before = sorted[first]->key, *key = sorted[i]->key;

		if (strcmp(before->text, key->text) != 0) {
			first = i;
			continue;
		}
		problems_add(builder->problems, key->line, key->column,
			     "key '%.60s' is given twice; the first is in line %d, column %d",
			     key->text, TREE_LINE(before->line), before->column);
		sorted[i]->kind = TREE_BROKEN;
	}
	free(sorted);
}

static void close_collection(struct builder *builder)
{
	struct tree_node *node;

	if (!builder->depth) /* libyaml's events are balanced */
		return;
	node = builder->levels[--builder->depth].node;
	if (node->kind == TREE_MAPPING)
		drop_duplicates(builder, node);
}

static bool take_document(struct builder *builder, const yaml_event_t *event)
{
	if (builder->documents++ == 0)
		return true;
	problems_add(builder->problems, (int)event->start_mark.line + 1,
		     (int)event->start_mark.column + 1,
		     "a second document begins here ('---'); a file holds one experiment");
	return false;
}

/* False: stop reading; a problem was added or memory is out. */
static bool take_event(struct builder *builder, const yaml_event_t *event)
{
	struct tree_node *node;

	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		return take_document(builder, event);
	case YAML_SEQUENCE_START_EVENT:
		return open_collection(builder, TREE_LIST, event, event->data.sequence_start.anchor,
				       event->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return open_collection(builder, TREE_MAPPING, event,
				       event->data.mapping_start.anchor,
				       event->data.mapping_start.tag);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		close_collection(builder);
		return !builder->problems->is_out_of_memory;
	case YAML_SCALAR_EVENT:
		node = new_scalar(builder, event);
		break;
	case YAML_ALIAS_EVENT:
		problems_add(
			builder->problems, (int)event->start_mark.line + 1,
			(int)event->start_mark.column + 1,
			"aliases are not allowed ('*%.60s'); a value that begins with '*' goes "
			"in quotes: \"*:443\"",
			(const char *)event->data.alias.anchor);
		node = new_node(builder, TREE_BROKEN, &event->start_mark);
		break;
	default:
		return true;
	}
	if (!node)
		return false;
	place(builder, node);
	return true;
}

static void add_syntax_problem(struct builder *builder, const yaml_parser_t *parser)
{
	const yaml_mark_t *at = &parser->problem_mark;
	const size_t before = at->line > 0 ? at->line - 1 : 0;
	const size_t first = parser->context && parser->context_mark.line < before
				     ? parser->context_mark.line
				     : before;
	size_t line, column;
	char hint[200];

	if (parser->error == YAML_MEMORY_ERROR) {
		builder->problems->is_out_of_memory = true;
		return;
	}
	if (hint_find_no_break_space(builder->text, builder->length, first, at->line, &line,
				     &column)) {
		problems_add(builder->problems, (int)line + 1, (int)column + 1,
			     "a no-break space (U+00A0), which is a letter in YAML; write a plain "
			     "space");
		return;
	}
	if (strstr(parser->problem, "found unexpected end of stream") && parser->context) {
		problems_add(builder->problems, (int)parser->context_mark.line + 1,
			     (int)parser->context_mark.column + 1,
			     "the quote that begins here is not closed");
		return;
	}
	hint_for_syntax(builder->text, builder->length, parser->problem, at->line, at->column, hint,
			sizeof(hint));
	if (parser->context && parser->context_mark.line != at->line)
		problems_add(builder->problems, (int)at->line + 1, (int)at->column + 1,
			     "%s (%s that begins in line %d)%s", parser->problem, parser->context,
			     (int)parser->context_mark.line + 1, hint);
	else
		problems_add(builder->problems, (int)at->line + 1, (int)at->column + 1, "%s%s%s%s",
			     parser->problem, parser->context ? " " : "",
			     parser->context ? parser->context : "", hint);
}

void tree_parse(const char *text, size_t length, struct problem_list *problems, struct tree *out)
{
	struct builder builder = {
		.tree = out, .problems = problems, .text = text, .length = length};
	yaml_parser_t parser;
	yaml_event_t event;
	bool goes_on = true, is_whole = false;

	*out = (struct tree){0};
	if (!yaml_parser_initialize(&parser)) {
		problems->is_out_of_memory = true;
		return;
	}
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
	while (goes_on && !is_whole) {
		if (!yaml_parser_parse(&parser, &event)) {
			add_syntax_problem(&builder, &parser);
			break;
		}
		is_whole = event.type == YAML_STREAM_END_EVENT;
		goes_on = take_event(&builder, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	if (!is_whole)
		out->root = NULL;
	else if (!out->root)
		problems_add(problems, 0, 0, "the file is empty");
}

const struct tree_node *tree_find(const struct tree_node *mapping, const char *key)
{
	for (const struct tree_node *entry = mapping->first; entry; entry = entry->next)
		if (strcmp(entry->key->text, key) == 0)
			return entry;
	return NULL;
}

bool tree_has_broken(const struct tree_node *mapping)
{
	for (const struct tree_node *entry = mapping->first; entry; entry = entry->next)
		if (entry->kind == TREE_BROKEN)
			return true;
	return false;
}

const char *tree_kind_name(const struct tree_node *node)
{
	switch (node->kind) {
	case TREE_MAPPING:
		return "a mapping";
	case TREE_LIST:
		return "a list";
	case TREE_SCALAR:
		return node->is_null ? "nothing" : "a single value";
	case TREE_BROKEN:
		break;
	}
	return "something else";
}
