/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/run/metrics.h"

#include "injector/base/log.h"
#include "injector/restore/stale_metrics.h"

static int start_writer(struct file_writer *writer, const char *path, uid_t uid, gid_t gid,
			unsigned at, struct error *err)
{
	struct error note = ERROR_INIT;
	int result = file_writer_start(writer, path, uid, gid, stale_metrics_await, err);

	if (result < 0)
		return error_prefix(err, "metrics");
	if (stale_metrics_note(path, uid, gid, at, &note) < 0)
		log_warning("metrics: should this run be killed, %s says for ever that it lasts: "
			    "%s",
			    path, note.text);
	return 0;
}

int metrics_start_writers(struct file_writer writers[METRICS_FILES],
			  const struct invoking_user *user, const char *of_caller,
			  const char *of_site, struct error *err)
{
	int result = 0;

	if (of_caller)
		result = start_writer(&writers[0], of_caller, user->uid, user->gid, 0, err);
	if (result == 0 && of_site)
		result = start_writer(&writers[1], of_site, 0, 0, 1, err);
	return result;
}
