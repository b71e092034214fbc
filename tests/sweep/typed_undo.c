/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/typed_undo.h"

#include "tests/sweep/manager.h"
#include "tests/sweep/typed_reasons.h"
#include "tests/sweep/typed_words.h"

#include "injector/base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPT "/run/typed"
#define SAID   "/run/typed-said"

#define PROGRAMS_MAX 32

/* The exit status of a script in the namespace; what it says is in SAID. Not by ip-netns(8): that
 * mounts a /sys of its own, in which there are no control groups. */
static int run(const struct scene *scene, const char *script)
{
	FILE *out = fopen(SCRIPT, "we");

	fprintf(out, "exec 2>" SAID "\nPATH=" MANAGER_PROGRAMS ":$PATH\n%s\n", script);
	fclose(out);
	return netlab_try("nsenter --net=/run/netns/%s sh " SCRIPT, scene->lab->near);
}

/* Also where the status does not tell: in "$(...)", and by `ip netns exec`, which returns 1 */
static bool says_not_found(void)
{
	cleanup_file FILE *in = fopen(SAID, "re");
	char line[2300];

	while (in && fgets(line, sizeof(line), in))
		if (strncmp(line, "exec of \"", 9) == 0 ||
		    (strncmp(line, SCRIPT ": ", strlen(SCRIPT ": ")) == 0 &&
		     strstr(line, ": not found\n")))
			return true;
	return false;
}

static bool is_not_found(int status)
{
	return status == 126 || status == 127 || says_not_found();
}

static unsigned counts[PROGRAMS_MAX];

static void note(const char *command)
{
	for (unsigned i = 0; typed_program(i); i++)
		counts[i] += strncmp(command, typed_program(i), strlen(typed_program(i))) == 0 &&
			     command[strlen(typed_program(i))] == ' ';
}

/* By failures alone these are not told. */
static bool is_elsewhere(const char *program)
{
	static const char *const elsewhere[] = {
		"cp",	   /* somebody removed the original: tests/netns/test_file_theirs.c */
		"nsenter", /* a namespace without a name: tests/netns/test_network_typed.c */
		"ip",	   /* an ifb, where there is netem: the same */
		"bpftool", /* in words: it need not be there */
	};

	for (unsigned i = 0; i < sizeof(elsewhere) / sizeof(*elsewhere); i++)
		if (strcmp(program, elsewhere[i]) == 0)
			return true;
	return false;
}

void typed_print(void)
{
	printf("# typed:");
	for (unsigned i = 0; typed_program(i); i++)
		if (counts[i] || !is_elsewhere(typed_program(i)))
			printf(" %s %u", typed_program(i), counts[i]);
	putchar('\n');
}

bool typed_was(const char *program)
{
	for (unsigned i = 0; typed_program(i); i++)
		if (strcmp(program, typed_program(i)) == 0)
			return counts[i] > 0;
	return false;
}

/* One after the other, as a shell does; one that is left out, since the one before has failed, must
 * be there all the same. What is gone already cannot be removed, and its command fails: that is no
 * mistake. One that the shell does not understand, or does not find, is. */
static bool type(const struct scene *scene, const char *command, char *wrong, size_t size)
{
	struct typed_part part;
	FILE *script = fopen(SCRIPT, "we");
	int status = 0;

	fprintf(script, "%s\n", command);
	fclose(script);
	if (netlab_try("sh -n " SCRIPT) != 0) {
		snprintf(wrong, size, "%s", command);
		return false;
	}
	while (typed_next(&command, &part)) {
		bool is_well;

		if (part.needs_last && status != 0) {
			char look[TYPED_SIZE + 32];

			snprintf(look, sizeof(look), "command -v %.*s",
				 (int)strcspn(part.text, " "), part.text);
			is_well = run(scene, look) == 0;
		} else {
			status = run(scene, part.text);
			is_well = !is_not_found(status);
			note(part.text);
		}
		if (!is_well) {
			snprintf(wrong, size, "%s", part.text);
			return false;
		}
	}
	return true;
}

bool typed_undo(const struct scene *scene, char *text, unsigned *typed_count, char *wrong,
		size_t wrong_size)
{
	bool is_any = false, is_all = true;

	wrong[0] = '\0';
	for (char *rest, *line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		char *left = strstr(line, "left: "), command[TYPED_SIZE];
		enum typed_kind kind = left ? typed_find(left, command) : TYPED_WORDS;

		if (!left)
			continue;
		is_any = true;
		/* words alone only where no command can be right */
		if (kind == TYPED_UNKNOWN || (kind == TYPED_WORDS && !typed_has_reason(left)))
			snprintf(wrong, wrong_size, "%s", line);
		if (kind != TYPED_COMMAND) {
			is_all = false;
			continue;
		}
		/* with the namespace all that was in it has gone */
		if (netlab_try("nsenter --net=/run/netns/%s true", scene->lab->near) != 0) {
			is_all = false;
			continue;
		}
		(*typed_count)++;
		type(scene, command, wrong, wrong_size);
	}
	return is_any && is_all;
}
