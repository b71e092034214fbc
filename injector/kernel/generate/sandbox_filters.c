/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Run when squall is built: writes sandbox_filters.h, the system call filters as C arrays, to
 * standard output.
 */
#include "injector/kernel/sandbox_filter.h"

#include <stdio.h>
#include <string.h>

static int print_filter(const char *name, const struct sandbox_rule *const *groups)
{
	static struct sock_filter filter[SANDBOX_FILTER_MAX];
	int count = sandbox_filter_build(groups, filter);

	if (count < 0) {
		fprintf(stderr, "cannot make the filter of the %s: %s\n", name, strerror(-count));
		return count;
	}
	printf("static const struct sock_filter %s_filter[] = {\n", name);
	for (int at = 0; at < count; at++)
		printf("\t{0x%04x, %u, %u, 0x%08x},\n", filter[at].code, filter[at].jt,
		       filter[at].jf, filter[at].k);
	printf("};\n\n");
	return 0;
}

int main(void)
{
	printf("/* Made from sandbox_lists.c by generate/sandbox_filters.c */\n"
	       "#include <linux/filter.h>\n\n");
	if (print_filter("conductor", sandbox_conductor_groups) < 0 ||
	    print_filter("worker", sandbox_worker_groups) < 0 ||
	    print_filter("guardian", sandbox_guardian_groups) < 0)
		return 1;
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
