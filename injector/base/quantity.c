/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/base/quantity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit duration_units[] = {
	{"ns", 1},
	{"us", 1000},
	{"ms", 1000000},
	{"s", 1000000000LL},
	{"m", 60 * 1000000000LL},
	{"min", 60 * 1000000000LL},
	{"h", 3600 * 1000000000LL},
	{"d", 24 * 3600 * 1000000000LL},
	{NULL, 0},
};
static const struct unit share_units[] = {{"%", SHARE_ONE / 100}, {NULL, 0}};
static const struct unit rate_units[] = {
	{"bit", 1},
	{"kbit", 1000},
	{"mbit", 1000000},
	{"gbit", 1000000000LL},
	{"tbit", 1000000000000LL},
	{"bps", 8},
	{"kbps", 8000},
	{"mbps", 8000000},
	{"gbps", 8000000000LL},
	{NULL, 0},
};
static const struct unit size_units[] = {
	{"B", 1},	    {"KiB", 1 << 10},	  {"MiB", 1 << 20},
	{"GiB", 1LL << 30}, {"TiB", 1LL << 40},	  {"kB", 1000},
	{"MB", 1000000},    {"GB", 1000000000LL}, {NULL, 0},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Decimal text with a fraction of up to nine digits -> value * factor, exact in integers. */
static int scale(const char *text, const char **end, int64_t factor, int64_t *out)
{
	const char *at = text;
	__int128 value = 0, fraction = 0, scale_by = 1;

	if (!is_digit(*at))
		return -EINVAL;
	for (; is_digit(*at); at++) {
		value = value * 10 + (*at - '0');
		if (value > INT64_MAX)
			return -ERANGE;
	}
	if (*at == '.') {
		at++;
		if (!is_digit(*at))
			return -EINVAL;
		for (; is_digit(*at); at++) {
			if (scale_by >= 1000000000)
				return -EINVAL;
			fraction = fraction * 10 + (*at - '0');
			scale_by *= 10;
		}
	}
	*end = at;
	if (fraction && !value && fraction * factor < scale_by)
		return -EDOM; /* not nothing, but less than the smallest unit */
	value = value * factor + fraction * factor / scale_by;
	if (value > INT64_MAX)
		return -ERANGE;
	*out = (int64_t)value;
	return 0;
}

static void list_units(const struct unit *units, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (; units->name && used + 16 < size; units++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "",
					 units->name);
}

struct dimension {
	const char *name, *example;
	const struct unit *units;
	const char *likely[2]; /* units most often meant by a bare number */
	const char *note;
};

/* What to write instead of a bare number: with the user's own number, which is easier to take over
 * than an example. */
static int no_unit(const char *text, const struct dimension *dimension, const char *known,
		   struct error *err)
{
	int64_t share = 0;
	const char *end;
	char fixed[QUANTITY_TEXT_SIZE];

	/* loss: 0.05 means 5 %; more than one %, and it may be meant as written */
	if (dimension->units == share_units && strchr(text, '.') &&
	    scale(text, &end, SHARE_ONE, &share) == 0 && !*end && share <= SHARE_ONE)
		return error_set(err, EINVAL,
				 "'%s' has no unit; write %s (or %s%%, if that was meant)", text,
				 quantity_format_share(share, fixed), text);
	if (!dimension->likely[1])
		return error_set(err, EINVAL, "'%s' has no unit; write %s%s (units: %s)", text,
				 text, dimension->likely[0], known);
	return error_set(err, EINVAL, "'%s' has no unit; write %s%s or %s%s (units: %s)", text,
			 text, dimension->likely[0], text, dimension->likely[1], known);
}

static int unknown_unit(const char *text, const char *unit_text, const struct dimension *dimension,
			const char *known, struct error *err)
{
	int length = (int)(unit_text - text);
	const char *bare = unit_text + strspn(unit_text, " ");

	for (const struct unit *unit = dimension->units; unit->name; unit++) {
		if (bare != unit_text && strcmp(unit->name, bare) == 0)
			return error_set(err, EINVAL,
					 "'%s' has a space before its unit; write %.*s%s", text,
					 length, text, bare);
		/* bits and bytes differ by case in many tools: only what is certain is offered */
		if (dimension->units != rate_units && strcasecmp(unit->name, bare) == 0)
			return error_set(err, EINVAL, "'%s' has an unknown unit '%s'; write %.*s%s",
					 text, bare, length, text, unit->name);
	}
	return error_set(err, EINVAL, "'%s' has an unknown unit '%s'; units of a %s: %s%s", text,
			 bare, dimension->name, known, dimension->note);
}

static int parse(const char *text, const struct dimension *dimension, int64_t *out,
		 struct error *err)
{
	const char *unit_text = text, *end;
	char known[160];
	int64_t value;
	int result;

	while (is_digit(*unit_text) || *unit_text == '.')
		unit_text++;
	for (const struct unit *unit = dimension->units; unit_text != text && unit->name; unit++) {
		if (strcmp(unit->name, unit_text) != 0)
			continue;
		result = scale(text, &end, unit->factor, &value);
		if (result == -ERANGE)
			return error_set(err, ERANGE, "'%s' is too large for a %s", text,
					 dimension->name);
		if (result == -EDOM)
			return error_set(err, ERANGE, "'%s' is too small for a %s", text,
					 dimension->name);
		if (result < 0 || end != unit_text)
			return error_set(err, EINVAL, "'%s' is not a %s; write it like %s", text,
					 dimension->name, dimension->example);
		*out = value;
		return 0;
	}
	if (strcmp(text, "0") == 0) {
		*out = 0;
		return 0;
	}
	list_units(dimension->units, known, sizeof(known));
	if (unit_text != text && is_digit(*text) && *unit_text == '\0')
		return no_unit(text, dimension, known, err);
	if (unit_text != text && is_digit(*text))
		return unknown_unit(text, unit_text, dimension, known, err);
	return error_set(err, EINVAL, "'%s' is not a %s; write it like %s (units: %s)", text,
			 dimension->name, dimension->example, known);
}

int quantity_parse_duration(const char *text, int64_t *out_ns, struct error *err)
{
	static const struct dimension duration = {
		"duration", "200ms", duration_units, {"ms", "s"}, ""};

	return parse(text, &duration, out_ns, err);
}

int quantity_parse_share(const char *text, int64_t *out_ppb, struct error *err)
{
	static const struct dimension share = {"share", "5%", share_units, {"%", NULL}, ""};

	return parse(text, &share, out_ppb, err);
}

int quantity_parse_rate(const char *text, int64_t *out_bits_per_second, struct error *err)
{
	static const struct dimension rate = {"rate",
					      "10mbit",
					      rate_units,
					      {"mbit", "kbit"},
					      " (bit: bits, bps: bytes a second)"};

	return parse(text, &rate, out_bits_per_second, err);
}

int quantity_parse_size(const char *text, int64_t *out_bytes, struct error *err)
{
	static const struct dimension size = {"size", "64KiB", size_units, {"KiB", "B"}, ""};

	return parse(text, &size, out_bytes, err);
}

int quantity_parse_integer(const char *text, int64_t *out, struct error *err)
{
	const char *digits = *text == '-' ? text + 1 : text, *end = NULL;
	int64_t value;
	int result = scale(digits, &end, 1, &value);

	if (result == -ERANGE)
		return error_set(err, ERANGE, "'%s' is too large for a number", text);
	if (result < 0 || *end || strchr(text, '.'))
		return error_set(err, EINVAL, "'%s' is not a whole number", text);
	*out = *text == '-' ? -value : value;
	return 0;
}

/* value/factor with as many decimals as it needs, at most nine. */
static char *format_exact(int64_t value, int64_t factor, const char *unit, char *out)
{
	int64_t whole = value / factor, rest = value % factor;
	char decimals[16] = "";

	if (rest) {
		snprintf(decimals, sizeof(decimals), "%09" PRId64,
			 (int64_t)((__int128)rest * 1000000000 / factor));
		for (size_t at = strlen(decimals); at > 0 && decimals[at - 1] == '0'; at--)
			decimals[at - 1] = '\0';
	}
	snprintf(out, QUANTITY_TEXT_SIZE, "%" PRId64 "%s%s%s", whole, decimals[0] ? "." : "",
		 decimals, unit);
	return out;
}

char *quantity_format_duration(int64_t ns, char *out)
{
	static const struct unit steps[] = {
		{"d", 24 * 3600 * 1000000000LL},
		{"h", 3600 * 1000000000LL},
		{"m", 60 * 1000000000LL},
		{"s", 1000000000LL},
		{"ms", 1000000},
		{"us", 1000},
		{"ns", 1},
	};

	if (ns == 0)
		return strcpy(out, "0s");
	for (unsigned i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		/* days, hours and minutes only when whole: "90s" reads better than "1.5m" */
		bool fits = ns >= steps[i].factor && (i > 2 || ns % steps[i].factor == 0);

		if (fits)
			return format_exact(ns, steps[i].factor, steps[i].name, out);
	}
	snprintf(out, QUANTITY_TEXT_SIZE, "%" PRId64 "ns", ns);
	return out;
}

char *quantity_format_share(int64_t ppb, char *out)
{
	return format_exact(ppb, SHARE_ONE / 100, "%", out);
}

/* In the largest of the units that it is a whole number of. */
static char *format_whole(int64_t value, const struct unit *units, char *out)
{
	for (; units->factor > 1; units++)
		if (value && value % units->factor == 0)
			break;
	snprintf(out, QUANTITY_TEXT_SIZE, "%" PRId64 "%s", value / units->factor, units->name);
	return out;
}

char *quantity_format_rate(int64_t bits_per_second, char *out)
{
	static const struct unit steps[] = {{"tbit", 1000000000000LL},
					    {"gbit", 1000000000LL},
					    {"mbit", 1000000},
					    {"kbit", 1000},
					    {"bit", 1}};

	return format_whole(bits_per_second, steps, out);
}

char *quantity_format_size(int64_t bytes, char *out)
{
	static const struct unit steps[] = {
		{"TiB", 1LL << 40}, {"GiB", 1LL << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"MB", 1000000},    {"kB", 1000},	{"B", 1}};

	return format_whole(bytes, steps, out);
}

char *quantity_format_latency(int64_t ns, char *out)
{
	double value = (double)ns / 1e6;
	bool is_long = value >= 999.5 || value <= -999.5;

	/* One unit below a second: "510us" beside "202ms" reads as if it were more. */
	if (is_long)
		value /= 1000;
	snprintf(out, QUANTITY_TEXT_SIZE, "%.*f%s",
		 value >= 99.95	  ? 0
		 : value >= 9.995 ? 1
		 : value >= 0.095 ? 2
				  : 3,
		 value, is_long ? "s" : "ms");
	return out;
}
