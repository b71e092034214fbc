/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/target_namespace.h"

#include "faults/target.h"
#include "injector/base/cleanup.h"
#include "injector/base/quantity.h"
#include "injector/base/shell_word.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The place for a name may have been too short for it. */
#define NAME_MAX_LENGTH (sizeof(((struct target *)NULL)->namespace_name) - 1)

bool target_namespace_is_of_process(const char *name)
{
	return strncmp(name, "pid:", 4) == 0 || strncmp(name, "target:", 7) == 0;
}

static int open_pid(const struct target_namespace_kind *kind, const char *text, int *out_fd,
		    struct error *err)
{
	int64_t pid;

	if (quantity_parse_integer(text, &pid, NULL) < 0 || pid <= 0 || pid > INT32_MAX)
		return error_set(err, EINVAL, "namespace 'pid:%s' does not name a process", text);
	return kind->open_pid((pid_t)pid, out_fd, err);
}

static int open_target(const struct target_namespace_kind *kind, const char *name,
		       const struct target_guard *guard, int *out_fd, struct error *err)
{
	struct target *found = guard && guard->find ? guard->find(guard->context, name) : NULL;
	struct namespace_id first = {0}, id = {0};
	cleanup_fd int kept = -1;

	if (!found)
		return error_set(err, ENOENT, "namespace 'target:%s': there is no such target",
				 name);
	if (found->kind != TARGET_PROCESS)
		return error_set(err, EINVAL, "namespace 'target:%s': it selects no processes",
				 name);
	if (!found->is_resolved || found->process_count == 0)
		return error_set(err, EINVAL,
				 "namespace 'target:%s': write that target above this one", name);
	for (unsigned i = 0; i < found->process_count; i++) {
		cleanup_fd int fd = -1;
		int result = kind->open_pid(found->processes[i].id.pid, &fd, err);

		/* the pid was still its own when the namespace was opened */
		if (result == 0)
			result = target_process_recheck(&found->processes[i], found, err);
		if (result == 0)
			result = kind->identify(fd, &id, err);
		if (result < 0)
			return result;
		if (i == 0) {
			first = id;
			kept = steal_fd(&fd);
		} else if (!namespace_is_same(&first, &id)) {
			return error_set(err, EINVAL,
					 "namespace 'target:%s': its processes live in different "
					 "%s namespaces",
					 name, kind->name);
		}
	}
	*out_fd = steal_fd(&kept);
	return 0;
}

int target_namespace_open(const struct target_namespace_kind *kind, const char *name,
			  const struct target_guard *guard, int *out_fd, struct error *err)
{
	if (strncmp(name, "pid:", 4) == 0)
		return open_pid(kind, name + 4, out_fd, err);
	if (strncmp(name, "target:", 7) == 0)
		return open_target(kind, name + 7, guard, out_fd, err);
	return error_set(err, EINVAL, "namespace '%s': write pid:N or target:NAME", name);
}

int target_namespace_check(const struct target_namespace *namespace, struct error *err)
{
	const char *name = namespace->name;
	pid_t *keeper = namespace->inout_keeper;
	struct error why = ERROR_INIT;
	int result;

	if (namespace->fd < 0 || strlen(name) == NAME_MAX_LENGTH)
		return 0;
	if (!target_namespace_is_of_process(name)) {
		if (namespace_is_named(name, namespace->id) == 0)
			return error_set(err, ESTALE, "network namespace %s was deleted", name);
		return 0;
	}
	if (!*keeper && strncmp(name, "pid:", 4) == 0)
		*keeper = (pid_t)strtol(name + 4, NULL, 10);
	if (*keeper && namespace_is_of(*keeper, namespace->id) != 0)
		return 0;
	result = namespace_find_process(namespace->id, keeper, &why);
	if (result != -ENOENT)
		return 0;
	return error_set(err, ESTALE, "the network namespace of %s is gone: no process is in it",
			 name);
}

/* Of one without a name: by some process that is in it now. */
static void say_process(const struct namespace_id *id, char *out, size_t size)
{
	pid_t pid;

	if (namespace_find_process(id, &pid, NULL) == 0)
		snprintf(out, size, "nsenter --net=/proc/%d/ns/net ", pid);
	else
		snprintf(out, size, "nsenter --net=/proc/PID/ns/net ");
}

void target_namespace_prefix(const char *name, const struct namespace_id *id, char *out,
			     size_t size)
{
	char word[TARGET_NAMESPACE_PREFIX] = "";

	shell_word_add(name, word, sizeof(word));
	if (target_namespace_is_of_process(name))
		say_process(id, out, size);
	else if (name[0])
		snprintf(out, size, "ip netns exec %s ", word);
	else
		out[0] = '\0';
}
