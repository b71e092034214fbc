/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The port fault: a port is taken, so that its service cannot start, or none is left to connect
 * from towards a far side. Held by descriptors of the worker alone; the record is only for looking.
 */
#include "faults/port.h"

#include "faults/target_namespace.h"
#include "injector/base/clock.h"
#include "injector/base/prose.h"
#include "injector/kernel/proc.h"
#include "injector/kernel/trial.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_NS NSEC_PER_SEC	  /* what inject() may take; the rest follows */
#define OWNER_NS    (500 * NSEC_PER_MSEC) /* a dead holder's sockets are closed by then */
#define POLL_MS	    2

static const char *const actions[] = {[PORT_EXHAUST] = "exhaust", [PORT_OCCUPY] = "occupy", NULL};

static const struct param port_params[] = {
	[PORT_TARGET] =
		{.name = "target",
		 .type = PARAM_TARGET,
		 .flags = PARAM_REQUIRED,
		 .doc = "the ports (local-port), or where to they run out (to), and in which "
			"namespace"},
	[PORT_ACTION] =
		{.name = "action",
		 .type = PARAM_WORD,
		 .words = actions,
		 .flags = PARAM_REQUIRED,
		 .doc = "exhaust: no local port is left to connect from; occupy: no service "
			"can bind the local-port"},
	[PORT_IN_USE] =
		{.name = "in-use",
		 .type = PARAM_BOOL,
		 .fallback = "false",
		 .doc = "occupy: a service that has the port keeps it, but cannot start again"},
	[PORT_LEAVE] = {.name = "leave",
			.type = PARAM_INTEGER,
			.min = 0,
			.max = 65535,
			.fallback = "0",
			.doc = "exhaust: so many local ports stay free"},
	{.name = NULL},
};

static struct port_state *live;
static pid_t live_in; /* a guardian is forked with the list, but has closed the sockets in it */

static bool exhausts(const struct params *params)
{
	return params_number(params, PORT_ACTION, PORT_OCCUPY) == PORT_EXHAUST;
}

static void explain(const struct params *params, char *out, size_t size)
{
	long long leave = params_number(params, PORT_LEAVE, 0);
	struct prose prose;

	prose_begin(&prose, out, size);
	if (exhausts(params)) {
		if (leave)
			prose_say(&prose,
				  "The first %lld new connection%s there still succeed%s; the next "
				  "ones fail. ",
				  leave, leave == 1 ? "" : "s", leave == 1 ? "s" : "");
		prose_say(
			&prose,
			"%s at once: connect() returns EADDRNOTAVAIL, \"cannot assign requested "
			"address\", and no packet is sent. Connections to other places, those that "
			"are open and pools that keep them work on; one that is closed does not "
			"come back. ",
			leave ? "They fail" : "A new connection there fails");
	} else {
		prose_say(&prose,
			  "%s started meanwhile fails: bind() returns EADDRINUSE, "
			  "\"address already in use\". ",
			  params_number(params, PORT_IN_USE, 0)
				  ? "The service that has the port works on, and its clients see "
				    "nothing, until it stops. One that is"
				  : "A service that is");
		prose_say(&prose,
			  "Who connects to the port while no service has it gets "
			  "\"connection refused\" after one round trip; a datagram to it gets "
			  "no answer, and its sender waits for its own time-out. ");
	}
	prose_end(&prose);
}

/* One port, and one connection to nobody, where nobody sees it. */
static int try_hold(void *answer, struct error *err)
{
	struct port_place places[2] = {{.protocol = IPPROTO_TCP}, {.protocol = IPPROTO_TCP}};
	struct sockaddr_in *port = (struct sockaddr_in *)&places[0].address;
	struct port_hold hold = {.namespace_fd = -1, .places = places, .place_count = 1};
	int result;

	(void)answer;
	*port = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(1)};
	result = port_hold_prepare(&hold, 1, err);
	if (result == 0)
		result = port_hold_occupy(&hold, true, err);
	port_hold_free(&hold);
	return result;
}

static int probe(struct fault_support *out, struct error *err)
{
	struct error why = ERROR_INIT;
	int result = trial_run(try_hold, NULL, 0, &why);

	(void)err;
	*out = (struct fault_support){.usable = result == 0};
	snprintf(out->way, sizeof(out->way), "%s",
		 result == 0 ? "sockets of the worker, in TCP's repair mode" : "");
	snprintf(out->reason, sizeof(out->reason), "%.*s", (int)sizeof(out->reason) - 1, why.text);
	snprintf(out->remedy, sizeof(out->remedy), "%s",
		 result ? "run it as root; in a container, with CAP_NET_ADMIN" : "");
	return 0;
}

static void release(struct fault *fault)
{
	struct port_state *state = fault->state;

	if (!state)
		return;
	for (struct port_state **at = &live; *at; at = &(*at)->next)
		if (*at == state) {
			*at = state->next;
			break;
		}
	port_hold_free(&state->hold);
	free(state->places);
	free(state);
	fault->state = NULL;
}

static int plan(struct fault *fault, struct plan *plan, struct error *err)
{
	struct port_state *state = calloc(1, sizeof(*state));
	struct port_record *record;
	int result;

	if (!state)
		return error_errno(err, ENOMEM, "port");
	fault->state = state;
	state->next = live;
	live = state;
	live_in = getpid();
	record = &state->record;
	record->step = fault->number;
	snprintf(record->what, sizeof(record->what), "%s",
		 exhausts(fault->params) ? "connections" : "ports");
	result = port_plan(fault, plan, err);
	if (result < 0)
		release(fault);
	return result;
}

static int inject(struct fault *fault, struct error *err)
{
	struct port_state *state = fault->state;
	int result = proc_identity(getpid(), &state->record.holder);

	if (result < 0)
		return error_errno(err, -result, "/proc/self");
	result = journal_undo(fault->env->journal, fault->ops->name, fault->step, PORT_RECORD_HELD,
			      &state->record, sizeof(state->record), err);
	state->last = 0;
	if (result >= 0)
		result = exhausts(fault->params)
				 ? port_hold_exhaust(&state->hold, PATIENCE_NS, err)
				 : port_hold_occupy(&state->hold,
						    params_number(fault->params, PORT_IN_USE, 0),
						    err);
	if (result < 0)
		return result;
	state->is_on = true;
	fault->effect_started_ns = clock_now_ns();
	fault->effect_ended_ns = 0;
	return 0;
}

static void finish(struct port_state *state)
{
	if (!state->is_on)
		return;
	state->last = state->hold.held;
	port_hold_end(&state->hold);
	state->is_on = false;
}

static int end(struct fault *fault, enum fault_end how, int64_t *out_again_ns, struct error *err)
{
	struct port_state *state = fault->state;

	(void)how;
	(void)err;
	*out_again_ns = 0;
	if (!state->is_on)
		return 0;
	finish(state);
	fault->effect_ended_ns = clock_now_ns();
	return 0;
}

static int check_namespace(struct port_state *state, const struct target *target, struct error *err)
{
	struct namespace_id id;

	if (namespace_identify(target->namespace_fd, &id, NULL) < 0)
		return 0;
	return target_namespace_check(&(struct target_namespace){target->namespace_fd, &id,
								 target->namespace_name,
								 &state->namespace_keeper},
				      err);
}

static int evidence(struct fault *fault, struct evidence *out, struct error *err)
{
	struct port_state *state = fault->state;
	const struct port_hold *hold = &state->hold;
	unsigned held = state->is_on ? hold->held : state->last;

	*out = (struct evidence){.hits = held, .unit = "ports"};
	if (!exhausts(fault->params))
		snprintf(out->detail, sizeof(out->detail),
			 "%u socket%s held; who has tried to bind there is not known", held,
			 prose_plural(held));
	else if (state->is_on && hold->full < hold->place_count)
		snprintf(out->detail, sizeof(out->detail), "%u port%s held so far, some are left",
			 held, prose_plural(held));
	else if (hold->leave)
		snprintf(out->detail, sizeof(out->detail), "%u port%s held, %u left", held,
			 prose_plural(held), hold->leave);
	else
		snprintf(out->detail, sizeof(out->detail),
			 "%u port%s held; our own connect() failed with EADDRNOTAVAIL then", held,
			 prose_plural(held));
	if (state->is_on && hold->failure)
		return error_set(err, ESTALE, "no more ports can be taken: %s",
				 strerror(hold->failure));
	return state->is_on ? check_namespace(state, fault->target, err) : 0;
}

/* From the record. */

static int read_record(const struct journal_record *record, struct port_record *out,
		       struct error *err)
{
	memcpy(out, record->payload, sizeof(*out));
	out->what[sizeof(out->what) - 1] = '\0';
	if (record->type != PORT_RECORD_HELD)
		return error_set(err, EINVAL, "unknown port record %u", record->type);
	return 0;
}

static bool is_of(const struct port_state *state, const struct port_record *what)
{
	return memcmp(&state->record.holder, &what->holder, sizeof(what->holder)) == 0 &&
	       state->record.step == what->step;
}

/* 1: the process that holds them lives, and it is not us, or we do. */
static int is_held(const struct port_record *what)
{
	if (what->holder.pid != getpid())
		return proc_is_same(&what->holder);
	for (struct port_state *state = live_in == getpid() ? live : NULL; state;
	     state = state->next)
		if (state->is_on && is_of(state, what))
			return 1;
	return 0;
}

static int undo(const struct journal_record *record, struct error *err)
{
	int64_t deadline_ns = clock_now_ns() + OWNER_NS;
	struct port_record what;
	int result = read_record(record, &what, err);

	if (result < 0)
		return result;
	for (struct port_state *state = live_in == getpid() ? live : NULL; state;
	     state = state->next)
		if (is_of(state, &what))
			finish(state);
	/* they go with the process that holds them, whose death may take a moment */
	while ((result = is_held(&what)) > 0 && clock_now_ns() < deadline_ns)
		poll(NULL, 0, POLL_MS);
	return result < 0 ? error_errno(err, -result, "process %d", what.holder.pid) : 0;
}

static int verify(const struct journal_record *record, bool *out_gone, char *out_left,
		  size_t left_size, struct error *err)
{
	struct port_record what;
	int result = read_record(record, &what, err);

	if (result == 0)
		result = is_held(&what);
	if (result < 0)
		return error_errno(err, -result, "process %d", what.holder.pid);
	*out_gone = result == 0;
	snprintf(out_left, left_size, "%s held by process %d: kill -9 %d", what.what,
		 what.holder.pid, what.holder.pid);
	return 0;
}

const struct fault_ops port_fault = {
	.name = "port",
	.summary = "a port is taken, or no local port is left to connect from",
	.params = port_params,
	.target_kind = TARGET_TRAFFIC,
	.needs_no_interface = true,
	/* NET_ADMIN: repair mode. NET_BIND_SERVICE: ports below 1024. SYS_ADMIN: to enter another
	 * network namespace; SYS_PTRACE: one that only a process holds. */
	.capabilities = 1ULL << CAP_NET_ADMIN | 1ULL << CAP_NET_BIND_SERVICE |
			1ULL << CAP_SYS_ADMIN | 1ULL << CAP_SYS_PTRACE,
	.explain = explain,
	.check = port_check,
	.use = &port_use,
	.check_target = port_check_target,
	.probe = probe,
	.plan = plan,
	.inject = inject,
	.end = end,
	.undo = undo,
	.verify = verify,
	.evidence = evidence,
	.release = release,
};
