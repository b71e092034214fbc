/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An event in words: the same ones for plain lines and for the messages of the live display.
 */
#ifndef SQUALL_VIEW_WORDS_H
#define SQUALL_VIEW_WORDS_H

#include "injector/base/page.h"
#include "injector/run/event.h"
#include "injector/run/result.h"

#include <stddef.h>

struct words {
	const char *label; /* "injected", static */
	enum tone tone;
	char text[700]; /* as it came: to be cleaned before it is shown */
};

/* False: the event has no line of its own (samples, evidence). */
bool words_of_event(const struct experiment *experiment, const struct event *event,
		    struct words *out);
/* "1234 packets delayed, 12 dropped on eth0"; "3 processes"; "nothing hit". */
void words_of_evidence(const struct evidence *evidence, char *out, size_t size);
/* "253 packets", "1 process": in short. */
void words_of_hits(const struct evidence *evidence, char *out, size_t size);
/* "1234", "12.3k", "4.5M": at most five columns. */
char *words_of_count(uint64_t count, char *out, size_t size);
/* "0:42", "1:02:03"; negative times are 0:00. */
char *words_of_clock(int64_t ns, char *out, size_t size);

/* "held", "failed" ...; "done" for what held without a probe that could have failed. */
const char *words_of_verdict(const struct experiment *experiment, enum verdict verdict);

#endif
