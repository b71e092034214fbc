/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/typed_reasons.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static struct {
	const char *sentence; /* a pattern of fnmatch(3), of what follows "left: " */
	const char *why;
	unsigned count;
} reasons[] = {
	{"*cannot open directory /*; run: squall restore",
	 "where the journals are cannot be looked at, so nothing is known of the run", 0},
	{"*cannot examine /*; run: squall restore",
	 "where the journals are cannot be looked at, so nothing is known of the run", 0},
	{"*cannot lock /*; run: squall restore",
	 "where the journals are cannot be looked at, so nothing is known of the run", 0},
	{"*cannot examine run ??????: *; run: squall restore",
	 "its journal cannot be read, so nothing is known of it", 0},
	{"*cannot examine the journal of run ??????: *; run: squall restore",
	 "its journal cannot be read, so nothing is known of it", 0},
	{"*cannot open the journal of run ??????: *; run: squall restore",
	 "its journal cannot be read, so nothing is known of it", 0},
	{"*cannot read the journal of run ??????: *; run: squall restore",
	 "its journal cannot be read, so nothing is known of it", 0},
	{"*cannot read /proc/sys/kernel/random/boot_id: *; run: squall restore",
	 "its journal cannot be read, so nothing is known of it", 0},
	{"*cannot tell whether run ?????? is still alive: *; run it as root, with /proc "
	 "mounted without hidepid",
	 "whoever undoes it may be alive, and at it", 0},
	{"*cannot lock run ??????: *; run: squall restore",
	 "whoever undoes it may be alive, and at it", 0},
	{"run ??????: another process is restoring run ??????; run: squall restore",
	 "whoever undoes it may be alive, and at it", 0},
	{"*step * (network): cannot look for the network namespace *; run: squall restore",
	 "it cannot be seen whether there is anything, and a blind command could do harm", 0},
	{"*step * (network): cannot open a netlink socket: *; run: squall restore",
	 "it cannot be seen whether there is anything, and a blind command could do harm", 0},
	{"*step * (network): cannot read the IPv4 settings of interface *; run: squall restore",
	 "it cannot be seen whether there is anything, and a blind command could do harm", 0},
	{"*step * (network): cannot list the *; run: squall restore",
	 "it cannot be seen whether there is anything, and a blind command could do harm", 0},
	{"*step * (*): cannot list the BPF links: *; run: squall restore",
	 "it cannot be seen whether there is anything, and a blind command could do harm", 0},
	{"*step * (network): cannot look at interface *; run: squall restore",
	 "it cannot be seen whether there is anything, and a blind command could do harm", 0},
	{"*step * (network): clsact of *: filters of other steps or runs are in it; when they have "
	 "ended, run: squall restore",
	 "they would go with it", 0},
	{"*step * (process): cannot open /*; run: squall restore",
	 "it cannot be seen whether there is anything, and a blind command could do harm", 0},
	{"*step * (port): process *: *; run: squall restore",
	 "it cannot be seen whether there is anything, and a blind command could do harm", 0},
	{"*step * (file): cannot open the directory *; run: squall restore",
	 "what lies there is not known", 0},
	{"*step * (file): cannot look *; run: squall restore",
	 "it cannot be seen whether there is anything, and a blind command could do harm", 0},
	{"*step * (file): cannot enter the mount namespace: *; run: squall restore",
	 "it cannot be seen whether there is anything, and a blind command could do harm", 0},
	{"*step * (file): cannot remember this mount namespace: *; run: squall restore",
	 "it cannot be seen whether there is anything, and a blind command could do harm", 0},
	{"*step * (file): cannot read the mounts of *; run: squall restore",
	 "it cannot be seen whether there is anything, and a blind command could do harm", 0},
	{"*step * (file): cannot note mount namespaces: *; run: squall restore",
	 "it cannot be seen whether there is anything, and a blind command could do harm", 0},
	{"*step * (file): cannot write the directory of * to the disk: *; run: squall restore",
	 "the file is as it was; whether the disk has that only the disk can say", 0},
	{"*step * (file): cannot examine *; run: squall restore",
	 "it cannot be seen whether there is anything, and a blind command could do harm", 0},
	{"*step * (file): * is restored, what follows is not: telling who reads it (*); when that "
	 "is "
	 "mended, run: squall restore; or tell it by other means, and then: rm -f *",
	 "whom to tell is not known, or not allowed", 0},
	{"*step * (file): * is restored, but who reads it is not told: *; when that is mended, "
	 "run: "
	 "squall restore; or tell it by other means, and then: rm -f *",
	 "whom to tell is not known, or not allowed", 0},
	{"* ended without proof that everything is undone (*); run 'squall restore'",
	 "who tells it has not heard what came of it", 0},
	{"another squall process holds /* and does not let go: is it stopped?; run: squall restore",
	 "whoever undoes it may be alive, and at it", 0},
	{"the worker was killed and its journal /* is still there; run: squall restore",
	 "who tells it has no rights to look", 0},
	{"the worker was stopped and its journal /* is still there; run: squall restore",
	 "who tells it has no rights to look", 0},
	{"the worker hangs in the kernel and its journal /* is still there; run: squall restore",
	 "who tells it has no rights to look", 0},
	{"run ??????: its worker, process *, was killed, but hangs in the kernel; when it has "
	 "gone, "
	 "run: squall restore",
	 "what it is at may still be done", 0},
	{"cannot remove the directory of run ??????: *; run: squall restore",
	 "nothing is in force any more", 0},
	{"it is not known what: this process cannot come back from a * namespace (*), and ends; "
	 "run: squall restore",
	 "whatever it did next would be done in there", 0},
	{"*? more, not listed for want of memory*", "there is no memory for more words", 0},
};

#define REASONS (sizeof(reasons) / sizeof(*reasons))

bool typed_has_reason(const char *line)
{
	const char *left = strstr(line, "left: ");

	for (unsigned i = 0; left && i < REASONS; i++)
		if (fnmatch(reasons[i].sentence, left + strlen("left: "), 0) == 0) {
			reasons[i].count++;
			return true;
		}
	return false;
}

void typed_reasons_print(void)
{
	for (unsigned i = 0; i < REASONS; i++)
		if (reasons[i].count)
			printf("# words alone, %4u times: %s (%s)\n", reasons[i].count,
			       reasons[i].sentence, reasons[i].why);
}
