/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Time. Everything that waits or measures uses CLOCK_BOOTTIME in nanoseconds: it goes on while
 * the machine sleeps, so a deadline stays a deadline. Wall time is only for people.
 */
#ifndef SQUALL_CLOCK_H
#define SQUALL_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define NSEC_PER_USEC 1000LL
#define NSEC_PER_MSEC 1000000LL
#define NSEC_PER_SEC  1000000000LL

/* Nanoseconds since boot, suspended time included. Never fails. */
int64_t clock_now_ns(void);

/* Wall time in nanoseconds since 1970. */
int64_t clock_wall_ns(void);

/* "2026-01-31T12:00:00.123Z" (UTC, RFC 3339). */
void clock_format_wall(int64_t wall_ns, char *out, size_t size);

/* "12:00:00 UTC": the time of day where this machine is, for people. */
#define CLOCK_DAYTIME_SIZE 24
char *clock_format_daytime(int64_t wall_ns, char out[CLOCK_DAYTIME_SIZE]);

#endif
