/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The two units of a scheduled experiment: squall-NAME.timer and squall-NAME.service.
 */
#ifndef SQUALL_CLI_SCHEDULE_UNITS_H
#define SQUALL_CLI_SCHEDULE_UNITS_H

#include <stdint.h>

/* The first line of every unit of ours: no other is listed or removed. */
#define SCHEDULE_MARK "# Written by squall schedule; remove it with: squall schedule --remove "

struct schedule_plan {
	const char *name;	  /* of the schedule */
	const char *title, *file; /* file: absolute */
	const char *program;	  /* absolute path of squall */
	const char *calendar;	  /* as OnCalendar= takes it, time zone included */
	const char *delay;	  /* RandomizedDelaySec=; NULL: none */
	int64_t duration_ns;	  /* limits.duration */
	const char *window;	  /* limits.window; NULL: none */
};

/* The unit's text, the caller's; NULL: no memory. Values are quoted as systemd wants it. */
char *schedule_timer(const struct schedule_plan *plan);
char *schedule_service(const struct schedule_plan *plan);

#endif
