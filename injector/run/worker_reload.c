/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The reloader of a run. It is forked when the plan is made: later the worker may start nothing,
 * and holds what no other process must.
 */
#include "injector/run/worker_internal.h"

#include "injector/base/alive.h"
#include "injector/base/cleanup.h"
#include "injector/experiment/model.h"
#include "injector/restore/reloader.h"

#include <errno.h>

_Static_assert(EXPERIMENT_MAX_STEPS <= FAULT_COMMANDS_MAX, "a command for each step");

int worker_admit_command(struct worker *worker, struct worker_step *step, struct error *err)
{
	char *argv[FAULT_COMMAND_ARGUMENTS + 1];
	int result;

	if (!step->fault.ops->command || !step->fault.ops->command(&step->params, argv))
		return 0;
	result = policy_check_command(worker->options.policy, argv[0], err);
	if (result == 0)
		step->fault.command = worker->command_count++;
	return result;
}

/* Waiting for a command must not look like silence. */
static void ping(void *context)
{
	(void)context;
	alive();
}

int worker_start_reloader(struct worker *worker, struct error *err)
{
	cleanup_free struct fault_command *commands = NULL;
	unsigned count = 0;
	int result;

	if (!worker->command_count)
		return 0;
	commands = calloc(worker->command_count, sizeof(*commands));
	if (!commands)
		return error_errno(err, ENOMEM, "cannot keep commands");
	for (unsigned i = 0; i < worker->step_count && count < worker->command_count; i++) {
		const struct worker_step *step = &worker->steps[i];

		commands[count].uid = worker->options.invoking_uid;
		commands[count].gid = worker->options.invoking_gid;
		count += step->fault.ops->command &&
			 step->fault.ops->command(&step->params, commands[count].argv);
	}
	result = reloader_start(commands, count, &worker->reloader, err);
	if (result < 0)
		return result;
	reloader_use(launcher_socket(worker->reloader), ping, NULL);
	return guardian_give_reloader(&worker->guardian, launcher_socket(worker->reloader), err);
}

/* With something left it is still there for the guardian, who has a socket of its own to it. */
void worker_end_reloader(struct worker *worker)
{
	if (!worker->reloader)
		return;
	reloader_use(-1, NULL, NULL);
	if (worker->left_count)
		launcher_leave(worker->reloader);
	else
		launcher_free(worker->reloader);
	worker->reloader = NULL;
}
