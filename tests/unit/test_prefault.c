/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a start costs: each of the three processes gets its own copy of all initialised data, page
 * by page.
 */
#include "injector/cli/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define PAGES 4

extern char data_start, edata; /* by the linker: see end(3) */

/* A large table with one initial value that is not zero is enough to be copied whole. */
static void test_initialised_data_is_small(void **state)
{
	(void)state;
#ifdef __SANITIZE_ADDRESS__
	print_message("skipped: the address sanitizer puts the zeros there as well\n");
	skip();
#endif
	assert_non_null((void *)(uintptr_t)cli_run); /* links all that a run consists of */
	assert_in_range((uintptr_t)&edata - (uintptr_t)&data_start, 0, PAGES * 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_initialised_data_is_small)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
