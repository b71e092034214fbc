/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Puts a compiled selector to one process. The keys are asked from the cheapest to the dearest; a
 * process that vanishes meanwhile does not match.
 */
#include "faults/process_match.h"

#include "faults/target.h"
#include "injector/base/cleanup.h"
#include "injector/kernel/socket_owner.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define COMM_MAX     15	   /* TASK_COMM_LEN - 1 */
#define COMMAND_SIZE 32768 /* of a longer command line only the start is searched */

static bool base_is(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash ? slash + 1 : path, name) == 0;
}

/* The kernel keeps 15 characters of a name. A longer one is compared in full with the program's own
 * name for itself and with its file. */
static int test_name(pid_t pid, const char *name)
{
	char comm[PROC_COMM_SIZE], path[PATH_MAX];
	int result = proc_read_comm(pid, comm, sizeof(comm));

	if (result < 0)
		return result;
	if (strlen(name) <= COMM_MAX)
		return strcmp(comm, name) == 0;
	if (strncmp(comm, name, COMM_MAX) != 0)
		return 0;
	/* argv[0] ends at the first NUL */
	if (proc_read_file(pid, "cmdline", path, sizeof(path)) > 0 && base_is(path, name))
		return 1;
	return proc_read_exe(pid, path, sizeof(path)) == 0 && base_is(path, name);
}

static int test_exe(const struct process_match *match, pid_t pid)
{
	char exe[PATH_MAX];
	int result = proc_read_exe(pid, exe, sizeof(exe));

	if (result == -ENOENT) /* a kernel thread, a zombie, or gone */
		return 0;
	if (result < 0)
		return result;
	return strcmp(exe, match->exe) == 0 ||
	       strcmp(exe, params_text(match->params, PROCESS_EXE)) == 0;
}

static int test_cgroup(const struct process_match *match, pid_t pid)
{
	char path[CGROUP_PATH_SIZE];
	int result;

	for (unsigned i = 0; i < match->group_count; i++) {
		const struct cgroup *group = &match->groups[i];

		result = proc_read_cgroup(pid, group->is_unified ? "" : "name=systemd", path,
					  sizeof(path));
		if (result == -ENOENT || result == -ENAMETOOLONG)
			continue;
		if (result < 0)
			return result;
		if (cgroup_contains(group, path))
			return 1;
	}
	return 0;
}

static int test_command(const struct process_match *match, pid_t pid)
{
	cleanup_free char *command = malloc(COMMAND_SIZE);
	int result = command ? proc_read_command(pid, command, COMMAND_SIZE) : -ENOMEM;

	if (result < 0)
		return result;
	return *command && regexec(&match->command, command, 0, NULL, 0) == 0;
}

static int test_uid(const struct process_match *match, pid_t pid)
{
	uid_t uid;
	int result = proc_read_uid(pid, &uid);

	return result < 0 ? result : uid == match->uid;
}

static int test_keys(const struct process_match *match, pid_t pid, struct proc_stat *out)
{
	const struct params *params = match->params;
	int result = 1;

	if (params_is_set(params, PROCESS_USER))
		result = test_uid(match, pid);
	if (result == 1 && params_is_set(params, PROCESS_NAME))
		result = test_name(pid, params_text(params, PROCESS_NAME));
	if (result == 1 && params_is_set(params, PROCESS_EXE))
		result = test_exe(match, pid);
	if (result == 1 && match->has_groups)
		result = test_cgroup(match, pid);
	if (result == 1 && match->has_command)
		result = test_command(match, pid);
	if (result != 1)
		return result;
	result = proc_read_stat(pid, out);
	if (result < 0)
		return result;
	if (out->is_dead)
		return 0;
	if (params_is_set(params, PROCESS_PORT))
		return out->is_kernel_thread
			       ? 0
			       : socket_owner_holds(pid, match->inodes, match->inode_count);
	return 1;
}

int process_match_test(const struct process_match *match, pid_t pid, struct proc_stat *out,
		       struct error *err)
{
	int result = test_keys(match, pid, out);

	if (result == -ESRCH)
		return 0;
	if (result == -EACCES || result == -EPERM) {
		error_set(err, EACCES, "process %d may not be looked into", pid);
		return error_remedy(err, "`exe` and `port` need root (CAP_SYS_PTRACE)");
		return -EACCES;
	}
	if (result < 0)
		return error_errno(err, -result, "process %d", pid);
	return result;
}
