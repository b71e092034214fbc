/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/target.h"

#include "faults/target_follow.h"
#include "faults/target_group.h"
#include "faults/target_interfaces.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct param *target_params(enum target_kind kind)
{
	switch (kind) {
	case TARGET_TRAFFIC:
		return traffic_params;
	case TARGET_PROCESS:
		return process_params;
	case TARGET_FILE:
		return file_params;
	case TARGET_NONE:
		break;
	}
	return NULL;
}

const char *target_kind_name(enum target_kind kind)
{
	switch (kind) {
	case TARGET_TRAFFIC:
		return "traffic";
	case TARGET_PROCESS:
		return "process";
	case TARGET_FILE:
		return "file";
	case TARGET_NONE:
		break;
	}
	return "none";
}

unsigned target_size(const struct target *target)
{
	unsigned endpoints;

	if (target->kind == TARGET_PROCESS)
		return target->process_count + target->joined_count;
	if (target->kind == TARGET_NONE || !target->params.settings)
		return 0;
	if (target->kind == TARGET_FILE)
		return 1;
	/* no endpoint given stands for every address, which is one endpoint: "*" */
	endpoints = params_count(&target->params, TRAFFIC_TO);
	return endpoints ? endpoints : 1;
}

static void forget(struct target *target)
{
	for (unsigned i = 0; i < target->process_count; i++)
		if (target->processes[i].pidfd >= 0)
			close(target->processes[i].pidfd);
	free(target->processes);
	target->processes = NULL;
	target->process_count = 0;
	free(target->interfaces);
	target->interfaces = NULL;
	target->interface_count = 0;
	target_forget_sources(target);
	target_forget_interfaces(target);
	target_group_free(target);
	if (target->namespace_fd > 2) /* a zeroed target has 0 here */
		close(target->namespace_fd);
	target->namespace_fd = -1;
	target->is_resolved = false;
}

int target_resolve(struct target *target, unsigned limit, const struct target_guard *guard,
		   struct error *err)
{
	char name[sizeof(target->name) + sizeof(target->part_text) + 24] = "target";
	unsigned size;
	int result;

	if (target->is_resolved)
		return 0;
	if (target->name[0])
		snprintf(name, sizeof(name), "target '%s'", target->name);
	if (target->part_text[0])
		snprintf(name + strlen(name), sizeof(name) - strlen(name), " in %s",
			 target->part_text);
	target->namespace_fd = -1;
	if (target->kind == TARGET_TRAFFIC)
		result = target_traffic_resolve(target, guard, err);
	else if (target->kind == TARGET_PROCESS)
		result = target_process_resolve(target, guard, err);
	else if (target->kind == TARGET_FILE)
		result = target_file_resolve(target, guard, err);
	else
		result = error_set(err, EINVAL, "it selects nothing");
	if (result < 0) {
		error_prefix(err, "%s", name);
		forget(target);
		return result;
	}
	size = target_size(target);
	if (size == 0)
		result = error_set(err, ENOENT, "%s: nothing matches", name);
	else if (size > limit) {
		result = error_set(err, E2BIG, "%s: %u %s selected, but limits.targets is %u", name,
				   size,
				   target->kind == TARGET_PROCESS ? "processes"
				   : target->kind == TARGET_FILE  ? "files"
								  : "endpoints",
				   limit);
		error_remedy(err, "select fewer, or raise limits.targets if that reach is meant");
	}
	if (result < 0) {
		forget(target);
		return result;
	}
	target->is_resolved = true;
	return 0;
}

void target_free(struct target *target)
{
	forget(target);
	target_follow_free(target);
	params_free(&target->params);
}
