/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Lines of a recording: values alone, behind a time, and in columns. What is ambiguous is refused:
 * a round trip that is read wrongly is a fault that nobody asked for.
 */
#include "faults/network_recording.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIP_MAX_NS  (3600 * NSEC_PER_SEC) /* as distribution-samples takes them */
#define COLUMNS_MAX  256
#define FRACTION_MAX 9 /* digits; clocks print more */
#define EPOCH_DIGITS 9 /* of seconds since 1970, and more */
#define ALLOWED                                                                                    \
	"a line of ping or fping is, \"12.3ms\", a number of milliseconds, such a value behind a " \
	"time, and a column of CSV"

static int append(struct recording *recording, int64_t trip_ns)
{
	size_t count = recording->count;

	if ((count & (count - 1)) == 0) {
		size_t capacity = count ? count * 2 : 1;
		int64_t *grown =
			reallocarray(recording->trips_ns, capacity, sizeof(*recording->trips_ns));

		if (!grown)
			return -ENOMEM;
		recording->trips_ns = grown;
	}
	recording->trips_ns[recording->count++] = trip_ns;
	return 0;
}

/* The number at the beginning, with no more digits than are read; its length in the text. */
static size_t copy_number(const char *text, char out[64])
{
	size_t whole = strspn(text, "0123456789"), length = whole, fraction = 0;

	if (text[whole] == '.' && whole) {
		fraction = strspn(text + whole + 1, "0123456789");
		length += 1 + fraction;
	}
	if (fraction > FRACTION_MAX)
		fraction = FRACTION_MAX;
	snprintf(out, 48, "%.*s", (int)(whole + (fraction ? 1 + fraction : 0)), text);
	return length;
}

int recording_add(struct recording *recording, const char *text, const char *unit,
		  struct error *err)
{
	char value[64];
	size_t length = copy_number(text, value);
	const char *behind = text + length + strspn(text + length, " \t");
	int64_t trip_ns;
	int result;

	if (!length)
		return error_set(err, EINVAL, "'%.60s' does not begin with a number", text);
	if (text[length] == ',' && isdigit((unsigned char)text[length + 1]))
		return error_set(err, EINVAL,
				 "'%.60s' may be a decimal comma or two columns: write a point, or "
				 "name the columns in the first line",
				 text);
	snprintf(value + strlen(value), 12, "%s", *behind ? behind : unit);
	result = quantity_parse_duration(value, &trip_ns, err);
	if (result == 0 && trip_ns > TRIP_MAX_NS)
		return error_set(err, ERANGE, "'%.60s' is more than 1h", text);
	return result < 0 ? result : append(recording, trip_ns);
}

/* Words of a round trip that never came back. */
static bool is_lost(const char *text)
{
	static const char *const words[] = {"timeout", "timed out", "time-out", "lost", "loss",
					    "nan",     "null",	    "none",	"-",	"*"};

	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcasecmp(text, words[i]) == 0)
			return true;
	return false;
}

static int take_value(struct recording *recording, const char *text, const char *unit,
		      struct error *err)
{
	if (is_lost(text)) {
		recording->lost++;
		return 0;
	}
	return recording_add(recording, text, unit, err);
}

static size_t digits(const char *text)
{
	return strspn(text, "0123456789");
}

/* "2026-01-01" or "2026/01/01" */
static size_t date_length(const char *text)
{
	if (digits(text) != 4 || (text[4] != '-' && text[4] != '/') || digits(text + 5) != 2 ||
	    text[7] != text[4] || digits(text + 8) != 2)
		return 0;
	return 10;
}

/* "10:20:30", "10:20:30.123", "10:20:30,123", with a zone behind it or not. */
static size_t clock_length(const char *text)
{
	size_t at;

	if (digits(text) != 2 || text[2] != ':' || digits(text + 3) != 2)
		return 0;
	at = 5;
	if (text[at] == ':' && digits(text + at + 1) == 2)
		at += 3;
	if ((text[at] == '.' || text[at] == ',') && digits(text + at + 1) >= 3)
		at += 1 + digits(text + at + 1);
	if (text[at] == 'Z')
		return at + 1;
	if (strchr("+-", text[at]) && text[at])
		at += 1 + strspn(text + at + 1, "0123456789:");
	return at;
}

/* Behind a time at the beginning and the blanks behind it; the text itself when there is none, or
 * nothing behind it. */
static char *behind_time(char *text)
{
	char *at = text + (*text == '[');
	size_t date = date_length(at), whole = digits(at);

	if (date) {
		at += date;
		if (*at == 'T' || (*at == ' ' && clock_length(at + 1)))
			at += 1 + clock_length(at + 1);
	} else if (clock_length(at)) {
		at += clock_length(at);
	} else if (whole > EPOCH_DIGITS) {
		at += whole + (at[whole] == '.' ? 1 + digits(at + whole + 1) : 0);
	} else {
		return text;
	}
	if (*text == '[')
		at += *at == ']';
	if (*at == ':')
		at++;
	if (*at != ' ' && *at != '\t')
		return text;
	return at + strspn(at, " \t");
}

/* CSV. */

static char separator_of(const char *line)
{
	return strchr(line, ';') ? ';' : strchr(line, '\t') ? '\t' : strchr(line, ',') ? ',' : '\0';
}

/* The next field, without its quotes and blanks around it; NULL: there is none. */
static char *next_field(char **rest, char separator)
{
	char *field = *rest, *end;

	if (!field)
		return NULL;
	field += strspn(field, " ");
	if (*field == '"') {
		end = strchrnul(++field, '"');
		*rest = separator ? strchr(end, separator) : NULL;
	} else {
		end = strchrnul(field, separator);
		*rest = *end ? end : NULL;
	}
	if (*rest)
		++*rest;
	*end = '\0';
	while (end > field && end[-1] == ' ')
		*--end = '\0';
	return field;
}

static bool is_named_as_trip(const char *name)
{
	static const char *const words[] = {"rtt",  "latency", "round",	   "delay",
					    "ping", "elapsed", "duration", "response"};

	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcasestr(name, words[i]))
			return true;
	return false;
}

/* "rtt_ms", "latency (us)", "request_time_s" */
static const char *unit_of_name(const char *name)
{
	static const char *const units[][2] = {{"ns", "ns"},	       {"us", "us"},
					       {"usec", "us"},	       {"ms", "ms"},
					       {"msec", "ms"},	       {"s", "s"},
					       {"sec", "s"},	       {"seconds", "s"},
					       {"milliseconds", "ms"}, {"microseconds", "us"}};
	const char *end = name + strlen(name), *begin;

	while (end > name && !isalpha((unsigned char)end[-1]))
		end--;
	for (begin = end; begin > name && isalpha((unsigned char)begin[-1]);)
		begin--;
	for (unsigned i = 0; begin > name && i < sizeof(units) / sizeof(*units); i++)
		if (strlen(units[i][0]) == (size_t)(end - begin) &&
		    strncasecmp(units[i][0], begin, strlen(units[i][0])) == 0)
			return units[i][1];
	return "ms";
}

static bool is_name(const char *text)
{
	return *text && !isdigit((unsigned char)*text) && !is_lost(text) &&
	       !text[strcspn(text, "=:{}[]<>\"'")];
}

/* The first line of columns, if it names them. */
static bool take_names(struct recording *recording, char *line, char separator)
{
	struct recording_columns *columns = &recording->columns;
	char copy[1024], *rest = copy, *field, *chosen = NULL;

	if (recording->count || recording->lost || columns->is_known ||
	    strlen(line) >= sizeof(copy))
		return false;
	snprintf(copy, sizeof(copy), "%s", line);
	for (unsigned i = 0; (field = next_field(&rest, separator)) && i < COLUMNS_MAX; i++) {
		if (!is_name(field))
			return false;
		if (chosen && is_named_as_trip(chosen))
			continue;
		chosen = field;
		columns->at = i;
	}
	if (!chosen || (!separator && !is_named_as_trip(chosen)))
		return false;
	columns->is_known = true;
	columns->separator = separator;
	snprintf(columns->unit, sizeof(columns->unit), "%s", unit_of_name(chosen));
	return true;
}

static int take_columns(struct recording *recording, char *line, char separator, struct error *err)
{
	const struct recording_columns *columns = &recording->columns;
	const bool may_be_comma = separator == ',' && !columns->is_known &&
				  line[digits(line)] == ',' &&
				  !line[digits(line) + 1 + digits(line + digits(line) + 1)];
	char *rest = line, *field, *chosen = NULL;
	unsigned count = 0;

	if (may_be_comma) /* refused, with the reason */
		return recording_add(recording, line, "ms", err);
	for (; count < COLUMNS_MAX && (field = next_field(&rest, separator)); count++)
		if (!columns->is_known || count == columns->at)
			chosen = field;
	if (rest)
		return error_set(err, EINVAL, "there are more than %d columns", COLUMNS_MAX);
	if (!chosen)
		return error_set(err, EINVAL, "there are %u columns, and the first line names %u",
				 count, columns->at + 1);
	if (columns->is_known && !*chosen) {
		recording->lost++; /* the place is empty: nothing came back */
		return 0;
	}
	return take_value(recording, chosen, columns->is_known ? columns->unit : "ms", err);
}

static void trim(char *line)
{
	char *end = line + strcspn(line, "\r\n"), *note = line;

	*end = '\0';
	while ((note = strchr(note, '#')) && note > line && note[-1] != ' ' && note[-1] != '\t')
		note++;
	if (note)
		*(end = note) = '\0';
	while (end > line && strchr(" \t", end[-1]))
		*--end = '\0';
}

static int take_line(struct recording *recording, char *line, struct error *err)
{
	char *at = line + strspn(line, " \t"), separator;
	int result;

	trim(at);
	if (!*at)
		return 0;
	result = recording_take_ping(recording, at, err);
	if (result != 0 || recording->ping.is_on)
		return result < 0 ? result : 0;
	separator = recording->columns.is_known ? recording->columns.separator : separator_of(at);
	if (take_names(recording, at, separator))
		return 0;
	if (recording->columns.is_known && !separator)
		return take_value(recording, at, recording->columns.unit, err);
	if (!recording->columns.is_known &&
	    (!separator || (behind_time(at) != at && !separator_of(behind_time(at)))))
		return take_value(recording, behind_time(at), "ms", err);
	return take_columns(recording, at, separator, err);
}

int recording_read(char *text, size_t length, const char *name, struct recording *out,
		   struct error *err)
{
	char *line = text;

	if (strlen(text) != length)
		return error_set(err, EINVAL, "%s is not text", name);
	if (strncmp(line, "\xef\xbb\xbf", 3) == 0)
		line += 3; /* a byte order mark */
	for (unsigned number = 1; *line; number++) {
		char *end = strchrnul(line, '\n'), *next = end + (*end != '\0');
		struct error why = ERROR_INIT;
		int result;

		*end = '\0';
		result = take_line(out, line, &why);
		if (result == -ENOMEM)
			return error_errno(err, ENOMEM, "%s", name);
		if (result < 0)
			return error_set(err, EINVAL, "%s:%u: no round trip: %s (" ALLOWED ")",
					 name, number, why.text);
		line = next;
	}
	recording_end_ping(out);
	return 0;
}

void recording_free(struct recording *recording)
{
	free(recording->trips_ns);
	recording->trips_ns = NULL;
	recording->count = 0;
}
