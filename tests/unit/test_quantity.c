/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Quantities: exact values, no guesses, and messages that say what to write instead.
 */
#include "injector/base/quantity.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

typedef int (*parse_fn)(const char *text, int64_t *out, struct error *err);

struct good {
	parse_fn parse;
	const char *text;
	int64_t value;
};

struct bad {
	parse_fn parse;
	const char *text, *message;
};

static const struct good goods[] = {
	{quantity_parse_duration, "200ms", 200000000},
	{quantity_parse_duration, "1.5s", 1500000000},
	{quantity_parse_duration, "0.000000001s", 1},
	{quantity_parse_duration, "10us", 10000},
	{quantity_parse_duration, "7ns", 7},
	{quantity_parse_duration, "5m", 300000000000},
	{quantity_parse_duration, "5min", 300000000000},
	{quantity_parse_duration, "2h", 7200000000000},
	{quantity_parse_duration, "3d", 259200000000000},
	{quantity_parse_duration, "0", 0},
	{quantity_parse_duration, "0s", 0},
	{quantity_parse_duration, "0.0s", 0},
	{quantity_parse_duration, "9223372036854775807ns", INT64_MAX},
	{quantity_parse_share, "5%", 50000000},
	{quantity_parse_share, "0.01%", 100000},
	{quantity_parse_share, "0.0000001%", 1},
	{quantity_parse_share, "100%", SHARE_ONE},
	{quantity_parse_share, "0", 0},
	{quantity_parse_rate, "10mbit", 10000000},
	{quantity_parse_rate, "800kbit", 800000},
	{quantity_parse_rate, "1.5gbit", 1500000000},
	{quantity_parse_rate, "1tbit", 1000000000000LL},
	{quantity_parse_rate, "100bit", 100},
	{quantity_parse_rate, "1mbps", 8000000},
	{quantity_parse_size, "100B", 100},
	{quantity_parse_size, "64KiB", 65536},
	{quantity_parse_size, "1GiB", 1073741824},
	{quantity_parse_size, "5kB", 5000},
	{quantity_parse_size, "0.5KiB", 512},
	{quantity_parse_integer, "0", 0},
	{quantity_parse_integer, "-42", -42},
	{quantity_parse_integer, "9223372036854775807", INT64_MAX},
};

static const struct bad bads[] = {
	{quantity_parse_duration, "100",
	 "'100' has no unit; write 100ms or 100s (units: ns, us, ms, s, m, min, h, d)"},
	{quantity_parse_duration, "2 s", "'2 s' has a space before its unit; write 2s"},
	{quantity_parse_duration, "2S", "'2S' has an unknown unit 'S'; write 2s"},
	{quantity_parse_duration, "2MS", "'2MS' has an unknown unit 'MS'; write 2ms"},
	{quantity_parse_duration, "1m30s",
	 "'1m30s' has an unknown unit 'm30s'; units of a duration: ns, us, ms, s, m, min, h, d"},
	{quantity_parse_duration, "-5s",
	 "'-5s' is not a duration; write it like 200ms (units: ns, us, ms, s, m, min, h, d)"},
	{quantity_parse_duration, "soon",
	 "'soon' is not a duration; write it like 200ms (units: ns, us, ms, s, m, min, h, d)"},
	{quantity_parse_duration, "",
	 "'' is not a duration; write it like 200ms (units: ns, us, ms, s, m, min, h, d)"},
	{quantity_parse_duration, ".5s", "'.5s' is not a duration; write it like 200ms"},
	{quantity_parse_duration, "5.s", "'5.s' is not a duration; write it like 200ms"},
	{quantity_parse_duration, "1.2.3s", "'1.2.3s' is not a duration; write it like 200ms"},
	{quantity_parse_duration, "9223372037s", "'9223372037s' is too large for a duration"},
	{quantity_parse_duration, "99999999999999999999999999999999999999999ns",
	 "'99999999999999999999999999999999999999999ns' is too large for a duration"},
	{quantity_parse_duration, "0.5ns", "'0.5ns' is too small for a duration"},
	{quantity_parse_share, "5", "'5' has no unit; write 5% (units: %)"},
	{quantity_parse_share, "0.05",
	 "'0.05' has no unit; write 5% (or 0.05%, if that was meant)"},
	{quantity_parse_share, "50 %", "'50 %' has a space before its unit; write 50%"},
	{quantity_parse_share, "0.000000001%", "'0.000000001%' is too small for a share"},
	{quantity_parse_rate, "10",
	 "'10' has no unit; write 10mbit or 10kbit (units: bit, kbit, mbit, gbit, tbit, bps, kbps, "
	 "mbps, gbps)"},
	{quantity_parse_rate, "10Mbps",
	 "'10Mbps' has an unknown unit 'Mbps'; units of a rate: bit, kbit, mbit, gbit, tbit, bps, "
	 "kbps, mbps, gbps (bit: bits, bps: bytes a second)"},
	{quantity_parse_size, "64K",
	 "'64K' has an unknown unit 'K'; units of a size: B, KiB, MiB, GiB, TiB, kB, MB, GB"},
	{quantity_parse_size, "64kib", "'64kib' has an unknown unit 'kib'; write 64KiB"},
	{quantity_parse_integer, "1.0", "'1.0' is not a whole number"},
	{quantity_parse_integer, "1e3", "'1e3' is not a whole number"},
	{quantity_parse_integer, "0x10", "'0x10' is not a whole number"},
	{quantity_parse_integer, "", "'' is not a whole number"},
	{quantity_parse_integer, "-", "'-' is not a whole number"},
	{quantity_parse_integer, "--1", "'--1' is not a whole number"},
	{quantity_parse_integer, " 1", "' 1' is not a whole number"},
	{quantity_parse_integer, "9223372036854775808",
	 "'9223372036854775808' is too large for a number"},
};

static void test_values_are_exact(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(goods) / sizeof(*goods); i++) {
		struct error err = ERROR_INIT;
		int64_t value = -1;

		if (goods[i].parse(goods[i].text, &value, &err) < 0)
			fail_msg("%s: %s", goods[i].text, err.text);
		if (value != goods[i].value)
			fail_msg("%s is %lld, expected %lld", goods[i].text, (long long)value,
				 (long long)goods[i].value);
	}
}

static void test_bad_values_are_explained_and_leave_the_output_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bads) / sizeof(*bads); i++) {
		struct error err = ERROR_INIT;
		int64_t value = 4711;

		if (bads[i].parse(bads[i].text, &value, &err) == 0)
			fail_msg("%s was accepted as %lld", bads[i].text, (long long)value);
		assert_int_equal(value, 4711);
		assert_string_equal(err.text, bads[i].message);
	}
}

static void test_failures_need_no_error_object(void **state)
{
	int64_t value = 4711;

	(void)state;
	assert_int_equal(quantity_parse_duration("5", &value, NULL), -EINVAL);
	assert_int_equal(quantity_parse_integer("x", &value, NULL), -EINVAL);
	assert_int_equal(quantity_parse_duration("9223372037s", &value, NULL), -ERANGE);
}

static void test_durations_are_written_shortly_and_exactly(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} pairs[] = {
		{0, "0s"},
		{1, "1ns"},
		{1500, "1.5us"},
		{200000000, "200ms"},
		{1500000000, "1.5s"},
		{90000000000, "90s"},
		{120000000000, "2m"},
		{3600000000000, "1h"},
		{86400000000000, "1d"},
		{604800000000000, "7d"},
		{1000000001, "1.000000001s"},
		{90000000000000, "25h"},
	};
	char text[QUANTITY_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		int64_t back = -1;

		assert_string_equal(quantity_format_duration(pairs[i].ns, text), pairs[i].text);
		assert_int_equal(quantity_parse_duration(text, &back, NULL), 0);
		assert_int_equal(back, pairs[i].ns);
	}
}

static void test_shares_are_written_exactly(void **state)
{
	char text[QUANTITY_TEXT_SIZE];

	(void)state;
	assert_string_equal(quantity_format_share(0, text), "0%");
	assert_string_equal(quantity_format_share(1, text), "0.0000001%");
	assert_string_equal(quantity_format_share(50000000, text), "5%");
	assert_string_equal(quantity_format_share(SHARE_ONE, text), "100%");
}

/* What is written is read as what it was. */
static void test_rates_and_sizes_are_written_in_whole_units(void **state)
{
	static const struct {
		int64_t rate;
		const char *rate_text;
		int64_t size;
		const char *size_text;
	} pairs[] = {
		{0, "0bit", 0, "0B"},
		{8, "8bit", 1600, "1600B"},
		{10000000, "10mbit", 65535, "65535B"},
		{1500000, "1500kbit", 65536, "64KiB"},
		{1000000000001, "1000000000001bit", 5000, "5kB"},
		{1000000000000, "1tbit", 1 << 30, "1GiB"},
		{8000000000000, "8tbit", 1LL << 50, "1024TiB"},
	};
	char text[QUANTITY_TEXT_SIZE];
	int64_t again;

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		assert_string_equal(quantity_format_rate(pairs[i].rate, text), pairs[i].rate_text);
		assert_int_equal(quantity_parse_rate(text, &again, NULL), 0);
		assert_int_equal(again, pairs[i].rate);
		assert_string_equal(quantity_format_size(pairs[i].size, text), pairs[i].size_text);
		assert_int_equal(quantity_parse_size(text, &again, NULL), 0);
		assert_int_equal(again, pairs[i].size);
	}
}

static void test_latencies_are_in_milliseconds_below_a_second(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} pairs[] = {
		{0, "0.000ms"},	      {999, "0.001ms"},	      {94000, "0.094ms"},
		{510000, "0.51ms"},   {999499, "1.00ms"},     {12345678, "12.3ms"},
		{99949999, "99.9ms"}, {123456789, "123ms"},   {999600000, "1.00s"},
		{9995000, "10.0ms"},  {61000000000, "61.0s"},
	};
	char text[QUANTITY_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
		assert_string_equal(quantity_format_latency(pairs[i].ns, text), pairs[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_are_exact),
		cmocka_unit_test(test_bad_values_are_explained_and_leave_the_output_alone),
		cmocka_unit_test(test_failures_need_no_error_object),
		cmocka_unit_test(test_durations_are_written_shortly_and_exactly),
		cmocka_unit_test(test_shares_are_written_exactly),
		cmocka_unit_test(test_rates_and_sizes_are_written_in_whole_units),
		cmocka_unit_test(test_latencies_are_in_milliseconds_below_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
