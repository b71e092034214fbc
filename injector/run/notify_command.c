/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A message on the standard input of a program, which the launcher starts as the invoking user.
 */
#include "injector/run/notify_internal.h"

#include "injector/base/cleanup.h"
#include "injector/experiment/format.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static int number_of(const struct notify_way *way)
{
	return (int)(intptr_t)way->state;
}

static int command_open(struct notify_way *way, struct error *err)
{
	const struct params *params = &way->spec->params;
	unsigned count = params_count(params, NOTIFY_PARAM_COMMAND);
	cleanup_free char **words = calloc(count + 1UL, sizeof(*words));
	int number;

	if (!words)
		return error_errno(err, ENOMEM, "cannot prepare a notification");
	for (unsigned i = 0; i < count; i++)
		words[i] = params_value(params, NOTIFY_PARAM_COMMAND, i)->text;
	snprintf(way->name, sizeof(way->name), "command %.100s", words[0]);
	if (!way->notify->options.launcher)
		return error_set(err, ESRCH, "there is no launcher to start commands");
	number = launcher_add(way->notify->options.launcher, words, false, NULL, err);
	way->state = (void *)(intptr_t)number;
	return number < 0 ? number : 0;
}

static void on_end(void *context, const struct launcher_result *result)
{
	struct notify_way *way = context;
	char trouble[160];

	if (result->status == 0) {
		notify_sent(way, NULL);
		return;
	}
	if (result->status < 0)
		snprintf(trouble, sizeof(trouble), "%.159s", result->output);
	else if (result->timed_out)
		snprintf(trouble, sizeof(trouble), "it had not ended in time");
	else if (WIFSIGNALED(result->status))
		snprintf(trouble, sizeof(trouble), "it was killed by signal %d",
			 WTERMSIG(result->status));
	else
		snprintf(trouble, sizeof(trouble), "exit code %d", WEXITSTATUS(result->status));
	notify_sent(way, trouble);
}

static void command_send(struct notify_way *way, const char *body)
{
	struct error err = ERROR_INIT;

	if (launcher_run_with(way->notify->options.launcher, number_of(way), body, 0, on_end, way,
			      &err) < 0)
		notify_sent(way, err.text);
}

static void command_cancel(struct notify_way *way)
{
	launcher_cancel(way->notify->options.launcher, number_of(way));
}

const struct notify_way_ops notify_command = {
	.open = command_open,
	.send = command_send,
	.cancel = command_cancel,
};
