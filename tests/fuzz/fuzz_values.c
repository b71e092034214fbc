/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Single values, as files and command lines hold them: quantities, endpoints, ports, URLs,
 * patterns, windows of time. The first byte chooses the parser. What is accepted is written out in
 * its canonical form and must be read back as the same.
 */
#include "tests/fuzz/fuzz_input.h"

#include "injector/base/calendar.h"
#include "injector/base/endpoint.h"
#include "injector/base/pattern.h"
#include "injector/base/printable.h"
#include "injector/base/quantity.h"
#include "injector/probes/http_url.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void duration(const char *text)
{
	char again[QUANTITY_TEXT_SIZE], measured[QUANTITY_TEXT_SIZE];
	int64_t ns, same;

	if (quantity_parse_duration(text, &ns, NULL) < 0)
		return;
	quantity_format_latency(ns, measured);
	quantity_format_duration(ns, again);
	require(quantity_parse_duration(again, &same, NULL) == 0 && same == ns);
}

static void share(const char *text)
{
	char again[QUANTITY_TEXT_SIZE];
	int64_t ppb, same;

	if (quantity_parse_share(text, &ppb, NULL) < 0)
		return;
	quantity_format_share(ppb, again);
	require(quantity_parse_share(again, &same, NULL) == 0 && same == ppb);
}

static void numbers(const char *text)
{
	int64_t value;

	if (quantity_parse_rate(text, &value, NULL) == 0)
		require(value >= 0);
	if (quantity_parse_size(text, &value, NULL) == 0)
		require(value >= 0);
	quantity_parse_integer(text, &value, NULL);
}

static void endpoint(const char *text)
{
	struct endpoint_host host, same;
	struct endpoint one;
	char again[ENDPOINT_TEXT_SIZE], third[ENDPOINT_TEXT_SIZE];
	uint16_t first, last;

	if (endpoint_parse_ports(text, &first, &last, NULL) == 0)
		require(first > 0 && first <= last);
	if (endpoint_parse_host(text, &host, NULL) < 0)
		return;
	one = host.endpoint;
	require(one.family == AF_UNSPEC || one.prefix <= (one.family == AF_INET ? 32 : 128));
	require(one.port_first <= one.port_last);
	endpoint_format_host(&host, again);
	require(endpoint_parse_host(again, &same, NULL) == 0);
	endpoint_format_host(&same, third);
	require(strcmp(again, third) == 0);
}

static void url(const char *text)
{
	struct endpoint_host server;

	if (http_url_parse(text, &server, NULL) < 0)
		return;
	require(server.endpoint.port_first > 0 &&
		server.endpoint.port_first == server.endpoint.port_last);
	require(server.endpoint.family != AF_UNSPEC || server.name[0]);
}

static void pattern(const char *text)
{
	if (strlen(text) <= 400) /* as long as a value may be */
		pattern_check(text, NULL);
}

static void times(const char *text)
{
	struct calendar_window window;
	struct calendar_dates dates;
	int64_t change_ns;

	if (calendar_parse_dates(text, &dates, NULL) == 0)
		require(dates.first <= dates.last);
	if (calendar_parse_window(text, &window, NULL) < 0)
		return;
	require(window.days && window.from_minute <= 1440 && window.to_minute <= 1440);
	calendar_is_open(&window, 1790000000LL * 1000000000, &change_ns);
	require(change_ns > 1790000000LL * 1000000000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(const char *text) = {duration, share,   numbers, endpoint,
							    url,      pattern, times};
	char *text;

	if (!size)
		return 0;
	text = malloc(size); /* exactly as long: reading beyond it is seen */
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	parsers[data[0] % (sizeof(parsers) / sizeof(*parsers))](text);
	free(text);
	return 0;
}
