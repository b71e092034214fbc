/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * filter_watch COMMAND...: runs it, and all that it starts, and tells which system calls a squall
 * with telling filters (BUILD/tests/filters/squall) made that its lists do not hold, and which of
 * the lists nobody made. Exit code: 1 when there was one that is not held, or none at all.
 */
#include "tests/support/filter_watch.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void begin(void *context)
{
	char **words = context;

	execvp(words[0], words);
	perror(words[0]);
}

int main(int argc, char **argv)
{
	static struct filter_watch watch;
	unsigned foreign = 0;
	int status, code;

	if (argc < 2) {
		fprintf(stderr, "filter_watch COMMAND...\n");
		return 2;
	}
	status = filter_watch_run(&watch, begin, argv + 1);
	code = status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 128;
	if (code)
		printf("# the command itself: exit code %d\n", code);
	for (enum sandbox_teller teller = SANDBOX_CONDUCTOR; teller < FILTER_WATCH_TELLERS;
	     teller++) {
		filter_watch_tell_idle(&watch, teller, stdout);
		filter_watch_tell_foreign(&watch, teller, stdout);
		foreign += filter_watch_count_foreign(&watch, teller);
		/* not every program has files that include others, or speaks TLS */
		foreign +=
			teller != SANDBOX_READER && teller != SANDBOX_TLS && !watch.calls[teller];
		printf("%s: %lu calls, %u kinds that its list does not hold\n",
		       filter_watch_names[teller], watch.calls[teller],
		       filter_watch_count_foreign(&watch, teller));
	}
	return foreign != 0;
}
