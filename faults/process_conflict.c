/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two runs that pause the same process would end each other's pause. What the others hold is in
 * their journals. Two runs that begin in the same moment may both miss it: then the second finds a
 * process that stands still, and leaves it to the first.
 */
#include "faults/process_pause.h"
#include "faults/process_record.h"
#include "injector/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int refuse(const char *what, const char *run_id, struct error *err)
{
	error_set(err, EBUSY, "%s is held still by run %s", what, run_id);
	error_remedy(err, "squall status shows it; wait for its end, or: squall stop %s", run_id);
	return -EBUSY;
}

static int compare_stopped(const struct journal_record *record, const struct target *target,
			   const char *run_id, struct error *err)
{
	struct stopped_record stopped;
	char what[128];

	memcpy(&stopped, record->payload, sizeof(stopped));
	for (unsigned i = 0; i < stopped.count && i < STOPPED_RECORD_MAX; i++)
		for (unsigned k = 0; k < target->process_count; k++) {
			const struct target_process *mine = &target->processes[k];

			if (mine->id.pid != stopped.processes[i].pid ||
			    mine->id.start_time != stopped.processes[i].start_time)
				continue;
			snprintf(what, sizeof(what), "process %d (%s)", mine->id.pid, mine->name);
			return refuse(what, run_id, err);
		}
	return 0;
}

static int compare_frozen(const struct journal_record *record, const struct pause *pause,
			  const char *run_id, struct error *err)
{
	struct frozen_record frozen;

	memcpy(&frozen, record->payload, sizeof(frozen));
	if (!pause->by_freezer ||
	    strncmp(frozen.directory, pause->cgroup.directory, sizeof(frozen.directory)) != 0)
		return 0;
	return refuse(pause->cgroup.directory, run_id, err);
}

static int compare_run(const char *run_id, const struct pause *pause, const struct fault *fault,
		       struct error *err)
{
	cleanup_free struct journal_record *records = NULL;
	unsigned count = 0;
	int result = 0;

	journal_read_other(run_id, &records, &count);
	for (unsigned i = 1; i < count && result == 0; i++) {
		const struct journal_record *record = &records[i];

		if (record->kind != JOURNAL_UNDO || strcmp(record->owner, fault->ops->name) != 0 ||
		    !journal_is_open(records, count, i))
			continue;
		if (record->type == PAUSE_RECORD_STOPPED)
			result = compare_stopped(record, fault->target, run_id, err);
		else if (record->type == PAUSE_RECORD_FROZEN)
			result = compare_frozen(record, pause, run_id, err);
	}
	return result;
}

int pause_check_others(const struct pause *pause, const struct fault *fault, struct error *err)
{
	cleanup_free char(*ids)[RUN_ID_SIZE] = NULL;
	unsigned count = 0;
	const char *own = fault->env && fault->env->run_id ? fault->env->run_id : "";
	int result = journal_list(&ids, &count, err);

	for (unsigned i = 0; i < count && result == 0; i++)
		if (strcmp(ids[i], own) != 0)
			result = compare_run(ids[i], pause, fault, err);
	return result;
}
