/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The options that informational commands share: --help and --json. */
#ifndef SQUALL_CLI_OPTIONS_H
#define SQUALL_CLI_OPTIONS_H

#include "injector/base/error.h"

#include <stdbool.h>

struct options {
	bool help, json;
	int first; /* index of the first argument behind the options */
};

/* -EINVAL for an option that does not exist. With --help the usage text has been printed. */
int options_parse(int argc, char **argv, const char *usage, struct options *out, struct error *err);

#endif
