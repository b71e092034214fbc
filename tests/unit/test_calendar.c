/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/base/calendar.h"

#include "injector/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int64_t utc(int64_t seconds)
{
	return seconds * NSEC_PER_SEC;
}

#define FRIDAY_NOON 1795780800 /* 2026-11-27 12:00 UTC, a Friday */
#define HOUR	    3600

static struct calendar_window window_of(const char *text)
{
	struct calendar_window window;
	struct error err = ERROR_INIT;

	if (calendar_parse_window(text, &window, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	return window;
}

static void test_windows_are_read(void **state)
{
	struct calendar_window window = window_of("Mon-Fri 09:00-16:00 UTC");

	(void)state;
	assert_int_equal(window.days, 0x1f);
	assert_int_equal(window.from_minute, 540);
	assert_int_equal(window.to_minute, 960);
	assert_string_equal(window.zone, "UTC");
	assert_int_equal(window_of("Sat-Mon,Wed 1:00-24:00").days, 0x65);
	assert_int_equal(window_of("22:00-04:00").days, 0x7f);
	assert_int_equal(window_of("daily 22:00-04:00 UTC").days, 0x7f);
}

static void test_what_is_no_window_is_refused_with_an_example(void **state)
{
	static const char *const bad[] = {
		"",
		"Mon-Fri",
		"9-16",
		"09:00-25:00",
		"09:60-10:00",
		"09:00-09:00",
		"Mo 09:00-10:00",
		"24:00-01:00",
		"-1:00-2:00",
		"Mon- 09:00-10:00",
		"09:00 10:00",
		"09:00-10:00 UTC x",
		"09:00-10:00 ../etc/passwd",
		"09:00-10:00 /etc/localtime",
		"09:00-10:00 Europe/Nowhere",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct calendar_window window;
		struct error err = ERROR_INIT;

		if (calendar_parse_window(bad[i], &window, &err) == 0)
			fail_msg("'%s' is taken for a window", bad[i]);
		assert_true(strlen(err.text) > 10);
	}
}

static void test_open_and_closed_and_until_when(void **state)
{
	struct calendar_window window = window_of("Mon-Fri 09:00-16:00 UTC");
	int64_t change;

	(void)state;
	assert_true(calendar_is_open(&window, utc(FRIDAY_NOON), &change));
	assert_int_equal(change, utc(FRIDAY_NOON + 4 * HOUR));
	assert_false(calendar_is_open(&window, utc(FRIDAY_NOON + 4 * HOUR), &change));
	assert_int_equal(change, utc(FRIDAY_NOON + 69 * HOUR)); /* Monday, 09:00 */
	assert_true(calendar_is_open(&window, utc(FRIDAY_NOON + 4 * HOUR) - 1, &change));
}

static void test_over_midnight_belongs_to_the_day_it_began(void **state)
{
	struct calendar_window window = window_of("Fri 22:00-04:00 UTC");
	int64_t change;

	(void)state;
	assert_false(calendar_is_open(&window, utc(FRIDAY_NOON), &change));
	assert_int_equal(change, utc(FRIDAY_NOON + 10 * HOUR));
	assert_true(calendar_is_open(&window, utc(FRIDAY_NOON + 15 * HOUR), &change));
	assert_int_equal(change, utc(FRIDAY_NOON + 16 * HOUR));
}

static void test_zones_are_this_machines_not_the_environments(void **state)
{
	char text[CALENDAR_TEXT_SIZE];

	(void)state;
	setenv("TZ", "Asia/Tokyo", 1);
	calendar_format(utc(FRIDAY_NOON), "UTC", text);
	assert_string_equal(text, "Fri 2026-11-27 12:00 UTC");
	assert_string_equal(getenv("TZ"), "Asia/Tokyo");
	assert_int_equal(calendar_day(utc(FRIDAY_NOON + 12 * HOUR), "UTC"), 20261128);
	unsetenv("TZ");
	calendar_format(utc(FRIDAY_NOON), "UTC", text);
	assert_null(getenv("TZ"));
}

static void test_summer_time_is_followed(void **state)
{
	struct calendar_window window;
	struct error err = ERROR_INIT;
	int64_t change;

	(void)state;
	if (calendar_parse_window("09:00-16:00 Europe/Berlin", &window, &err) < 0) {
		print_message("no zone files here: %s\n", err.text);
		skip();
	}
	/* 12:00 UTC is 13:00 there in winter, 14:00 on 1 July 2026 */
	assert_true(calendar_is_open(&window, utc(FRIDAY_NOON), &change));
	assert_int_equal(change, utc(FRIDAY_NOON + 3 * HOUR));
	assert_true(calendar_is_open(&window, utc(1782907200), &change));
	assert_int_equal(change, utc(1782907200 + 2 * HOUR));
}

static void test_dates_are_real_days(void **state)
{
	static const char *const bad[] = {"2026-02-29", "2026-13-01",
					  "2026-1-1",	"2026-12-24..2026-12-23",
					  "tomorrow",	"2026-12-24.."};
	struct calendar_dates dates;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(calendar_parse_dates("2026-12-24..2027-01-02", &dates, &err), 0);
	assert_int_equal(dates.first, 20261224);
	assert_int_equal(dates.last, 20270102);
	assert_int_equal(calendar_parse_dates("2028-02-29", &dates, &err), 0);
	assert_int_equal(dates.last, 20280229);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_true(calendar_parse_dates(bad[i], &dates, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_windows_are_read),
		cmocka_unit_test(test_what_is_no_window_is_refused_with_an_example),
		cmocka_unit_test(test_open_and_closed_and_until_when),
		cmocka_unit_test(test_over_midnight_belongs_to_the_day_it_began),
		cmocka_unit_test(test_zones_are_this_machines_not_the_environments),
		cmocka_unit_test(test_summer_time_is_followed),
		cmocka_unit_test(test_dates_are_real_days),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
