/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Measured round trips from a file: lines of ping ("... time=12.3 ms"), or one duration a line, or
 * one number (milliseconds, as ping prints them). Read where the experiment is read, with the
 * rights of who wrote it; what goes on to the worker are durations, which it checks like any
 * others.
 */
#include "faults/network.h"

#include "injector/base/cleanup.h"
#include "injector/base/quantity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (4 << 20)
/* More say no more: a table has as many entries. */
#define SAMPLES_MAX NETEM_TABLE_SIZE

struct samples {
	int64_t *list; /* owned */
	size_t count;
	bool is_ping; /* other lines are ping's own words */
};

static int add(struct samples *samples, int64_t delay_ns)
{
	if ((samples->count & (samples->count - 1)) == 0) {
		size_t capacity = samples->count ? samples->count * 2 : 1;
		int64_t *grown = reallocarray(samples->list, capacity, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		samples->list = grown;
	}
	samples->list[samples->count++] = delay_ns;
	return 0;
}

/* "12.3" is in `unit`; "12.3ms" says its own. */
static int parse(const char *text, const char *unit, int64_t *out_ns, struct error *err)
{
	char with_unit[64];

	if (text[strspn(text, "0123456789.")] == '\0') {
		snprintf(with_unit, sizeof(with_unit), "%.50s%s", text, unit);
		text = with_unit;
	}
	return quantity_parse_duration(text, out_ns, err);
}

static int take_ping(struct samples *samples, const char *at, struct error *err)
{
	char text[64], *unit;
	int64_t delay_ns;
	size_t length = strcspn(at, " \t");
	int result;

	snprintf(text, sizeof(text), "%.*s", length < 40 ? (int)length : 40, at);
	if (at[length]) { /* "12.3 ms" */
		unit = text + strlen(text);
		snprintf(unit, 8, "%.*s", (int)strcspn(at + length + 1, " \t,("), at + length + 1);
	}
	result = parse(text, "ms", &delay_ns, err);
	samples->is_ping = true;
	return result < 0 ? result : add(samples, delay_ns);
}

static int take_line(struct samples *samples, char *line, struct error *err)
{
	char *at = line + strspn(line, " \t"), *time = strstr(line, "time=");
	int64_t delay_ns;
	int result;

	at[strcspn(at, "\r\n")] = '\0';
	while (*at && strchr(" \t", at[strlen(at) - 1]))
		at[strlen(at) - 1] = '\0';
	if (time)
		return take_ping(samples, time + strlen("time="), err);
	if (!*at || *at == '#' || samples->is_ping || strncmp(at, "PING ", 5) == 0)
		return 0;
	result = parse(at, "ms", &delay_ns, err);
	return result < 0 ? result : add(samples, delay_ns);
}

static int read_lines(char *text, size_t length, const char *name, struct samples *out,
		      struct error *err)
{
	char *line = text;

	if (strlen(text) != length)
		return error_set(err, EINVAL, "%s is not text", name);
	for (unsigned number = 1; *line; number++) {
		char *end = line + strcspn(line, "\n"), *next = end + (*end != '\0');
		struct error why = ERROR_INIT;
		int result;

		*end = '\0';
		result = take_line(out, line, &why);
		if (result == -ENOMEM)
			return error_errno(err, ENOMEM, "%s", name);
		if (result < 0)
			return error_set(err, EINVAL,
					 "%s:%u: no round trip: %s (a line of ping, \"12.3ms\", or "
					 "a number of milliseconds is)",
					 name, number, why.text);
		line = next;
	}
	return 0;
}

static int compare(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return a < b ? -1 : a > b;
}

/* All of them, or, of many, as many at equal steps of their order. */
static int give(struct samples *samples, struct params *params, struct error *err)
{
	size_t count = samples->count < SAMPLES_MAX ? samples->count : SAMPLES_MAX;
	int result = 0;

	qsort(samples->list, samples->count, sizeof(*samples->list), compare);
	for (size_t i = 0; i < count && result == 0; i++) {
		char text[QUANTITY_TEXT_SIZE];

		quantity_format_duration(samples->list[(2 * i + 1) * samples->count / (2 * count)],
					 text);
		result = params_add(params, NETWORK_DISTRIBUTION_SAMPLES, text, 0, 0, err);
	}
	return result;
}

int network_load(struct params *params, const struct fault_files *files, struct error *err)
{
	const char *name = params_text(params, NETWORK_DISTRIBUTION_FILE);
	struct samples samples = {0};
	cleanup_free char *text = NULL;
	size_t length = 0;
	int result;

	if (!name)
		return 0;
	if (params_count(params, NETWORK_DISTRIBUTION_SAMPLES))
		return error_set(err, EINVAL,
				 "give distribution-file or distribution-samples, not both");
	result = files->read(files->context, name, FILE_MAX, &text, &length, err);
	if (result < 0) {
		error_prefix(err, "distribution-file");
		return result;
	}
	result = read_lines(text, length, name, &samples, err);
	if (result == 0 && samples.count < 2)
		result = error_set(err, EINVAL, "%s holds %s: a distribution needs two at least",
				   name, samples.count ? "one round trip" : "no round trips");
	if (result == 0)
		result = give(&samples, params, err);
	free(samples.list);
	return result;
}
