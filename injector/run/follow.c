/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/run/follow.h"

#include "faults/target_follow.h"
#include "injector/base/clock.h"
#include "injector/probes/resolver.h"
#include "injector/run/conductor_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SILENT_NS (15 * NSEC_PER_SEC) /* what glibc waits for its name servers, by default */

struct followed {
	struct conductor *conductor;
	unsigned target, host, step; /* step: the first one of the target */
	char name[ENDPOINT_HOST_MAX + 1];
	struct resolver *resolver;
	struct loop_timer timer;
	int64_t every_ns, asked_ns; /* asked: and not answered; 0: is */
	struct resolver_result told;
	bool is_failing;
};

struct follow {
	struct followed *names; /* owned */
	unsigned count;
};

static const unsigned lists[2] = {TRAFFIC_TO, TRAFFIC_EXCEPT};

int follow_each(const struct experiment_target *target,
		int (*fn)(void *context, unsigned host, unsigned parameter,
			  const struct param_value *value, struct error *err),
		void *context, struct error *err)
{
	const struct params *params = &target->params;
	unsigned host = 0;
	int result = 0;

	if (target->kind != TARGET_TRAFFIC || !target_follows(params))
		return 0;
	for (unsigned list = 0; list < 2; list++)
		for (unsigned i = 0; result == 0 && i < params_count(params, lists[list]); i++) {
			const struct param_value *value = params_value(params, lists[list], i);

			if (value->endpoint.is_name)
				result = fn(context, host++, lists[list], value, err);
		}
	return result;
}

static void note(const struct followed *name, const char *why)
{
	char text[ENDPOINT_HOST_MAX + 200];

	snprintf(text, sizeof(text), "%s cannot be looked up: %s; it stays where it was",
		 name->name, why);
	conductor_emit(name->conductor, (struct event){.kind = EVENT_FOLLOWED,
						       .step = name->step,
						       .number = 0,
						       .text = text});
}

static void fails(struct followed *name, const char *why)
{
	if (!name->is_failing)
		note(name, why);
	name->is_failing = true;
}

static int compare(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(union resolver_address));
}

/* As many to a request as it holds. */
static void tell(struct followed *name, const struct resolver_result *result)
{
	struct request request = {
		.type = REQUEST_ADDRESSES, .index = name->target, .numbers = {name->host, 0}};
	size_t used = 0;

	for (unsigned i = 0; i < result->count; i++) {
		char text[INET6_ADDRSTRLEN];

		resolver_address_format(&result->addresses[i], text);
		if (used + strlen(text) + 2 > sizeof(request.text)) {
			request_send(name->conductor->options.worker_socket, &request, NULL);
			used = 0;
		}
		used += (size_t)snprintf(request.text + used, sizeof(request.text) - used, "%s%s",
					 used ? " " : "", text);
	}
	request.numbers[1] = 1;
	request_send(name->conductor->options.worker_socket, &request, NULL);
}

static void on_answer(void *context, const struct resolver_result *result)
{
	struct followed *name = context;
	struct resolver_result sorted = *result;

	name->asked_ns = 0;
	if (result->code || result->is_cut) {
		fails(name, result->code ? result->reason : "it has too many addresses");
		return;
	}
	if (name->is_failing)
		conductor_note(name->conductor, EVENT_NOTE, name->step, "%s can be looked up again",
			       name->name);
	name->is_failing = false;
	qsort(sorted.addresses, sorted.count, sizeof(*sorted.addresses), compare);
	if (sorted.count == name->told.count &&
	    memcmp(sorted.addresses, name->told.addresses,
		   sorted.count * sizeof(*sorted.addresses)) == 0)
		return;
	if (name->conductor->is_worker_gone || name->conductor->is_stopping)
		return;
	name->told = sorted;
	tell(name, &sorted);
}

static void look_up(void *context)
{
	struct followed *name = context;
	int64_t now_ns = clock_now_ns();
	struct error err = ERROR_INIT;
	char why[80];

	if (!name->asked_ns) {
		name->asked_ns = now_ns;
		if (resolver_lookup(name->resolver, on_answer, name, &err) < 0) {
			name->asked_ns = 0;
			fails(name, err.text);
		}
	} else if (now_ns - name->asked_ns > SILENT_NS) {
		snprintf(why, sizeof(why), "no answer for %lld s",
			 (long long)((now_ns - name->asked_ns) / NSEC_PER_SEC));
		fails(name, why);
	}
	loop_timer_set(name->conductor->loop, &name->timer, now_ns + name->every_ns, look_up, name);
}

struct adding {
	struct conductor *conductor;
	struct follow *follow;
	unsigned target;
};

static unsigned first_step(const struct experiment *experiment, unsigned target)
{
	for (unsigned i = 0; i < experiment->step_count; i++)
		if (experiment->steps[i].target == target)
			return i;
	return 0;
}

static int add(void *context, unsigned host, unsigned parameter, const struct param_value *value,
	       struct error *err)
{
	struct adding *adding = context;
	struct follow *follow = adding->follow;
	const struct experiment *experiment = adding->conductor->experiment;
	struct followed *grown = reallocarray(follow->names, follow->count + 1, sizeof(*grown));
	struct endpoint_host server;
	int result;

	(void)parameter;
	if (!grown)
		return error_errno(err, ENOMEM, "cannot follow '%s'", value->text);
	follow->names = grown;
	grown += follow->count;
	*grown = (struct followed){
		.conductor = adding->conductor,
		.target = adding->target,
		.host = host,
		.step = first_step(experiment, adding->target),
		.every_ns = params_number(&experiment->targets[adding->target].params,
					  TRAFFIC_FOLLOW_EVERY, 5 * NSEC_PER_SEC),
	};
	follow->count++;
	result = endpoint_parse_host(value->text, &server, err);
	if (result < 0)
		return result;
	snprintf(grown->name, sizeof(grown->name), "%s", server.name);
	return resolver_new(&server, adding->conductor->loop, &grown->resolver, err);
}

int follow_new(struct conductor *conductor, struct follow **out, struct error *err)
{
	struct adding adding = {.conductor = conductor};
	int result = 0;

	adding.follow = calloc(1, sizeof(*adding.follow));
	if (!adding.follow)
		return error_errno(err, ENOMEM, "cannot follow host names");
	for (unsigned i = 0; result == 0 && i < conductor->experiment->target_count; i++) {
		adding.target = i;
		result = follow_each(&conductor->experiment->targets[i], add, &adding, err);
	}
	if (result < 0 || !adding.follow->count) {
		follow_free(adding.follow);
		adding.follow = NULL;
	}
	*out = adding.follow;
	return result;
}

void follow_begin(struct follow *follow)
{
	for (unsigned i = 0; follow && i < follow->count; i++)
		loop_timer_set(follow->names[i].conductor->loop, &follow->names[i].timer,
			       clock_now_ns() + follow->names[i].every_ns, look_up,
			       &follow->names[i]);
}

void follow_end(struct follow *follow)
{
	for (unsigned i = 0; follow && i < follow->count; i++) {
		loop_timer_cancel(follow->names[i].conductor->loop, &follow->names[i].timer);
		if (follow->names[i].resolver)
			resolver_forget(follow->names[i].resolver);
	}
}

void follow_free(struct follow *follow)
{
	if (!follow)
		return;
	follow_end(follow);
	for (unsigned i = 0; i < follow->count; i++)
		resolver_free(follow->names[i].resolver);
	free(follow->names);
	free(follow);
}
