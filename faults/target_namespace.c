/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/target_namespace.h"

#include "faults/target.h"
#include "injector/base/shell_word.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The place for a name may have been too short for it. */
#define NAME_MAX_LENGTH (sizeof(((struct target *)NULL)->namespace_name) - 1)

int target_namespace_check(const struct target_namespace *namespace, struct error *err)
{
	const char *name = namespace->name;
	pid_t *keeper = namespace->inout_keeper;
	struct error why = ERROR_INIT;
	int result;

	if (namespace->fd < 0 || strlen(name) == NAME_MAX_LENGTH)
		return 0;
	if (strncmp(name, "pid:", 4) != 0 && strncmp(name, "target:", 7) != 0) {
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
	if (strncmp(name, "pid:", 4) == 0 || strncmp(name, "target:", 7) == 0)
		say_process(id, out, size);
	else if (name[0])
		snprintf(out, size, "ip netns exec %s ", word);
	else
		out[0] = '\0';
}
