/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/stranded.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NOT_RESTORED 6 /* see squall(1) */

void stranded_end(const char *which, int error)
{
	dprintf(STDERR_FILENO,
		"squall: error: left: it is not known what: this process cannot come back from a "
		"%s namespace (%s), and ends; run: squall restore\n",
		which, strerror(error));
	_exit(NOT_RESTORED);
}
