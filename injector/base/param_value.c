/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One value: its text against its description. */
#include "injector/base/params.h"

#include "injector/base/pattern.h"
#include "injector/base/quantity.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_names[] = {
	[PARAM_TEXT] = "text",
	[PARAM_LINE] = "line",
	[PARAM_NAME] = "name",
	[PARAM_PATH] = "absolute path",
	[PARAM_WORD] = "word",
	[PARAM_BOOL] = "true or false",
	[PARAM_INTEGER] = "number",
	[PARAM_DURATION] = "duration",
	[PARAM_SHARE] = "share",
	[PARAM_RATE] = "rate",
	[PARAM_SIZE] = "size",
	[PARAM_SIGNAL] = "signal",
	[PARAM_ENDPOINT] = "endpoint",
	[PARAM_NETWORK] = "address or network",
	[PARAM_PORTS] = "port or port range",
	[PARAM_PATTERN] = "regular expression",
	[PARAM_TARGET] = "name of a target",
	[PARAM_COMPARE_NUMBER] = "comparison like \"< 60\", 200 or 200-299",
	[PARAM_COMPARE_DURATION] = "comparison like \"< 1s\"",
	[PARAM_STRENGTH] = "share of the strength, or value of the fault",
};

const char *param_type_name(enum param_type type)
{
	return type_names[type];
}

bool param_is_endpoint(const struct param *param)
{
	return param->type == PARAM_ENDPOINT || param->type == PARAM_NETWORK;
}

bool param_is_glob(const char *text)
{
	return strpbrk(text, "*?[") != NULL;
}

const char *signal_name(int number)
{
	return sigabbrev_np(number);
}

int signal_number(const char *name)
{
	int64_t number;

	if (quantity_parse_integer(name, &number, NULL) == 0)
		return number >= 1 && number < NSIG ? (int)number : -1;
	if (strncasecmp(name, "SIG", 3) == 0)
		name += 3;
	for (int i = 1; i < NSIG; i++) {
		const char *known = sigabbrev_np(i);

		if (known && strcasecmp(known, name) == 0)
			return i;
	}
	return -1;
}

static char *format_bound(enum param_type type, int64_t value, char *out)
{
	switch (type) {
	case PARAM_DURATION:
		return quantity_format_duration(value, out);
	case PARAM_SHARE:
		return quantity_format_share(value, out);
	case PARAM_RATE:
		return quantity_format_rate(value, out);
	case PARAM_SIZE:
		return quantity_format_size(value, out);
	default:
		snprintf(out, QUANTITY_TEXT_SIZE, "%" PRId64, value);
		return out;
	}
}

void param_describe(const struct param *param, char *out, size_t size)
{
	size_t used;
	char low[QUANTITY_TEXT_SIZE], high[QUANTITY_TEXT_SIZE];

	if (param->type == PARAM_WORD) {
		used = (size_t)snprintf(out, size, "one of ");
		for (unsigned i = 0; param->words[i] && used < size; i++)
			used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "",
						 param->words[i]);
		return;
	}
	used = (size_t)snprintf(out, size, "%s%s%s", param->flags & PARAM_LIST ? "list of " : "",
				type_names[param->type],
				param->flags & PARAM_GLOB ? " or pattern" : "");
	if ((param->min || param->max) && used < size)
		snprintf(out + used, size - used, ", %s to %s",
			 format_bound(param->type, param->min, low),
			 format_bound(param->type, param->max, high));
}

static int check_range(const struct param *param, const char *text, int64_t value,
		       struct error *err)
{
	char low[QUANTITY_TEXT_SIZE], high[QUANTITY_TEXT_SIZE];

	if ((!param->min && !param->max) || (value >= param->min && value <= param->max))
		return 0;
	return error_set(err, ERANGE, "'%s' is out of range: %s to %s is allowed", text,
			 format_bound(param->type, param->min, low),
			 format_bound(param->type, param->max, high));
}

static int parse_word(const struct param *param, const char *text, int64_t *out, struct error *err)
{
	char allowed[256];
	const char *nearest;

	for (unsigned i = 0; param->words[i]; i++)
		if (strcmp(param->words[i], text) == 0) {
			*out = i;
			return 0;
		}
	param_describe(param, allowed, sizeof(allowed));
	nearest = names_nearest(param->words, text);
	if (nearest)
		return error_set(err, EINVAL, "'%s' is not known; did you mean '%s'? (%s)", text,
				 nearest, allowed);
	return error_set(err, EINVAL, "'%s' is not known; it must be %s", text, allowed);
}

static int parse_bool(const char *text, int64_t *out, struct error *err)
{
	*out = strcmp(text, "true") == 0;
	if (!*out && strcmp(text, "false") != 0)
		return error_set(err, EINVAL, "'%s' must be true or false", text);
	return 0;
}

static int parse_operand(const struct param *param, const char *text, double *out,
			 struct error *err)
{
	char *end;
	int64_t ns;
	int result;

	if (param->type == PARAM_COMPARE_DURATION) {
		result = quantity_parse_duration(text, &ns, err);
		if (result == 0)
			*out = (double)ns;
		return result;
	}
	errno = 0;
	*out = strtod(text, &end);
	/* strtod also takes "inf", "nan" and hexadecimal: nobody means those */
	if (end == text || *end || errno || strspn(text, "+-.0123456789") != strlen(text))
		return error_set(err, EINVAL, "'%s' is not a number", text);
	if ((param->min || param->max) && (*out < (double)param->min || *out > (double)param->max))
		return error_set(err, ERANGE,
				 "'%s' is out of range: %" PRId64 " to %" PRId64 " is allowed",
				 text, param->min, param->max);
	return 0;
}

static int parse_compare(const struct param *param, const char *text, struct compare *out,
			 struct error *err)
{
	static const struct {
		const char *sign;
		enum compare_op op;
	} signs[] = {{"<=", COMPARE_LE}, {">=", COMPARE_GE}, {"!=", COMPARE_NE}, {"==", COMPARE_EQ},
		     {"<", COMPARE_LT},	 {">", COMPARE_GT},  {"=", COMPARE_EQ}};
	const char *dash, *operand = text + strspn(text, " ");
	struct compare parsed = {.op = COMPARE_EQ};
	char low[64];
	int result;

	dash = *operand ? strchr(operand + 1, '-') : NULL; /* the first may be a sign */
	for (unsigned i = 0; i < sizeof(signs) / sizeof(*signs); i++) {
		size_t length = strlen(signs[i].sign);

		if (strncmp(operand, signs[i].sign, length) == 0) {
			parsed.op = signs[i].op;
			operand += length + strspn(operand + length, " ");
			dash = NULL;
			break;
		}
	}
	if (dash && (size_t)(dash - operand) < sizeof(low)) {
		const char *high = dash + 1 + strspn(dash + 1, " ");

		while (dash[-1] == ' ') /* "200 - 299"; never runs off: operand has no space */
			dash--;
		parsed.op = COMPARE_RANGE;
		snprintf(low, sizeof(low), "%.*s", (int)(dash - operand), operand);
		if (parse_operand(param, low, &parsed.low, err) < 0 ||
		    parse_operand(param, high, &parsed.high, err) < 0)
			return error_set(err, EINVAL, "'%s' is not a range; write it like 200-299",
					 text);
		if (parsed.low > parsed.high)
			return error_set(err, EINVAL, "the range '%s' is empty", text);
	} else if ((result = parse_operand(param, operand, &parsed.low, err)) < 0) {
		return result == -ERANGE
			       ? result
			       : error_prefix(err, "a comparison is written like \"%s\"",
					      param->type == PARAM_COMPARE_DURATION ? "< 1s"
										    : "< 60");
	} else if (param->type == PARAM_COMPARE_DURATION &&
		   (parsed.op == COMPARE_EQ || parsed.op == COMPARE_NE)) {
		/* no two measurements are the same: it would always fail, or never */
		return error_set(err, EINVAL, "'%s' asks for exactly this duration; write \"< %s\"",
				 text, operand);
	}
	*out = parsed;
	return 0;
}

bool compare_holds(const struct compare *compare, double value)
{
	if (isnan(value)) /* nothing was measured: "!=" must not hold for it either */
		return false;
	switch (compare->op) {
	case COMPARE_EQ:
		return value == compare->low;
	case COMPARE_NE:
		return value != compare->low;
	case COMPARE_LT:
		return value < compare->low;
	case COMPARE_LE:
		return value <= compare->low;
	case COMPARE_GT:
		return value > compare->low;
	case COMPARE_GE:
		return value >= compare->low;
	case COMPARE_RANGE:
		return value >= compare->low && value <= compare->high;
	}
	return false;
}

static int check_text(const struct param *param, const char *text, struct error *err)
{
	bool is_line = param->type == PARAM_LINE;

	if (!*text && !is_line)
		return error_set(err, EINVAL, "it is empty; %s %s is expected",
				 strchr("aeiou", type_names[param->type][0]) ? "an" : "a",
				 type_names[param->type]);
	if (strlen(text) > PARAM_TEXT_MAX)
		return error_set(err, EINVAL, "it has %zu characters; at most %d are allowed",
				 strlen(text), PARAM_TEXT_MAX);
	for (const char *at = text; *at; at++)
		if (iscntrl((unsigned char)*at) && !(is_line && *at == '\t'))
			return error_set(err, EINVAL,
					 *at == '\n' ? "it contains a line break"
						     : "it contains a control character (code %d)",
					 (unsigned char)*at);
	return 0;
}

static int check_name(const struct param *param, const char *text, struct error *err)
{
	const char *more = param->flags & PARAM_GLOB ? "*?[]" : "";

	for (const char *at = text; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("_-.@:/+", *at) && !strchr(more, *at))
			return error_set(err, EINVAL,
					 "'%s' is not a name: '%c' is not allowed (letters, "
					 "digits and _-.@:/+%s are)",
					 text, *at, more);
	return 0;
}

static int parse_strength(const struct param *param, const char *text, int64_t *out,
			  struct error *err)
{
	int64_t number;

	if (quantity_parse_duration(text, &number, NULL) == 0 && number)
		number = -1;
	else if (quantity_parse_rate(text, &number, NULL) == 0 && number)
		number = -1;
	else if (quantity_parse_share(text, &number, err) < 0)
		return -EINVAL;
	if (number > param->max)
		return error_set(err, ERANGE, "'%s' is out of range: 0%% to 100%% is allowed",
				 text);
	*out = number;
	return 0;
}

static int parse_by_type(const struct param *param, const char *text, struct param_value *out,
			 struct error *err)
{
	switch (param->type) {
	case PARAM_TEXT:
	case PARAM_LINE:
		return 0;
	case PARAM_NAME:
	case PARAM_TARGET:
		return check_name(param, text, err);
	case PARAM_PATH:
		return text[0] == '/' ? 0
				      : error_set(err, EINVAL,
						  "'%s' is not an absolute path: it must begin "
						  "with '/'",
						  text);
	case PARAM_WORD:
		return parse_word(param, text, &out->number, err);
	case PARAM_BOOL:
		return parse_bool(text, &out->number, err);
	case PARAM_INTEGER:
		return quantity_parse_integer(text, &out->number, err);
	case PARAM_DURATION:
		return quantity_parse_duration(text, &out->number, err);
	case PARAM_SHARE:
		return quantity_parse_share(text, &out->number, err);
	case PARAM_RATE:
		return quantity_parse_rate(text, &out->number, err);
	case PARAM_SIZE:
		return quantity_parse_size(text, &out->number, err);
	case PARAM_SIGNAL:
		out->number = signal_number(text);
		return out->number > 0 ? 0
				       : error_set(err, EINVAL,
						   "'%s' is not a signal; write KILL, TERM, HUP or "
						   "a number",
						   text);
	case PARAM_ENDPOINT:
		return endpoint_parse(text, &out->endpoint, err);
	case PARAM_NETWORK:
		return endpoint_parse_network(text, &out->endpoint, err);
	case PARAM_PORTS:
		return endpoint_parse_ports(text, &out->ports.first, &out->ports.last, err);
	case PARAM_PATTERN:
		return pattern_check(text, err);
	case PARAM_COMPARE_NUMBER:
	case PARAM_COMPARE_DURATION:
		return parse_compare(param, text, &out->compare, err);
	case PARAM_STRENGTH:
		return parse_strength(param, text, &out->number, err);
	}
	return error_set(err, EINVAL, "unknown parameter type %d", param->type);
}

static bool is_numeric(enum param_type type)
{
	return type >= PARAM_INTEGER && type <= PARAM_SIZE;
}

int param_parse(const struct param *param, const char *text, struct param_value *out,
		struct error *err)
{
	struct param_value value = {0};
	int result = check_text(param, text, err);

	if (result == 0)
		result = parse_by_type(param, text, &value, err);
	if (result == 0 && is_numeric(param->type))
		result = check_range(param, text, value.number, err);
	if (result < 0)
		return result;
	value.text = strdup(text);
	if (!value.text) {
		error_errno(err, ENOMEM, "cannot keep a value");
		return -ENOMEM;
	}
	*out = value;
	return 0;
}

void param_value_free(struct param_value *value)
{
	free(value->text);
	value->text = NULL;
}
