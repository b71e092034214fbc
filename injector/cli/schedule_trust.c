/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/cli/schedule_trust.h"

#include "injector/base/cleanup.h"
#include "injector/experiment/format.h"
#include "injector/experiment/load.h"
#include "injector/policy/policy.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel's */

static int check_owner(const char *path, const struct stat *status, struct error *err)
{
	if (status->st_uid != 0)
		return error_set(err, EPERM,
				 "%s belongs to user %u, who could change what would be run as "
				 "root",
				 path, status->st_uid);
	if (!S_ISLNK(status->st_mode) && status->st_mode & (S_IWGRP | S_IWOTH))
		return error_set(err, EPERM,
				 "others than root can change %s (mode %04o), which would be run "
				 "as root",
				 path, status->st_mode & 07777);
	return 0;
}

/* Puts what a link says in front of what is left of the path. */
static int follow(const char *link, char rest[PATH_MAX], struct error *err)
{
	char target[PATH_MAX], left[PATH_MAX];
	ssize_t length = readlink(link, target, sizeof(target) - 1);

	if (length < 0)
		return error_errno(err, errno, "cannot look at %s", link);
	target[length] = '\0';
	snprintf(left, sizeof(left), "%s", rest);
	if ((size_t)length + 1 + strlen(left) >= PATH_MAX)
		return error_errno(err, ENAMETOOLONG, "%s", link);
	stpcpy(stpcpy(stpcpy(rest, target), "/"), left);
	return 0;
}

/* Each name and each link on the way, as a run will walk it: who can change one of them can lead
 * it elsewhere by then. `path` is absolute. */
static int check_way(const char *path, struct error *err)
{
	char at[PATH_MAX] = "", rest[PATH_MAX], name[NAME_MAX + 1];
	struct stat status;
	unsigned links = 0;
	int result = lstat("/", &status) < 0 ? error_errno(err, errno, "cannot look at /")
					     : check_owner("/", &status, err);

	if (strlen(path) >= sizeof(rest))
		return error_errno(err, ENAMETOOLONG, "%s", path);
	strcpy(rest, path);
	while (result == 0) {
		size_t begin = strspn(rest, "/"), length = strcspn(rest + begin, "/"),
		       before = strlen(at);

		if (length == 0)
			return 0;
		if (length >= sizeof(name) || before + length + 2 > sizeof(at))
			return error_errno(err, ENAMETOOLONG, "%s", path);
		snprintf(name, sizeof(name), "%.*s", (int)length, rest + begin);
		memmove(rest, rest + begin + length, strlen(rest + begin + length) + 1);
		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			*(strrchr(at, '/') ?: at) = '\0';
			continue;
		}
		sprintf(at + before, "/%s", name);
		if (lstat(at, &status) < 0)
			return error_errno(err, errno, "cannot look at %s", at);
		result = check_owner(at, &status, err);
		if (result < 0 || !S_ISLNK(status.st_mode))
			continue;
		if (++links > LINKS_MAX)
			return error_errno(err, ELOOP, "%s", path);
		result = follow(at, rest, err);
		at[rest[0] == '/' ? 0 : before] = '\0';
	}
	return result;
}

int schedule_trust_program(const char *path, struct error *err)
{
	int result = check_way(path, err);

	if (result == -EPERM)
		error_remedy(err, "install it (sudo make install, or the package), and schedule "
				  "with the installed squall");
	return result;
}

int schedule_trust_read(void *context, const char *path, size_t max, char **out_text,
			size_t *out_length, struct error *err)
{
	int result = path[0] == '/' ? check_way(path, err)
				    : error_set(err, EINVAL, "%s is not absolute", path);

	if (result == -EPERM)
		error_remedy(err,
			     "put it into a directory of root's: sudo install -D -m 644 %s "
			     "/etc/squall/NAME.yaml",
			     path);
	return result < 0
		       ? result
		       : experiment_read_as_caller(context, path, max, out_text, out_length, err);
}

/* A word that names a file, the program or what an interpreter shall read; other words name none.
 * Bare names of programs are looked for in directories of root's. */
static int check_word(const char *word, const char *file, struct error *err)
{
	int directory = word[0] == '/' ? 0 : (int)(strrchr(file, '/') - file) + 1;
	char path[PATH_MAX];
	int result;

	if ((size_t)snprintf(path, sizeof(path), "%.*s%s", directory, file, word) >= sizeof(path) ||
	    access(path, F_OK) < 0)
		return 0;
	result = check_way(path, err);
	return result == -EPERM ? error_remedy(err, "put it into a directory of root's") : result;
}

int schedule_trust_commands(const struct experiment *experiment, const char *file,
			    struct error *err)
{
	int result = 0;

	for (unsigned i = 0; i < experiment->probe_count; i++) {
		const struct probe_spec *probe = &experiment->probes[i];

		if (strcmp(probe->ops->name, "command") != 0)
			continue;
		for (unsigned word = 0; result == 0 && word < probe->subject_count; word++)
			result = check_word(probe->subject[word], file, err);
		if (result < 0)
			return error_prefix(err, "probe '%s'", probe->name);
	}
	for (unsigned i = 0; i < experiment->notification_count; i++) {
		const struct experiment_notification *one = &experiment->notifications[i];

		for (unsigned word = 0; result == 0 && one->kind == NOTIFY_COMMAND &&
					word < params_count(&one->params, NOTIFY_PARAM_COMMAND);
		     word++)
			result = check_word(
				params_value(&one->params, NOTIFY_PARAM_COMMAND, word)->text, file,
				err);
		if (result < 0)
			return error_prefix(err, "notify");
	}
	return 0;
}

/* Files that faults read when they are planned. */
int schedule_trust_inputs(const struct experiment *experiment, const char *file, struct error *err)
{
	for (unsigned i = 0; i < experiment->step_count; i++) {
		const struct params *params = &experiment->steps[i].params;

		for (unsigned k = 0; params->table[k].name; k++)
			if (strcmp(params->table[k].name, "content-from") == 0 &&
			    params_is_set(params, k) &&
			    check_word(params_text(params, k), file, err) < 0)
				return error_prefix(err, "%s", params->table[k].name);
	}
	return 0;
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
