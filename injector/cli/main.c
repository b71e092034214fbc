/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall: runs a command of the table, and the only place that prints an error and decides the exit
 * code.
 */
#include "injector/base/error.h"
#include "injector/base/log.h"
#include "injector/base/params.h"
#include "injector/cli/commands.h"
#include "injector/kernel/prefault.h"
#include "injector/policy/policy_warden.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef SQUALL_VERSION
#define SQUALL_VERSION "unknown"
#endif

#define EXIT_REFUSED 2 /* invalid or refused; nothing was injected */

static void print_usage(FILE *out)
{
	fprintf(out,
		"squall %s - rehearse an outage; everything is restored, always\n\n"
		"usage: squall COMMAND [ARGUMENTS]\n\n",
		SQUALL_VERSION);
	for (const struct command *command = cli_commands; command->name; command++) {
		char left[64];

		snprintf(left, sizeof(left), "%s %s", command->name, command->arguments);
		fprintf(out, "  %-28s %s\n", left, command->summary);
	}
	fprintf(out, "\n'squall COMMAND --help' tells more. Exit codes: 0 the hypothesis held, "
		     "1 it failed,\n2 invalid or refused, 3 aborted, 4 interrupted, 5 not in "
		     "steady state, 6 something\ncould not be restored.\n");
}

/* A descriptor 0, 1 or 2 that is closed would be given to the next file that is opened. */
static void ensure_standard_streams(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
}

static const struct command *find_command(const char *name)
{
	for (const struct command *command = cli_commands; command->name; command++)
		if (strcmp(command->name, name) == 0)
			return command;
	return NULL;
}

static int unknown_command(const char *name)
{
	const char *names[64] = {0}, *nearest;

	for (unsigned i = 0; i < 63 && cli_commands[i].name; i++)
		names[i] = cli_commands[i].name;
	nearest = names_nearest(names, name);
	if (nearest)
		log_error("unknown command '%s'; did you mean '%s'?", name, nearest);
	else
		log_error("unknown command '%s'; 'squall --help' lists the commands", name);
	return EXIT_REFUSED;
}

int main(int argc, char **argv)
{
	struct error err = ERROR_INIT;
	const struct command *command;
	int result;

	prefault_program();
	ensure_standard_streams();
	/* A limit on the size of files makes a write fail, instead of killing who restores. */
	signal(SIGXFSZ, SIG_IGN);
	policy_warden_begin(); /* whatever command it is that restores something */
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_REFUSED;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    (strcmp(argv[1], "help") == 0 && argc == 2)) {
		print_usage(stdout);
		return fflush(stdout) == 0 ? 0 : EXIT_REFUSED;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("squall %s\n", SQUALL_VERSION);
		return 0;
	}
	if (strcmp(argv[1], "help") == 0) { /* squall help run */
		static char help[] = "--help";

		argv[1] = argv[2];
		argv[2] = help;
	}
	command = find_command(argv[1]);
	if (!command)
		return unknown_command(argv[1]);
	result = command->run(argc - 1, argv + 1, &err);
	if (result < 0) {
		if (err.text[0])
			log_failure(&err);
		return EXIT_REFUSED;
	}
	if (fflush(stdout) != 0) {
		log_error("cannot write to standard output: %s", strerror(errno));
		return result ? result : 1;
	}
	return result;
}
