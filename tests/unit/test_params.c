/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Parameter tables: every type's good and bad values, lists, defaults, nearest names.
 */
#include "injector/base/params.h"

#include "injector/base/quantity.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const char *const directions[] = {"egress", "ingress", "both", NULL};

enum { P_TO, P_DELAY, P_LOSS, P_WORD, P_FLAG, P_PORTS };
static const struct param table[] = {
	[P_TO] = {.name = "to",
		  .type = PARAM_ENDPOINT,
		  .flags = PARAM_LIST | PARAM_REQUIRED,
		  .doc = "the far side"},
	[P_DELAY] = {.name = "delay",
		     .type = PARAM_DURATION,
		     .min = 1000,
		     .max = 3600000000000,
		     .fallback = "10ms",
		     .doc = "added"},
	[P_LOSS] = {.name = "loss", .type = PARAM_SHARE, .max = SHARE_ONE, .doc = "lost"},
	[P_WORD] = {.name = "direction",
		    .type = PARAM_WORD,
		    .words = directions,
		    .fallback = "both",
		    .doc = "which way"},
	[P_FLAG] = {.name = "fast", .type = PARAM_BOOL, .doc = "no doubt"},
	[P_PORTS] = {.name = "local-port", .type = PARAM_PORTS, .flags = PARAM_LIST, .doc = "here"},
	{.name = NULL},
};

static const struct {
	enum param_type type;
	const char *text, *message; /* NULL: good */
	int64_t number;
} values[] = {
	{PARAM_TEXT, "a b", NULL, 0},
	{PARAM_TEXT, "", "it is empty; a text is expected", 0},
	{PARAM_TEXT, "a\nb", "it contains a line break", 0},
	{PARAM_TEXT, "a\x1b[2J", "it contains a control character (code 27)", 0},
	{PARAM_NAME, "orders.service", NULL, 0},
	{PARAM_NAME, "a b",
	 "'a b' is not a name: ' ' is not allowed (letters, digits and _-.@:/+ are)", 0},
	{PARAM_PATH, "/run/x.pid", NULL, 0},
	{PARAM_PATH, "run/x.pid", "'run/x.pid' is not an absolute path: it must begin with '/'", 0},
	{PARAM_BOOL, "true", NULL, 1},
	{PARAM_BOOL, "false", NULL, 0},
	{PARAM_BOOL, "yes", "'yes' must be true or false", 0},
	{PARAM_BOOL, "True", "'True' must be true or false", 0},
	{PARAM_INTEGER, "12", NULL, 12},
	{PARAM_SIGNAL, "KILL", NULL, SIGKILL},
	{PARAM_SIGNAL, "sigterm", NULL, SIGTERM},
	{PARAM_SIGNAL, "9", NULL, SIGKILL},
	{PARAM_SIGNAL, "0", "'0' is not a signal; write KILL, TERM, HUP or a number", 0},
	{PARAM_SIGNAL, "65", "'65' is not a signal; write KILL, TERM, HUP or a number", 0},
	{PARAM_SIGNAL, "KIL", "'KIL' is not a signal; write KILL, TERM, HUP or a number", 0},
	{PARAM_NETWORK, "10.0.5.0/24", NULL, 0},
	{PARAM_NETWORK, "store",
	 "'store' is neither an address nor a network; write 10.0.5.7, 10.0.5.0/24 or "
	 "2001:db8::/64",
	 0},
	{PARAM_PATTERN, "nginx: worker", NULL, 0},
	{PARAM_PATTERN, "(", "'(' is not a regular expression: Unmatched ( or \\(", 0},
	{PARAM_PATTERN, "^([0-9]{1,3}\\.){3}[0-9]{1,3} [[:xdigit:]]{64}$", NULL, 0},
	{PARAM_PATTERN, "a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+", NULL, 0},
	{PARAM_PATTERN, "[]{9999}(]", NULL, 0},
	{PARAM_PATTERN, "((a{255}){255}){255}",
	 "'((a{255}){255}){255}' repeats too much: written out it has more than 1000 characters",
	 0},
	{PARAM_PATTERN, "((((((((((a+)+)+)+)+)+)+)+)+)+)+",
	 "'((((((((((a+)+)+)+)+)+)+)+)+)+)+' repeats too much: written out it has more than 1000 "
	 "characters",
	 0},
	{PARAM_PATTERN, "((a++++++++++",
	 "'((a++++++++++' repeats too much: written out it has more than 1000 characters", 0},
	{PARAM_PATTERN, ")++++++++++",
	 "')++++++++++' repeats too much: written out it has more than 1000 characters", 0},
	{PARAM_PATTERN, "a++++*++?++++",
	 "'a++++*++?++++' repeats too much: written out it has more than 1000 characters", 0},
	{PARAM_PATTERN, "(((a*)?)+b)?", NULL, 0},
	{PARAM_PATTERN, "(((a**)?)+b)?",
	 "'(((a**)?)+b)?' repeats too much: more than 4 repetitions of each other", 0},
	{PARAM_PATTERN, "(\\b(a*)*){3}", NULL, 0},
	{PARAM_PATTERN, "(\\b(a*)*){4}",
	 "'(\\b(a*)*){4}' repeats too much: anchors, or beside one what may be nothing", 0},
	{PARAM_PATTERN, "^(()|b)+{0,20}",
	 "'^(()|b)+{0,20}' repeats too much: anchors, or beside one what may be nothing", 0},
	{PARAM_PATTERN, "(^|[ ,;])(user|name)=[^;]*(;|$)", NULL, 0},
	{PARAM_PATTERN, "^(GET|POST) /([a-z]+/)*[^ ]* HTTP/1\\.[01]$", NULL, 0},
	{PARAM_PATTERN, "(a*)*(b?){30}", NULL, 0},
	{PARAM_PATTERN, "(\\ba*){19}", NULL, 0},
	{PARAM_PATTERN, "(\\ba*){20}",
	 "'(\\ba*){20}' repeats too much: anchors, or beside one what may be nothing", 0},
	{PARAM_PATTERN,
	 "^a$|^b$|^c$|^d$|^e$|^f$|^g$|^h$|^i$|^j$|^k$|^l$|^m$|^n$|^o$|^p$|^q$|^r$|^s$", NULL, 0},
	{PARAM_PATTERN, "a{32767}",
	 "'a{32767}' repeats too much: written out it has more than 1000 characters", 0},
	{PARAM_PATTERN, "((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))",
	 "'((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))' is nested too deeply",
	 0},
	{PARAM_PATTERN, "(a)\\1", "'(a)\\1': back-references (\\1) are not allowed", 0},
	{PARAM_TARGET, "store", NULL, 0},
	{PARAM_COMPARE_NUMBER, "ok", "a comparison is written like \"< 60\": 'ok' is not a number",
	 0},
	{PARAM_COMPARE_NUMBER, "nan",
	 "a comparison is written like \"< 60\": 'nan' is not a number", 0},
	{PARAM_COMPARE_NUMBER, "<", "a comparison is written like \"< 60\": '' is not a number", 0},
	{PARAM_COMPARE_NUMBER, "200-", "'200-' is not a range; write it like 200-299", 0},
	{PARAM_COMPARE_NUMBER, "299-200", "the range '299-200' is empty", 0},
	{PARAM_COMPARE_DURATION, "< 1s", NULL, 0},
	{PARAM_COMPARE_DURATION, "< 1000",
	 "a comparison is written like \"< 1s\": '1000' has no unit; write 1000ms or 1000s (units: "
	 "ns, us, ms, s, m, min, h, d)",
	 0},
	{PARAM_COMPARE_DURATION, "1s", "'1s' asks for exactly this duration; write \"< 1s\"", 0},
	{PARAM_COMPARE_DURATION, "== 1s", "'== 1s' asks for exactly this duration; write \"< 1s\"",
	 0},
};

static void test_each_type_of_value(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		const struct param param = {.name = "x", .type = values[i].type};
		struct param_value value = {0};
		struct error err = ERROR_INIT;
		int result = param_parse(&param, values[i].text, &value, &err);

		if (values[i].message) {
			if (result == 0)
				fail_msg("%s was accepted", values[i].text);
			assert_string_equal(err.text, values[i].message);
			assert_null(value.text);
			continue;
		}
		if (result < 0)
			fail_msg("%s: %s", values[i].text, err.text);
		assert_string_equal(value.text, values[i].text);
		if (values[i].number)
			assert_int_equal(value.number, values[i].number);
		param_value_free(&value);
	}
}

static void test_comparisons_hold(void **state)
{
	static const struct {
		const char *text;
		double value;
		bool holds;
	} cases[] = {
		{"< 60", 59.9, true},	 {"< 60", 60, false},	   {"<=60", 60, true},
		{">= 3", 3, true},	 {"> 3", 3, false},	   {"200", 200, true},
		{"200", 201, false},	 {"== 200", 200, true},	   {"!= 200", 200, false},
		{"!= 200", 500, true},	 {"200-299", 200, true},   {"200-299", 299, true},
		{"200-299", 300, false}, {"200 - 299", 250, true}, {"-5", -5, true},
		{"-5--3", -4, true},	 {" < 60", 3, true},	   {"> -1", 0, true},
		{"!= 200", NAN, false},	 {"< 60", NAN, false},	   {"0.5-1.5", 1, true},
	};
	const struct param param = {.name = "x", .type = PARAM_COMPARE_NUMBER};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct param_value value;
		struct error err = ERROR_INIT;

		if (param_parse(&param, cases[i].text, &value, &err) < 0)
			fail_msg("%s: %s", cases[i].text, err.text);
		if (compare_holds(&value.compare, cases[i].value) != cases[i].holds)
			fail_msg("%g %s: should %shold", cases[i].value, cases[i].text,
				 cases[i].holds ? "" : "not ");
		param_value_free(&value);
	}
}

static void test_ranges_words_and_positions(void **state)
{
	struct params params;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(params_init(&params, table, &err), 0);
	assert_true(params_add(&params, P_DELAY, "2h", 1, 2, &err) < 0);
	assert_string_equal(err.text, "delay: '2h' is out of range: 1us to 1h is allowed");
	assert_true(params_add(&params, P_LOSS, "101%", 1, 2, &err) < 0);
	assert_string_equal(err.text, "loss: '101%' is out of range: 0% to 100% is allowed");
	assert_true(params_add(&params, P_WORD, "egres", 1, 2, &err) < 0);
	assert_string_equal(err.text, "direction: 'egres' is not known; did you mean 'egress'? "
				      "(one of egress, ingress, both)");
	assert_true(params_add(&params, P_WORD, "up", 1, 2, &err) < 0);
	assert_string_equal(err.text, "direction: 'up' is not known; it must be one of egress, "
				      "ingress, both");
	assert_int_equal(params_check_required(&params, &err), -EINVAL);
	assert_string_equal(err.text, "'to' is missing (list of endpoint): the far side");

	assert_int_equal(params_add(&params, P_DELAY, "5ms", 7, 9, &err), 0);
	assert_int_equal(params_value(&params, P_DELAY, 0)->line, 7);
	assert_int_equal(params_value(&params, P_DELAY, 0)->column, 9);
	assert_int_equal(params_add(&params, P_DELAY, "6ms", 8, 9, &err), -EEXIST);
	assert_int_equal(params_number(&params, P_DELAY, -1), 5000000);
	assert_int_equal(params_count(&params, P_DELAY), 1);
	params_free(&params);
	params_free(&params); /* twice is harmless */
}

static void test_defaults(void **state)
{
	struct params params;

	(void)state;
	assert_int_equal(params_init(&params, table, NULL), 0);
	assert_false(params_is_set(&params, P_DELAY));
	assert_int_equal(params_number(&params, P_DELAY, -1), 10000000);
	assert_string_equal(params_text(&params, P_DELAY), "10ms");
	assert_int_equal(params_number(&params, P_WORD, -1), 2);
	assert_int_equal(params_number(&params, P_LOSS, -1), -1);
	assert_null(params_text(&params, P_LOSS));
	assert_null(params_value(&params, P_LOSS, 0));
	params_free(&params);
}

static void test_long_lists_keep_their_order(void **state)
{
	struct params params;
	char text[32];

	(void)state;
	assert_int_equal(params_init(&params, table, NULL), 0);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "10.0.%u.%u", i / 256, i % 256);
		assert_int_equal(params_add(&params, P_TO, text, 1, 1, NULL), 0);
	}
	assert_int_equal(params_count(&params, P_TO), 1000);
	assert_string_equal(params_value(&params, P_TO, 999)->text, "10.0.3.231");
	assert_null(params_value(&params, P_TO, 1000));
	params_free(&params);
}

/* One word that stands for several endpoints becomes as many. */
static void test_ranges_of_addresses_and_lists_of_ports(void **state)
{
	static const struct param endpoints[] = {
		{.name = "to", .type = PARAM_ENDPOINT, .flags = PARAM_LIST},
		{.name = "here", .type = PARAM_NETWORK, .flags = PARAM_LIST},
		{.name = "one", .type = PARAM_ENDPOINT},
		{.name = NULL},
	};
	static const struct {
		unsigned index;
		const char *text, *values; /* or how the refusal begins */
	} cases[] = {
		{0, "10.0.0.1-10.0.0.9", "10.0.0.1 10.0.0.2/31 10.0.0.4/30 10.0.0.8/31 "},
		{0, "10.0.0.0-10.0.0.255:443", "10.0.0.0/24:443 "},
		{0, "10.0.0.7-10.0.0.7", "10.0.0.7 "},
		{0, "0.0.0.0-255.255.255.255", "0.0.0.0/0 "},
		{0, "255.255.255.254-255.255.255.255", "255.255.255.254/31 "},
		{0, "10.0.0.0/8:80,443", "10.0.0.0/8:80 10.0.0.0/8:443 "},
		{0, "10.0.0.1-10.0.0.2:80,90-95",
		 "10.0.0.1:80 10.0.0.1:90-95 10.0.0.2:80 10.0.0.2:90-95 "},
		{0, "*:80,443", "*:80 *:443 "},
		{0, "store-a.internal:80,443", "store-a.internal:80 store-a.internal:443 "},
		{0, "2001:db8::1-2001:db8::4", "2001:db8::1 2001:db8::2/127 2001:db8::4 "},
		{0, "[2001:db8::-2001:db8::1]:53", "[2001:db8::/127]:53 "},
		{0, "[2001:db8::]/32:80,443", "[2001:db8::/32]:80 [2001:db8::/32]:443 "},
		{0, "a-b.internal", "a-b.internal "},
		{1, "10.0.0.4-10.0.0.7", "10.0.0.4/30 "},
		{0, "10.0.0.9-10.0.0.1", "'10.0.0.9-10.0.0.1': the range ends before it begins"},
		{0, "10.0.0.1:80,", "to: '10.0.0.1:': '' is not a port"},
		{0, "10.0.0.1-9", "to: '10.0.0.1-9' is neither"},
		{2, "10.0.0.1-10.0.0.9", "one: '10.0.0.1-10.0.0.9' is neither"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const unsigned index = cases[i].index;
		struct error err = ERROR_INIT;
		struct params params;
		char said[400] = "";

		assert_int_equal(params_init(&params, endpoints, NULL), 0);
		if (params_add(&params, index, cases[i].text, 3, 4, &err) < 0) {
			if (strncmp(err.text, cases[i].values, strlen(cases[i].values)) != 0)
				fail_msg("%s: %s", cases[i].text, err.text);
			assert_int_equal(params_count(&params, index), 0);
		}
		for (unsigned k = 0; k < params_count(&params, index); k++) {
			const struct param_value *value = params_value(&params, index, k);

			snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s ",
				 value->text);
			assert_int_equal(value->column, 4);
		}
		if (params_count(&params, index))
			assert_string_equal(said, cases[i].values);
		params_free(&params);
	}
}

static void test_nearest_names(void **state)
{
	static const struct {
		const char *name, *nearest;
	} cases[] = {
		{"dealy", "delay"},
		{"dely", "delay"},
		{"DELAY", "delay"},
		{"local_port", "local-port"},
		{"localport", "local-port"},
		{"too", "to"},
		{"lost", "loss"},
		{"x", NULL},
		{"bandwidth", NULL},
		{"dirction", "direction"},
		{"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *nearest = params_nearest(table, cases[i].name);

		if (!nearest || !cases[i].nearest)
			assert_ptr_equal(nearest, cases[i].nearest);
		else
			assert_string_equal(nearest, cases[i].nearest);
	}
}

static void test_descriptions(void **state)
{
	static const struct param status = {.name = "status", .type = PARAM_COMPARE_NUMBER};
	char text[128];

	(void)state;
	param_describe(&table[P_DELAY], text, sizeof(text));
	assert_string_equal(text, "duration, 1us to 1h");
	param_describe(&table[P_WORD], text, sizeof(text));
	assert_string_equal(text, "one of egress, ingress, both");
	param_describe(&table[P_PORTS], text, sizeof(text));
	assert_string_equal(text, "list of port or port range");
	param_describe(&status, text, sizeof(text));
	assert_string_equal(text, "comparison like \"< 60\", 200 or 200-299");
	param_describe(&table[P_WORD], text, 12); /* cut, not overrun */
	assert_true(strlen(text) < 12);
}

static void test_signal_names(void **state)
{
	(void)state;
	assert_string_equal(signal_name(SIGKILL), "KILL");
	assert_null(signal_name(1000));
	assert_int_equal(signal_number("SIGSTOP"), SIGSTOP);
	assert_int_equal(signal_number("-9"), -1);
	assert_int_equal(signal_number(""), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_type_of_value),
		cmocka_unit_test(test_comparisons_hold),
		cmocka_unit_test(test_ranges_words_and_positions),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_long_lists_keep_their_order),
		cmocka_unit_test(test_ranges_of_addresses_and_lists_of_ports),
		cmocka_unit_test(test_nearest_names),
		cmocka_unit_test(test_descriptions),
		cmocka_unit_test(test_signal_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
