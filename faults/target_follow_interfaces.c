/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Interfaces of a traffic target that come and go while it is in use. An interface is the same one
 * as long as its number and its name are: renamed, it has gone and another has come.
 */
#include "faults/target_follow.h"
#include "faults/target_interfaces.h"

#include "injector/kernel/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_pattern(const struct params *params)
{
	for (unsigned i = 0; i < params_count(params, TRAFFIC_INTERFACE); i++) {
		const char *name = params_value(params, TRAFFIC_INTERFACE, i)->text;

		if (strcmp(name, "all") == 0 || strcmp(name, "default-route") == 0 ||
		    strpbrk(name, "*?["))
			return true;
	}
	return false;
}

bool target_follows_interfaces(const struct params *params)
{
	return target_follows(params) && (has_pattern(params) || target_follows_routes(params));
}

bool target_follows_routes(const struct params *params)
{
	return target_follows(params) && !params_count(params, TRAFFIC_INTERFACE);
}

int target_follow_interfaces_begin(struct target *target, struct error *err)
{
	if (!target_follows_interfaces(&target->params))
		return 0;
	/* whichever way the routes lead, it is met */
	if (target->may_lack_interfaces && target_follows_routes(&target->params))
		return 0;
	return netlink_open(target->namespace_fd, &target->links, err);
}

static struct target_interface *find(struct target_interface *list, unsigned count,
				     const struct target_interface *what)
{
	for (unsigned i = 0; i < count; i++)
		if (list[i].index == what->index && strcmp(list[i].name, what->name) == 0)
			return &list[i];
	return NULL;
}

static int append(struct target_interface **list, unsigned *count,
		  const struct target_interface *what)
{
	struct target_interface *grown = reallocarray(*list, *count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	grown[(*count)++] = *what;
	*list = grown;
	return 0;
}

static void drop(struct target_interface *list, unsigned *count, struct target_interface *which)
{
	*which = list[--*count];
}

/* It is not among what was found: why not? False: it stays, because no route leads anywhere at this
 * moment. */
static bool has_gone(const struct target *target, const struct target_interface *was, bool has_way,
		     char *out, size_t size)
{
	struct link link;
	int result = link_get(target->links, was->index, &link, NULL);

	if (result < 0)
		snprintf(out, size, "%s (gone)", was->name);
	else if (strcmp(link.name, was->name) != 0)
		snprintf(out, size, "%s (renamed)", was->name);
	else if (!has_way)
		return false;
	else
		snprintf(out, size, "%s (no %sroute%s any more)", was->name,
			 was->is_default ? "default " : "",
			 params_count(&target->params, TRAFFIC_LOCAL_ADDRESS) ? " or address" : "");
	return true;
}

static void let_go(struct target *target, struct target_interface *found, unsigned count,
		   bool has_routes, struct target_look *out)
{
	bool has_default = false;
	size_t used = 0;

	for (unsigned i = 0; i < count; i++)
		has_default |= found[i].is_default;
	for (unsigned i = 0; i < target->interface_count;) {
		struct target_interface *was = &target->interfaces[i];
		const struct target_interface *now = find(found, count, was);
		char why[80];

		if (now)
			was->is_default = now->is_default;
		if (now || !has_gone(target, was, has_routes && (has_default || !was->is_default),
				     why, sizeof(why))) {
			i++;
			continue;
		}
		if (used + strlen(why) + 3 < sizeof(out->gone))
			used += (size_t)snprintf(out->gone + used, sizeof(out->gone) - used, "%s%s",
						 used ? ", " : "", why);
		else
			out->gone_unnamed++;
		out->gone_count++;
		drop(target->interfaces, &target->interface_count, was);
	}
	for (unsigned i = 0; i < target->passed_count;)
		if (find(found, count, &target->passed_over[i]))
			i++;
		else
			drop(target->passed_over, &target->passed_count, &target->passed_over[i]);
}

int target_look_again(struct target *target, struct target_look *out, struct error *err)
{
	struct target_interface *found;
	unsigned count;
	bool has_routes;
	int result = target_find_interfaces_again(target, target->links, &found, &count,
						  &has_routes, err);

	*out = (struct target_look){0};
	if (result < 0)
		return result;
	let_go(target, found, count, has_routes, out);
	for (unsigned i = 0; result == 0 && i < count; i++)
		if (!find(target->interfaces, target->interface_count, &found[i]) &&
		    !find(target->passed_over, target->passed_count, &found[i]))
			result = append(&out->appeared, &out->appeared_count, &found[i]);
	free(found);
	if (result < 0) {
		target_forget_look(out);
		return error_errno(err, -result, "interfaces that have appeared");
	}
	return 0;
}

void target_forget_look(struct target_look *look)
{
	free(look->appeared);
	look->appeared = NULL;
	look->appeared_count = 0;
}

int target_take_interface(struct target *target, const struct target_interface *interface,
			  struct error *err)
{
	if (target->interface_count >= TARGET_INTERFACES_MAX)
		return error_set(err, E2BIG, "more than %d interfaces", TARGET_INTERFACES_MAX);
	return append(&target->interfaces, &target->interface_count, interface) < 0
		       ? error_errno(err, ENOMEM, "interface %s", interface->name)
		       : 0;
}

bool target_has_lost_interface(const struct target *target)
{
	for (unsigned i = 0; target->links && i < target->interface_count; i++) {
		const struct target_interface *interface = &target->interfaces[i];
		struct link link;
		int result = link_get(target->links, interface->index, &link, NULL);

		if (result == -ENODEV || (result == 0 && strcmp(link.name, interface->name) != 0))
			return true;
	}
	return false;
}

void target_leave_interface(struct target *target, const struct target_interface *interface)
{
	struct target_interface *taken =
		find(target->interfaces, target->interface_count, interface);

	if (taken)
		drop(target->interfaces, &target->interface_count, taken);
}

void target_pass_over(struct target *target, const struct target_interface *interface)
{
	const struct target_interface which = *interface; /* it may be the target's own */

	target_leave_interface(target, &which);
	/* without memory it is asked for again: no harm */
	if (!find(target->passed_over, target->passed_count, &which))
		(void)!append(&target->passed_over, &target->passed_count, &which);
}

void target_forget_interfaces(struct target *target)
{
	netlink_close(target->links);
	target->links = NULL;
	free(target->passed_over);
	target->passed_over = NULL;
	target->passed_count = 0;
}
