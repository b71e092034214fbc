/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What could grow outside of squall's processes while many runs come, die and go: files, control
 * groups, the kernel's own memory. (Its BPF objects: machine_bpf_left().)
 */
#ifndef SQUALL_TESTS_SOAK_GROWTH_H
#define SQUALL_TESTS_SOAK_GROWTH_H

#include <stdbool.h>

struct soak_sizes {
	long groups, dying_groups; /* dying: removed, and held by something all the same */
	long files;		   /* below /run/squall and /var/lib/squall, but the results */
	long results;
	long kernel_kib; /* SUnreclaim: what the kernel cannot give back */
	long audit_kib;
};

void soak_sizes_take(struct soak_sizes *out);
/* Prints both, and tells what has grown beyond its bound; true: nothing. */
bool soak_sizes_compare(const struct soak_sizes *before, const struct soak_sizes *after,
			unsigned experiments);

#endif
