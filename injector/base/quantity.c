/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/base/quantity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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
	{"bit", 1},	      {"kbit", 1000},	    {"mbit", 1000000},	     {"gbit", 1000000000LL},
	{"bps", 8},	      {"kbps", 8000},	    {"mbps", 8000000},	     {"gbps", 8000000000LL},
	{NULL, 0},
};
static const struct unit size_units[] = {
	{"B", 1},	   {"KiB", 1 << 10},   {"MiB", 1 << 20}, {"GiB", 1LL << 30},
	{"TiB", 1LL << 40}, {"kB", 1000},	{"MB", 1000000},  {"GB", 1000000000LL},
	{NULL, 0},
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

static int parse(const char *text, const struct unit *units, const char *what, const char *example,
		 int64_t *out, struct error *err)
{
	const char *unit_text = text;
	char known[160];
	int64_t value;
	int result;

	while (is_digit(*unit_text) || *unit_text == '.')
		unit_text++;
	for (const struct unit *unit = units; unit_text != text && unit->name; unit++) {
		const char *end;

		if (strcmp(unit->name, unit_text) != 0)
			continue;
		result = scale(text, &end, unit->factor, &value);
		if (result == -ERANGE)
			return error_set(err, ERANGE, "'%s' is too large for a %s", text, what);
		if (result < 0 || end != unit_text)
			return error_set(err, EINVAL, "'%s' is not a %s; write it like %s", text,
					 what, example);
		*out = value;
		return 0;
	}
	list_units(units, known, sizeof(known));
	if (unit_text != text && *unit_text == '\0') {
		if (strcmp(text, "0") == 0) {
			*out = 0;
			return 0;
		}
		return error_set(err, EINVAL, "'%s' has no unit; write a %s like %s (units: %s)",
				 text, what, example, known);
	}
	if (unit_text != text)
		return error_set(err, EINVAL, "'%s' has an unknown unit '%s'; units of a %s: %s",
				 text, unit_text, what, known);
	return error_set(err, EINVAL, "'%s' is not a %s; write it like %s (units: %s)", text, what,
			 example, known);
}

int quantity_parse_duration(const char *text, int64_t *out_ns, struct error *err)
{
	return parse(text, duration_units, "duration", "200ms", out_ns, err);
}

int quantity_parse_share(const char *text, int64_t *out_ppb, struct error *err)
{
	return parse(text, share_units, "share", "5%", out_ppb, err);
}

int quantity_parse_rate(const char *text, int64_t *out_bits_per_second, struct error *err)
{
	return parse(text, rate_units, "rate", "10mbit", out_bits_per_second, err);
}

int quantity_parse_size(const char *text, int64_t *out_bytes, struct error *err)
{
	return parse(text, size_units, "size", "64KiB", out_bytes, err);
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
		{"h", 3600 * 1000000000LL}, {"m", 60 * 1000000000LL}, {"s", 1000000000LL},
		{"ms", 1000000},	    {"us", 1000},	      {"ns", 1},
	};

	if (ns == 0)
		return strcpy(out, "0s");
	for (unsigned i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		/* hours and minutes only when whole: "90s" reads better than "1.5m" */
		bool fits = ns >= steps[i].factor && (i > 1 || ns % steps[i].factor == 0);

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

char *quantity_format_latency(int64_t ns, char *out)
{
	static const char *const names[] = {"ns", "us", "ms", "s"};
	double value = (double)ns;
	unsigned unit = 0;

	while (unit < 3 && (value >= 999.5 || value <= -999.5)) {
		value /= 1000;
		unit++;
	}
	snprintf(out, QUANTITY_TEXT_SIZE, "%.*f%s",
		 unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2, value, names[unit]);
	return out;
}
