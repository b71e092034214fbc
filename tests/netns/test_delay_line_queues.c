/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A delay line with several queues and threads, as on a machine with many processors.
 */
#include "injector/base/clock.h"
#include "tests/support/delay_lab.h"

#include <dirent.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static unsigned count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned count = 0;

	assert_non_null(tasks);
	while ((entry = readdir(tasks)))
		count += entry->d_name[0] != '.';
	closedir(tasks);
	return count;
}

/* A thread that changes its processor between two packets may see the second pass the first: in the
 * kernel's backlogs, which are one for each processor. That is any sender's, and not looked at
 * here. */
static void pin_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	cpu_set_t allowed;
	int processor = -1;

	assert_non_null(tasks);
	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	while ((entry = readdir(tasks))) {
		cpu_set_t one;

		if (entry->d_name[0] == '.')
			continue;
		do
			processor = (processor + 1) % CPU_SETSIZE;
		while (!CPU_ISSET((size_t)processor, &allowed));
		CPU_ZERO(&one);
		CPU_SET((size_t)processor, &one);
		assert_int_equal(sched_setaffinity(atoi(entry->d_name), sizeof(one), &one), 0);
	}
	closedir(tasks);
}

/* Flows fall to four queues of one tap, and each stays in its own. */
static void test_flows_on_several_queues_keep_their_order(void **state)
{
	enum { FLOWS = 16, EACH = 400 };
	struct lab *lab = *state;
	struct lab_address address = lab_address("10.77.0.2", 7000);
	int from[FLOWS], to = lab_socket(lab->far_fd, SOCK_DGRAM, "10.77.0.2", 7000);
	uint64_t next[FLOWS] = {0}, number = 0;
	struct delay_line_counters counters;
	unsigned before = count_threads();

	lab->threads = 4;
	lab_start(lab, "sqdla", false, 20 * NSEC_PER_MSEC, 0);
	assert_int_equal(count_threads(), before + 4);
	pin_threads();
	lab_forward(lab, "sqdla", false, "10.77.0.2");
	for (unsigned i = 0; i < FLOWS; i++)
		from[i] = lab_socket(lab->near_fd, SOCK_DGRAM, "10.77.0.1", 0);
	for (unsigned i = 0; i < FLOWS * EACH; i++) {
		lab_send(from[i % FLOWS], &address, i, 64 + i % 1400);
		if (i % 50 == 0)
			nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
	}
	for (unsigned i = 0; i < FLOWS * EACH; i++) {
		if (lab_receive(to, 2000, &number) < 0)
			fail_msg("only %u came", i);
		assert_int_equal(number / FLOWS, next[number % FLOWS]++);
	}
	delay_line_counters(lab->line, &counters);
	assert_int_equal(counters.received, FLOWS * EACH);
	assert_int_equal(counters.sent, FLOWS * EACH);
	for (unsigned i = 0; i < FLOWS; i++)
		close(from[i]);
	close(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_flows_on_several_queues_keep_their_order,
						lab_setup, lab_teardown),
	};

	return cmocka_run_group_tests_name("delay line: queues", tests, NULL, NULL);
}
