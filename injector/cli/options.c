/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

int options_parse(int argc, char **argv, const char *usage, struct options *out, struct error *err)
{
	static const struct option known[] = {
		{"help", no_argument, NULL, 'h'},
		{"json", no_argument, NULL, 'j'},
		{NULL, 0, NULL, 0},
	};
	int option;

	*out = (struct options){0};
	opterr = 0; /* the error object carries the message */
	optind = 0; /* begin anew: main() has used getopt for its own options */
	while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (option == 'h') {
			out->help = true;
		} else if (option == 'j') {
			out->json = true;
		} else {
			error_set(err, EINVAL, "%s: there is no option '%s'", argv[0],
				  argv[optind - 1]);
			return error_remedy(err, "see: squall %s --help", argv[0]);
		}
	}
	out->first = optind;
	if (out->help)
		fputs(usage, stdout);
	return 0;
}
