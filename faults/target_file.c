/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File targets: one regular file. Looks, changes nothing; the fault looks again before it acts.
 */
#include "faults/target.h"

#include "faults/file.h"
#include "injector/base/cleanup.h"
#include "injector/base/quantity.h"
#include "injector/kernel/mount_namespace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct param file_params[] = {
	[FILE_PATH] = {.name = "path",
		       .type = PARAM_PATH,
		       .flags = PARAM_REQUIRED,
		       .doc = "the file, without symbolic links on the way",
		       .example = "/etc/nginx/nginx.conf"},
	[FILE_NAMESPACE] = {.name = "namespace",
			    .type = PARAM_NAME,
			    .doc = "only for the processes of this mount namespace: pid:N or "
				   "target:NAME"},
	[FILE_ALLOW_CRITICAL] = {.name = "allow-critical",
				 .type = PARAM_BOOL,
				 .fallback = "false",
				 .doc = "also files that logins, boot or programs hang on"},
	{.name = NULL},
};

static int open_pid(const char *text, int *out_fd, struct error *err)
{
	int64_t pid;

	if (quantity_parse_integer(text, &pid, NULL) < 0 || pid <= 0 || pid > INT32_MAX)
		return error_set(err, EINVAL, "namespace 'pid:%s' does not name a process", text);
	return mount_namespace_open_pid((pid_t)pid, out_fd, err);
}

/* The namespace of a process target: all its processes must share it. */
static int open_target(const char *name, const struct target_guard *guard, int *out_fd,
		       struct error *err)
{
	struct target *found = guard && guard->find ? guard->find(guard->context, name) : NULL;
	struct namespace_id first = {0}, id = {0};
	cleanup_fd int kept = -1;

	if (!found || found->kind != TARGET_PROCESS)
		return error_set(err, ENOENT,
				 "namespace 'target:%s': there is no such process target", name);
	if (!found->is_resolved)
		return error_set(err, EINVAL,
				 "namespace 'target:%s': write that target above this one", name);
	for (unsigned i = 0; i < found->process_count; i++) {
		cleanup_fd int fd = -1;
		int result = mount_namespace_open_pid(found->processes[i].id.pid, &fd, err);

		/* the pid was still its own when the namespace was opened */
		if (result == 0)
			result = target_process_recheck(&found->processes[i], found, err);
		if (result == 0)
			result = mount_namespace_identify(fd, &id, err);
		if (result < 0)
			return result;
		if (i == 0) {
			first = id;
			kept = steal_fd(&fd);
		} else if (!namespace_is_same(&first, &id)) {
			return error_set(err, EINVAL,
					 "namespace 'target:%s': its processes live in different "
					 "mount namespaces",
					 name);
		}
	}
	*out_fd = steal_fd(&kept);
	return 0;
}

static int open_namespace(struct target *target, const struct target_guard *guard,
			  struct error *err)
{
	const char *name = params_text(&target->params, FILE_NAMESPACE);
	struct namespace_id own = {0}, wanted = {0};
	int result;

	if (!name)
		return 0;
	snprintf(target->namespace_name, sizeof(target->namespace_name), "%s", name);
	if (strncmp(name, "pid:", 4) == 0)
		result = open_pid(name + 4, &target->namespace_fd, err);
	else if (strncmp(name, "target:", 7) == 0)
		result = open_target(name + 7, guard, &target->namespace_fd, err);
	else
		result = error_set(err, EINVAL, "namespace '%s': write pid:N or target:NAME", name);
	if (result == 0)
		result = mount_namespace_identify(-1, &own, err);
	if (result == 0)
		result = mount_namespace_identify(target->namespace_fd, &wanted, err);
	if (result < 0 || !namespace_is_same(&own, &wanted))
		return result;
	error_set(err, EINVAL,
		  "namespace '%s': those processes have no mount namespace of their own, so that "
		  "everybody would see the bad version",
		  name);
	return error_remedy(err, "PrivateMounts=yes in the unit, or leave `namespace` out");
}

int target_file_resolve(struct target *target, const struct target_guard *guard, struct error *err)
{
	const char *path = params_text(&target->params, FILE_PATH);
	struct file_place place = FILE_PLACE_INIT;
	struct file_identity identity;
	int fd = -1, result = params_check_required(&target->params, err);

	if (result == 0)
		result = file_place_check_path(
			path, params_number(&target->params, FILE_ALLOW_CRITICAL, 0), err);
	if (result == 0)
		result = open_namespace(target, guard, err);
	if (result == 0)
		result = file_mount_place(path, target->namespace_fd, &place, err);
	if (result == 0)
		result = file_place_open_file(&place, false, &fd, &identity, err);
	if (fd >= 0)
		close(fd);
	file_place_close(&place);
	return result;
}
