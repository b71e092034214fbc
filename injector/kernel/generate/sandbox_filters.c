/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Run when squall is built: writes sandbox_filters.h, the system call filters as C arrays, to
 * standard output. With "telling": those for tests, see sandbox_filter.h.
 */
#include "injector/kernel/sandbox_filter.h"

#include <stdio.h>
#include <string.h>

static int print_filter(const char *name, const struct sandbox_group *groups, unsigned choice,
			enum sandbox_teller teller)
{
	static struct sock_filter filter[SANDBOX_FILTER_MAX];
	int count = sandbox_filter_build(groups, choice, teller, filter);

	if (count < 0) {
		fprintf(stderr, "cannot make the filter of the %s: %s\n", name, strerror(-count));
		return count;
	}
	printf("static const struct sock_filter %s_filter_%u[] = {\n", name, choice);
	for (int at = 0; at < count; at++)
		printf("\t{0x%04x, %u, %u, 0x%08x},\n", filter[at].code, filter[at].jt,
		       filter[at].jf, filter[at].k);
	printf("};\n\n");
	return 0;
}

/* One for each choice, and a table of them. */
static int print_filters(const char *name, const struct sandbox_group *groups, unsigned choices,
			 enum sandbox_teller teller)
{
	for (unsigned choice = 0; choice < choices; choice++)
		if (print_filter(name, groups, choice, teller) < 0)
			return -1;
	printf("static const struct sandbox_filter %s_filters[] = {\n", name);
	for (unsigned choice = 0; choice < choices; choice++)
		printf("\t{%s_filter_%u, sizeof(%s_filter_%u) / sizeof(struct sock_filter)},\n",
		       name, choice, name, choice);
	printf("};\n\n");
	return 0;
}

int main(int argc, char **argv)
{
	bool is_telling = argc > 1 && strcmp(argv[1], "telling") == 0;

	printf("/* Made from sandbox_lists.c by generate/sandbox_filters.c */\n"
	       "#include \"injector/kernel/sandbox_filter.h\"\n\n");
	if (print_filters("conductor", sandbox_conductor_groups, 1,
			  is_telling ? SANDBOX_CONDUCTOR : SANDBOX_SILENT) < 0 ||
	    print_filters("worker", sandbox_worker_groups, SANDBOX_CHOICES,
			  is_telling ? SANDBOX_WORKER : SANDBOX_SILENT) < 0 ||
	    print_filters("guardian", sandbox_guardian_groups, SANDBOX_CHOICES,
			  is_telling ? SANDBOX_GUARDIAN : SANDBOX_SILENT) < 0 ||
	    print_filters("reader", sandbox_reader_groups, 1,
			  is_telling ? SANDBOX_READER : SANDBOX_SILENT) < 0 ||
	    print_filters("tls", sandbox_tls_groups, 1, is_telling ? SANDBOX_TLS : SANDBOX_SILENT) <
		    0)
		return 1;
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
