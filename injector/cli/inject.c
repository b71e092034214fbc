/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall inject: one fault from the command line, with the same checks as a file.
 */
#include "injector/cli/commands.h"

#include "injector/experiment/inline.h"
#include "injector/run/run.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
	"usage: squall inject [--json] [--quiet] FAULT key=value...\n\n"
	"Injects one fault, holds it, restores. Keys are the parameters of the fault and of its\n"
	"target ('squall faults FAULT' lists them), and:\n\n"
	"  for=30s      how long it lasts (needed unless the fault is instant)\n"
	"  targets=N    most things it may touch (default 16)\n\n"
	"Examples:\n"
	"  squall inject network to=10.0.5.7:443 delay=100ms for=30s\n"
	"  squall inject process name=nginx count=1 signal=KILL\n\n"
	"  --json    one event a line on standard output\n"
	"  --quiet   neither progress nor summary, only the exit code\n"
	"  --help    this text\n";

struct words {
	const char *fault;
	char **list;
	unsigned count;
};

static int load_words(void *context, struct experiment **out, struct error *err)
{
	const struct words *words = context;

	return inline_experiment(words->fault, words->list, words->count, out, err);
}

int cli_inject(int argc, char **argv, struct error *err)
{
	static const struct option long_options[] = {{"json", no_argument, NULL, 'j'},
						     {"quiet", no_argument, NULL, 'q'},
						     {"help", no_argument, NULL, 'h'},
						     {NULL, 0, NULL, 0}};
	struct words words;
	struct run_options options = {.load = load_words, .context = &words};
	int option;

	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'j':
			options.is_json = true;
			break;
		case 'q':
			options.is_quiet = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			error_set(err, EINVAL, "squall inject: unknown option '%s'",
				  argv[optind - 1]);
			return error_remedy(err, "squall inject --help tells how it is used.");
		}
	}
	if (optind == argc) {
		error_set(err, EINVAL, "squall inject: the FAULT is missing");
		return error_remedy(err, "squall faults lists them.");
	}
	words.fault = argv[optind];
	words.list = argv + optind + 1;
	words.count = (unsigned)(argc - optind - 1);
	return run_start(&options, err);
}
