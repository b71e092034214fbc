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

static void compare(const struct sandbox_group *groups, const struct sandbox_filter *generated,
		    unsigned choices)
{
	static struct sock_filter built[SANDBOX_FILTER_MAX];

	for (unsigned choice = 0; choice < choices; choice++) {
		unsigned count = generated[choice].count, pids = 0;

		assert_int_equal(sandbox_filter_build(groups, choice, SANDBOX_SILENT, built),
				 count);
		assert_memory_equal(built, generated[choice].code, count * sizeof(*built));
		for (size_t at = 0; at < count; at++)
			pids += BPF_CLASS(built[at].code) == BPF_JMP &&
				built[at].k == SANDBOX_OWN_PID;
		assert_int_equal(pids, 1); /* tgkill to itself, and nothing else by chance */
	}
}

static void test_the_filters_are_up_to_date(void **state)
{
	(void)state;
	assert_int_equal(COUNT(worker_filters), SANDBOX_CHOICES);
	assert_int_equal(COUNT(guardian_filters), SANDBOX_CHOICES);
	compare(sandbox_conductor_groups, conductor_filters, COUNT(conductor_filters));
	compare(sandbox_worker_groups, worker_filters, COUNT(worker_filters));
	compare(sandbox_guardian_groups, guardian_filters, COUNT(guardian_filters));
	compare(sandbox_reader_groups, reader_filters, COUNT(reader_filters));
	compare(sandbox_tls_groups, tls_filters, COUNT(tls_filters));
}

static void test_each_key_widens_the_filter_of_the_worker(void **state)
{
	(void)state;
	for (unsigned choice = 0; choice < SANDBOX_CHOICES; choice++)
		for (unsigned at = 0; at < SANDBOX_KEYS; at++)
			if (!(choice >> at & 1))
				assert_in_range(worker_filters[choice].count, 1,
						worker_filters[choice | 1U << at].count - 1);
}

/* A group whose key is none would never be let in. */
static void test_each_group_belongs_to_a_key(void **state)
{
	static const struct sandbox_group *const lists[] = {
		sandbox_conductor_groups, sandbox_worker_groups, sandbox_guardian_groups,
		sandbox_reader_groups, sandbox_tls_groups};

	(void)state;
	for (unsigned i = 0; i < COUNT(lists); i++)
		for (const struct sandbox_group *group = lists[i]; group->purpose; group++)
			assert_true(sandbox_group_applies(group, SANDBOX_CHOICES - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_filters_are_up_to_date),
		cmocka_unit_test(test_each_key_widens_the_filter_of_the_worker),
		cmocka_unit_test(test_each_group_belongs_to_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
