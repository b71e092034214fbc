/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What one word of a list may stand for several endpoints: "10.0.0.1-10.0.0.9" and
 * "10.0.0.0/8:80,443". They are taken apart where the list is filled, so that nobody else has to
 * know of them.
 */
#include "injector/base/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct parts {
	char address[ENDPOINT_TEXT_SIZE], ports[ENDPOINT_TEXT_SIZE];
	bool is_bracketed;
};

/* "[v6-v6]:ports", "v4-v4:ports", "host:ports", "v6-v6"; false: none of these. */
static bool split(const char *text, struct parts *out)
{
	const char *end, *colon;

	*out = (struct parts){.is_bracketed = text[0] == '['};
	if (strlen(text) >= sizeof(out->address))
		return false;
	if (out->is_bracketed) {
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':' && end[1] != '/'))
			return false;
		snprintf(out->address, sizeof(out->address), "%.*s", (int)(end - text - 1),
			 text + 1);
		colon = strchr(end, ':');
		/* a prefix may stand behind the bracket */
		if (end[1] == '/')
			snprintf(out->address + strlen(out->address),
				 sizeof(out->address) - strlen(out->address), "%.*s",
				 colon ? (int)(colon - end - 1) : (int)strlen(end + 1), end + 1);
	} else {
		colon = strchr(text, ':');
		if (colon && strchr(colon + 1, ':'))
			colon = NULL; /* bare IPv6 */
		snprintf(out->address, sizeof(out->address), "%.*s",
			 colon ? (int)(colon - text) : (int)strlen(text), text);
	}
	if (colon)
		snprintf(out->ports, sizeof(out->ports), "%s", colon + 1);
	return true;
}

/* 0: it is none. */
static int parse_range(const char *text, uint8_t first[16], uint8_t last[16])
{
	static const int families[] = {AF_INET, AF_INET6};
	char low[INET6_ADDRSTRLEN + 1];
	const char *dash = strchr(text, '-');

	if (!dash || (size_t)(dash - text) >= sizeof(low))
		return 0;
	memcpy(low, text, (size_t)(dash - text));
	low[dash - text] = '\0';
	for (unsigned i = 0; i < 2; i++)
		if (inet_pton(families[i], low, first) == 1 &&
		    inet_pton(families[i], dash + 1, last) == 1)
			return families[i];
	return 0;
}

static bool is_set(const uint8_t *address, unsigned bit)
{
	return address[bit / 8] & (0x80 >> bit % 8);
}

/* The end of the network of that length. */
static void fill(uint8_t *address, unsigned prefix, unsigned bits)
{
	for (unsigned bit = prefix; bit < bits; bit++)
		address[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
}

/* false: it was the last one there is. */
static bool step(uint8_t *address, unsigned bytes)
{
	for (unsigned i = bytes; i-- > 0;)
		if (++address[i])
			return true;
	return false;
}

struct expanding {
	const struct parts *parts;
	endpoint_part_fn each;
	void *context;
	struct error *err;
};

/* With each port of the list. */
static int add_ports(const struct expanding *expanding, const char *address, bool is_bracketed)
{
	const char *left = is_bracketed ? "[" : "", *right = is_bracketed ? "]" : "";
	const char *ports = expanding->parts->ports;
	char text[2 * ENDPOINT_TEXT_SIZE];
	int result = 0;

	if (!*ports) {
		snprintf(text, sizeof(text), "%s", address);
		return expanding->each(expanding->context, text, expanding->err);
	}
	for (const char *at = ports; result == 0; at++) {
		const size_t length = strcspn(at, ",");

		snprintf(text, sizeof(text), "%s%s%s:%.*s", left, address, right, (int)length, at);
		result = expanding->each(expanding->context, text, expanding->err);
		at += length;
		if (!*at)
			break;
	}
	return result;
}

/* The fewest networks that are just these addresses. */
static int add_networks(const struct expanding *expanding, int family, uint8_t *first,
			const uint8_t *last)
{
	const unsigned bytes = family == AF_INET ? 4 : 16, bits = bytes * 8;
	char text[INET6_ADDRSTRLEN + 8];
	int result = 0;

	do {
		unsigned prefix = bits;
		uint8_t end[16];

		while (prefix > 0 && !is_set(first, prefix - 1)) {
			memcpy(end, first, bytes);
			fill(end, prefix - 1, bits);
			if (memcmp(end, last, bytes) > 0)
				break;
			prefix--;
		}
		inet_ntop(family, first, text, INET6_ADDRSTRLEN);
		if (prefix < bits)
			snprintf(text + strlen(text), 8, "/%u", prefix);
		result = add_ports(expanding, text, family == AF_INET6);
		fill(first, prefix, bits);
	} while (result == 0 && step(first, bytes) && memcmp(first, last, bytes) <= 0);
	return result;
}

int endpoint_expand(const char *text, endpoint_part_fn each, void *context, struct error *err)
{
	struct parts parts;
	const struct expanding expanding = {&parts, each, context, err};
	uint8_t first[16], last[16];
	int family, result;

	if (!split(text, &parts))
		return 0;
	family = parse_range(parts.address, first, last);
	if (!family && !strchr(parts.ports, ','))
		return 0;
	if (!family) {
		result = add_ports(&expanding, parts.address, parts.is_bracketed);
		return result < 0 ? result : 1;
	}
	if (memcmp(first, last, family == AF_INET ? 4 : 16) > 0)
		return error_set(err, EINVAL, "'%s': the range ends before it begins", text);
	result = add_networks(&expanding, family, first, last);
	return result < 0 ? result : 1;
}
