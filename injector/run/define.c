/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/run/define.h"

#include "faults/target_follow.h"
#include "injector/run/follow.h"
#include "injector/run/requests.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define MAX_ADDRESSES_OF_A_NAME 256

static int send_value(int socket, enum request_type type, unsigned index, const char *name,
		      const char *text, struct error *err)
{
	struct request request = {.type = type, .index = index};

	snprintf(request.name, sizeof(request.name), "%s", name);
	if (snprintf(request.text, sizeof(request.text), "%s", text) >= (int)sizeof(request.text))
		return error_set(err, E2BIG, "%s: the value is too long", name);
	return request_send(socket, &request, err);
}

static void take_address(const struct addrinfo *info, struct endpoint *out)
{
	out->family = info->ai_family;
	out->prefix = info->ai_family == AF_INET ? 32 : 128;
	out->is_name = false;
	/* through void: the compiler cannot know that sockaddr comes aligned from getaddrinfo */
	if (info->ai_family == AF_INET) {
		const struct sockaddr_in *v4 = (const void *)info->ai_addr;

		memcpy(out->address, &v4->sin_addr, 4);
	} else {
		const struct sockaddr_in6 *v6 = (const void *)info->ai_addr;

		memcpy(out->address, &v6->sin6_addr, 16);
	}
}

/* Names that the resolver of another network knows (of containers, by docker) are not known here.
 */
static int say_where(const struct params *target, const char *name, struct error *err)
{
	static const unsigned elsewhere[] = {TRAFFIC_CONTAINER, TRAFFIC_NAMESPACE};

	for (unsigned i = 0; target->table == traffic_params && i < 2; i++) {
		const struct param_value *where = params_value(target, elsewhere[i], 0);

		if (where)
			return error_remedy(
				err,
				"names are looked up on this machine, not by the resolver of %s "
				"%s: "
				"write the address (there: getent hosts %s), or its network",
				target->table[elsewhere[i]].name, where->text, name);
	}
	return error_remedy(err,
			    "Check the name and this machine's resolver (getent ahosts %s), or "
			    "write the address.",
			    name);
}

/* All addresses of a name: A and AAAA, each as `blank` says, with the address in it, and its ports
 * if they are not told otherwise. */
static int send_host(int socket, const struct request *blank, const struct param_value *value,
		     const struct params *target, bool has_ports, struct error *err)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct request request = *blank;
	struct addrinfo *list = NULL;
	char text[ENDPOINT_TEXT_SIZE];
	struct endpoint_host host;
	unsigned count = 0;
	int code, result = endpoint_parse_host(value->text, &host, err);

	if (result < 0)
		return result;
	if (!has_ports)
		host.endpoint.port_first = host.endpoint.port_last = 0;
	code = getaddrinfo(host.name, NULL, &hints, &list);
	if (code != 0) {
		error_set(err, ENOENT, "cannot resolve '%s': %s", host.name,
			  code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
		return say_where(target, host.name, err);
	}
	for (const struct addrinfo *at = list; at && result == 0; at = at->ai_next) {
		struct endpoint address = host.endpoint;

		if (at->ai_family != AF_INET && at->ai_family != AF_INET6)
			continue;
		if (++count > MAX_ADDRESSES_OF_A_NAME) {
			result = error_set(err, E2BIG, "'%s' has more than %d addresses", host.name,
					   MAX_ADDRESSES_OF_A_NAME);
			break;
		}
		take_address(at, &address);
		snprintf(request.text, sizeof(request.text), "%s", endpoint_format(&address, text));
		result = request_send(socket, &request, err);
	}
	freeaddrinfo(list);
	return result;
}

struct sending {
	int socket;
	unsigned index; /* of the target */
	const struct params *params;
};

/* The worker learns the name as well, and which addresses are its. */
static int send_followed(void *context, unsigned host, unsigned parameter,
			 const struct param_value *value, struct error *err)
{
	const struct sending *sending = context;
	struct request request = {
		.type = REQUEST_ADDRESSES, .index = sending->index, .numbers = {host, 0}};
	int result = send_value(sending->socket, REQUEST_TARGET_HOST, sending->index,
				traffic_params[parameter].name, value->text, err);

	if (result == 0) /* the ports are the name's */
		result = send_host(sending->socket, &request, value, sending->params, false, err);
	request.numbers[1] = 1;
	return result < 0 ? result : request_send(sending->socket, &request, err);
}

/* Endpoints, with blanks between, as many as a request holds, from *at on, which goes on. */
static int send_endpoints(int socket, unsigned index, const struct params *params, unsigned p,
			  unsigned *at, struct error *err)
{
	char list[sizeof(((struct request *)NULL)->text)];
	size_t used = 0;

	for (; *at < params_count(params, p); ++*at) {
		const struct param_value *value = params_value(params, p, *at);
		size_t length = strlen(value->text);

		if (value->endpoint.is_name || used + length + 2 > sizeof(list))
			break;
		if (used)
			list[used++] = ' ';
		memcpy(list + used, value->text, length + 1);
		used += length;
	}
	return send_value(socket, REQUEST_TARGET_VALUE, index, params->table[p].name, list, err);
}

static int send_parameter(int socket, unsigned index, const struct params *params, unsigned p,
			  struct error *err)
{
	const struct param *param = &params->table[p];
	const bool is_followed = target_follows(params);
	struct request request = {.type = REQUEST_TARGET_VALUE, .index = index};
	unsigned i = 0;
	int result = 0;

	snprintf(request.name, sizeof(request.name), "%s", param->name);
	while (i < params_count(params, p) && result == 0) {
		const struct param_value *value = params_value(params, p, i);

		if (!param_is_endpoint(param))
			result = send_value(socket, REQUEST_TARGET_VALUE, index, param->name,
					    params_value(params, p, i++)->text, err);
		else if (value->endpoint.is_name && ++i)
			result = is_followed
					 ? 0
					 : send_host(socket, &request, value, params, true, err);
		else
			result = send_endpoints(socket, index, params, p, &i, err);
	}
	return result;
}

static int send_target(int socket, const struct experiment *experiment, unsigned index,
		       struct error *err)
{
	const struct experiment_target *target = &experiment->targets[index];
	struct request request = {
		.type = REQUEST_TARGET, .index = index, .numbers = {target->kind}};
	struct sending sending = {.socket = socket, .index = index, .params = &target->params};
	int result;

	snprintf(request.name, sizeof(request.name), "%s", target->name);
	result = request_send(socket, &request, err);
	for (unsigned p = 0; p < target->params.count && result == 0; p++)
		result = send_parameter(socket, index, &target->params, p, err);
	return result < 0 ? result : follow_each(target, send_followed, &sending, err);
}

static int send_shape(int socket, const struct experiment *experiment, unsigned index,
		      bool until_told, struct error *err)
{
	const struct experiment_step *step = &experiment->steps[index];
	const struct shape *shape = &step->shape;
	struct request pulses = {.type = REQUEST_STEP_PULSES,
				 .index = index,
				 .numbers = {shape->every_ns, shape->active_ns, shape->count}};
	const struct request ramp = {
		.type = REQUEST_STEP_RAMP,
		.index = index,
		.numbers = {shape->over_ns, shape->from_ppb, shape->to_ppb, shape->stairs}};
	int result = 0;

	if (until_told && shape->active_ns) {
		pulses.numbers[2] = shape_pulses_within(shape, experiment->limits.duration_ns);
		if (pulses.numbers[2] > SHAPE_MAX_INJECTIONS)
			return error_set(err, E2BIG,
					 "step %u would pulse more than %d times within "
					 "limits.duration",
					 index + 1, SHAPE_MAX_INJECTIONS);
	}
	if (shape->every_ns)
		result = request_send(socket, &pulses, err);
	if (result == 0 && shape->over_ns)
		result = request_send(socket, &ramp, err);
	return result;
}

static int send_step(int socket, const struct experiment *experiment, unsigned index,
		     bool until_told, struct error *err)
{
	const struct experiment_step *step = &experiment->steps[index];
	struct request request = {
		.type = REQUEST_STEP, .index = index, .numbers = {step->target, step->for_ns}};
	int result;

	if (until_told && experiment_step_end_ns(step) >= experiment_method_ns(experiment))
		request.numbers[1] = 0;
	snprintf(request.name, sizeof(request.name), "%s", step->ops->name);
	result = request_send(socket, &request, err);
	if (result == 0)
		result = send_shape(socket, experiment, index, request.numbers[1] == 0, err);
	for (unsigned p = 0; p < step->params.count && result == 0; p++)
		for (unsigned i = 0; i < params_count(&step->params, p) && result == 0; i++)
			result = send_value(socket, REQUEST_STEP_VALUE, index,
					    step->params.table[p].name,
					    params_value(&step->params, p, i)->text, err);
	return result;
}

int define_experiment(int socket, const struct experiment *experiment, bool until_told,
		      struct error *err)
{
	struct request request = {
		.type = REQUEST_LIMITS,
		.numbers = {experiment->limits.duration_ns, experiment->limits.targets,
			    experiment->seed},
	};
	int result;

	result = request_send(socket, &request, err);
	for (unsigned i = 0; i < experiment->target_count && result == 0; i++)
		result = send_target(socket, experiment, i, err);
	for (unsigned i = 0; i < experiment->step_count && result == 0; i++)
		result = send_step(socket, experiment, i, until_told, err);
	return result;
}
