/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The filters that were made when squall was built are those that the lists describe now.
 */
#include "injector/kernel/sandbox_filter.h"
#include "injector/kernel/sandbox_filters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void compare(const struct sandbox_rule *const *groups, const struct sock_filter *generated,
		    size_t count)
{
	static struct sock_filter built[SANDBOX_FILTER_MAX];
	unsigned pids = 0;

	assert_int_equal(sandbox_filter_build(groups, built), count);
	assert_memory_equal(built, generated, count * sizeof(*built));
	for (size_t at = 0; at < count; at++)
		pids += BPF_CLASS(built[at].code) == BPF_JMP && built[at].k == SANDBOX_OWN_PID;
	assert_int_equal(pids, 1); /* tgkill to itself, and nothing else by chance */
}

static void test_the_filters_are_up_to_date(void **state)
{
	(void)state;
	compare(sandbox_conductor_groups, conductor_filter, COUNT(conductor_filter));
	compare(sandbox_worker_groups, worker_filter, COUNT(worker_filter));
	compare(sandbox_guardian_groups, guardian_filter, COUNT(guardian_filter));
}

static void test_a_changed_list_gives_another_filter(void **state)
{
	static struct sock_filter built[SANDBOX_FILTER_MAX];
	const struct sandbox_rule *const less[] = {sandbox_guardian_groups[0], NULL};
	int count = sandbox_filter_build(less, built);

	(void)state;
	assert_in_range(count, 1, COUNT(guardian_filter) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_filters_are_up_to_date),
		cmocka_unit_test(test_a_changed_list_gives_another_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
