/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/typed_undo.h"

#include <stdio.h>
#include <string.h>

/* The commands that restore knows, as they stand in its sentences. */
static const char *find_command(const char *line)
{
	static const char *const starts[] = {
		": nft ",      ": ip ",	 ": tc ",    ": sysctl ", ": nsenter ",
		": kill ",     ": rm ",	 "; kill -", "; echo ",	  ": echo ",
		"run: squall", "then: ", ": mv ",    ": umount ", "; rm ",
	};
	const char *best = NULL;

	for (unsigned i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
		const char *at = strstr(line, starts[i]);

		if (at && (!best || at < best))
			best = at;
	}
	return best ? strchr(best, ' ') + 1 : NULL;
}

bool typed_undo(const struct scene *scene, char *text, unsigned *typed_count)
{
	bool is_any = false, is_all = true;

	for (char *rest, *line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		const char *command = strstr(line, "left: ") ? find_command(line) : NULL;
		char typed[600];

		if (!strstr(line, "left: "))
			continue;
		is_any = true;
		if (!command || strncmp(command, "squall", 6) == 0) {
			is_all = false; /* restore is called anyway */
			continue;
		}
		snprintf(typed, sizeof(typed), "%.*s", (int)strcspn(command, ";"), command);
		(*typed_count)++;
		if (netlab_try("ip netns exec %s true", scene->lab->near) == 0) {
			FILE *script = fopen("/run/typed", "we");

			fprintf(script, "%s\n", typed);
			fclose(script);
			netlab_try("ip netns exec %s sh /run/typed", scene->lab->near);
		}
	}
	return is_any && is_all;
}
