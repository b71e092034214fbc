/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

int64_t clock_now_ns(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

int64_t clock_wall_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

void clock_format_wall(int64_t wall_ns, char *out, size_t size)
{
	time_t seconds = wall_ns / NSEC_PER_SEC;
	struct tm utc;
	char day[32];

	gmtime_r(&seconds, &utc);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(out, size, "%s.%03dZ", day, (int)(wall_ns / NSEC_PER_MSEC % 1000));
}

char *clock_format_daytime(int64_t wall_ns, char out[CLOCK_DAYTIME_SIZE])
{
	time_t seconds = wall_ns / NSEC_PER_SEC;
	struct tm here;

	localtime_r(&seconds, &here);
	if (!strftime(out, CLOCK_DAYTIME_SIZE, "%H:%M:%S %Z", &here))
		out[0] = '\0';
	return out;
}
