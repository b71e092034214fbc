/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Made at build time from the tables in the code: manual pages and what shells complete.
 *
 *   words manual PROGRAM TEMPLATE   lines of the template that begin with `@` are replaced
 *   words bash|zsh|fish PROGRAM     completion
 *
 * PROGRAM is the built squall: the options of a command are those that its --help lists.
 */
#include "faults/fault.h"
#include "injector/base/params.h"
#include "injector/cli/commands.h"
#include "injector/experiment/format.h"
#include "injector/experiment/inline.h"
#include "injector/experiment/model.h"
#include "injector/policy/policy_format.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- manual ---- */

/* roff takes a dot or a quote at the start of a line, and every backslash, for a command. */
static void put_roff(const char *text)
{
	for (const char *at = text; *at; at++) {
		if ((at == text || at[-1] == '\n') && (*at == '.' || *at == '\''))
			fputs("\\&", stdout);
		if (*at == '\\')
			fputs("\\e", stdout);
		else if (*at == '-')
			fputs("\\-", stdout);
		else
			putchar(*at);
	}
}

static void put_table(const struct param *table)
{
	char allowed[512];

	for (; table && table->name; table++) {
		param_describe(table, allowed, sizeof(allowed));
		fputs(".TP\n.B ", stdout);
		put_roff(table->name);
		printf("\n");
		put_roff(table->doc ? table->doc : table->name);
		printf(".\n.RI ( ");
		printf("\"");
		put_roff(allowed);
		if (table->type == PARAM_TARGET)
			fputs("; or its keys in its place", stdout);
		else if (table->flags & PARAM_REQUIRED)
			fputs("; required", stdout);
		if (table->fallback) {
			fputs("; default ", stdout);
			put_roff(table->fallback);
		}
		printf("\" )\n");
	}
}

static void put_sections(void)
{
	for (unsigned i = 0; i < SECTION_COUNT; i++) {
		fputs(".TP\n.B ", stdout);
		put_roff(format_sections[i].name);
		printf("\n");
		put_roff(format_sections[i].doc);
		fputs(", like\n.br\n", stdout);
		put_roff(format_sections[i].like);
		printf("\n");
	}
}

static void put_faults(void)
{
	for (const struct fault_ops *const *each = fault_all(); *each; each++) {
		fputs(".SS ", stdout);
		put_roff((*each)->name);
		printf("\n");
		put_roff((*each)->summary);
		printf(".\n");
		put_table((*each)->params);
	}
}

static void put_probes(void)
{
	for (const struct probe_ops *const *each = probe_all(); *each; each++) {
		fputs(".SS ", stdout);
		put_roff((*each)->name);
		printf("\n");
		put_roff((*each)->summary);
		fputs(".\nIts value: ", stdout);
		put_roff((*each)->subject_doc);
		printf(".\n");
		put_table((*each)->params);
		if ((*each)->expect && (*each)->expect->name) {
			fputs(".PP\nIn\n.BR expect :\n", stdout);
			put_table((*each)->expect);
		}
	}
}

static FILE *ask(const char *program, const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "%s %s --help", program, command);
	return popen(line, "r");
}

static void put_commands(const char *program)
{
	for (const struct command *each = cli_commands; each->name; each++) {
		FILE *help = ask(program, each->name);
		char line[512];

		printf(".SS %s\n.EX\n", each->name);
		while (help && fgets(line, sizeof(line), help))
			put_roff(line);
		fputs(".EE\n", stdout);
		if (help)
			pclose(help);
	}
}

static bool put_part(const char *name, const char *program)
{
	static const struct {
		const char *name;
		const struct param *table;
	} tables[] = {
		{"root", format_root},	       {"variable", format_variable},
		{"limits", format_limits},     {"steady-state", format_steady_state},
		{"recovery", format_recovery}, {"abort", format_abort},
		{"step", format_step},	       {"ramp", format_ramp},
		{"probe", format_probe},       {"traffic", traffic_params},
		{"process", process_params},   {"file", file_params},
		{"expect", format_expect},     {"notify", format_notify},
		{"policy", policy_root},
	};

	for (unsigned i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		if (strcmp(tables[i].name, name) == 0) {
			put_table(tables[i].table);
			return true;
		}
	for (unsigned i = 0; i < POLICY_SECTION_COUNT; i++)
		if (strncmp(name, "policy-", 7) == 0 &&
		    strcmp(policy_sections[i].name, name + 7) == 0) {
			put_table(policy_sections[i].table);
			return true;
		}
	if (strcmp(name, "sections") == 0)
		put_sections();
	else if (strcmp(name, "faults") == 0)
		put_faults();
	else if (strcmp(name, "probes") == 0)
		put_probes();
	else if (strcmp(name, "commands") == 0)
		put_commands(program);
	else
		return false;
	return true;
}

static int manual(const char *program, const char *path)
{
	FILE *template = fopen(path, "r");
	char line[1024];

	if (!template)
		return 1;
	while (fgets(line, sizeof(line), template)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '@') {
			puts(line);
		} else if (strcmp(line, "@version") == 0) {
			puts(SQUALL_VERSION);
		} else if (!put_part(line + 1, program)) {
			fprintf(stderr, "%s: no part '%s'\n", path, line);
			return 1;
		}
	}
	fclose(template);
	return 0;
}

/* ---- completion ---- */

/* The options of a command's --help: words that begin with -- in the list below the usage. */
static void put_options(const char *program, const char *command)
{
	FILE *help = ask(program, command);
	char line[512];

	while (help && fgets(line, sizeof(line), help)) {
		char *option = strstr(line, "--");
		size_t length;

		if (strncmp(line, "  -", 3) != 0 || !option)
			continue;
		length = 2 + strspn(option + 2, "abcdefghijklmnopqrstuvwxyz-");
		if (length > 2)
			printf(" %.*s", (int)length, option);
	}
	if (help)
		pclose(help);
}

static void put_keys(const struct fault_ops *ops)
{
	struct param own[INLINE_COUNT + 1];
	const struct param *tables[] = {ops->params, target_params(ops->target_kind), own};

	inline_params(own);
	for (unsigned i = 0; i < 3; i++)
		for (unsigned key = 0; tables[i] && tables[i][key].name; key++) {
			const struct param *at = &tables[i][key];

			if (at->type != PARAM_TARGET && (i != 1 || fault_takes(ops, key)) &&
			    (i < 2 || params_find(ops->params, at->name) < 0))
				printf(" %s=", at->name);
		}
}

static void put_names(void)
{
	for (const struct fault_ops *const *each = fault_all(); *each; each++)
		printf(" %s", (*each)->name);
}

static const char bash_head[] =
	"# bash completion for squall; made from the tables in its code\n"
	"_squall() {\n"
	"\tlocal word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=''\n"
	"\tif [ \"$COMP_CWORD\" = 1 ]; then\n"
	"\t\twords='--help --version";
static const char bash_middle[] =
	"'\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tif [ \"$command\" = inject ]; then\n"
	"\t\tcase ${COMP_WORDS[2]} in\n";
static const char bash_tail[] =
	"\tesac\n"
	"\tif [[ $word == -* ]]; then\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
	"\telif [ \"$command\" = inject ]; then\n"
	"\t\t# the = of key=value breaks words\n"
	"\t\t[ \"$COMP_CWORD\" = 2 ] && keys=$faults\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"$keys\" -- \"$word\")\n"
	"\t\t[[ ${COMPREPLY[0]:-} != *= ]] || compopt -o nospace\n"
	"\telif [ \"$command\" = faults ]; then\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"$faults\" -- \"$word\")\n"
	"\telif [ \"$command\" = stop ] || [ \"$command\" = restore ]; then\n"
	"\t\tmapfile -t COMPREPLY < <(cd /run/squall 2>/dev/null && compgen -d -- \"$word\")\n"
	"\telse\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
	"\t\tcompopt -o filenames\n"
	"\tfi\n"
	"}\n"
	"complete -F _squall squall\n";

static void bash(const char *program)
{
	fputs(bash_head, stdout);
	for (const struct command *each = cli_commands; each->name; each++)
		printf(" %s", each->name);
	fputs(bash_middle, stdout);
	for (const struct fault_ops *const *each = fault_all(); *each; each++) {
		printf("\t\t%s) keys='", (*each)->name);
		put_keys(*each);
		printf("' ;;\n");
	}
	printf("\t\tesac\n\tfi\n\tfaults='");
	put_names();
	printf("'\n\tcase $command in\n");
	for (const struct command *each = cli_commands; each->name; each++) {
		printf("\t%s) words='", each->name);
		put_options(program, each->name);
		printf("' ;;\n");
	}
	fputs(bash_tail, stdout);
}

/* Within single quotes of a shell. */
static void put_quoted(const char *text)
{
	for (; *text; text++)
		if (*text == '\'')
			fputs("'\\''", stdout);
		else if (*text == ':') /* zsh separates by it */
			fputs("\\:", stdout);
		else
			putchar(*text);
}

static void zsh(const char *program)
{
	fputs("#compdef squall\n# zsh completion for squall; made from the tables in its code\n"
	      "local -a commands\ncommands=(\n",
	      stdout);
	for (const struct command *each = cli_commands; each->name; each++) {
		printf("\t'%s:", each->name);
		put_quoted(each->summary);
		printf("'\n");
	}
	fputs(")\nif (( CURRENT == 2 )); then\n\t_describe command commands\n\treturn\nfi\n"
	      "local -a options keys faults\nfaults=(",
	      stdout);
	put_names();
	fputs(")\ncase $words[2] in\n", stdout);
	for (const struct command *each = cli_commands; each->name; each++) {
		printf("%s) options=(", each->name);
		put_options(program, each->name);
		printf(") ;;\n");
	}
	fputs("esac\ncase $words[3] in\n", stdout);
	for (const struct fault_ops *const *each = fault_all(); *each; each++) {
		printf("%s) keys=(", (*each)->name);
		put_keys(*each);
		printf(") ;;\n");
	}
	fputs("esac\nif [[ $PREFIX == -* ]]; then\n\tcompadd -- $options\n"
	      "elif [[ $words[2] == faults ]] || (( CURRENT == 3 )) && [[ $words[2] == inject ]]; "
	      "then\n"
	      "\tcompadd -- $faults\n"
	      "elif [[ $words[2] == inject ]]; then\n\tcompadd -S '' -- $keys\n"
	      "elif [[ $words[2] == (stop|restore) ]]; then\n"
	      "\tcompadd -- /run/squall/*(N/:t)\n"
	      "else\n\t_files\nfi\n",
	      stdout);
}

static void fish(const char *program)
{
	fputs("# fish completion for squall; made from the tables in its code\n"
	      "complete -c squall -n __fish_use_subcommand -f -l help -l version\n",
	      stdout);
	for (const struct command *each = cli_commands; each->name; each++) {
		printf("complete -c squall -n __fish_use_subcommand -f -a %s -d '", each->name);
		for (const char *at = each->summary; *at; at++)
			printf("%s%c", *at == '\'' ? "\\" : "", *at);
		printf("'\ncomplete -c squall -n '__fish_seen_subcommand_from %s' -a '",
		       each->name);
		put_options(program, each->name);
		printf("'\n");
	}
	printf("complete -c squall -n '__fish_seen_subcommand_from faults inject' -f -a '");
	put_names();
	printf("'\n");
	for (const struct fault_ops *const *each = fault_all(); *each; each++) {
		printf("complete -c squall -n '__fish_seen_subcommand_from inject; and "
		       "__fish_seen_subcommand_from %s' -f -a '",
		       (*each)->name);
		put_keys(*each);
		printf("'\n");
	}
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "manual") == 0)
		return manual(argv[2], argv[3]);
	if (argc != 3)
		return 2;
	if (strcmp(argv[1], "bash") == 0)
		bash(argv[2]);
	else if (strcmp(argv[1], "zsh") == 0)
		zsh(argv[2]);
	else if (strcmp(argv[1], "fish") == 0)
		fish(argv[2]);
	else
		return 2;
	return ferror(stdout) ? 1 : 0;
}
