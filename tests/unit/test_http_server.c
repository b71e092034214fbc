/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What of a traffic target the http fault takes where requests arrive, and what is told of it.
 */
#include "faults/http.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void add(struct params *target, unsigned key, const char *text)
{
	assert_int_equal(params_add(target, key, text, 1, 1, NULL), 0);
}

static void test_it_is_told_where_requests_are_met(void **state)
{
	struct params target;
	char text[1000];

	(void)state;
	assert_int_equal(params_init(&target, traffic_params, NULL), 0);
	add(&target, TRAFFIC_TO, "10.0.0.1");
	http_explain_server(&target, text, sizeof(text));
	assert_string_equal(text, ""); /* where they are sent: nothing more is to be said */
	add(&target, TRAFFIC_LOCAL_PORT, "80");
	add(&target, TRAFFIC_LOCAL_PORT, "8000-8010");
	http_explain_server(&target, text, sizeof(text));
	assert_non_null(strstr(text, " at port 80, 8000-8010 of the servers here, of the clients "
				     "that are named; "));
	assert_non_null(strstr(text, "those of other machines seem to come from this one."));
	params_free(&target);
}

static void test_lists_are_as_long_as_a_program_may_be(void **state)
{
	static const unsigned keys[] = {TRAFFIC_TO,
					TRAFFIC_EXCEPT,
					TRAFFIC_LOCAL_PORT,
					TRAFFIC_EXCEPT_LOCAL_PORT,
					TRAFFIC_LOCAL_ADDRESS,
					TRAFFIC_EXCEPT_LOCAL_ADDRESS};

	(void)state;
	for (unsigned k = 0; k < sizeof(keys) / sizeof(*keys); k++) {
		const struct param_value *blamed = NULL;
		struct error err = ERROR_INIT;
		struct params target;
		char text[40];

		assert_int_equal(params_init(&target, traffic_params, NULL), 0);
		add(&target, TRAFFIC_LOCAL_PORT, "80");
		for (unsigned i = keys[k] == TRAFFIC_LOCAL_PORT; i <= REDIRECT_LOOKUP_VALUES; i++) {
			assert_int_equal(http_check_server(&target, &blamed, &err), 0);
			snprintf(text, sizeof(text), "%s%u",
				 traffic_params[keys[k]].type == PARAM_PORTS ? "" : "10.0.0.",
				 i + 1);
			add(&target, keys[k], text);
		}
		assert_int_equal(http_check_server(&target, &blamed, &err), -E2BIG);
		assert_non_null(strstr(err.text, traffic_params[keys[k]].name));
		assert_ptr_equal(blamed, params_value(&target, keys[k], REDIRECT_LOOKUP_VALUES));
		params_free(&target);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_is_told_where_requests_are_met),
		cmocka_unit_test(test_lists_are_as_long_as_a_program_may_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
