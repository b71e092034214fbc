/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The JSON Schema of the experiment file, for editors and for those who generate files. It is made
 * from the parameter tables, so it cannot fall behind. What it accepts may still be refused (ranges
 * of quantities, names that are not defined): `squall check` has the last word.
 */
#ifndef SQUALL_EXPERIMENT_SCHEMA_H
#define SQUALL_EXPERIMENT_SCHEMA_H

#include <jansson.h>

/* The caller's; NULL: no memory. */
json_t *schema_of_experiment(void);

#endif
