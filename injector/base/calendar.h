/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Working hours and days off as people write them: "Mon-Fri 09:00-16:00 Europe/Berlin",
 * "2026-12-24..2027-01-02". Time zones come from the machine's own zone files, never from the
 * environment. Asks the C library, which keeps the zone for the whole process: not for threads.
 */
#ifndef SQUALL_CALENDAR_H
#define SQUALL_CALENDAR_H

#include "injector/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CALENDAR_ZONE_SIZE 64
#define CALENDAR_TEXT_SIZE 96

struct calendar_window {
	uint8_t days;			 /* bit 0: Monday; the day on which it begins */
	uint16_t from_minute, to_minute; /* of the day, 0..1440; to <= from: until the next day */
	char zone[CALENDAR_ZONE_SIZE];	 /* "": that of the machine */
};

struct calendar_dates {
	int first, last;	       /* both included, as 20261224 */
	char zone[CALENDAR_ZONE_SIZE]; /* "": none was given */
};

/* [DAYS] FROM-TO [ZONE]. DAYS: "Mon-Fri", "Sat,Sun", "daily" (the default). FROM, TO: "09:00",
 * "24:00". ZONE: "Europe/Berlin", "UTC"; it must be known to this machine. */
int calendar_parse_window(const char *text, struct calendar_window *out, struct error *err);
/* DATE[..DATE] [ZONE]: "2026-12-24", "2026-12-24..2027-01-02 Europe/Berlin". */
int calendar_parse_dates(const char *text, struct calendar_dates *out, struct error *err);

/* Is it open at `wall_ns`? *out_change_ns: when that changes next; INT64_MAX: not within a month.
 */
bool calendar_is_open(const struct calendar_window *window, int64_t wall_ns,
		      int64_t *out_change_ns);
/* The day on which `wall_ns` falls in that zone, as 20261224. */
int calendar_day(int64_t wall_ns, const char *zone);
/* "Mon 2026-11-30 09:00 Europe/Berlin", for messages. */
void calendar_format(int64_t wall_ns, const char *zone, char out[CALENDAR_TEXT_SIZE]);

#endif
