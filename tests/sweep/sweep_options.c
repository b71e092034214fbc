/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/sweep_options.h"

#include "injector/base/clock.h"

#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static int take_call(const char *name)
{
	int call = seccomp_syscall_resolve_name(name);

	if (call >= 0)
		return call;
	fprintf(stderr, "there is no system call '%s'\n", name);
	exit(2);
}

void sweep_options_read(int argc, char **argv, unsigned seconds, struct sweep_options *out)
{
	int at = 1;

	*out = (struct sweep_options){.share = 1,
				      .from = 1,
				      .seconds = seconds,
				      .seed = (unsigned)clock_wall_ns(),
				      .call = -1,
				      .kind = ""};
	for (; at < argc; at++) {
		const char *word = argv[at], *value = argv[at + 1];

		if (strcmp(word, "full") == 0)
			out->is_full = true;
		else if (strcmp(word, "count") == 0)
			out->is_count = true;
		else if (strcmp(word, "check") == 0)
			out->is_check = true;
		else if (strcmp(word, "defer") == 0)
			out->defers = true;
		else if (take_number(word, value, "at", &out->from)) {
			out->is_one = true;
			at++;
		} else if (take_number(word, value, "programs", &out->bpf[0]) ||
			   take_number(word, value, "maps", &out->bpf[1]) ||
			   take_number(word, value, "links", &out->bpf[2])) {
			out->is_bpf = true;
			at++;
		} else if (take_number(word, value, "share", &out->share) ||
			   take_number(word, value, "seconds", &out->seconds) ||
			   take_number(word, value, "from", &out->from) ||
			   take_number(word, value, "to", &out->to) ||
			   take_number(word, value, "seed", &out->seed))
			at++;
		else if (strcmp(word, "kind") == 0 && value)
			out->kind = argv[++at];
		else if (strcmp(word, "call") == 0 && value)
			out->call = take_call(argv[++at]);
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

bool sweep_options_kind(const struct sweep_options *options, const char *name,
			const char *const *names, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(names[i], options->kind) == 0)
			return strcmp(name, options->kind) == 0;
	return strstr(name, options->kind) != NULL;
}

void sweep_options_progress(void)
{
	static int fd = -2;
	const char *path = getenv("SQUALL_SWEEP_PROGRESS");

	if (fd == -2)
		fd = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
	if (fd >= 0 && write(fd, ".", 1) < 0)
		fd = -1;
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
