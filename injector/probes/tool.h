/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A program of the system that answers the question of a probe (systemctl, journalctl): started at
 * each attempt by the launcher, as the invoking user, whose rights and groups count. No library is
 * needed, and no program is started by the conductor itself.
 */
#ifndef SQUALL_TOOL_H
#define SQUALL_TOOL_H

#include "injector/probes/probe.h"

/* The first member of the state of such a probe. */
struct tool {
	struct probe *probe;
	char name[24]; /* of the program, for messages */
	int number;    /* of the launcher */
	int nothing;   /* its exit code when it finds nothing, and says nothing; 0: as any */
	/* It has ended well and said this: calls probe_finish(). */
	void (*judge)(struct tool *tool, const char *output);
};

/* argv[0] is looked for in the usual folders of the system. */
int tool_open(struct tool *tool, struct probe *probe, char *const argv[], struct error *err);
int tool_start(struct probe *probe, struct error *err);
void tool_cancel(struct probe *probe);

#endif
