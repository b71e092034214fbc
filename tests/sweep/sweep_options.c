/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/sweep_options.h"

#include "injector/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPERIMENTS "tests/sweep/experiments"

static bool take_number(const char *word, const char *value, const char *name, unsigned *out)
{
	char *end;

	if (strcmp(word, name) != 0)
		return false;
	*out = value ? (unsigned)strtoul(value, &end, 10) : 0;
	if (!value || *end || end == value) {
		fprintf(stderr, "%s: a number is missing\n", name);
		exit(2);
	}
	return true;
}

void sweep_options_read(int argc, char **argv, unsigned seconds, struct sweep_options *out)
{
	int at = 1;

	*out = (struct sweep_options){
		.share = 1, .seconds = seconds, .seed = (unsigned)clock_wall_ns(), .kind = ""};
	for (; at < argc; at++) {
		const char *word = argv[at], *value = argv[at + 1];

		if (strcmp(word, "full") == 0)
			out->is_full = true;
		else if (take_number(word, value, "share", &out->share) ||
			 take_number(word, value, "seconds", &out->seconds) ||
			 take_number(word, value, "seed", &out->seed))
			at++;
		else if (strcmp(word, "kind") == 0 && value)
			out->kind = argv[++at];
		else
			break;
	}
	if (!out->share)
		out->share = 1;
	out->names = argv + at;
}

bool sweep_options_name(const struct sweep_options *options, const char *path)
{
	for (char **name = options->names; *name; name++)
		if (strstr(path, *name))
			return true;
	return !*options->names;
}

void sweep_options_find(const struct sweep_options *options,
			bool (*is_wanted)(const struct sweep_options *options, const char *path),
			glob_t *out)
{
	const char *folder = getenv("SQUALL_SWEEP_EXPERIMENTS");
	char pattern[512];
	size_t wanted = 0;

	snprintf(pattern, sizeof(pattern), "%s/*.yaml", folder ? folder : EXPERIMENTS);
	if (glob(pattern, 0, NULL, out) != 0)
		out->gl_pathc = 0;
	for (size_t i = 0; i < out->gl_pathc; i++)
		if (is_wanted(options, out->gl_pathv[i]))
			out->gl_pathv[wanted++] = out->gl_pathv[i];
	out->gl_pathc = wanted;
	if (wanted)
		return;
	printf("no such experiments in %s\n", pattern);
	exit(1);
}
