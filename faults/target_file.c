/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File targets: one regular file. Looks, changes nothing; the fault looks again before it acts.
 */
#include "faults/target.h"

#include "faults/file.h"
#include "faults/target_namespace.h"
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

static int open_namespace(struct target *target, const struct target_guard *guard,
			  struct error *err)
{
	static const struct target_namespace_kind kind = {"mount", mount_namespace_open_pid,
							  mount_namespace_identify};
	const char *name = params_text(&target->params, FILE_NAMESPACE);
	struct namespace_id own = {0}, wanted = {0};
	int result;

	if (!name)
		return 0;
	snprintf(target->namespace_name, sizeof(target->namespace_name), "%s", name);
	result = target_namespace_open(&kind, name, guard, &target->namespace_fd, err);
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
