/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/base/calendar.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define ZONES	    "/usr/share/zoneinfo/"
#define WEEK	    7
#define DAY_MINUTES (24 * 60)
#define LOOK_AHEAD  31 /* days */

static const char *const day_names[WEEK] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

/* A zone for the time of one question. TZ is the only way to ask glibc for another zone; with a
 * path behind ':' it looks nowhere else, whatever TZDIR says. */
struct zone_change {
	char old[128];
	bool was_set;
};

static void zone_enter(const char *zone, struct zone_change *out)
{
	const char *old = getenv("TZ");
	char value[sizeof(ZONES) + CALENDAR_ZONE_SIZE + 1];

	out->was_set = old != NULL;
	snprintf(out->old, sizeof(out->old), "%s", old ? old : "");
	if (strcmp(zone, "UTC") == 0)
		snprintf(value, sizeof(value), "UTC0");
	else if (*zone)
		snprintf(value, sizeof(value), ":" ZONES "%s", zone);
	else
		snprintf(value, sizeof(value), ":/etc/localtime");
	setenv("TZ", value, 1);
	tzset();
}

static void zone_leave(const struct zone_change *change)
{
	if (change->was_set)
		setenv("TZ", change->old, 1);
	else
		unsetenv("TZ");
	tzset();
}

static bool is_zone_file(const char *zone)
{
	char path[sizeof(ZONES) + CALENDAR_ZONE_SIZE], magic[4];
	cleanup_fd int fd = -1;

	snprintf(path, sizeof(path), ZONES "%s", zone);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	/* tzfile(5) */
	return fd >= 0 && read(fd, magic, sizeof(magic)) == sizeof(magic) &&
	       memcmp(magic, "TZif", sizeof(magic)) == 0;
}

static int parse_zone(const char *text, char out[CALENDAR_ZONE_SIZE], struct error *err)
{
	size_t length = strlen(text);
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456"
				      "789_+-/";

	if (length >= CALENDAR_ZONE_SIZE || strspn(text, allowed) != length || *text == '/')
		return error_set(err, EINVAL, "'%.60s' is no time zone like Europe/Berlin", text);
	if (strcmp(text, "UTC") != 0 && !is_zone_file(text)) {
		error_set(err, EINVAL, "this machine knows no time zone '%s'", text);
		return error_remedy(err, "`timedatectl list-timezones` lists them; package tzdata "
					 "brings them");
	}
	memcpy(out, text, length + 1);
	return 0;
}

static int find_day(const char *text, size_t length)
{
	for (int day = 0; day < WEEK; day++)
		if (length == 3 && strncasecmp(text, day_names[day], 3) == 0)
			return day;
	return -1;
}

/* "Mon-Fri" or "Mon", up to a comma. */
static bool add_days(const char *text, size_t length, uint8_t *days)
{
	const char *dash = memchr(text, '-', length);
	size_t first_length = dash ? (size_t)(dash - text) : length;
	int first = find_day(text, first_length);
	int last = dash ? find_day(dash + 1, length - first_length - 1) : first;

	if (first < 0 || last < 0)
		return false;
	for (int day = first;; day = (day + 1) % WEEK) { /* Sat-Mon goes over the end */
		*days |= (uint8_t)(1 << day);
		if (day == last)
			return true;
	}
}

static int parse_days(const char *text, uint8_t *out, struct error *err)
{
	uint8_t days = 0;
	bool is_good = true;

	if (strcasecmp(text, "daily") == 0) {
		*out = (1 << WEEK) - 1;
		return 0;
	}
	for (const char *at = text; is_good; at++) {
		size_t length = strcspn(at, ",");

		is_good = add_days(at, length, &days);
		at += length;
		if (!*at)
			break;
	}
	if (!is_good)
		return error_set(err, EINVAL,
				 "'%.40s' are no days: write Mon-Fri, Sat,Sun or daily", text);
	*out = days;
	return 0;
}

static const char *parse_time(const char *at, uint16_t *out)
{
	unsigned hour, minute;
	int length = 0;

	if (sscanf(at, "%2u:%2u%n", &hour, &minute, &length) != 2 || length < 4 || minute > 59 ||
	    hour * 60 + minute > DAY_MINUTES || at[0] < '0' || at[0] > '9')
		return NULL;
	*out = (uint16_t)(hour * 60 + minute);
	return at + length;
}

static bool parse_hours(const char *text, struct calendar_window *out)
{
	const char *at = parse_time(text, &out->from_minute);

	if (!at || *at++ != '-')
		return false;
	at = parse_time(at, &out->to_minute);
	return at && !*at && out->from_minute < DAY_MINUTES && out->to_minute != out->from_minute;
}

int calendar_parse_window(const char *text, struct calendar_window *out, struct error *err)
{
	struct calendar_window window = {.days = (1 << WEEK) - 1};
	char words[4][CALENDAR_ZONE_SIZE] = {{0}};
	int count = sscanf(text, "%63s %63s %63s %63s", words[0], words[1], words[2], words[3]);
	int at = 0, result = 0;

	if (count >= 1 && count <= 3 && !parse_hours(words[0], &window) && count >= 2) {
		result = parse_days(words[at++], &window.days, err);
		if (result < 0)
			return result;
	}
	if (count < 1 || count > at + 2 || !parse_hours(words[at++], &window))
		return error_set(err, EINVAL,
				 "'%.80s' is no window of time: write [DAYS] FROM-TO [ZONE], like "
				 "Mon-Fri 09:00-16:00 Europe/Berlin",
				 text);
	if (at < count)
		result = parse_zone(words[at], window.zone, err);
	if (result == 0)
		*out = window;
	return result;
}

static const char *parse_date(const char *at, int *out)
{
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year, month, day, length = 0;
	bool is_leap;

	if (sscanf(at, "%4d-%2d-%2d%n", &year, &month, &day, &length) != 3 || length != 10 ||
	    year < 1970 || month < 1 || month > 12 || day < 1)
		return NULL;
	is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	if (day > lengths[month - 1] + (month == 2 && is_leap))
		return NULL;
	*out = year * 10000 + month * 100 + day;
	return at + length;
}

int calendar_parse_dates(const char *text, struct calendar_dates *out, struct error *err)
{
	struct calendar_dates dates = {0};
	const char *at = parse_date(text, &dates.first);
	int result = 0;

	dates.last = dates.first;
	if (at && strncmp(at, "..", 2) == 0)
		at = parse_date(at + 2, &dates.last);
	if (!at || (*at && *at != ' ') || dates.last < dates.first)
		return error_set(err, EINVAL,
				 "'%.60s' is no date or range of dates: write DATE[..DATE] [ZONE], "
				 "like 2026-12-24 or 2026-12-24..2027-01-02 Europe/Berlin",
				 text);
	at += strspn(at, " ");
	if (*at)
		result = parse_zone(at, dates.zone, err);
	if (result == 0)
		*out = dates;
	return result;
}

static struct tm local_time(int64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / NSEC_PER_SEC);
	struct tm local = {0};

	localtime_r(&seconds, &local);
	return local;
}

static bool is_open_at(const struct calendar_window *window, int64_t wall_ns)
{
	struct tm local = local_time(wall_ns);
	int today = (local.tm_wday + WEEK - 1) % WEEK, minute = local.tm_hour * 60 + local.tm_min;
	int yesterday = (today + WEEK - 1) % WEEK;

	if (window->to_minute > window->from_minute)
		return (window->days >> today & 1) && minute >= window->from_minute &&
		       minute < window->to_minute;
	return ((window->days >> today & 1) && minute >= window->from_minute) ||
	       ((window->days >> yesterday & 1) && minute < window->to_minute);
}

/* Minute by minute, so that every change of the clock is met as the zone file has it: 45,000
 * conversions at most, and only when a window is asked about. */
bool calendar_is_open(const struct calendar_window *window, int64_t wall_ns, int64_t *out_change_ns)
{
	const int64_t step_ns = 60 * NSEC_PER_SEC;
	int64_t at = wall_ns - wall_ns % step_ns, end = at + LOOK_AHEAD * DAY_MINUTES * step_ns;
	struct zone_change change;
	bool is_open;

	zone_enter(window->zone, &change);
	is_open = is_open_at(window, wall_ns);
	for (at += step_ns; at < end && is_open_at(window, at) == is_open;)
		at += step_ns;
	zone_leave(&change);
	*out_change_ns = at < end ? at : INT64_MAX;
	return is_open;
}

int calendar_day(int64_t wall_ns, const char *zone)
{
	struct zone_change change;
	struct tm local;

	zone_enter(zone, &change);
	local = local_time(wall_ns);
	zone_leave(&change);
	return (local.tm_year + 1900) * 10000 + (local.tm_mon + 1) * 100 + local.tm_mday;
}

void calendar_format(int64_t wall_ns, const char *zone, char out[CALENDAR_TEXT_SIZE])
{
	struct zone_change change;
	struct tm local;

	zone_enter(zone, &change);
	local = local_time(wall_ns);
	zone_leave(&change);
	snprintf(out, CALENDAR_TEXT_SIZE, "%s %04d-%02d-%02d %02d:%02d%s%s",
		 day_names[(local.tm_wday + WEEK - 1) % WEEK], local.tm_year + 1900,
		 local.tm_mon + 1, local.tm_mday, local.tm_hour, local.tm_min, *zone ? " " : "",
		 zone);
}
