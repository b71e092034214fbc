/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * JSON Merge Patch over text: what RFC 7396 says, to the byte where nothing is changed, and nothing
 * done to what is not JSON.
 */
#include "faults/http_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct http_text text_of(const char *text)
{
	return (struct http_text){text, strlen(text)};
}

/* NULL: it is not merged. In memory of exactly these sizes. */
static void assert_merged(const char *text, const char *patch, const char *wanted)
{
	size_t size = strlen(text), room = size + strlen(patch) + 2, out_size = 0;
	char *copy = malloc(size ? size : 1);
	uint8_t *out = malloc(room);
	bool is_merged;

	assert_non_null(copy);
	assert_non_null(out);
	memcpy(copy, text, size);
	assert_true(http_json_is_patch(text_of(patch)));
	is_merged = http_json_merge((struct http_text){copy, size}, text_of(patch), out, room,
				    &out_size);
	if (is_merged != (wanted != NULL) ||
	    (is_merged && (strlen(wanted) != out_size || memcmp(out, wanted, out_size) != 0)))
		fail_msg("%s with %s became %.*s", text, patch, is_merged ? (int)out_size : 1,
			 is_merged ? (char *)out : "-");
	free(copy);
	free(out);
}

/* Its appendix A, but for patches that are no objects. */
static void test_the_examples_of_the_rfc(void **state)
{
	(void)state;
	assert_merged("{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}");
	assert_merged("{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}");
	assert_merged("{\"a\":\"b\"}", "{\"a\":null}", "{}");
	assert_merged("{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}");
	assert_merged("{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}");
	assert_merged("{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}");
	assert_merged("{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
		      "{\"a\":{\"b\":\"d\"}}");
	assert_merged("{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}");
	assert_merged("{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}");
	assert_merged("[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}");
	assert_merged("{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}");
}

static void test_what_is_not_named_stays_to_the_byte(void **state)
{
	(void)state;
	assert_merged(" {\n  \"n\": 19.990 ,\n  \"big\": 123456789012345678901234567890,\n"
		      "  \"e\": 1E+400,\n  \"t\": \"\\u00e9\\/\" }\n",
		      "{\"n\": 20}",
		      "{\n  \"n\": 20 ,\n  \"big\": 123456789012345678901234567890,\n"
		      "  \"e\": 1E+400,\n  \"t\": \"\\u00e9\\/\" }");
	assert_merged("{ \"a\" : { \"b\" : 0.1 , \"c\" : [ ] } , \"d\" : null }",
		      "{\"a\": {\"c\": null, \"x\": 0.10}}",
		      "{ \"a\" : { \"b\" : 0.1 ,\"x\":0.10} , \"d\" : null }");
	assert_merged("{ }", "{\"a\": null}", "{}");
	assert_merged("{\"a\":1}", "{}", "{\"a\":1}");
	/* the same name is only in an object that the patch does not look into, or names not */
	assert_merged("{\"x\":{\"a\":1,\"a\":2},\"b\":1,\"b\":2}", "{\"a\":3}",
		      "{\"x\":{\"a\":1,\"a\":2},\"b\":1,\"b\":2,\"a\":3}");
}

static void test_a_name_is_found_however_it_is_written(void **state)
{
	(void)state;
	assert_merged("{\"\\u0061\":1}", "{\"a\":2}", "{\"\\u0061\":2}");
	assert_merged("{\"\xc3\xa9\":1}", "{\"\\u00E9\":2}", "{\"\xc3\xa9\":2}");
	assert_merged("{\"\\ud83d\\ude00\":1}", "{\"\xf0\x9f\x98\x80\":null}", "{}");
	assert_merged("{\"a\\/b\\n\":1}", "{\"a/b\\u000a\":2}", "{\"a\\/b\\n\":2}");
	assert_merged("{\"a\":1}", "{\"A\":2}", "{\"a\":1,\"A\":2}");
	assert_merged("{\"ab\":1,\"\":2}", "{\"\":3,\"a\":4}", "{\"ab\":1,\"\":3,\"a\":4}");
}

static void test_what_is_not_json_is_let_alone(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"{",
		"}",
		"{\"a\":1",
		"{\"a\":1}}",
		"{a:1}",
		"{'a':1}",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"[1,]",
		"[1 2]",
		"01",
		"-",
		"1.",
		".5",
		"1e",
		"+1",
		"nul",
		"NaN",
		"\"a",
		"\"\\x\"",
		"\"\\u12g4\"",
		"\"\n\"",
		"\"\\\"",
		"\"\xff\"",
		"\"\xc3\"",
		"\"\xc0\x80\"",
		"\"\xed\xa0\x80\"",
		"\xef\xbb\xbf{}",
		"{} x",
		"{\"a\":1,,\"b\":2}",
		"[}",
		"{]",
		"{\"a\":1 \"b\":2}",
		"\"\xf4\x90\x80\x80\"",
		"//",
		"{\"a\" 1}",
		"[,1]",
	};
	static const char *const sound[] = {
		"0",
		"-0.5e-3",
		"1E5",
		"\"\"",
		"true",
		" [ ] ",
		"[[],{}]",
		"\"\xf0\x9f\x98\x80\x7f\"",
		"\"\\ud800\"",
		"\"\\u0000\"",
		"[1,{\"a\":[null,false]}]",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		if (http_json_is_sound(text_of(texts[i])))
			fail_msg("%s", texts[i]);
		assert_merged(texts[i], "{\"a\":2}", NULL);
	}
	for (unsigned i = 0; i < sizeof(sound) / sizeof(*sound); i++)
		if (!http_json_is_sound(text_of(sound[i])))
			fail_msg("%s", sound[i]);
	/* which of them is meant nobody knows */
	assert_merged("{\"a\":1,\"a\":2}", "{\"a\":3}", NULL);
	assert_merged("{\"b\":{\"a\":1,\"\\u0061\":2}}", "{\"b\":{\"a\":null}}", NULL);
}

static void test_depth_is_bounded(void **state)
{
	char text[4 * HTTP_JSON_DEPTH_MAX];

	(void)state;
	for (size_t depth = HTTP_JSON_DEPTH_MAX; depth < HTTP_JSON_DEPTH_MAX + 2; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		assert_int_equal(http_json_is_sound((struct http_text){text, 2 * depth}),
				 depth <= HTTP_JSON_DEPTH_MAX);
	}
	for (size_t depth = 1; depth <= HTTP_PATCH_DEPTH_MAX + 1; depth++) {
		for (size_t i = 0; i < depth; i++)
			memcpy(text + 5 * i, "{\"a\":", 5);
		text[5 * depth] = '1';
		memset(text + 5 * depth + 1, '}', depth);
		assert_int_equal(http_json_is_patch((struct http_text){text, 6 * depth + 1}),
				 depth <= HTTP_PATCH_DEPTH_MAX);
	}
}

static void test_a_patch_is_an_object_of_different_names(void **state)
{
	static const char *const none[] = {"",
					   "1",
					   "[1]",
					   "null",
					   "{\"a\":1,\"\\u0061\":2}",
					   "{",
					   "{\"a\":{\"b\":1,\"b\":2}}",
					   "{\"a\":}",
					   "\"{}\""};
	char text[1000] = "{";
	size_t used = 1;

	(void)state;
	for (unsigned i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_false(http_json_is_patch(text_of(none[i])));
	for (unsigned i = 1; i <= HTTP_PATCH_VALUES_MAX + 1; i++) {
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\"%u\":1}",
					 i > 1 ? "," : "", i);
		assert_int_equal(http_json_is_patch((struct http_text){text, used}),
				 i <= HTTP_PATCH_VALUES_MAX);
		used--;
	}
	assert_true(http_json_is_patch(text_of(" { \"a\" : { } } ")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_examples_of_the_rfc),
		cmocka_unit_test(test_what_is_not_named_stays_to_the_byte),
		cmocka_unit_test(test_a_name_is_found_however_it_is_written),
		cmocka_unit_test(test_what_is_not_json_is_let_alone),
		cmocka_unit_test(test_depth_is_bounded),
		cmocka_unit_test(test_a_patch_is_an_object_of_different_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
