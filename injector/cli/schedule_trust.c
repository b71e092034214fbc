/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/cli/schedule_trust.h"

#include "injector/base/cleanup.h"
#include "injector/experiment/load.h"
#include "injector/policy/policy.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* `path` has no symbolic links: every name in it is looked at. */
static int check_owner(const char *path, struct error *err)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (;;) {
		struct stat status;
		const char *at = *part ? part : "/";

		if (lstat(at, &status) < 0)
			return error_errno(err, errno, "cannot look at %s", at);
		if (status.st_uid != 0)
			return error_set(err, EPERM,
					 "%s belongs to user %u, who could change what "
					 "would be run as root",
					 at, status.st_uid);
		if (status.st_mode & (S_IWGRP | S_IWOTH))
			return error_set(err, EPERM,
					 "others than root can change %s (mode %04o), "
					 "which would be run as root",
					 at, status.st_mode & 07777);
		if (!*part)
			return 0;
		*strrchr(part, '/') = '\0';
	}
}

int schedule_trust_program(const char *path, struct error *err)
{
	int result = check_owner(path, err);

	if (result == -EPERM)
		error_remedy(err, "install it (sudo make install, or the package), and schedule "
				  "with the installed squall");
	return result;
}

int schedule_trust_read(void *context, const char *path, size_t max, char **out_text,
			size_t *out_length, struct error *err)
{
	cleanup_free char *real = realpath(path, NULL);
	int result =
		real ? check_owner(real, err) : error_errno(err, errno, "cannot open %s", path);

	if (result == -EPERM)
		error_remedy(err,
			     "put it into a directory of root's: sudo install -D -m 644 %s "
			     "/etc/squall/NAME.yaml",
			     path);
	return result < 0
		       ? result
		       : experiment_read_as_caller(context, real, max, out_text, out_length, err);
}

/* The rules that ask neither what is found on the machine nor when it is. */
static int ask(const struct policy *policy, const struct experiment *experiment, struct error *err)
{
	int result = policy_check_user(policy, 0, err);

	if (result == 0)
		result = policy_check_limits(policy, experiment->limits.duration_ns, err);
	for (unsigned i = 0; result == 0 && i < experiment->step_count; i++) {
		const struct fault_ops *ops = experiment->steps[i].ops;
		char *argv[FAULT_COMMAND_ARGUMENTS + 1];

		result = policy_check_fault(policy, ops->name, err);
		if (result == 0 && ops->command && ops->command(&experiment->steps[i].params, argv))
			result = policy_check_command(policy, argv[0], err);
	}
	return result;
}

int schedule_trust_policy(const struct experiment *experiment, struct error *err)
{
	struct policy *policy = NULL;
	struct yaml_problems problems = {0};
	int result = policy_load(POLICY_PATH, &policy, &problems, err);

	yaml_problems_free(&problems);
	if (result == 0)
		result = ask(policy, experiment, err);
	policy_free(policy);
	return result < 0 ? error_prefix(err, "schedule: every run would be refused") : 0;
}
