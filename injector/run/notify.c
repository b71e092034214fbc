/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/run/notify_internal.h"

#include "injector/base/clock.h"
#include "injector/base/json.h"
#include "injector/base/quantity.h"
#include "injector/experiment/format.h"
#include "injector/run/result.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAST_WAIT_NS (5 * NSEC_PER_SEC)

static void send_next(struct notify_way *way);

static void forget_oldest(struct notify_way *way)
{
	free(way->queue[0]);
	memmove(way->queue, way->queue + 1, (way->queued - 1) * sizeof(*way->queue));
	way->queued--;
}

static void note_failure(struct notify_way *way, const char *trouble)
{
	const struct event_listener *listener = &way->notify->options.complaints;
	char text[sizeof(way->name) + sizeof(way->trouble) + 40];
	const struct event event = {.kind = EVENT_NOTE,
				    .time_ns = clock_now_ns(),
				    .wall_ns = clock_wall_ns(),
				    .phase = way->notify->phase,
				    .text = text};

	way->failed++;
	snprintf(way->trouble, sizeof(way->trouble), "%s", trouble);
	if (way->has_complained)
		return;
	way->has_complained = true;
	snprintf(text, sizeof(text), "a notification did not get through: %s: %s", way->name,
		 way->trouble);
	listener->fn(listener->context, &event);
}

static void send_queued(void *context)
{
	struct notify *notify = context;

	for (unsigned i = 0; i < notify->count; i++)
		send_next(&notify->ways[i]);
}

/* Not from within the loop of its caller: a way that fails at once would go deep. */
static void send_soon(struct notify *notify)
{
	if (!notify->start.heap_index)
		loop_timer_set(notify->options.loop, &notify->start, clock_now_ns(), send_queued,
			       notify);
}

void notify_sent(struct notify_way *way, const char *trouble)
{
	if (!way->is_busy)
		return;
	way->is_busy = false;
	loop_timer_cancel(way->notify->options.loop, &way->timeout);
	forget_oldest(way);
	if (trouble)
		note_failure(way, trouble);
	else
		way->sent++;
	send_soon(way->notify);
}

static void on_timeout(void *context)
{
	struct notify_way *way = context;
	char trouble[64], after[QUANTITY_TEXT_SIZE];

	way->ops->cancel(way);
	snprintf(trouble, sizeof(trouble), "no answer within %s",
		 quantity_format_duration(
			 params_number(&way->spec->params, NOTIFY_PARAM_TIMEOUT, 0), after));
	notify_sent(way, trouble);
}

static void send_next(struct notify_way *way)
{
	int64_t timeout_ns = params_number(&way->spec->params, NOTIFY_PARAM_TIMEOUT, 0);

	if (way->is_busy || !way->queued)
		return;
	way->is_busy = true;
	if (loop_timer_set(way->notify->options.loop, &way->timeout, clock_now_ns() + timeout_ns,
			   on_timeout, way) < 0)
		notify_sent(way, strerror(ENOMEM));
	else
		way->ops->send(way, way->queue[0]);
}

static void give_to(struct notify_way *way, const struct notify_message *message)
{
	char *body;

	if (!(way->spec->moments & 1U << message->moment))
		return;
	body = notify_body(way->notify, way, message);
	if (!body) {
		note_failure(way, strerror(ENOMEM));
		return;
	}
	if (way->queued == NOTIFY_QUEUE) {
		/* not the one that is on its way */
		free(way->queue[1]);
		memmove(way->queue + 1, way->queue + 2, (NOTIFY_QUEUE - 2) * sizeof(*way->queue));
		way->queued--;
		note_failure(way, "the receiver is slower than the messages come");
	}
	way->queue[way->queued++] = body;
}

static void give_all(struct notify *notify, struct notify_message *message, int64_t wall_ns)
{
	message->wall_ns = wall_ns ? wall_ns : clock_wall_ns();
	for (unsigned i = 0; i < notify->count; i++)
		give_to(&notify->ways[i], message);
	send_soon(notify);
}

static void on_armed(struct notify *notify, const struct event *event)
{
	const struct experiment *experiment = notify->options.experiment;
	struct notify_message message = {.moment = NOTIFY_STARTED, .step = -1};
	char until[CLOCK_DAYTIME_SIZE];

	notify->has_begun = true;
	snprintf(notify->run_id, sizeof(notify->run_id), "%s", event->text ? event->text : "");
	message.until_wall_ns = event->wall_ns + experiment->limits.duration_ns;
	snprintf(message.text, sizeof(message.text), "started; it ends by %s at the latest",
		 clock_format_daytime(message.until_wall_ns, until));
	give_all(notify, &message, event->wall_ns);
}

/* Wall time of the planned end of a step that begins now; 0: not known. */
static int64_t planned_end(const struct notify *notify, unsigned index, int64_t wall_ns)
{
	const struct experiment *experiment = notify->options.experiment;
	const struct experiment_step *step = &experiment->steps[index];

	if (experiment_is_instant(step) || !step->for_ns ||
	    (notify->options.has_command &&
	     experiment_step_end_ns(step) >= experiment_method_ns(experiment)))
		return 0;
	return wall_ns + experiment_step_end_ns(step) - step->at_ns;
}

/* A pulse is told once, with the end of all of them. */
static void on_injected(struct notify *notify, const struct event *event)
{
	struct notify_message message = {.moment = NOTIFY_INJECTED, .step = (int)event->step};
	bool is_instant = run_is_instant(notify->options.experiment, event->step);
	char what[300], when[CLOCK_DAYTIME_SIZE];

	if (!is_instant && !notify->steps[event->step].is_in_force) {
		notify->steps[event->step].is_in_force = true;
		notify->unrestored++;
	}
	if (notify->steps[event->step].is_told)
		return;
	notify->steps[event->step].is_told = true;
	notify->steps[event->step].since_ns = event->time_ns;
	experiment_describe_step(notify->options.experiment, event->step, what, sizeof(what));
	message.until_wall_ns = planned_end(notify, event->step, event->wall_ns);
	if (is_instant)
		snprintf(message.text, sizeof(message.text), "injected %s at %s", what,
			 clock_format_daytime(event->wall_ns, when));
	else
		experiment_status_line(what, event->wall_ns, message.until_wall_ns, message.text,
				       sizeof(message.text));
	give_all(notify, &message, event->wall_ns);
}

/* The last end of a step: of pulses the one in whose restore nothing else follows. */
static void on_step_restored(struct notify *notify, const struct event *event)
{
	struct notify_message message = {.moment = NOTIFY_ENDED, .step = (int)event->step};
	const struct experiment_step *step = &notify->options.experiment->steps[event->step];
	char what[300], when[CLOCK_DAYTIME_SIZE], lasted[QUANTITY_TEXT_SIZE];
	int64_t since_ns =
		notify->steps[event->step].ended_ns - notify->steps[event->step].since_ns;
	bool is_last =
		event->phase >= PHASE_RESTORE || !step->shape.every_ns ||
		since_ns + step->shape.every_ns >= experiment_step_end_ns(step) - step->at_ns;

	if (!notify->steps[event->step].is_in_force)
		return;
	notify->steps[event->step].is_in_force = false;
	notify->unrestored--;
	if (!is_last)
		return;
	experiment_describe_step(notify->options.experiment, event->step, what, sizeof(what));
	snprintf(message.text, sizeof(message.text), "ended %s at %s, after %s", what,
		 clock_format_daytime(event->wall_ns, when),
		 quantity_format_latency(since_ns, lasted));
	give_all(notify, &message, event->wall_ns);
}

static void on_stopping(struct notify *notify, const struct event *event)
{
	struct notify_message message = {.moment = NOTIFY_ABORTED, .step = -1};

	snprintf(message.text, sizeof(message.text), "stopped before its end: %s",
		 event->text ? event->text : "");
	give_all(notify, &message, event->wall_ns);
}

/* Behind the restore: nothing of ours is in force any more, or something is left. */
static void on_phase(struct notify *notify, const struct event *event)
{
	struct notify_message message = {.moment = NOTIFY_RESTORED, .step = -1};
	bool any = false;

	if (event->phase < PHASE_RECOVERY || notify->has_ended || !notify->has_begun)
		return;
	notify->has_ended = true;
	for (unsigned i = 0; i < notify->options.experiment->step_count; i++)
		any |= notify->steps[i].is_told && !run_is_instant(notify->options.experiment, i);
	if (!any)
		return;
	if (notify->unrestored || notify->left)
		snprintf(message.text, sizeof(message.text),
			 "NOT everything could be restored; on the machine: squall restore");
	else
		snprintf(message.text, sizeof(message.text),
			 "restored: every fault is out of force, undone and read back");
	give_all(notify, &message, event->wall_ns);
}

static void on_result(struct notify *notify, const struct event *event)
{
	struct notify_message message = {.moment = NOTIFY_VERDICT, .step = -1};
	const struct run_result *result = event->result;

	if (!result)
		return;
	message.verdict = verdict_names[result->verdict];
	message.exit_code = result->verdict;
	snprintf(message.text, sizeof(message.text), "%s: %s", message.verdict, result->why);
	give_all(notify, &message, event->wall_ns);
}

void notify_refused(struct notify *notify, const char *why)
{
	struct notify_message message = {.moment = NOTIFY_VERDICT, .step = -1};

	if (!notify || !notify->has_begun)
		return;
	message.verdict = verdict_names[VERDICT_REFUSED];
	message.exit_code = VERDICT_REFUSED;
	snprintf(message.text, sizeof(message.text), "%s: %s", message.verdict, why);
	give_all(notify, &message, 0);
}

static void on_event(void *context, const struct event *event)
{
	struct notify *notify = context;
	bool has_step = event->step < notify->options.experiment->step_count;

	notify->phase = event->phase;
	switch (event->kind) {
	case EVENT_ARMED:
		on_armed(notify, event);
		break;
	case EVENT_INJECTED:
		if (has_step)
			on_injected(notify, event);
		break;
	case EVENT_ENDED:
		if (has_step)
			notify->steps[event->step].ended_ns = event->time_ns;
		break;
	case EVENT_RESTORED:
		if (has_step)
			on_step_restored(notify, event);
		break;
	case EVENT_LEFT:
		notify->left++;
		break;
	case EVENT_STOPPING:
		on_stopping(notify, event);
		break;
	case EVENT_PHASE:
		on_phase(notify, event);
		break;
	case EVENT_RESULT:
		on_result(notify, event);
		break;
	default:
		break;
	}
}

struct event_listener notify_listener(struct notify *notify)
{
	return (struct event_listener){.fn = on_event, .context = notify};
}

static bool is_idle(const struct notify *notify)
{
	for (unsigned i = 0; i < notify->count; i++)
		if (notify->ways[i].queued)
			return false;
	return true;
}

void notify_finish(struct notify *notify)
{
	int64_t until_ns = clock_now_ns() + LAST_WAIT_NS, left_ns;

	if (!notify)
		return;
	while (!is_idle(notify) && (left_ns = until_ns - clock_now_ns()) > 0)
		if (loop_turn(notify->options.loop, left_ns, NULL) < 0)
			break;
	for (unsigned i = 0; i < notify->count; i++) {
		struct notify_way *way = &notify->ways[i];

		if (way->is_busy)
			way->ops->cancel(way);
		way->is_busy = false;
		loop_timer_cancel(notify->options.loop, &way->timeout);
		for (; way->queued; forget_oldest(way))
			note_failure(way, "it was still on its way 5s after the end");
	}
}

json_t *notify_report(const struct notify *notify)
{
	json_t *list = json_array();

	for (unsigned i = 0; notify && i < notify->count; i++) {
		const struct notify_way *way = &notify->ways[i];

		json_array_append_new(list,
				      json_pack("{s:o, s:i, s:i, s:o}", "to", json_text(way->name),
						"sent", (int)way->sent, "failed", (int)way->failed,
						"trouble", json_text(way->trouble)));
	}
	return list;
}

void notify_free(struct notify *notify)
{
	if (!notify)
		return;
	loop_timer_cancel(notify->options.loop, &notify->start);
	for (unsigned i = 0; i < notify->count; i++) {
		struct notify_way *way = &notify->ways[i];

		if (way->is_busy)
			way->ops->cancel(way);
		loop_timer_cancel(notify->options.loop, &way->timeout);
		while (way->queued)
			forget_oldest(way);
		if (way->ops && way->ops->close)
			way->ops->close(way);
	}
	free(notify->ways);
	free(notify->steps);
	free(notify);
}

int notify_new(const struct notify_options *options, struct notify **out, struct error *err)
{
	static const struct notify_way_ops *const all[] = {
		[NOTIFY_WEBHOOK] = &notify_webhook,
		[NOTIFY_COMMAND] = &notify_command,
		[NOTIFY_SYSLOG] = &notify_syslog,
	};
	const struct experiment *experiment = options->experiment;
	struct notify *notify;
	int result = 0;

	*out = NULL;
	if (!experiment->notification_count)
		return 0;
	notify = calloc(1, sizeof(*notify));
	if (!notify)
		return error_errno(err, ENOMEM, "cannot prepare notifications");
	notify->options = *options;
	gethostname(notify->host, sizeof(notify->host) - 1);
	notify->ways = calloc(experiment->notification_count, sizeof(*notify->ways));
	notify->steps = calloc(experiment->step_count + 1UL, sizeof(*notify->steps));
	if (!notify->ways || !notify->steps)
		result = error_errno(err, ENOMEM, "cannot prepare notifications");
	for (unsigned i = 0; result == 0 && i < experiment->notification_count; i++) {
		struct notify_way *way = &notify->ways[notify->count++];

		way->notify = notify;
		way->spec = &experiment->notifications[i];
		way->ops = all[way->spec->kind];
		result = way->ops->open(way, err);
	}
	if (result < 0)
		notify_free(notify);
	else
		*out = notify;
	return result;
}
