/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * DNS messages and which of them a fault means, without a network.
 */
#include "faults/dns.h"
#include "injector/base/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define QUERY(name)	"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" name "\x00\x00\x01\x00\x01"
#define READ(text, out) dns_message_read((const uint8_t *)(text), sizeof(text) - 1, out)

static void test_a_question_is_read_in_lower_case(void **state)
{
	struct dns_question question;

	(void)state;
	assert_true(READ(QUERY("\x03WwW\x04TeSt"), &question));
	assert_string_equal(question.name, "www.test");
	assert_int_equal(question.type, DNS_TYPE_A);
	assert_int_equal(question.end, 26);
	assert_false(question.has_edns);
	assert_true(READ(QUERY(""), &question));
	assert_string_equal(question.name, ".");
	/* a dot inside of a label is not one between labels */
	assert_true(READ(QUERY("\x05"
			       "a.b\xff"
			       "c"),
			 &question));
	assert_string_equal(question.name, "a\\046b\\255c");
}

static void test_what_is_no_plain_query_is_none_of_ours(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
	} cases[] = {
#define CASE(text) {text, sizeof(text) - 1}
		CASE(""),
		CASE("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00"), /* cut in the header
								       */
		CASE("\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00"
		     "\x01"), /* QR
			       */
		CASE("\x12\x34\x29\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00"
		     "\x01"), /* update
			       */
		CASE("\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00"
		     "\x01"), /* two
			       */
		CASE("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00"
		     "\x03"), /* CH
			       */
		CASE("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00"
		     "\x01"),
		CASE("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05"
		     "ab"), /* cut in a label */
		CASE("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01"
		     "a\x00\x00\x01\x00"),
	};
	struct dns_question question;
	uint8_t long_name[12 + 5 * 64 + 5] = {0x12, 0x34, 1, 0, 0, 1};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t *exact = malloc(cases[i].size ? cases[i].size : 1);

		memcpy(exact, cases[i].bytes, cases[i].size);
		if (dns_message_read(exact, cases[i].size, &question))
			fail_msg("case %u was taken for a query", i);
		free(exact);
	}
	for (unsigned i = 0; i < 4; i++) { /* 4 * 64 + 1 = 257 bytes: two too many */
		long_name[12 + i * 64] = 63;
		memset(long_name + 13 + i * 64, 'x', 63);
	}
	long_name[12 + 4 * 64 + 2] = long_name[12 + 4 * 64 + 4] = 1;
	assert_false(dns_message_read(long_name, 12 + 4 * 64 + 5, &question));
	long_name[12 + 3 * 64] = 61;
	memmove(long_name + 12 + 3 * 64 + 62, long_name + 12 + 4 * 64, 5);
	assert_true(dns_message_read(long_name, 12 + 3 * 64 + 62 + 5, &question));
}

static void test_edns_is_answered_with_edns(void **state)
{
	static const uint8_t query[] = "\x12\x34\x01\x10\x00\x01\x00\x00\x00\x00\x00\x01"
				       "\x01"
				       "A\x04"
				       "test\x00\x00\x1c\x00\x01"
				       "\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x00";
	struct dns_question question;
	uint8_t answer[DNS_ANSWER_MAX];
	size_t size;

	(void)state;
	assert_true(dns_message_read(query, sizeof(query) - 1, &question));
	assert_true(question.has_edns && question.wants_dnssec);
	size = dns_message_answer(query, &question, DNS_SERVFAIL, NULL, answer);
	assert_int_equal(size, question.end + 11);
	assert_memory_equal(answer, "\x12\x34\x81\x92\x00\x01\x00\x00\x00\x00\x00\x01", 12);
	assert_memory_equal(answer + 12, query + 12, question.end - 12);
	assert_memory_equal(answer + question.end, "\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00",
			    11);
}

static void match(struct dns_match **out, unsigned key, const char *text)
{
	struct params params;

	assert_int_equal(params_init(&params, dns_params, NULL), 0);
	assert_int_equal(params_add(&params, key, text, 0, 0, NULL), 0);
	if (key == dns_keys.type)
		assert_int_equal(params_add(&params, dns_keys.name, "*", 0, 0, NULL), 0);
	assert_int_equal(dns_match_new(&params, &dns_keys, out, NULL), 0);
	params_free(&params);
}

static void assert_matches(unsigned key, const char *text, const char *name, uint16_t type, bool is)
{
	struct dns_question question = {.type = type};
	struct dns_match *found;

	match(&found, key, text);
	snprintf(question.name, sizeof(question.name), "%s", name);
	if (dns_match_holds(found, &question) != is)
		fail_msg("%s '%s' %s '%s'", dns_params[key].name, text, is ? "misses" : "takes",
			 name);
	dns_match_free(found);
}

static void test_names_domains_and_patterns(void **state)
{
	(void)state;
	assert_matches(dns_keys.name, "Db.Test.", "db.test", 1, true);
	assert_matches(dns_keys.name, "db.test", "a.db.test", 1, false);
	assert_matches(dns_keys.name, "*", "anything", 1, true);
	assert_matches(dns_keys.domain, "test", "test", 1, true);
	assert_matches(dns_keys.domain, "test", "a.b.test", 1, true);
	assert_matches(dns_keys.domain, "test", "latest", 1, false);
	assert_matches(dns_keys.domain, "test", "test.com", 1, false);
	assert_matches(dns_keys.pattern, "^db[0-9]+\\.", "db12.test", 1, true);
	assert_matches(dns_keys.pattern, "^db[0-9]+\\.", "mydb12.test", 1, false);
	assert_matches(dns_keys.type, "AAAA", "a.test", DNS_TYPE_AAAA, true);
	assert_matches(dns_keys.type, "AAAA", "a.test", DNS_TYPE_A, false);
	assert_matches(dns_keys.type, "any", "a.test", 255, true);
}

static void test_a_share_is_a_share(void **state)
{
	enum { COUNT = 4000 };
	struct dns_policy policy = {.answer = DNS_ANSWER_DROP, .share_ppb = SHARE_ONE / 4};
	unsigned dropped = 0;
	size_t size;

	(void)state;
	match(&policy.match, dns_keys.name, "*");
	for (unsigned i = 0; i < COUNT; i++)
		dropped += dns_policy_decide(&policy,
					     (const uint8_t *)QUERY("\x01"
								    "a"),
					     sizeof(QUERY("\x01"
							  "a")) -
						     1,
					     NULL, &size) == DNS_DROPPED;
	assert_in_range(dropped, COUNT / 4 - 200, COUNT / 4 + 200); /* more than 7 sigma */
	dns_match_free(policy.match);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_question_is_read_in_lower_case),
		cmocka_unit_test(test_what_is_no_plain_query_is_none_of_ours),
		cmocka_unit_test(test_edns_is_answered_with_edns),
		cmocka_unit_test(test_names_domains_and_patterns),
		cmocka_unit_test(test_a_share_is_a_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
