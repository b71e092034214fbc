/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Examples of a fault, made from its tables: what is required, and enough beside it to do
 * something. Every value in them parses.
 */
#ifndef SQUALL_CLI_EXAMPLE_H
#define SQUALL_CLI_EXAMPLE_H

#include "faults/fault.h"

#include <stddef.h>

/* "- {at: 0s, for: 30s, network: {to: 10.0.5.7:443, delay: 200ms}}" */
void example_step(const struct fault_ops *ops, char *out, size_t size);
/* "squall inject network to=10.0.5.7:443 delay=200ms for=30s" */
void example_command(const struct fault_ops *ops, char *out, size_t size);
/* The example has no end, so no `for`. */
bool example_is_instant(const struct fault_ops *ops);
/* A value that `param` takes. */
void example_value(const struct param *param, char *out, size_t size);

#endif
