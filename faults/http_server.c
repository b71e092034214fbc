/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The http fault where requests arrive (`local-port`): what of the target it can use there, whose
 * requests to which servers are met, and what the servers see of it.
 */
#include "faults/http.h"

#include "injector/base/prose.h"

#include <errno.h>
#include <stdio.h>

bool http_is_at_server(const struct params *target)
{
	return params_count(target, TRAFFIC_LOCAL_PORT) > 0;
}

static int check_client_side(const struct params *target, const struct param_value **out_blamed,
			     struct error *err)
{
	static const unsigned keys[] = {TRAFFIC_LOCAL_ADDRESS, TRAFFIC_EXCEPT_LOCAL_PORT,
					TRAFFIC_EXCEPT_LOCAL_ADDRESS};

	for (unsigned i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (!params_count(target, keys[i]))
			continue;
		*out_blamed = params_value(target, keys[i], 0);
		error_set(err, EINVAL,
			  "%s: it is about servers on this side, and which ones is said by "
			  "local-port",
			  traffic_params[keys[i]].name);
		return error_remedy(err, "add local-port: 80; requests that are sent from here are "
					 "chosen by `to`");
	}
	return 0;
}

static int check_size(const struct params *target, const struct param_value **out_blamed,
		      struct error *err)
{
	static const unsigned keys[] = {TRAFFIC_TO,
					TRAFFIC_EXCEPT,
					TRAFFIC_LOCAL_PORT,
					TRAFFIC_EXCEPT_LOCAL_PORT,
					TRAFFIC_LOCAL_ADDRESS,
					TRAFFIC_EXCEPT_LOCAL_ADDRESS};

	for (unsigned i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (params_count(target, keys[i]) <= REDIRECT_LOOKUP_VALUES)
			continue;
		*out_blamed = params_value(target, keys[i], REDIRECT_LOOKUP_VALUES);
		error_set(err, E2BIG, "%s: more than %d where requests arrive (local-port)",
			  traffic_params[keys[i]].name, REDIRECT_LOOKUP_VALUES);
		return error_remedy(err, "name networks, or ranges of ports, instead");
	}
	return 0;
}

/* The kernel takes what clients on this machine send for what has come by the interface that the
 * address is on. */
static int refuse_interface(const struct params *target, const struct param_value **out_blamed,
			    struct error *err)
{
	*out_blamed = params_value(target, TRAFFIC_INTERFACE, 0);
	error_set(err, EINVAL,
		  "interface: with local-port it is not known by which interface a request came");
	return error_remedy(err, "leave it out; local-address chooses the servers' addresses, `to` "
				 "the clients'");
}

int http_check_server(const struct params *target, const struct param_value **out_blamed,
		      struct error *err)
{
	static const unsigned owners[] = {TRAFFIC_CGROUP, TRAFFIC_UNIT, TRAFFIC_OF};

	if (!http_is_at_server(target))
		return check_client_side(target, out_blamed, err);
	if (params_count(target, TRAFFIC_INTERFACE))
		return refuse_interface(target, out_blamed, err);
	if (params_number(target, TRAFFIC_FOLLOW, 0)) {
		*out_blamed = params_value(target, TRAFFIC_FOLLOW, 0);
		error_set(err, EINVAL,
			  "follow: with local-port the addresses that it begins with are kept");
		return error_remedy(err, "leave it out");
	}
	for (unsigned i = 0; i < sizeof(owners) / sizeof(*owners); i++) {
		if (!params_count(target, owners[i]))
			continue;
		*out_blamed = params_value(target, owners[i], 0);
		error_set(err, EINVAL,
			  "%s: with local-port requests are met where they arrive, whoever has "
			  "sent them and whoever serves them",
			  traffic_params[owners[i]].name);
		return error_remedy(err, "leave it out: local-port alone is everybody's requests "
					 "to it; `to` chooses clients by address");
	}
	return check_size(target, out_blamed, err);
}

int http_check_container(const struct target *target, struct error *err)
{
	if (!target->container_count || target->namespace_fd >= 0)
		return 0;
	error_set(err, EINVAL,
		  "%s has no network namespace of its own, and with local-port requests are met "
		  "whoever serves them",
		  target->owner_text);
	return error_remedy(err, "leave it out: local-port alone is everybody's requests to it");
}

/* "8080, 9000-9010" */
static void say_ports(const struct params *params, unsigned key, char *out, size_t size)
{
	struct prose prose;

	prose_begin(&prose, out, size);
	for (unsigned i = 0; i < params_count(params, key); i++)
		prose_say(&prose, "%s%s", i ? ", " : "", params_value(params, key, i)->text);
	prose_end(&prose);
}

void http_explain_server(const struct params *target, char *out, size_t size)
{
	const char *of = params_count(target, TRAFFIC_TO) ? "of the clients that are named"
							  : "whoever sends them";
	char ports[200];
	struct prose prose;

	prose_begin(&prose, out, size);
	if (!http_is_at_server(target))
		return;
	say_ports(target, TRAFFIC_LOCAL_PORT, ports, sizeof(ports));
	prose_say(&prose,
		  " Requests are met where they arrive, at port %s of the servers here, %s; to the "
		  "servers those of other machines seem to come from this one. ",
		  ports, of);
	prose_end(&prose);
}

static int list_values(const struct params *params, unsigned key, const char *what,
		       struct plan *plan)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < params_count(params, key); i++)
		result = plan_add(plan, PLAN_TARGET, "%s %s", what,
				  params_value(params, key, i)->text);
	return result;
}

int http_list_clients(const struct target *target, struct plan *plan)
{
	static const struct {
		unsigned key;
		const char *what;
	} lists[] = {
		{TRAFFIC_TO, "only of clients"},
		{TRAFFIC_EXCEPT, "not of clients"},
		{TRAFFIC_LOCAL_ADDRESS, "only at address"},
		{TRAFFIC_EXCEPT_LOCAL_ADDRESS, "not at address"},
		{TRAFFIC_EXCEPT_LOCAL_PORT, "not at port"},
	};
	const char *name = target->namespace_name;
	char ports[200];
	int result;

	say_ports(&target->params, TRAFFIC_LOCAL_PORT, ports, sizeof(ports));
	result =
		plan_add(plan, PLAN_TARGET, "requests that come to port %s here%s%s%s%s", ports,
			 name[0] ? ", network namespace " : "", name,
			 target->owner_text[0] ? ", where it is that of " : "", target->owner_text);
	for (unsigned i = 0; result == 0 && i < sizeof(lists) / sizeof(*lists); i++)
		result = list_values(&target->params, lists[i].key, lists[i].what, plan);
	return result;
}

static bool has_ports(const struct params *params, unsigned key)
{
	for (unsigned i = 0; i < params_count(params, key); i++)
		if (params_value(params, key, i)->endpoint.port_first)
			return true;
	return false;
}

static int list_notes(const struct params *target, struct plan *plan)
{
	int result = plan_add(
		plan, PLAN_NOTE,
		"the servers see clients of this machine with their addresses, and all others with "
		"the address that these have connected to: what they allow, limit or log by "
		"address is the machine's own");

	if (result == 0)
		result = plan_add(plan, PLAN_NOTE,
				  "a port at which nobody listens accepts and resets, instead of "
				  "refusing; servers bound to an interface cannot be reached");
	if (result == 0 && (has_ports(target, TRAFFIC_TO) || has_ports(target, TRAFFIC_EXCEPT)))
		result = plan_add(plan, PLAN_NOTE,
				  "a port behind the address of a client is the one it sends from");
	return result;
}

int http_list_server(const struct http_state *state, const struct params *target,
		     const char *listens, struct plan *plan, struct error *err)
{
	const char *program = state->redirect.record.table;
	char other[32];
	int result = redirect_lookup_find_other(&state->redirect, other, sizeof(other), err);

	if (result == 0)
		result = plan_add(plan, PLAN_WAY,
				  "BPF at the socket lookup of the network namespace gives new "
				  "connections to a responder of the worker");
	if (result == 0)
		result = plan_add(plan, PLAN_CHANGE, "%s", listens);
	if (result == 0)
		result = plan_add(plan, PLAN_CHANGE,
				  "attach program %s (vanishes with its process)", program);
	if (result == 0)
		result = list_notes(target, plan);
	if (result == 0 && other[0])
		result = plan_add(
			plan, PLAN_NOTE,
			"somebody's program %s chooses sockets here, too: ours comes behind "
			"it, meets also what it would give to a server or refuse, and what "
			"is passed on is asked of it",
			other);
	return result;
}

int http_keep_awaited(struct netlink *diag, struct target_connections *inout, struct error *err)
{
	unsigned kept = 0;
	uint16_t last = 0; /* mostly they are all of one port */
	int is_awaited = 0;

	for (unsigned i = 0; i < inout->count; i++) {
		const struct connection *connection = &inout->found[i];

		if (connection->local_port != last) {
			last = connection->local_port;
			is_awaited = connection_is_awaited(diag, last, err);
		}
		if (is_awaited < 0) {
			target_connections_drop(inout);
			return is_awaited;
		}
		if (is_awaited)
			inout->found[kept++] = *connection;
	}
	inout->count = kept;
	return 0;
}
