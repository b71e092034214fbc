/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The values given for a table. */
#include "injector/base/params.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int params_init(struct params *params, const struct param *table, struct error *err)
{
	unsigned count = 0;

	while (table[count].name)
		count++;
	params->settings = calloc(count ? count : 1, sizeof(*params->settings));
	if (!params->settings)
		return error_errno(err, ENOMEM, "cannot keep parameters");
	params->table = table;
	params->count = count;
	return 0;
}

void params_free(struct params *params)
{
	for (unsigned i = 0; params->settings && i < params->count; i++) {
		for (unsigned j = 0; j < params->settings[i].count; j++)
			param_value_free(&params->settings[i].values[j]);
		free(params->settings[i].values);
	}
	free(params->settings);
	*params = (struct params){0};
}

static int copy_setting(const struct param_setting *from, struct param_setting *to)
{
	size_t room = 1; /* a power of two, as params_add() expects */

	while (room < from->count)
		room *= 2;
	to->values = from->count ? calloc(room, sizeof(*to->values)) : NULL;
	if (from->count && !to->values)
		return -ENOMEM;
	for (; to->count < from->count; to->count++) {
		struct param_value value = from->values[to->count];

		value.text = strdup(value.text);
		if (!value.text)
			return -ENOMEM;
		to->values[to->count] = value;
	}
	return 0;
}

int params_copy(const struct params *params, struct params *out, struct error *err)
{
	int result = params_init(out, params->table, err);

	for (unsigned i = 0; result == 0 && i < params->count; i++) {
		result = copy_setting(&params->settings[i], &out->settings[i]);
		if (result < 0)
			error_errno(err, -result, "cannot keep parameters");
	}
	if (result < 0)
		params_free(out);
	return result;
}

void params_measure(const struct params *params, size_t *out_values, size_t *out_bytes)
{
	*out_values = *out_bytes = 0;
	for (unsigned i = 0; i < params->count; i++)
		for (unsigned at = 0; at < params_count(params, i); at++) {
			++*out_values;
			*out_bytes += strlen(params_value(params, i, at)->text) + 1;
		}
}

int params_find(const struct param *table, const char *name)
{
	for (int i = 0; table[i].name; i++)
		if (strcmp(table[i].name, name) == 0)
			return i;
	return -1;
}

struct place {
	struct params *params;
	unsigned index;
	int line, column;
};

static int add_one(void *context, const char *text, struct error *err)
{
	const struct place *place = context;
	const struct param *param = &place->params->table[place->index];
	struct param_setting *setting = &place->params->settings[place->index];
	struct param_value value, *values;
	int result = param_parse(param, text, &value, err);

	if (result < 0)
		return error_prefix(err, "%s", param->name);
	/* grow by powers of two: lists may have 100,000 entries */
	if ((setting->count & (setting->count - 1)) == 0) {
		values = realloc(setting->values,
				 (setting->count ? setting->count * 2UL : 1) * sizeof(*values));
		if (!values) {
			param_value_free(&value);
			return error_errno(err, ENOMEM, "%s", param->name);
		}
		setting->values = values;
	}
	value.line = place->line;
	value.column = place->column;
	setting->values[setting->count++] = value;
	return 0;
}

int params_add(struct params *params, unsigned index, const char *text, int line, int column,
	       struct error *err)
{
	const struct param *param = &params->table[index];
	const unsigned before = params->settings[index].count;
	struct place place = {params, index, line, column};
	int result;

	if (before && !(param->flags & (PARAM_LIST | PARAM_FILE)))
		return error_set(err, EEXIST, "'%s' is given twice", param->name);
	if (!(param->flags & PARAM_LIST) || !param_is_endpoint(param))
		return add_one(&place, text, err);
	result = endpoint_expand(text, add_one, &place, err);
	if (result < 0)
		params_truncate(params, index, before);
	return result == 0 ? add_one(&place, text, err) : result < 0 ? result : 0;
}

void params_truncate(struct params *params, unsigned index, unsigned count)
{
	struct param_setting *setting = &params->settings[index];

	while (setting->count > count)
		param_value_free(&setting->values[--setting->count]);
}

int params_check_required(const struct params *params, struct error *err)
{
	char allowed[256];

	for (unsigned i = 0; i < params->count; i++)
		if (params->table[i].flags & PARAM_REQUIRED && !params->settings[i].count &&
		    params->table[i].type != PARAM_TARGET) {
			param_describe(&params->table[i], allowed, sizeof(allowed));
			return error_set(err, EINVAL, "'%s' is missing (%s): %s",
					 params->table[i].name, allowed, params->table[i].doc);
		}
	return 0;
}

bool params_is_set(const struct params *params, unsigned index)
{
	return params->settings[index].count > 0;
}

unsigned params_count(const struct params *params, unsigned index)
{
	return params->settings[index].count;
}

int64_t params_number(const struct params *params, unsigned index, int64_t otherwise)
{
	const struct param *param = &params->table[index];
	struct param_value value;
	int64_t number;

	if (params->settings[index].count)
		return params->settings[index].values[0].number;
	if (!param->fallback || param_parse(param, param->fallback, &value, NULL) < 0)
		return otherwise;
	number = value.number;
	param_value_free(&value);
	return number;
}

const char *params_text(const struct params *params, unsigned index)
{
	if (params->settings[index].count)
		return params->settings[index].values[0].text;
	return params->table[index].fallback;
}

const struct param_value *params_value(const struct params *params, unsigned index, unsigned at)
{
	return at < params->settings[index].count ? &params->settings[index].values[at] : NULL;
}
