/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tells others while the experiment runs: web addresses, programs, the system's log. A listener
 * like the views: it never waits and never fails. Each way has a short queue and one message on its
 * way, on the loop of the conductor; a receiver that hangs delays nothing but its own next message.
 * Only when all is over and told to whoever sits at the terminal, what is still on its way is
 * waited for, for a few seconds.
 */
#ifndef SQUALL_RUN_NOTIFY_H
#define SQUALL_RUN_NOTIFY_H

#include "injector/base/loop.h"
#include "injector/probes/launcher.h"
#include "injector/run/event.h"

#include <jansson.h>

struct notify;

struct notify_options {
	const struct experiment *experiment;
	struct loop *loop;
	struct launcher *launcher; /* not sealed yet; NULL: no commands */
	bool has_command;	   /* the faults of the end last as long as COMMAND */
	/* The first message that a receiver did not get: a note about it. From the loop, or from
	 * notify_finish(). */
	struct event_listener complaints;
};

/* What is needed is loaded and registered here, before the conductor confines itself. *out is NULL
 * when nobody is to be told. */
int notify_new(const struct notify_options *options, struct notify **out, struct error *err);
struct event_listener notify_listener(struct notify *notify);
/* The run was refused after it had begun: there will be no verdict. */
void notify_refused(struct notify *notify, const char *why);
/* Waits for what is on its way, a few seconds at most. */
void notify_finish(struct notify *notify);
/* [{to, sent, failed, trouble}], the caller's; no URL in it. */
json_t *notify_report(const struct notify *notify);
void notify_free(struct notify *notify); /* NULL is fine */

#endif
