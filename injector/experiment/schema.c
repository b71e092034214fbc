/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tables -> JSON Schema (2020-12, in the part that the YAML language server understands as well).
 * Every scalar may also be a text with a ${variable} in it. */
#include "injector/experiment/schema.h"

#include "injector/base/json.h"
#include "injector/experiment/format.h"
#include "injector/experiment/model.h"

#include <stdio.h>
#include <string.h>

#define VARIABLE "\\$\\{[^}]+\\}"
#define NUMBER	 "[0-9]+(\\.[0-9]+)?"

static json_t *text_matching(const char *pattern)
{
	char all[400];

	snprintf(all, sizeof(all), "%s|" VARIABLE, pattern);
	return json_pack("{s:s, s:s}", "type", "string", "pattern", all);
}

static json_t *either(json_t *one, json_t *other)
{
	return json_pack("{s:[o, o]}", "anyOf", one, other);
}

/* A quantity: with its unit, or a bare 0. */
static json_t *quantity(const char *units)
{
	char pattern[200];

	snprintf(pattern, sizeof(pattern), "^" NUMBER "(%s)$|^0$", units);
	return either(text_matching(pattern), json_pack("{s:i}", "const", 0));
}

static json_t *integer(const struct param *param)
{
	json_t *number = json_pack("{s:s}", "type", "integer");

	if (param->min || param->max) {
		json_object_set_new(number, "minimum", json_integer(param->min));
		json_object_set_new(number, "maximum", json_integer(param->max));
	}
	return either(number, text_matching("^[0-9]+$"));
}

static json_t *word(const struct param *param)
{
	json_t *words = json_array();

	for (unsigned i = 0; param->words[i]; i++)
		json_array_append_new(words, json_string(param->words[i]));
	return either(json_pack("{s:o}", "enum", words),
		      json_pack("{s:s, s:s}", "type", "string", "pattern", VARIABLE));
}

static json_t *scalar(const struct param *param)
{
	switch (param->type) {
	case PARAM_WORD:
		return word(param);
	case PARAM_BOOL:
		return either(json_pack("{s:s}", "type", "boolean"),
			      text_matching("^(true|false)$"));
	case PARAM_INTEGER:
		return integer(param);
	case PARAM_DURATION:
		return quantity("ns|us|ms|s|min|m|h|d");
	case PARAM_SHARE:
		return quantity("%");
	case PARAM_RATE:
		return quantity("[kmgt]?bit|[kmg]?bps");
	case PARAM_STRENGTH:
		return quantity("%|ns|us|ms|s|min|m|h|d|[kmgt]?bit|[kmg]?bps");
	case PARAM_SIZE:
		return quantity("B|[KMGT]iB|kB|MB|GB");
	case PARAM_PATH:
		return text_matching("^/");
	case PARAM_COMPARE_DURATION:
		return text_matching(NUMBER "(ns|us|ms|s|min|m|h|d)");
	default:
		/* YAML takes an unquoted 8080 or true for more than a text */
		return json_pack("{s:[s, s, s]}", "type", "string", "number", "boolean");
	}
}

static json_t *described(json_t *schema, const struct param *param)
{
	char allowed[512], text[1024];

	param_describe(param, allowed, sizeof(allowed));
	snprintf(text, sizeof(text), "%s (%s%s%s)", param->doc ? param->doc : param->name, allowed,
		 param->fallback ? "; default " : "", param->fallback ? param->fallback : "");
	json_object_set_new(schema, "description", json_text(text));
	return schema;
}

static json_t *value(const struct param *param)
{
	json_t *one = scalar(param);

	if (param->flags & PARAM_LIST)
		one = json_pack("{s:[O, {s:s, s:i, s:o}]}", "anyOf", one, "type", "array",
				"minItems", 1, "items", one);
	return described(one, param);
}

static json_t *new_object(void)
{
	return json_pack("{s:s, s:{}, s:b}", "type", "object", "properties", "additionalProperties",
			 0);
}

static void require(json_t *object, const char *name)
{
	json_t *required = json_object_get(object, "required");

	if (!required) {
		required = json_array();
		json_object_set_new(object, "required", required);
	}
	json_array_append_new(required, json_string(name));
}

static void add(json_t *object, const char *name, json_t *schema)
{
	json_object_set_new(json_object_get(object, "properties"), name, schema);
}

static void add_table(json_t *object, const struct param *table)
{
	for (; table && table->name; table++) {
		add(object, table->name, value(table));
		/* a target is named, or its keys stand in its place */
		if (table->flags & PARAM_REQUIRED && table->type != PARAM_TARGET)
			require(object, table->name);
	}
}

static json_t *table(const struct param *params)
{
	json_t *object = new_object();

	add_table(object, params);
	return object;
}

static json_t *list_of(json_t *items)
{
	return json_pack("{s:s, s:o}", "type", "array", "items", items);
}

static json_t *map_of(json_t *values)
{
	return json_pack("{s:s, s:o}", "type", "object", "additionalProperties", values);
}

static json_t *fault(const struct fault_ops *ops)
{
	json_t *object = table(ops->params);
	const struct param *selector = target_params(ops->target_kind);

	for (unsigned key = 0; selector && selector[key].name; key++)
		if (params_find(ops->params, selector[key].name) < 0 && fault_takes(ops, key))
			add(object, selector[key].name, value(&selector[key]));
	json_object_set_new(object, "description", json_text(ops->summary));
	return object;
}

/* One shape a fault: a step has exactly one. */
static json_t *steps(void)
{
	json_t *shapes = json_array();

	for (const struct fault_ops *const *each = fault_all(); *each; each++) {
		json_t *step = table(format_step);
		json_t *ramp = json_pack("{s:[o, o]}", "anyOf", value(&format_step[STEP_RAMP]),
					 table(format_ramp));

		add(step, "ramp", described(ramp, &format_step[STEP_RAMP]));
		add(step, (*each)->name, fault(*each));
		require(step, (*each)->name);
		json_array_append_new(shapes, step);
	}
	return list_of(json_pack("{s:o}", "anyOf", shapes));
}

static json_t *subject(const struct probe_ops *ops)
{
	json_t *one = json_pack("{s:[s, s]}", "type", "string", "number");

	if (ops->subject_is_list)
		one = json_pack("{s:[o, {s:s, s:i, s:{s:[s, s, s]}}]}", "anyOf", one, "type",
				"array", "minItems", 1, "items", "type", "string", "number",
				"boolean");
	json_object_set_new(one, "description", json_text(ops->subject_doc));
	return one;
}

static json_t *probes(void)
{
	json_t *shapes = json_array();

	for (const struct probe_ops *const *each = probe_all(); *each; each++) {
		json_t *probe = table(format_probe);

		add_table(probe, (*each)->params);
		add(probe, (*each)->name, subject(*each));
		if ((*each)->expect && (*each)->expect->name)
			add(probe, "expect", table((*each)->expect));
		require(probe, (*each)->name);
		json_object_set_new(probe, "description", json_text((*each)->summary));
		json_array_append_new(shapes, probe);
	}
	return map_of(json_pack("{s:o}", "anyOf", shapes));
}

/* Traffic by its keys alone; every other kind below its name. */
static json_t *targets(void)
{
	json_t *shapes = json_array();

	json_array_append_new(shapes, table(traffic_params));
	for (int kind = TARGET_TRAFFIC + 1; target_params((enum target_kind)kind); kind++) {
		const char *name = target_kind_name((enum target_kind)kind);
		json_t *shape = new_object();

		add(shape, name, table(target_params((enum target_kind)kind)));
		require(shape, name);
		json_array_append_new(shapes, shape);
	}
	return map_of(json_pack("{s:o}", "anyOf", shapes));
}

static json_t *one_or_more(json_t *one)
{
	return json_pack("{s:[O, o]}", "anyOf", one, list_of(one));
}

static json_t *section(unsigned index)
{
	switch ((enum format_section_index)index) {
	case SECTION_INCLUDE:
	case SECTION_REQUIRE_BEFORE:
		return either(json_pack("{s:s}", "type", "string"),
			      list_of(json_pack("{s:s}", "type", "string")));
	case SECTION_VARIABLES:
		return map_of(
			json_pack("{s:[o, o, o]}", "anyOf",
				  json_pack("{s:[s, s, s]}", "type", "string", "number", "boolean"),
				  json_pack("{s:s}", "type", "array"), table(format_variable)));
	case SECTION_LIMITS:
		return table(format_limits);
	case SECTION_TARGETS:
		return targets();
	case SECTION_PROBES:
		return probes();
	case SECTION_STEADY_STATE:
		return one_or_more(table(format_steady_state));
	case SECTION_EXPECT:
		return list_of(table(format_expect));
	case SECTION_ABORT_WHEN:
		return list_of(table(format_abort));
	case SECTION_METHOD:
		return steps();
	case SECTION_RECOVERY:
		return table(format_recovery);
	case SECTION_NOTIFY:
		return list_of(table(format_notify));
	default:
		return json_object(); /* anything: squall check has the last word */
	}
}

json_t *schema_of_experiment(void)
{
	json_t *root = table(format_root);

	json_object_set_new(root, "$schema",
			    json_string("https://json-schema.org/draft/2020-12/schema"));
	json_object_set_new(root, "title", json_string("squall experiment"));
	add(root, "version",
	    json_pack("{s:i, s:s}", "const", 1, "description", "version of the format"));
	for (unsigned i = 0; i < SECTION_COUNT; i++) {
		json_t *schema = section(i);
		char text[400];

		snprintf(text, sizeof(text), "%s, like %s", format_sections[i].doc,
			 format_sections[i].like);
		json_object_set_new(schema, "description", json_text(text));
		add(root, format_sections[i].name, schema);
	}
	require(root, "limits");
	require(root, "method");
	return root;
}
