/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How netem's tables of a distribution are filled, at build time and from measured delays.
 */
#ifndef SQUALL_FAULTS_NETWORK_QUANTILE_H
#define SQUALL_FAULTS_NETWORK_QUANTILE_H

#include "injector/kernel/netem.h"

#include <math.h>

/* Of a deviation in units of the jitter, as the kernel wants it; what is too far is cut. */
static inline int16_t netem_scaled(double jitters)
{
	double scaled = rint(jitters * NETEM_DIST_SCALE);

	return (int16_t)(scaled > INT16_MAX ? INT16_MAX : scaled < INT16_MIN ? INT16_MIN : scaled);
}

/* Share of the steps below entry `at`, and half of its own. */
static inline double netem_position(unsigned at)
{
	return (at + 0.5) / NETEM_TABLE_SIZE;
}

#endif
