/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/command.h"

#include <errno.h>
#include <stddef.h>

static const struct fault_commander *in_use;

void fault_command_use(const struct fault_commander *commander)
{
	in_use = commander;
}

static int nobody(const struct fault_command *command, struct error *err)
{
	return error_set(err, ESRCH, "there is nobody to start %s", command->argv[0]);
}

int fault_command_start(const struct fault_command *command, struct error *err)
{
	return in_use ? in_use->start(command, err) : nobody(command, err);
}

bool fault_command_is_over(const struct fault_command *command)
{
	return !in_use || in_use->is_over(command);
}

int fault_command_finish(const struct fault_command *command, struct error *err)
{
	return in_use ? in_use->finish(command, err) : nobody(command, err);
}
