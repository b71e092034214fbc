/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The halt lever: while it is pulled, no experiment injects anything on this machine. A file, so
 * that it outlives everything but its own removal; where it cannot be read it counts as pulled.
 */
#ifndef SQUALL_HALT_H
#define SQUALL_HALT_H

#include "injector/base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct halt {
	bool is_pulled;
	char path[512]; /* of the file */
	char by[96];	/* texts are empty when they could not be written or read */
	char at[40];	/* RFC 3339 */
	char reason[400];
};

/* For the worker, right before it arms: 0, or -EPERM with who, when, why and the way to resume. */
int halt_check(struct error *err);
/* Looks at both places. A lever that cannot be examined is pulled, with the reason in .reason. */
void halt_look(struct halt *out);
struct halt_lever {
	bool is_pulled, is_kept; /* kept: it outlives a reboot */
	char path[512];		 /* where it is found, if it is pulled */
	struct error why;	 /* it could not be pulled at once */
	pid_t keeper;
};
/* Pulls it in /run/squall, where it is in force at once, waiting for no disk; and begins to write
 * it to /var/lib/squall. */
void halt_pull(const char *reason, struct halt_lever *out);
/* Waits until that is done. An error (a read-only disk, one that hangs): what was pulled lasts
 * until the next boot. To be called once. */
int halt_keep(struct halt_lever *lever, int64_t wait_ns, struct error *err);
/* Releases it in both places; *out_was_pulled tells whether there was anything to release. */
int halt_release(bool *out_was_pulled, struct error *err);

/* For tests: another directory than JOURNAL_STATE. */
void halt_set_state_directory(const char *path);

#endif
