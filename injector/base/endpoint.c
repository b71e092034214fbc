/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/base/endpoint.h"

#include "injector/base/quantity.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int endpoint_parse_ports(const char *text, uint16_t *out_first, uint16_t *out_last,
			 struct error *err)
{
	char first_text[8];
	const char *dash = strchr(text, '-');
	size_t length = dash ? (size_t)(dash - text) : strlen(text);
	int64_t first, last;

	if (length == 0 || length >= sizeof(first_text))
		return error_set(err, EINVAL, "'%s' is not a port; write 443 or 8000-8010", text);
	memcpy(first_text, text, length);
	first_text[length] = '\0';
	if (quantity_parse_integer(first_text, &first, NULL) < 0 ||
	    quantity_parse_integer(dash ? dash + 1 : first_text, &last, NULL) < 0 || first < 1 ||
	    last > 65535 || first > last)
		return error_set(err, EINVAL,
				 "'%s' is not a port; write 443 or 8000-8010, within 1-65535",
				 text);
	*out_first = (uint16_t)first;
	*out_last = (uint16_t)last;
	return 0;
}

static bool is_host_name(const char *text)
{
	size_t length = strlen(text), label = 0;
	bool has_letter = false;

	if (length == 0 || length > ENDPOINT_HOST_MAX)
		return false;
	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

		has_letter |= letter;
		if (c == '.') {
			if (label == 0 || text[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!(letter || (c >= '0' && c <= '9') || (c == '-' && label > 0)) || ++label > 63)
			return false;
	}
	return has_letter && text[length - 1] != '-';
}

static int parse_prefix(const char *whole, const char *text, struct endpoint *out,
			struct error *err)
{
	unsigned bits = out->family == AF_INET ? 32 : 128;
	int64_t prefix = bits;

	if (text &&
	    (quantity_parse_integer(text, &prefix, NULL) < 0 || prefix < 0 || prefix > bits))
		return error_set(err, EINVAL, "'%s': the prefix length must be 0 to %u", whole,
				 bits);
	out->prefix = (uint8_t)prefix;
	for (unsigned bit = out->prefix; bit < bits; bit++)
		if (out->address[bit / 8] & (0x80 >> bit % 8)) {
			struct endpoint network = *out;
			char fixed[ENDPOINT_TEXT_SIZE];

			for (unsigned b = bit; b < bits; b++)
				network.address[b / 8] &= (uint8_t) ~(0x80 >> b % 8);
			network.port_first = network.port_last = 0;
			return error_set(err, EINVAL,
					 "'%s' has bits set behind its prefix; the network is %s",
					 whole, endpoint_format(&network, fixed));
		}
	return 0;
}

/* Splits "[v6]/p:ports", "v4/p:ports", "host:ports", "v6/p" into its parts, in `buffer`. */
static int split(const char *text, char *buffer, char **address, char **prefix, char **ports,
		 struct error *err)
{
	char *at, *colon;

	*prefix = *ports = NULL;
	*address = buffer;
	if (buffer[0] == '[') {
		at = strchr(buffer, ']');
		if (!at)
			return error_set(err, EINVAL, "'%s' has no closing bracket", text);
		*address = buffer + 1;
		*at++ = '\0';
		if ((*prefix = strchr(*address, '/')))
			*(*prefix)++ = '\0';
		if (*at == '/') {
			if (*prefix)
				return error_set(err, EINVAL, "'%s' has two prefixes", text);
			*prefix = at + 1;
			at = strchr(at, ':');
			if (at)
				*at = '\0';
			*ports = at ? at + 1 : NULL;
		} else if (*at == ':') {
			*ports = at + 1;
		} else if (*at) {
			return error_set(err, EINVAL, "'%s': unexpected '%s' behind the bracket",
					 text, at);
		}
		return 0;
	}
	colon = strchr(buffer, ':');
	if (colon && !strchr(colon + 1, ':')) { /* one colon: a port; several: bare IPv6 */
		*colon = '\0';
		*ports = colon + 1;
	}
	if ((*prefix = strchr(buffer, '/')))
		*(*prefix)++ = '\0';
	return 0;
}

static int parse(const char *text, struct endpoint *out, char *out_name, struct error *err)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* ::ffff:0:0/96 */
	struct endpoint parsed = {.family = AF_UNSPEC};
	char buffer[ENDPOINT_TEXT_SIZE], *address, *prefix, *ports;
	int result;

	if (strlen(text) >= sizeof(buffer))
		return error_set(err, EINVAL, "an endpoint of %zu characters is too long",
				 strlen(text));
	if (strstr(text, "://"))
		return error_set(err, EINVAL,
				 "'%s' is a URL; write only its host and port, like "
				 "store.internal:443",
				 text);
	strcpy(buffer, text);
	result = split(text, buffer, &address, &prefix, &ports, err);
	if (result < 0)
		return result;
	if (ports && endpoint_parse_ports(ports, &parsed.port_first, &parsed.port_last, err) < 0)
		return error_prefix(err, "'%s'", text);
	if (inet_pton(AF_INET, address, parsed.address) == 1)
		parsed.family = AF_INET;
	else if (inet_pton(AF_INET6, address, parsed.address) == 1)
		parsed.family = AF_INET6;
	if (parsed.family == AF_INET6 && memcmp(parsed.address, mapped, sizeof(mapped)) == 0)
		/* only sockets show this form: the packets are IPv4 and would never match */
		return error_set(err, EINVAL, "'%s' is an IPv4 address in IPv6 form; write %s",
				 text,
				 inet_ntop(AF_INET, parsed.address + 12, buffer, sizeof(buffer)));
	if (parsed.family != AF_UNSPEC) {
		result = parse_prefix(text, prefix, &parsed, err);
		if (result < 0)
			return result;
	} else if (prefix || (strcmp(address, "*") != 0 && !is_host_name(address))) {
		return error_set(err, EINVAL,
				 "'%s' is neither an address, a network nor a host name; write "
				 "10.0.5.0/24:443, 10.0.5.1-10.0.5.9, [2001:db8::1]:443, "
				 "store.internal:443 or *:443",
				 text);
	} else if (strcmp(address, "*") != 0) {
		parsed.is_name = true;
	}
	if (out_name)
		strcpy(out_name, parsed.is_name ? address : "");
	*out = parsed;
	return 0;
}

int endpoint_parse(const char *text, struct endpoint *out, struct error *err)
{
	return parse(text, out, NULL, err);
}

int endpoint_parse_host(const char *text, struct endpoint_host *out, struct error *err)
{
	return parse(text, &out->endpoint, out->name, err);
}

int endpoint_parse_network(const char *text, struct endpoint *out, struct error *err)
{
	char buffer[ENDPOINT_TEXT_SIZE], *address, *prefix, *ports;
	uint8_t unused[16];
	int result;

	if (strlen(text) >= sizeof(buffer))
		return error_set(err, EINVAL, "a network of %zu characters is too long",
				 strlen(text));
	strcpy(buffer, text);
	result = split(text, buffer, &address, &prefix, &ports, err);
	if (result < 0)
		return result;
	if (inet_pton(AF_INET, address, unused) != 1 && inet_pton(AF_INET6, address, unused) != 1)
		return error_set(err, EINVAL,
				 "'%s' is neither an address nor a network; write 10.0.5.7, "
				 "10.0.5.0/24 or 2001:db8::/64",
				 text);
	if (ports)
		return error_set(err, EINVAL,
				 "'%s' has a port; only an address or a network is allowed here",
				 text);
	return endpoint_parse(text, out, err);
}

static char *format(const struct endpoint *endpoint, const char *name, char *out)
{
	char address[ENDPOINT_HOST_MAX + 1] = "*", prefix[8] = "", ports[16] = "";
	bool v6 = endpoint->family == AF_INET6;

	if (endpoint->is_name)
		snprintf(address, sizeof(address), "%s", name);
	else if (endpoint->family != AF_UNSPEC)
		inet_ntop(endpoint->family, endpoint->address, address, sizeof(address));
	if (endpoint->family != AF_UNSPEC && endpoint->prefix < (v6 ? 128 : 32))
		snprintf(prefix, sizeof(prefix), "/%u", endpoint->prefix);
	if (endpoint->port_first == endpoint->port_last && endpoint->port_first)
		snprintf(ports, sizeof(ports), ":%u", endpoint->port_first);
	else if (endpoint->port_first)
		snprintf(ports, sizeof(ports), ":%u-%u", endpoint->port_first, endpoint->port_last);
	if (v6 && ports[0])
		snprintf(out, ENDPOINT_TEXT_SIZE, "[%s%s]%s", address, prefix, ports);
	else
		snprintf(out, ENDPOINT_TEXT_SIZE, "%s%s%s", address, prefix, ports);
	return out;
}

char *endpoint_format(const struct endpoint *endpoint, char *out)
{
	return format(endpoint, "a name", out);
}

char *endpoint_format_host(const struct endpoint_host *host, char *out)
{
	return format(&host->endpoint, host->name, out);
}
