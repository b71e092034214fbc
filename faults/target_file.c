/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File targets: one regular file. Looks, changes nothing; the fault looks again before it acts.
 */
#include "faults/target.h"

#include "faults/file_place.h"

#include <unistd.h>

const struct param file_params[] = {
	[FILE_PATH] = {.name = "path",
		       .type = PARAM_PATH,
		       .flags = PARAM_REQUIRED,
		       .doc = "the file, without symbolic links on the way"},
	[FILE_ALLOW_CRITICAL] = {.name = "allow-critical",
				 .type = PARAM_BOOL,
				 .fallback = "false",
				 .doc = "also files that logins, boot or programs hang on"},
	{.name = NULL},
};

int target_file_resolve(struct target *target, struct error *err)
{
	const char *path = params_text(&target->params, FILE_PATH);
	struct file_place place = FILE_PLACE_INIT;
	struct file_identity identity;
	int fd = -1, result = params_check_required(&target->params, err);

	if (result == 0)
		result = file_place_check_path(
			path, params_number(&target->params, FILE_ALLOW_CRITICAL, 0), err);
	if (result == 0)
		result = file_place_open(path, &place, err);
	if (result == 0)
		result = file_place_open_file(&place, false, &fd, &identity, err);
	if (fd >= 0)
		close(fd);
	file_place_close(&place);
	return result;
}
