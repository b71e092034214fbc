/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the worker tells the conductor. The conductor may be stopped, busy or hostile, so waiting
 * for it is rationed: a fault must never last longer because somebody does not listen.
 */
#include "injector/run/worker_internal.h"

#include "injector/base/clock.h"
#include "injector/journal/audit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MAX_MS	 1000  /* with faults armed */
#define PATIENCE_GAIN_MS 50    /* a tick of GUARDIAN_PING_NS: a fifth of the time at most */
#define PATIENCE_UNARMED 10000 /* nothing is in force */

static void give_up(void *context)
{
	struct worker *worker = context;

	worker->is_conductor_lost = true;
	loop_unwatch(worker->loop, worker->options.socket);
	worker_stop(worker, STOP_INTERNAL, "the conductor does not listen");
}

static bool is_armed(const struct worker *worker)
{
	return worker->state == WORKER_ARMED || worker->state == WORKER_STOPPING;
}

/* What is told is what happened: the one place where it is written down as well. */
static void audit(struct worker *worker, const struct reply *reply)
{
	static const char *const events[REPLY_COUNT] = {
		[REPLY_PLANNED] = "planned",
		[REPLY_ARMED] = "armed",
		[REPLY_REFUSED] = "refused",
		[REPLY_INJECTED] = "injected",
		[REPLY_INJECT_FAILED] = "not-injected",
		[REPLY_FOLLOWED] = "followed",
		[REPLY_RESTORED] = "restored",
		[REPLY_STOPPING] = "stopping",
		[REPLY_LEFT] = "left",
		[REPLY_FINISHED] = "finished",
	};
	const char *event = events[reply->type];
	bool is_of_step = reply->type == REPLY_INJECTED || reply->type == REPLY_INJECT_FAILED ||
			  reply->type == REPLY_RESTORED;

	if (reply->type == REPLY_FOLLOWED && !reply->numbers[0])
		event = "not-followed";
	worker->has_planned |= reply->type == REPLY_PLANNED;
	worker->is_refusal_told |= reply->type == REPLY_REFUSED;
	if (!event || (reply->type == REPLY_FINISHED && !worker->journal))
		return;
	if (is_of_step && reply->index < worker->step_count)
		audit_write(NULL, event, worker->run_id, "step %u: %s%s%s", reply->index + 1,
			    worker->steps[reply->index].text, *reply->text ? ": " : "",
			    reply->text);
	else
		audit_write(NULL, event, worker->run_id, "%s",
			    reply->type == REPLY_ARMED ? "" : reply->text);
}

void worker_send(struct worker *worker, const struct reply *reply, int fd)
{
	int64_t began_ns = clock_now_ns();
	int patience_ms = is_armed(worker) ? worker->patience_ms : PATIENCE_UNARMED;
	int result;

	/* It counts again what was counted before: one that is lost is no loss. */
	if (reply->type == REPLY_EVIDENCE)
		patience_ms = 0;
	result = reply_send(worker->options.socket, reply, fd, patience_ms);
	audit(worker, reply);
	if (reply->type == REPLY_EVIDENCE || !is_armed(worker))
		return;
	worker->patience_ms -= (int)((clock_now_ns() - began_ns) / NSEC_PER_MSEC);
	/* Not here: the caller may be half way through a change. */
	if (result < 0 && worker->state == WORKER_ARMED && !worker->deaf_timer.heap_index)
		loop_timer_set(worker->loop, &worker->deaf_timer, clock_now_ns(), give_up, worker);
}

void worker_regain_patience(struct worker *worker)
{
	worker->patience_ms += PATIENCE_GAIN_MS;
	if (worker->patience_ms > PATIENCE_MAX_MS)
		worker->patience_ms = PATIENCE_MAX_MS;
}

void worker_reply(struct worker *worker, enum reply_type type, unsigned index, const char *format,
		  ...)
{
	struct reply reply = {.type = type, .index = index};
	va_list args;

	va_start(args, format);
	vsnprintf(reply.text, sizeof(reply.text), format, args);
	va_end(args);
	worker_send(worker, &reply, -1);
}

void worker_reply_numbers(struct worker *worker, enum reply_type type, unsigned index, int64_t a,
			  int64_t b)
{
	const struct reply reply = {.type = type, .index = index, .numbers = {a, b}};

	worker_send(worker, &reply, -1);
}

void worker_reply_error(struct worker *worker, enum reply_type type, unsigned index,
			const struct error *err)
{
	struct reply reply = {.type = type, .index = index, .code = err->code};

	snprintf(reply.text, sizeof(reply.text), "%s", err->text);
	snprintf(reply.remedy, sizeof(reply.remedy), "%s", err->remedy);
	worker_send(worker, &reply, -1);
}

void worker_hang_up(struct worker *worker)
{
	struct request request;

	shutdown(worker->options.socket, SHUT_RD); /* from here on nothing more can come */
	while (recv(worker->options.socket, &request, sizeof(request), MSG_DONTWAIT) > 0)
		;
	close(worker->options.socket);
}
