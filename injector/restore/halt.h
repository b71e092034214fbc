/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The halt lever: while it is pulled, no experiment injects anything on this machine. A file, so
 * that it outlives everything but its own removal; where it cannot be read it counts as pulled.
 */
#ifndef SQUALL_HALT_H
#define SQUALL_HALT_H

#include "injector/base/error.h"

#include <stdbool.h>

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
/* Pulls it: in /var/lib/squall, or where that fails (a full or read-only disk) in /run/squall,
 * where it lasts until the next boot. out_path (may be NULL) of 512 bytes: where. */
int halt_pull(const char *reason, char *out_path, struct error *err);
/* Releases it in both places; *out_was_pulled tells whether there was anything to release. */
int halt_release(bool *out_was_pulled, struct error *err);

/* For tests: another directory than JOURNAL_STATE. */
void halt_set_state_directory(const char *path);

#endif
