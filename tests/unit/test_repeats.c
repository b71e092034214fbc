/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which calls of a sweep are repeats: only what changes nothing, and was looked at twice already.
 */
#include "tests/sweep/repeats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include <cmocka.h>

static unsigned chosen_of(const int *calls, unsigned count)
{
	unsigned chosen;

	free(calls_without_repeats(calls, count, &chosen));
	return chosen;
}

static void test_a_loop_that_looks_is_looked_at_twice(void **state)
{
	static const int calls[] = {SYS_openat, SYS_read,   SYS_close,	SYS_openat,
				    SYS_read,	SYS_close,  SYS_openat, SYS_read,
				    SYS_close,	SYS_openat, SYS_read,	SYS_close};

	(void)state;
	/* the first one has another call before it */
	assert_int_equal(chosen_of(calls, 12), 7);
}

/* Each of them, also in a loop, and what is behind it. */
static void test_what_changes_something_is_never_a_repeat(void **state)
{
	static const int changes[] = {
		SYS_linkat,   SYS_move_mount, SYS_umount2,  SYS_open_tree,	   SYS_fchown,
		SYS_fchmod,   SYS_fsetxattr,  SYS_setxattr, SYS_fremovexattr,	   SYS_utimensat,
		SYS_creat,    SYS_fsync,      SYS_rename,   SYS_renameat,	   SYS_renameat2,
		SYS_unlinkat, SYS_write,      SYS_writev,   SYS_pidfd_send_signal, SYS_ioctl,
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		int calls[20];

		for (unsigned at = 0; at < 20; at++)
			calls[at] = at % 2 ? SYS_read : changes[i];
		assert_int_equal(chosen_of(calls, 20), 20);
		for (unsigned at = 0; at < 20; at++)
			calls[at] = changes[i];
		assert_int_equal(chosen_of(calls, 20), 20);
	}
}

static void test_a_call_that_nobody_has_thought_of_is_named(void **state)
{
	static const int calls[] = {SYS_read, SYS_renameat, SYS_reboot, SYS_close};

	(void)state;
	assert_int_equal(call_of_no_list(calls, 2), -1);
	assert_int_equal(call_of_no_list(calls, 4), SYS_reboot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_loop_that_looks_is_looked_at_twice),
		cmocka_unit_test(test_what_changes_something_is_never_a_repeat),
		cmocka_unit_test(test_a_call_that_nobody_has_thought_of_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
