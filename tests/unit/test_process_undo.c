/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When the end of a pause sends SIGCONT, over a fake /proc: nothing can be sent there, so an
 * attempt is an error, and its absence a success.
 */
#include "faults/process_pause.h"
#include "faults/process_record.h"
#include "tests/support/fake_proc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define P FAKE_PID

static struct journal_record record_of(pid_t pid, uint64_t start_time)
{
	struct journal_record record = {.kind = JOURNAL_UNDO, .type = PAUSE_RECORD_STOPPED};
	struct stopped_record stopped = {.count = 1, .processes = {{.pid = pid}}};

	stopped.processes[0].start_time = start_time;
	memcpy(record.payload, &stopped, sizeof(stopped));
	return record;
}

static bool is_continued(char process_state, const char *pending)
{
	struct journal_record record = record_of(P, 7);
	struct error err = ERROR_INIT;
	char status[128];
	int result;

	snprintf(status, sizeof(status), "Name:\tx\nSigPnd:\t0\nShdPnd:\t%s\n", pending);
	fake_proc_add(&(struct fake_process){
		.pid = P, .comm = "x", .state = process_state, .start_time = 7, .status = status});
	result = pause_undo(&record, &err);
	if (result == 0)
		return false;
	assert_int_equal(result, -EPERM);
	assert_non_null(strstr(err.text, "cannot continue process"));
	assert_non_null(strstr(err.remedy, "kill -CONT 4190000"));
	return true;
}

static void test_who_is_continued(void **state)
{
	(void)state;
	assert_true(is_continued('T', "0"));
	assert_true(is_continued('t', "0"));
	assert_true(is_continued('S', "0000000000040000")); /* frozen, and to be stopped */
	assert_true(is_continued('D', "0"));
	/* it stands still: it may be on its way into the stop */
	assert_true(is_continued('R', "0"));
	assert_false(is_continued('S', "0"));
	assert_false(is_continued('I', "0"));
	assert_false(is_continued('Z', "0"));
}

static void test_another_process_is_left_alone(void **state)
{
	struct journal_record younger = record_of(P, 6), gone = record_of(P + 1, 7);

	(void)state;
	fake_proc_add(&(struct fake_process){.pid = P, .comm = "x", .state = 'T', .start_time = 7});
	assert_int_equal(pause_undo(&younger, NULL), 0);
	assert_int_equal(pause_undo(&gone, NULL), 0);
}

static void test_verify_names_the_command(void **state)
{
	struct journal_record record = record_of(P, 7);
	char left[200] = "";
	bool gone = true;

	(void)state;
	fake_proc_add(&(struct fake_process){.pid = P, .comm = "x", .state = 'T', .start_time = 7});
	assert_int_equal(pause_verify(&record, &gone, left, sizeof(left), NULL), 0);
	assert_false(gone);
	assert_string_equal(left, "processes are still stopped; kill -CONT 4190000");
	fake_proc_remove(P);
	assert_int_equal(pause_verify(&record, &gone, left, sizeof(left), NULL), 0);
	assert_true(gone);
}

static void test_damaged_records_are_refused(void **state)
{
	struct journal_record record = record_of(P, 7);
	struct stopped_record stopped = {.count = STOPPED_RECORD_MAX + 1};
	struct frozen_record frozen;
	char left[8];
	bool gone;

	(void)state;
	memcpy(record.payload, &stopped, sizeof(stopped));
	assert_int_equal(pause_undo(&record, NULL), -EPROTO);
	assert_int_equal(pause_verify(&record, &gone, left, sizeof(left), NULL), -EPROTO);
	record.type = PAUSE_RECORD_FROZEN;
	memset(&frozen, '/', sizeof(frozen));
	memcpy(record.payload, &frozen, sizeof(frozen));
	assert_int_equal(pause_undo(&record, NULL), -EPROTO);
	record.type = 77;
	assert_int_equal(pause_undo(&record, NULL), -EPROTO);
	assert_int_equal(pause_verify(&record, &gone, left, sizeof(left), NULL), -EPROTO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_proc_set_up, fake_proc_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_who_is_continued),
		TEST(test_another_process_is_left_alone),
		TEST(test_verify_names_the_command),
		TEST(test_damaged_records_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
