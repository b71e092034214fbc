/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * getopt_long keeps its place in globals; they are reset, so that a command can be called twice.
 */
#include "injector/cli/options.h"

#include "injector/journal/audit.h"
#include "injector/kernel/sandbox.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FIRST_TEXT 256 /* beyond every letter */

static int unknown(const struct options *options, char **argv, int at, struct error *err)
{
	const char *text = at > 0 && argv[at] ? argv[at] : "?";
	bool is_known = false;

	for (const struct option_text *each = options->texts; each && each->name; each++)
		is_known |= strncmp(text, "--", 2) == 0
				    ? strcmp(text + 2, each->name) == 0
				    : text[0] == '-' && text[1] && text[1] == each->letter;
	if (is_known)
		error_set(err, EINVAL, "%s: %s needs a value behind it", argv[0], text);
	else
		error_set(err, EINVAL, "%s: unknown option '%.60s'", argv[0], text);
	error_remedy(err, "squall %s --help", argv[0]);
	return -EINVAL;
}

static void take_text(struct options *options, int option, const char *text)
{
	for (int i = 0; options->texts && options->texts[i].name; i++) {
		struct option_text *each = &options->texts[i];

		if (option != FIRST_TEXT + i && (!option || option != each->letter))
			continue;
		each->text = text;
		if (each->count < each->capacity)
			each->list[each->count] = text;
		each->count++;
	}
}

int options_parse(struct options *options, int argc, char **argv, struct error *err)
{
	struct option known[4 + OPTIONS_MAX_TEXTS] = {{"help", no_argument, NULL, 'h'}};
	char letters[2 + 2 * OPTIONS_MAX_TEXTS] = "h", *letter = letters + 1;
	int count = 1, option, before;

	if (options->has_json)
		known[count++] = (struct option){"json", no_argument, NULL, 'j'};
	if (options->has_quiet)
		known[count++] = (struct option){"quiet", no_argument, NULL, 'q'};
	for (int i = 0; options->texts && options->texts[i].name; i++) {
		known[count++] = (struct option){options->texts[i].name, required_argument, NULL,
						 FIRST_TEXT + i};
		if (options->texts[i].letter) {
			*letter++ = options->texts[i].letter;
			*letter++ = ':';
		}
	}
	known[count] = (struct option){0};
	optind = 0;
	opterr = 0;
	for (before = 1; (option = getopt_long(argc, argv, letters, known, NULL)) != -1;
	     before = optind) {
		if (option == 'h') {
			fputs(options->help, stdout);
			options->helped = true;
			return options_flush(err);
		}
		if (option == '?')
			return unknown(options, argv, optind > before ? optind - 1 : before, err);
		if (option == 'j')
			options->json = true;
		if (option == 'q')
			options->quiet = true;
		take_text(options, option, optarg);
	}
	options->operands = argv + optind;
	options->operand_count = argc - optind;
	if (options->max_operands < 0 || options->operand_count <= options->max_operands)
		return 0;
	error_set(err, EINVAL, "%s: unexpected '%.60s'", argv[0],
		  options->operands[options->max_operands]);
	error_remedy(err, "squall %s --help", argv[0]);
	return -EINVAL;
}

void options_tell_audit(const char *command, const char *file, const void *content, size_t length)
{
	struct invoking_user user = {.uid = getuid()};

	(void)!sandbox_invoking_user(&user, NULL); /* what cannot be told is root */
	audit_caller(command, user.uid, file, content, length);
}

int options_refused(int result, const char *command, const char *file, const void *content,
		    size_t length, const struct error *err)
{
	if (result >= 0 || geteuid() != 0)
		return result;
	options_tell_audit(command, file, content, length);
	/* no text: what is wrong with a file, line by line, was printed */
	audit_write(NULL, "refused", "", "%s", err->text[0] ? err->text : "the file is invalid");
	return result;
}

int options_need_root(const char *command, const char *why, struct error *err)
{
	/* What root begins here must not end half way because nobody reads what it says. */
	signal(SIGPIPE, SIG_IGN);
	if (geteuid() == 0) {
		options_tell_audit(command, NULL, NULL, 0);
		return 0;
	}
	error_set(err, EPERM, "%s: %s", command, why);
	error_remedy(err, "sudo squall %s", command);
	return -EPERM;
}

int options_flush(struct error *err)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	return error_errno(err, errno, "cannot write to standard output");
}

int options_separator(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--") == 0)
			return i;
	return argc;
}
