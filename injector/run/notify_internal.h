/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside of notify.h: notify.c (moments, queues), notify_text.c (what is said), and the ways it
 * goes: notify_webhook.c, notify_command.c, notify_syslog.c.
 */
#ifndef SQUALL_RUN_NOTIFY_INTERNAL_H
#define SQUALL_RUN_NOTIFY_INTERNAL_H

#include "injector/base/endpoint.h"
#include "injector/journal/journal.h"
#include "injector/run/notify.h"

#define NOTIFY_QUEUE 16 /* messages of one way that wait; then the oldest is given up */

struct notify_message {
	enum notify_moment moment;
	char text[700];
	int step; /* -1: it is about the whole run */
	int64_t wall_ns, until_wall_ns;
	const char *verdict; /* NULL: not yet */
	int exit_code;	     /* with a verdict */
};

/* One way. `body` is what it carries, in its own form. */
struct notify_way;
struct notify_way_ops {
	int (*open)(struct notify_way *way, struct error *err);
	/* Calls notify_sent() once, from here or from the loop. */
	void (*send)(struct notify_way *way, const char *body);
	void (*cancel)(struct notify_way *way);
	void (*close)(struct notify_way *way);
};
extern const struct notify_way_ops notify_webhook, notify_command, notify_syslog;

struct notify_way {
	struct notify *notify;
	const struct experiment_notification *spec;
	const struct notify_way_ops *ops;
	void *state;		       /* of ops */
	char name[ENDPOINT_TEXT_SIZE]; /* "webhook hooks.example.org": never the URL */
	char *queue[NOTIFY_QUEUE];     /* oldest first; [0] is on its way when is_busy. Owned */
	unsigned queued;
	bool is_busy, has_complained;
	unsigned sent, failed;
	char trouble[160]; /* of the last failure */
	struct loop_timer timeout;
};

struct notify {
	struct notify_options options;
	struct notify_way *ways;
	unsigned count;
	char run_id[RUN_ID_SIZE], host[65];
	enum run_phase phase;
	bool has_begun, has_ended;
	struct {
		int64_t since_ns, ended_ns;
		bool is_in_force, is_told;
	} * steps;
	unsigned unrestored;	 /* injected and not yet known to be undone */
	unsigned left;		 /* what could not be */
	struct loop_timer start; /* sends what was queued, a turn later */
};

/* NULL: it was taken. */
void notify_sent(struct notify_way *way, const char *trouble);

/* The message as a way carries it; owned by the caller, NULL without memory. */
char *notify_body(const struct notify *notify, const struct notify_way *way,
		  const struct notify_message *message);

#endif
