/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A delay line that begins beside one that ends, on a machine with one processor: both are in real
 * time, who begins before who ends, and who ends holds the RTNL that the other one needs.
 */
#include "injector/base/clock.h"
#include "injector/kernel/netlink.h"
#include "injector/kernel/realtime.h"
#include "injector/kernel/tap.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROUNDS	    400
#define ENDINGS	    4
#define PATIENCE_NS (3 * NSEC_PER_SEC)
#define LEAST_REAL  1 /* SCHED_RR: below worker and guardian, as a delay line's thread is */

static atomic_uint *made; /* shared: taps by who begins */

static void on_one_processor(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		_exit(3);
}

/* Made and gone: closing the last descriptor takes the device away, under the RTNL. */
static bool one_tap(const char *name, struct netlink *netlink)
{
	struct error err = ERROR_INIT;
	struct tap tap = {0};
	int fd;
	bool is_made = tap_open(&fd, &err) == 0 &&
		       tap_create(&fd, 1, name, TAP_ETHERNET, TAP_WHOLE, &tap, &err) == 0 &&
		       (!netlink || tap_configure(&tap, netlink, &err) == 0);

	if (err.code)
		fprintf(stderr, "%s\n", err.text);
	close(fd);
	return is_made;
}

static pid_t start_endings(unsigned number)
{
	char name[16];
	const struct sched_param low = {.sched_priority = LEAST_REAL};
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	on_one_processor();
	snprintf(name, sizeof(name), "sqends%u", number);
	if (sched_setscheduler(0, SCHED_RR, &low) < 0)
		_exit(3);
	while (one_tap(name, NULL))
		;
	_exit(2);
}

static pid_t start_beginnings(void)
{
	struct netlink *netlink = NULL;
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	on_one_processor();
	realtime_begin();
	if (sched_getscheduler(0) != SCHED_RR || netlink_open(-1, &netlink, NULL) < 0)
		_exit(3);
	/* in real time all the way */
	while (one_tap("sqbegins", netlink) && sched_getscheduler(0) == SCHED_RR)
		atomic_fetch_add(made, 1);
	_exit(2);
}

/* It makes another one within three seconds, and nobody disturbs it. */
static bool goes_on(void)
{
	int64_t until_ns = clock_now_ns() + PATIENCE_NS;
	unsigned before = atomic_load(made);

	while (atomic_load(made) == before && clock_now_ns() < until_ns)
		usleep(200);
	return atomic_load(made) != before;
}

static void test_one_that_begins_lets_another_end(void **state)
{
	pid_t endings[ENDINGS], beginnings;
	unsigned rounds = 0;
	bool is_well = true;

	(void)state;
	for (unsigned i = 0; i < ENDINGS; i++)
		endings[i] = start_endings(i);
	beginnings = start_beginnings();
	for (; rounds < ROUNDS && is_well; rounds++) {
		/* wherever it is: the others come in between, and hold what it needs next */
		kill(beginnings, SIGSTOP);
		usleep((useconds_t)(100 + random() % 3000));
		kill(beginnings, SIGCONT);
		is_well = goes_on();
	}
	print_message("%u times, %u made\n", rounds, atomic_load(made));
	kill(beginnings, SIGKILL);
	for (unsigned i = 0; i < ENDINGS; i++)
		kill(endings[i], SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	assert_true(is_well);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_that_begins_lets_another_end),
	};

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "skipped: real time and network namespaces need root\n");
		return getenv("SQUALL_MUST_RUN") != NULL;
	}
	made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
