/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pressure stall information, as text of the kernel. Apart from the probe so that it can be tested.
 */
#ifndef SQUALL_PRESSURE_H
#define SQUALL_PRESSURE_H

#include "injector/base/error.h"

enum pressure_figure {
	SOME_AVG10,
	SOME_AVG60,
	SOME_AVG300,
	FULL_AVG10,
	FULL_AVG60,
	FULL_AVG300,
	PRESSURE_FIGURES,
};

/* Reads "some avg10=0.00 avg60=... \nfull ...": per cent of time. A figure that is not there (cpu
 * has no "full" line before Linux 5.13) is NAN. */
int pressure_parse(const char *text, double out[PRESSURE_FIGURES], struct error *err);
/* The directory that cgroup v2 is mounted at, alone or beside v1; NULL: nowhere. */
const char *pressure_cgroup_mount(void);

#endif
