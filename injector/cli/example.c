/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/cli/example.h"

#include "injector/base/quantity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A number within the range of the parameter, near `wish`. */
static int64_t within(const struct param *param, int64_t wish)
{
	if (!param->min && !param->max)
		return wish;
	return wish < param->min ? param->min : wish > param->max ? param->max : wish;
}

void example_value(const struct param *param, char *out, size_t size)
{
	static const char *const texts[] = {
		[PARAM_TEXT] = "nginx",
		[PARAM_LINE] = "wrong",
		[PARAM_NAME] = "nginx",
		[PARAM_PATH] = "/usr/sbin/nginx",
		[PARAM_BOOL] = "true",
		[PARAM_SIGNAL] = "KILL",
		[PARAM_ENDPOINT] = "10.0.5.7:443",
		[PARAM_NETWORK] = "10.0.5.0/24",
		[PARAM_PORTS] = "443",
		[PARAM_PATTERN] = "^nginx:",
		[PARAM_TARGET] = "store",
		[PARAM_COMPARE_NUMBER] = "< 100",
		[PARAM_COMPARE_DURATION] = "< 1s",
		[PARAM_STRENGTH] = "10%",
	};
	char text[QUANTITY_TEXT_SIZE];

	if (param->example) {
		snprintf(out, size, "%s", param->example);
		return;
	}
	switch (param->type) {
	case PARAM_WORD:
		snprintf(out, size, "%s", param->words[0]);
		break;
	case PARAM_INTEGER:
		snprintf(out, size, "%" PRId64, within(param, 1));
		break;
	case PARAM_DURATION:
		snprintf(out, size, "%s", quantity_format_duration(within(param, 200000000), text));
		break;
	case PARAM_SHARE:
		snprintf(out, size, "%s",
			 quantity_format_share(within(param, SHARE_ONE / 20), text));
		break;
	case PARAM_RATE:
		snprintf(out, size, "%s", quantity_format_rate(within(param, 10000000), text));
		break;
	case PARAM_SIZE:
		snprintf(out, size, "%s", quantity_format_size(within(param, 65536), text));
		break;
	default:
		snprintf(out, size, "%s", texts[param->type]);
		break;
	}
}

static void add(char *out, size_t size, const struct param *param, const char *separator,
		const char *equals)
{
	char value[128];
	size_t used = strlen(out);

	example_value(param, value, sizeof(value));
	snprintf(out + used, size - used, "%s%s%s%s", used ? separator : "", param->name, equals,
		 value);
}

static bool is_used(const struct param *table, unsigned index, unsigned otherwise)
{
	bool any_required = false;

	/* an inline selector stands in for the name of a target */
	if (table[index].type == PARAM_TARGET)
		return false;
	for (unsigned i = 0; table[i].name; i++)
		any_required |= table[i].type != PARAM_TARGET && table[i].flags & PARAM_REQUIRED;
	return any_required ? table[index].flags & PARAM_REQUIRED : index == otherwise;
}

/* What is required; where nothing is, the first parameter, by the convention that a table begins
 * with the one that matters most. */
static unsigned first_of(const struct param *table)
{
	return table[0].name && table[0].type == PARAM_TARGET ? 1 : 0;
}

static void add_table(char *out, size_t size, const struct param *table, unsigned otherwise,
		      const char *separator, const char *equals)
{
	for (unsigned i = 0; table && table[i].name; i++)
		if (is_used(table, i, otherwise))
			add(out, size, &table[i], separator, equals);
}

bool example_is_instant(const struct fault_ops *ops)
{
	unsigned first = first_of(ops->params);
	struct params params = {0};
	char value[128];
	bool is_instant = false;

	if (!ops->is_instant || params_init(&params, ops->params, NULL) < 0)
		return false;
	for (unsigned i = 0; ops->params[i].name; i++) {
		if (!is_used(ops->params, i, first))
			continue;
		example_value(&ops->params[i], value, sizeof(value));
		params_add(&params, i, value, 0, 0, NULL);
	}
	is_instant = ops->is_instant(&params);
	params_free(&params);
	return is_instant;
}

static void add_keys(const struct fault_ops *ops, char *out, size_t size, const char *separator,
		     const char *equals)
{
	unsigned selector = ops->target_kind == TARGET_PROCESS ? PROCESS_NAME : 0;

	out[0] = '\0';
	if (ops->use && ops->use->example)
		snprintf(out, size, "%s%s%s", traffic_params[TRAFFIC_TO].name, equals,
			 ops->use->example);
	else
		add_table(out, size, target_params(ops->target_kind), selector, separator, equals);
	add_table(out, size, ops->params, first_of(ops->params), separator, equals);
}

void example_step(const struct fault_ops *ops, char *out, size_t size)
{
	char keys[768];

	add_keys(ops, keys, sizeof(keys), ", ", ": ");
	snprintf(out, size, "- {at: 0s, %s%s: {%s}}", example_is_instant(ops) ? "" : "for: 30s, ",
		 ops->name, keys);
}

void example_command(const struct fault_ops *ops, char *out, size_t size)
{
	char keys[768];

	add_keys(ops, keys, sizeof(keys), " ", "=");
	snprintf(out, size, "squall inject %s %s%s", ops->name, keys,
		 example_is_instant(ops) ? "" : " for=30s");
}
