/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Commands that a fault needs while it begins and ends ("nginx -s reload"). Worker and guardian can
 * start nothing, and what they may have started for them is fixed with the plan: a fault names the
 * command of its step, and whoever the process has for that starts it
 * (injector/restore/reloader.h).
 */
#ifndef SQUALL_FAULTS_COMMAND_H
#define SQUALL_FAULTS_COMMAND_H

#include "injector/base/clock.h"
#include "injector/base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define FAULT_COMMANDS_MAX	 256 /* of a run: one a step */
#define FAULT_COMMAND_ARGUMENTS	 32
#define FAULT_COMMAND_TIMEOUT_NS (5 * NSEC_PER_SEC) /* then it is killed, with all it started */

struct fault_command {
	uint32_t number;   /* among those of the run */
	uint32_t uid, gid; /* whose rights it has: those of the user who called sudo */
	char *argv[FAULT_COMMAND_ARGUMENTS + 1];
};

struct fault_commander {
	/* Starts it, and ends an earlier run of it. Never waits. */
	int (*start)(const struct fault_command *command, struct error *err);
	/* No run of it is under way. */
	bool (*is_over)(const struct fault_command *command);
	/* How the run ended that was started last, which is waited for; without one, it is started.
	 * -EREMOTEIO: with another status than 0; -ETIMEDOUT: it was killed; or it could not be
	 * started. A failure is told again, until it is started again: what hangs holds up
	 * nobody twice. */
	int (*finish)(const struct fault_command *command, struct error *err);
};

/* Who does it in this process; NULL, and in the beginning: nobody. */
void fault_command_use(const struct fault_commander *commander);

int fault_command_start(const struct fault_command *command, struct error *err);
bool fault_command_is_over(const struct fault_command *command);
int fault_command_finish(const struct fault_command *command, struct error *err);

#endif
