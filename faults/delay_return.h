/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The way back of the delay line: a BPF program that runs at the ingress hook of our own tap, for
 * each packet that the line writes, and sends it on where nftables took it.
 */
#ifndef SQUALL_DELAY_RETURN_H
#define SQUALL_DELAY_RETURN_H

#include "injector/base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* `index`: the device it came from, its egress or ingress; 0: a chain of nf_tables sends it on.
 * `mark`: lets our table pass it once; 0: it does not come by there (nf_tables at egress). */
int delay_return_load(int index, bool is_ingress, uint32_t mark, int *out_program_fd,
		      struct error *err);

#endif
