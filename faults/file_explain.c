/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/file.h"

#include <stdio.h>
#include <string.h>

void file_explain(const struct params *params, char *out, size_t size)
{
	const char *pidfile = params_text(params, FILE_RELOAD_PIDFILE);
	const char *unit = params_text(params, FILE_RELOAD_UNIT);
	const char *program = params_text(params, FILE_RELOAD_COMMAND);

	snprintf(
		out, size,
		"Who opens it meanwhile reads the bad version; who has read it before goes on with "
		"what is known. Afterwards the original is there again, as the same file. ");
	if (pidfile || unit)
		snprintf(out + strlen(out), size - strlen(out),
			 "The %s %s is told to read it again, at both moments.",
			 pidfile ? "process of" : "unit", pidfile ? pidfile : unit);
	else if (program)
		snprintf(out + strlen(out), size - strlen(out),
			 "%s is run at both moments, as the user who calls squall, so that it is "
			 "read again.",
			 program);
	else
		snprintf(out + strlen(out), size - strlen(out),
			 "Nobody is told to read it again (reload-pidfile, reload-unit, "
			 "reload-command).");
}
