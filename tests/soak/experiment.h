/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random valid experiments for the soak: one to four steps of any kind of fault, on targets that
 * others' experiments of the same round may have drawn as well.
 */
#ifndef SQUALL_TESTS_SOAK_EXPERIMENT_H
#define SQUALL_TESTS_SOAK_EXPERIMENT_H

#include "tests/sweep/scene.h"

#include <stdbool.h>
#include <stddef.h>

#define SOAK_SLOTS 3 /* experiments side by side */

enum soak_kind {
	SOAK_NETWORK,
	SOAK_DNS,
	SOAK_HTTP,
	SOAK_CONNECT,
	SOAK_PORT,
	SOAK_FILE,
	SOAK_PROCESS,
	SOAK_KIND_COUNT,
};
extern const char *const soak_kind_names[SOAK_KIND_COUNT];

unsigned soak_pick(unsigned below);

/* What they need beside the scene: a file for each slot, and few local ports, so that they can run
 * out. Before the scene's state is taken. */
void soak_experiment_prepare(const struct scene *scene);
/* Writes one to /run/soak-SLOT.yaml. `victim` is a process that may be killed. Counts the steps it
 * has of each kind. */
void soak_experiment_write(const struct scene *scene, unsigned slot, pid_t victim,
			   unsigned counts[SOAK_KIND_COUNT]);

#endif
