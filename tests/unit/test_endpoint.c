/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Endpoints: each spelling means one thing, and its canonical text means the same again.
 */
#include "injector/base/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const struct {
	const char *text, *canonical;
	int family;
	unsigned prefix, first, last;
} goods[] = {
	{"10.0.5.0/24:443", "10.0.5.0/24:443", AF_INET, 24, 443, 443},
	{"10.0.5.7", "10.0.5.7", AF_INET, 32, 0, 0},
	{"10.0.5.7/32", "10.0.5.7", AF_INET, 32, 0, 0},
	{"10.0.5.7:8000-8010", "10.0.5.7:8000-8010", AF_INET, 32, 8000, 8010},
	{"0.0.0.0/0", "0.0.0.0/0", AF_INET, 0, 0, 0},
	{"fd99::2", "fd99::2", AF_INET6, 128, 0, 0},
	{"fd99::/64", "fd99::/64", AF_INET6, 64, 0, 0},
	{"[fd99::2]", "fd99::2", AF_INET6, 128, 0, 0},
	{"[FD99:0::2]:80", "[fd99::2]:80", AF_INET6, 128, 80, 80},
	{"[fd99::]/64:80", "[fd99::/64]:80", AF_INET6, 64, 80, 80},
	{"[fd99::/64]:80", "[fd99::/64]:80", AF_INET6, 64, 80, 80},
	{"*", "*", AF_UNSPEC, 0, 0, 0},
	{"*:443", "*:443", AF_UNSPEC, 0, 443, 443},
	{"store.internal:443", "store.internal:443", AF_UNSPEC, 0, 443, 443},
	{"localhost", "localhost", AF_UNSPEC, 0, 0, 0},
	{"_srv.example.com.", "_srv.example.com.", AF_UNSPEC, 0, 0, 0},
};

static const struct {
	const char *text, *part; /* of the message */
} bads[] = {
	{"", "neither an address"},
	{":80", "neither an address"},
	{"10.0.0.256", "neither an address"},
	{"10.0.0", "neither an address"},
	{"10.0.0.1/24", "the network is 10.0.0.0/24"},
	{"[fd99::1/64]:80", "the network is fd99::/64"},
	{"10.0.0.0/33", "the prefix length must be 0 to 32"},
	{"10.0.0.0/-1", "the prefix length must be 0 to 32"},
	{"10.0.0.0/", "the prefix length must be 0 to 32"},
	{"fd99::/129", "the prefix length must be 0 to 128"},
	{"10.0.0.1:", "is not a port"},
	{"10.0.0.1:0", "within 1-65535"},
	{"10.0.0.1:65536", "within 1-65535"},
	{"10.0.0.1:90-80", "is not a port"},
	{"10.0.0.1:80-", "is not a port"},
	{"10.0.0.1:http", "is not a port"},
	{"10.0.0.1:80/24", "is not a port"},
	{"[fd99::1", "no closing bracket"},
	{"[fd99::1]80", "unexpected '80' behind the bracket"},
	{"[fd99::/64]/48:80", "two prefixes"},
	{"fd99:::1", "neither an address"},
	{"fe80::1%eth0", "neither an address"},
	{"::ffff:10.0.0.1", "write 10.0.0.1"},
	{"[::ffff:a00:1]:80", "write 10.0.0.1"},
	{"store.internal/24", "neither an address"},
	{"store..internal", "neither an address"},
	{"-store", "neither an address"},
	{"store-.internal", "neither an address"},
	{"st ore", "neither an address"},
	{"*/8", "neither an address"},
	{"http://store/x", "is a URL"},
};

static void test_spellings_and_canonical_texts(void **state)
{
	char text[ENDPOINT_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(goods) / sizeof(*goods); i++) {
		struct error err = ERROR_INIT;
		struct endpoint_host host = {0}, again = {0};
		const struct endpoint *endpoint = &host.endpoint;

		if (endpoint_parse_host(goods[i].text, &host, &err) < 0)
			fail_msg("%s: %s", goods[i].text, err.text);
		assert_int_equal(endpoint->family, goods[i].family);
		assert_int_equal(endpoint->prefix, goods[i].prefix);
		assert_int_equal(endpoint->port_first, goods[i].first);
		assert_int_equal(endpoint->port_last, goods[i].last);
		assert_string_equal(endpoint_format_host(&host, text), goods[i].canonical);
		assert_int_equal(endpoint_parse_host(text, &again, &err), 0);
		assert_string_equal(host.name, again.name);
		assert_memory_equal(endpoint, &again.endpoint, sizeof(again.endpoint));
	}
}

static void test_bad_endpoints_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bads) / sizeof(*bads); i++) {
		struct error err = ERROR_INIT;
		struct endpoint endpoint = {.prefix = 77};

		if (endpoint_parse(bads[i].text, &endpoint, &err) == 0)
			fail_msg("'%s' was accepted", bads[i].text);
		assert_int_equal(endpoint.prefix, 77);
		if (!strstr(err.text, bads[i].part))
			fail_msg("'%s': \"%s\" does not say \"%s\"", bads[i].text, err.text,
				 bads[i].part);
	}
}

static const struct {
	const char *text, *part; /* of the message; NULL: it is one */
} networks[] = {
	{"10.0.5.7", NULL},
	{"10.0.5.0/24", NULL},
	{"0.0.0.0/0", NULL},
	{"2001:db8::/64", NULL},
	{"[2001:db8::1]", NULL},
	{"10.0.5.7/24", "the network is 10.0.5.0/24"},
	{"10.0.5.0/33", "the prefix length must be 0 to 32"},
	{"10.0.5.7:443", "'10.0.5.7:443' has a port; only an address or a network is allowed"},
	{"[2001:db8::1]:443", "has a port"},
	{"[2001:db8::1", "no closing bracket"},
	{"::ffff:10.0.0.1", "write 10.0.0.1"},
	{"*", "'*' is neither an address nor a network; write 10.0.5.7, 10.0.5.0/24 or "
	      "2001:db8::/64"},
	{"*:443", "neither an address nor a network"},
	{"store.internal", "neither an address nor a network"},
	{"store.internal:443", "neither an address nor a network"},
	{"fe80::1%eth0", "neither an address nor a network"},
	{"10.0.5", "neither an address nor a network"},
	{"", "neither an address nor a network"},
};

static void test_networks_are_addresses_alone(void **state)
{
	char long_text[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(networks) / sizeof(*networks); i++) {
		struct error err = ERROR_INIT;
		struct endpoint network = {.prefix = 77}, same = {0};
		int result = endpoint_parse_network(networks[i].text, &network, &err);

		if ((result < 0) != (networks[i].part != NULL))
			fail_msg("'%s': %s", networks[i].text, err.text);
		if (networks[i].part && !strstr(err.text, networks[i].part))
			fail_msg("'%s': \"%s\" does not say \"%s\"", networks[i].text, err.text,
				 networks[i].part);
		if (networks[i].part) {
			assert_int_equal(network.prefix, 77);
		} else {
			assert_int_equal(endpoint_parse(networks[i].text, &same, NULL), 0);
			assert_memory_equal(&network, &same, sizeof(same));
		}
	}
	memset(long_text, '1', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	assert_int_equal(endpoint_parse_network(long_text, &(struct endpoint){0}, NULL), -EINVAL);
}

static void test_too_long_a_name_is_refused(void **state)
{
	struct endpoint endpoint;
	char text[1000];

	(void)state;
	for (size_t length = 1; length + 1 < sizeof(text); length++) {
		memset(text, 'a', length);
		for (size_t dot = 63; dot < length; dot += 64)
			text[dot] = '.';
		text[length] = '\0';
		if (length > ENDPOINT_HOST_MAX)
			assert_true(endpoint_parse(text, &endpoint, NULL) < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spellings_and_canonical_texts),
		cmocka_unit_test(test_bad_endpoints_are_refused),
		cmocka_unit_test(test_networks_are_addresses_alone),
		cmocka_unit_test(test_too_long_a_name_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
