/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/target_follow.h"

#include "faults/process_match.h"
#include "faults/target_group.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned lists[2] = {TRAFFIC_TO, TRAFFIC_EXCEPT};

bool target_follows(const struct params *params)
{
	return params->table == traffic_params && params->settings &&
	       params_number(params, TRAFFIC_FOLLOW, 0);
}

static unsigned count_names(const struct params *params)
{
	unsigned names = 0;

	for (unsigned i = 0; i < 2; i++)
		for (unsigned at = 0; at < params_count(params, lists[i]); at++)
			names += params_value(params, lists[i], at)->endpoint.is_name;
	return names;
}

bool target_follows_names(const struct params *params)
{
	return target_follows(params) && count_names(params) > 0;
}

int target_check_follow(const struct params *params, struct error *err)
{
	unsigned names;

	if (params->table == process_params && target_follows_groups(params) &&
	    !process_match_is_whole_groups(params)) {
		error_set(err, EINVAL,
			  "follow: there is nothing to follow: processes are found again by their "
			  "control group alone");
		return error_remedy(err, "select them by unit, cgroup or container and nothing "
					 "else, or leave it out");
	}
	if (!target_follows(params))
		return 0;
	names = count_names(params);
	if (names > TARGET_HOSTS_MAX)
		return error_set(err, E2BIG, "follow: %u host names, at most %d can be followed",
				 names, TARGET_HOSTS_MAX);
	if (names || target_follows_interfaces(params) || target_follows_groups(params))
		return 0;
	error_set(err, EINVAL,
		  "follow: there is nothing to follow: no host name in `to` or `except`, no unit, "
		  "cgroup or container, and no pattern, all or default-route in `interface`");
	return error_remedy(err, "write a name instead of its addresses, a pattern instead of an "
				 "interface's name, or leave it out");
}

int target_add_host(struct target *target, unsigned parameter, const char *text, struct error *err)
{
	struct endpoint_host host;
	struct target_host *grown;
	int result = endpoint_parse_host(text, &host, err);

	if (result < 0)
		return result;
	if (!target_follows(&target->params) ||
	    (parameter != TRAFFIC_TO && parameter != TRAFFIC_EXCEPT) || target->is_resolved)
		return error_set(err, EPROTO, "host '%s' is not one that is followed", text);
	if (!host.endpoint.is_name)
		return error_set(err, EPROTO, "'%s' is not a host name", text);
	if (target->host_count == TARGET_HOSTS_MAX)
		return error_set(err, E2BIG, "more than %d host names to follow", TARGET_HOSTS_MAX);
	grown = reallocarray(target->hosts, target->host_count + 1, sizeof(*grown));
	if (!grown)
		return error_errno(err, ENOMEM, "host '%s'", text);
	target->hosts = grown;
	grown += target->host_count;
	*grown = (struct target_host){.name = strdup(host.name),
				      .parameter = parameter,
				      .port_first = host.endpoint.port_first,
				      .port_last = host.endpoint.port_last};
	if (!grown->name)
		return error_errno(err, ENOMEM, "host '%s'", text);
	target->host_count++;
	return 0;
}

static int compare(const void *left, const void *right)
{
	const struct endpoint *a = left, *b = right;

	if (a->family != b->family)
		return a->family - b->family;
	return memcmp(a->address, b->address, sizeof(a->address));
}

static int add_address(struct target_addresses *to, const struct endpoint *address,
		       struct error *err)
{
	struct endpoint *grown;

	if (to->count >= TARGET_HOST_ADDRESSES_MAX)
		return error_set(err, E2BIG, "a host name has more than %d addresses",
				 TARGET_HOST_ADDRESSES_MAX);
	grown = reallocarray(to->list, to->count + 1, sizeof(*grown));
	if (!grown)
		return error_errno(err, ENOMEM, "an address of a host");
	to->list = grown;
	to->list[to->count++] = *address;
	return 0;
}

static void forget(struct target_addresses *addresses)
{
	free(addresses->list);
	*addresses = (struct target_addresses){0};
}

/* One address, and no ports: those are the name's. */
static int read_address(const struct target_host *host, const char *text, struct endpoint *out,
			struct error *err)
{
	int result = endpoint_parse(text, out, err);

	if (result < 0)
		return result;
	if (out->family == AF_UNSPEC || out->port_first ||
	    out->prefix != (out->family == AF_INET ? 32 : 128))
		return error_set(err, EPROTO, "'%s' is not an address of a host", text);
	out->port_first = host->port_first;
	out->port_last = host->port_last;
	return 0;
}

int target_tell_addresses(struct target *target, unsigned host, const char *text, struct error *err)
{
	char buffer[PARAM_TEXT_MAX + 8], *save = NULL;
	struct target_host *of;
	struct endpoint address;
	int result = 0;

	if (host >= target->host_count)
		return error_set(err, EPROTO, "target '%s' follows no host number %u", target->name,
				 host);
	of = &target->hosts[host];
	snprintf(buffer, sizeof(buffer), "%s", text);
	for (char *at = strtok_r(buffer, " ", &save); at && result == 0;
	     at = strtok_r(NULL, " ", &save)) {
		result = read_address(of, at, &address, err);
		if (result == 0)
			result = add_address(&of->next, &address, err);
	}
	return result;
}

static void sort(struct target_addresses *addresses)
{
	unsigned kept = 0;

	qsort(addresses->list, addresses->count, sizeof(*addresses->list), compare);
	for (unsigned i = 0; i < addresses->count; i++)
		if (i == 0 || compare(&addresses->list[i], &addresses->list[kept - 1]) != 0)
			addresses->list[kept++] = addresses->list[i];
	addresses->count = kept;
}

static bool are_same(const struct target_addresses *one, const struct target_addresses *other)
{
	if (one->count != other->count)
		return false;
	for (unsigned i = 0; i < one->count; i++)
		if (compare(&one->list[i], &other->list[i]) != 0)
			return false;
	return true;
}

/* Fixed values first, then those of each name. */
static int rebuild(struct target *target, struct error *err)
{
	char text[ENDPOINT_TEXT_SIZE];
	int result = 0;

	for (unsigned i = 0; i < 2; i++)
		params_truncate(&target->params, lists[i], target->fixed_count[i]);
	for (unsigned i = 0; i < target->host_count; i++) {
		const struct target_host *host = &target->hosts[i];

		for (unsigned at = 0; result == 0 && at < host->now.count; at++)
			result = params_add(&target->params, host->parameter,
					    endpoint_format(&host->now.list[at], text), 0, 0, err);
	}
	return result;
}

int target_swap_addresses(struct target *target, unsigned host, struct error *err)
{
	struct target_host *of = &target->hosts[host];
	const struct target_addresses was = of->now;

	of->now = of->next;
	of->next = was;
	return rebuild(target, err);
}

void target_drop_addresses(struct target *target, unsigned host)
{
	forget(&target->hosts[host].next);
}

/* It is spared because of what was planned, and stays so. */
static int check_metadata(const struct target *target, const struct target_host *host,
			  struct error *err)
{
	if (host->parameter != TRAFFIC_TO || !target_spares_metadata(&target->params))
		return 0;
	for (unsigned i = 0; i < host->next.count; i++) {
		const struct endpoint *address = &host->next.list[i];

		if (target_is_metadata(address->family, address->address))
			return error_set(err, EPERM,
					 "%s is now a cloud's metadata address, which is left "
					 "out of every fault",
					 host->name);
	}
	return 0;
}

int target_end_addresses(struct target *target, unsigned host, bool *out_changed, struct error *err)
{
	struct target_host *of;
	int result = 0;

	*out_changed = false;
	if (host >= target->host_count)
		return error_set(err, EPROTO, "target '%s' follows no host number %u", target->name,
				 host);
	of = &target->hosts[host];
	/* none at all would mean: every address */
	if (!of->next.count)
		return error_set(err, EPROTO, "%s: no address was told", of->name);
	if (of->parameter == TRAFFIC_EXCEPT)
		for (unsigned i = 0; i < of->now.count && result == 0; i++)
			result = add_address(&of->next, &of->now.list[i], err);
	sort(&of->next);
	if (result == 0 && target->is_resolved)
		result = check_metadata(target, of, err);
	if (result == 0 && !are_same(&of->now, &of->next)) {
		*out_changed = true;
		if (target->is_resolved)
			return target_swap_addresses(target, host, err);
		forget(&of->now);
		of->now = of->next;
		of->next = (struct target_addresses){0};
		return 0;
	}
	forget(&of->next);
	return result;
}

void target_format_addresses(const struct target_addresses *addresses, char *out, size_t size)
{
	char text[ENDPOINT_TEXT_SIZE];
	size_t used = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < addresses->count && used < size; i++) {
		struct endpoint bare = addresses->list[i];

		bare.port_first = bare.port_last = 0;
		endpoint_format(&bare, text);
		if (used + strlen(text) + 16 > size) {
			snprintf(out + used, size - used, ", ...");
			return;
		}
		used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", text);
	}
}

int target_follow_begin(struct target *target, struct error *err)
{
	if (target_follows(&target->params) && !target->host_count &&
	    !target_follows_interfaces(&target->params) && !target_follows_groups(&target->params))
		return error_set(err, EPROTO, "follow: no host name was told");
	for (unsigned i = 0; i < 2; i++)
		target->fixed_count[i] = params_count(&target->params, lists[i]);
	for (unsigned i = 0; i < target->host_count; i++)
		if (!target->hosts[i].now.count)
			return error_set(err, EPROTO, "%s: no address was told",
					 target->hosts[i].name);
	return target->host_count ? rebuild(target, err) : 0;
}

int target_follow_copy(const struct target *from, struct target *to, struct error *err)
{
	to->hosts = from->host_count ? calloc(from->host_count, sizeof(*to->hosts)) : NULL;
	if (from->host_count && !to->hosts)
		return error_errno(err, ENOMEM, "host names");
	for (; to->host_count < from->host_count; to->host_count++) {
		const struct target_host *host = &from->hosts[to->host_count];
		struct target_host *copy = &to->hosts[to->host_count];
		int result = 0;

		*copy = (struct target_host){.name = strdup(host->name),
					     .parameter = host->parameter,
					     .port_first = host->port_first,
					     .port_last = host->port_last};
		if (!copy->name)
			return error_errno(err, ENOMEM, "host names");
		for (unsigned i = 0; result == 0 && i < host->now.count; i++)
			result = add_address(&copy->now, &host->now.list[i], err);
		if (result < 0) {
			to->host_count++; /* to be freed as well */
			return result;
		}
	}
	return 0;
}

void target_follow_free(struct target *target)
{
	for (unsigned i = 0; i < target->host_count; i++) {
		free(target->hosts[i].name);
		forget(&target->hosts[i].now);
		forget(&target->hosts[i].next);
	}
	free(target->hosts);
	target->hosts = NULL;
	target->host_count = 0;
}
