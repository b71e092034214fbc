/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Traffic beside a fault whose target has two, a thousand or a hundred thousand networks: it gets
 * through whole and undelayed, and none of it is counted, while the one address among them that is
 * here is met. How fast it is: scripts/bench-traffic.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES	 (8U << 20)
#define ANSWERS	 200
#define DELAY_MS 300

/* Networks of 11.0.0.0/8 that do not merge, and one of them of IPv6. */
static const char *write_list(const struct stage *stage, unsigned count)
{
	static char name[32];
	const char *path;
	FILE *file;

	snprintf(name, sizeof(name), "list-%u", count);
	path = stage_path(stage, name);
	file = fopen(path, "we");
	assert_non_null(file);
	for (unsigned i = 0; i < count; i++)
		if (i == 1)
			fprintf(file, "2001:db8:1::/48\n");
		else
			fprintf(file, "11.%u.%u.%u/31\n", i * 4 >> 16 & 255, i * 4 >> 8 & 255,
				i * 4 & 255);
	assert_int_equal(fclose(file), 0);
	return path;
}

/* As told after everything that was sent before. */
static int64_t hits_now(struct squall *squall)
{
	unsigned told = 0;
	json_t *event;
	size_t i;

	json_array_foreach (squall->events, i, event)
		told += strcmp(member_text(event, "event"), "evidence") == 0;
	/* one may be on its way */
	return member_number(squall_await_nth(squall, "evidence", told + 2), "hits");
}

static void try_beside(struct stage *stage, unsigned count, const char *const *extra)
{
	const struct squall_how how = {.extra = extra};
	struct squall *squall =
		squall_start(stage, &how,
			     "inject --json network interface=sqv0 to-file=%s to=10.88.0.3 "
			     "direction=both delay=%dms targets=100000 for=10m",
			     write_list(stage, count), DELAY_MS);
	int64_t hits;

	squall_await_injected(squall);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_fast(stage, "fd88::2", NETLAB_PORT);
	assert_int_equal(netlab_answers(stage->lab, "10.88.0.2", NETLAB_PORT, ANSWERS), ANSWERS);
	assert_true(netlab_transfer(stage->lab, "10.88.0.2", NETLAB_PORT, BYTES, 60000) >= 0);
	assert_true(netlab_transfer(stage->lab, "fd88::2", NETLAB_PORT, BYTES, 60000) >= 0);
	assert_int_equal(hits_now(squall), 0);
	assert_true(netlab_round_trip(stage->lab, "10.88.0.3", NETLAB_PORT, 10000) >=
		    2 * DELAY_MS * NSEC_PER_MSEC);
	hits = hits_now(squall);
	printf("# %u networks: %lld hits\n", count, (long long)hits);
	assert_int_equal(hits, 2); /* there, and back */
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	stage_assert_fast(stage, "10.88.0.3", NETLAB_PORT);
	stage_assert_clean(stage);
}

static void test_networks_that_do_not_match_disturb_nothing(void **state)
{
	static const unsigned counts[] = {1, 1000, 99999};

	for (unsigned i = 0; i < 3; i++)
		try_beside(*state, counts[i], NULL);
}

static void test_networks_that_do_not_match_disturb_nothing_by_clsact(void **state)
{
	static const unsigned counts[] = {1, 1000, 99999};
	static const char *const clsact[] = {"SQUALL_HOOK=clsact", NULL};

	for (unsigned i = 0; i < 3; i++)
		try_beside(*state, counts[i], clsact);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_networks_that_do_not_match_disturb_nothing),
		TEST(test_networks_that_do_not_match_disturb_nothing_by_clsact),
	};

	return STAGE_RUN(tests);
}
