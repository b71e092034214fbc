/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For tests of the way by tc filters at clsact, on whatever kernel this is: a laboratory whose
 * faults take it, and a kernel that does not let filters or a clsact be deleted. To be included by
 * one test program each.
 */
#ifndef SQUALL_TESTS_GATE_BENCH_H
#define SQUALL_TESTS_GATE_BENCH_H

#include "tests/support/netlab.h"

#include "faults/network.h"
#include "injector/restore/restore.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool filters_stay, clsact_stays; /* the kernel refuses to delete any */

ssize_t send(int fd, const void *data, size_t size, int flags)
{
	static ssize_t (*real)(int, const void *, size_t, int);
	const struct nlmsghdr *header = data;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "send");
	if (size < sizeof(*header) || !((filters_stay && header->nlmsg_type == RTM_DELTFILTER) ||
					(clsact_stays && header->nlmsg_type == RTM_DELQDISC)))
		return real(fd, data, size, flags);
	errno = EPERM;
	return -1;
}

static inline bool has_clsact_at(const struct netlab *lab, const char *interface)
{
	char *qdiscs = netlab_output("tc -n %s qdisc show dev %s", lab->near, interface);
	bool is_there = strstr(qdiscs, "clsact") != NULL;

	free(qdiscs);
	return is_there;
}

static inline void assert_refused(const struct netlab_fault *fault, int step, unsigned failed,
				  const char *told)
{
	struct restore_report report = {0};
	struct error err = ERROR_INIT;
	bool is_told = false;

	filters_stay = clsact_stays = true;
	assert_int_equal(restore_records(fault->journal, step, &report, &err), 0);
	filters_stay = clsact_stays = false;
	for (unsigned i = 0; i < report.left_count; i++) {
		print_message("%s\n", report.left[i]);
		is_told |= strstr(report.left[i], told) != NULL;
	}
	assert_int_equal(report.failed, failed);
	assert_true(is_told);
	restore_report_free(&report);
}

#endif
