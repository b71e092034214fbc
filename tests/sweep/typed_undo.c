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

static bool is_command(const char *at)
{
	static const char *const words[] = {"nft ", "ip ", "tc ",   "sysctl ", "nsenter ", "kill ",
					    "rm ",  "mv ", "echo ", "umount ", "cp "};

	at += strspn(at, " ");
	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strncmp(at, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

/* Up to the ';' outside of quotes that no further command follows, but words. */
static size_t length_of(const char *command)
{
	bool is_quoted = false;
	size_t at;

	for (at = 0; command[at]; at++) {
		if (command[at] == '\'' && (is_quoted || !at || command[at - 1] != '\\'))
			is_quoted = !is_quoted;
		if (command[at] == ';' && !is_quoted && !is_command(command + at + 1))
			break;
	}
	return at;
}

/* What is gone already cannot be removed, and its command fails: that is no mistake. One that the
 * shell does not understand, or does not find, is. Not by ip-netns(8): that mounts a /sys of its
 * own, in which there are no control groups. */
static bool type(const struct scene *scene, const char *command)
{
	FILE *script = fopen("/run/typed", "we");
	int status;

	fprintf(script, "%s\n", command);
	fclose(script);
	if (netlab_try("sh -n /run/typed") != 0)
		return false;
	status = netlab_try("nsenter --net=/run/netns/%s sh /run/typed", scene->lab->near);
	return status != 126 && status != 127;
}

bool typed_undo(const struct scene *scene, char *text, unsigned *typed_count, char *wrong,
		size_t wrong_size)
{
	bool is_any = false, is_all = true;

	wrong[0] = '\0';
	for (char *rest, *line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		const char *command = strstr(line, "left: ") ? find_command(line) : NULL;
		char typed[2100];

		if (!strstr(line, "left: "))
			continue;
		is_any = true;
		/* restore is called anyway; "PID" is for people to fill in */
		if (!command || strncmp(command, "squall", 6) == 0 ||
		    strstr(command, "/proc/PID/")) {
			is_all = false;
			continue;
		}
		snprintf(typed, sizeof(typed), "%.*s", (int)length_of(command), command);
		(*typed_count)++;
		if (netlab_try("nsenter --net=/run/netns/%s true", scene->lab->near) == 0 &&
		    !type(scene, typed))
			snprintf(wrong, wrong_size, "%s", typed);
	}
	return is_any && is_all;
}
