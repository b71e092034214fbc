/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A tool that cannot be started or fails says nothing about the system under test: unknown.
 */
#include "injector/probes/tool.h"

#include "injector/base/clock.h"
#include "injector/probes/launcher.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static bool has_found_nothing(const struct tool *tool, const struct launcher_result *result)
{
	return tool->nothing && WIFEXITED(result->status) &&
	       WEXITSTATUS(result->status) == tool->nothing && !result->output[0];
}

static void on_result(void *context, const struct launcher_result *result)
{
	struct tool *tool = context;
	char excerpt[120];

	probe_excerpt(result->output, strlen(result->output), excerpt, sizeof(excerpt));
	if (result->status < 0)
		probe_finish(tool->probe, PROBE_UNKNOWN, NAN, "%s", excerpt);
	else if (result->status == 0 || has_found_nothing(tool, result))
		tool->judge(tool, result->output);
	else if (WIFEXITED(result->status))
		probe_finish(tool->probe, PROBE_UNKNOWN, NAN, "%s ended with exit code %d%s%s",
			     tool->name, WEXITSTATUS(result->status), *excerpt ? ": " : "",
			     excerpt);
	else
		probe_finish(tool->probe, PROBE_UNKNOWN, NAN, "%s was killed by signal %d",
			     tool->name, WTERMSIG(result->status));
}

int tool_open(struct tool *tool, struct probe *probe, char *const argv[], struct error *err)
{
	tool->probe = probe;
	snprintf(tool->name, sizeof(tool->name), "%s", argv[0]);
	if (!probe->launcher)
		return error_set(err, ESRCH, "there is no launcher to start %s", argv[0]);
	tool->number = launcher_add_tool(probe->launcher, argv, err);
	return tool->number < 0 ? tool->number : 0;
}

int tool_start(struct probe *probe, struct error *err)
{
	const struct tool *tool = probe->state;

	/* the launcher kills by itself, should the conductor be stopped just then */
	return launcher_run(probe->launcher, tool->number, probe->spec->timeout_ns + NSEC_PER_SEC,
			    on_result, probe->state, err);
}

void tool_cancel(struct probe *probe)
{
	const struct tool *tool = probe->state;

	launcher_cancel(probe->launcher, tool->number);
}
