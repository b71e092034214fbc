/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Round trips as people record them: output of ping (of Linux, BSD, busybox, Windows, fping),
 * values one a line, also behind a time, columns of CSV. What is read is what others wrote: each
 * line is taken, skipped because it is ping's own word, or refused.
 */
#ifndef SQUALL_FAULTS_NETWORK_RECORDING_H
#define SQUALL_FAULTS_NETWORK_RECORDING_H

#include "injector/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One run of ping within the file: from its first line to the next one's. */
struct recording_ping {
	bool is_on; /* lines that say nothing of a round trip are ping's own words */
	bool has_header, has_numbers, is_fping;
	uint64_t base, first, last; /* numbers of its round trips */
	uint64_t answered, told_lost;
	bool has_statistics; /* its own, which count for more */
	uint64_t sent, received;
};

/* Columns of CSV. */
struct recording_columns {
	bool is_known;	/* a first line named them */
	char separator; /* NUL: there is one column */
	unsigned at;	/* which one holds the round trip */
	char unit[4];	/* of a number without one */
};

struct recording {
	int64_t *trips_ns; /* owned; in the order of the file */
	size_t count;
	uint64_t lost;
	struct recording_ping ping;
	struct recording_columns columns;
};

/* `text` is changed. An error names `name` and the line. */
int recording_read(char *text, size_t length, const char *name, struct recording *out,
		   struct error *err);
void recording_free(struct recording *recording);

/* Within: one value, "12.3" in `unit`, "12.3ms" or "12.3 ms", and nothing behind it. */
int recording_add(struct recording *recording, const char *text, const char *unit,
		  struct error *err);

/* network_recording_ping.c: 1: the line is one of ping's, and done with; 0: it is not. */
int recording_take_ping(struct recording *recording, char *line, struct error *err);
/* The last run is over: counts what it lost. */
void recording_end_ping(struct recording *recording);

#endif
