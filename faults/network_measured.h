/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Words for measured round trips: how far they reach, so that a wrong unit shows, and what of the
 * recording is not replayed.
 */
#ifndef SQUALL_FAULTS_NETWORK_MEASURED_H
#define SQUALL_FAULTS_NETWORK_MEASURED_H

#include "injector/base/params.h"

#include <stddef.h>

/* "1200 round trips, 0.1ms to 340ms, median 12ms"; "" when there are none. */
char *network_measured_span(const struct params *params, char *out, size_t size);
/* "2 of 4 ... lost", with the remedy; "" when nothing was, or another loss is asked for. */
char *network_measured_lost(const struct params *params, char *out, size_t size);

#endif
