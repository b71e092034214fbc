/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/delay_payload.h"

#include "faults/delay_packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define HEX "hex:"

static int digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

static int read_hex(const char *text, struct delay_payload_text *out, struct error *err)
{
	const size_t length = strlen(text);

	if (!length || length % 2)
		return error_set(err, EINVAL, "hex: %s: two digits for each byte are missing",
				 text);
	for (size_t i = 0; i < length; i += 2) {
		const int high = digit(text[i]), low = digit(text[i + 1]);

		if (high < 0 || low < 0)
			return error_set(err, EINVAL, "hex: '%.2s' is no byte", text + i);
		out->bytes[i / 2] = (uint8_t)(high << 4 | low);
	}
	out->size = (uint8_t)(length / 2);
	return 0;
}

int delay_payload_add(struct delay_payload *payload, const char *text, struct error *err)
{
	struct delay_payload_text *out = &payload->texts[payload->count];
	const bool is_hex = strncmp(text, HEX, strlen(HEX)) == 0;
	const size_t size = is_hex ? strlen(text + strlen(HEX)) / 2 : strlen(text);
	int result = 0;

	if (payload->count == DELAY_PAYLOAD_TEXTS)
		return error_set(err, EINVAL, "more than %d texts", DELAY_PAYLOAD_TEXTS);
	if (size > DELAY_PAYLOAD_SIZE)
		return error_set(err, EINVAL, "a text of %zu bytes; at most %d", size,
				 DELAY_PAYLOAD_SIZE);
	if (is_hex) {
		result = read_hex(text + strlen(HEX), out, err);
	} else {
		memcpy(out->bytes, text, size);
		out->size = (uint8_t)size;
	}
	payload->count += result == 0;
	return result;
}

/* Behind the extension headers that may come between (RFC 8200); a later fragment has no header of
 * its protocol. */
static size_t skip_ipv6(const uint8_t *bytes, size_t length, size_t at, uint8_t *out_protocol)
{
	uint8_t next = bytes[at + 6];

	at += 40;
	while ((next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
		next == IPPROTO_FRAGMENT) &&
	       at + 8 <= length) {
		const bool is_fragment = next == IPPROTO_FRAGMENT;
		const bool is_later = is_fragment && (bytes[at + 2] || bytes[at + 3] & 0xf8);

		next = is_later ? IPPROTO_NONE : bytes[at];
		at += is_fragment ? 8 : 8 + 8 * (size_t)bytes[at + 1];
	}
	*out_protocol = next;
	return at;
}

static size_t skip_ipv4(const uint8_t *bytes, size_t at, uint8_t *out_protocol)
{
	const bool is_later = bytes[at + 6] & 0x1f || bytes[at + 7];

	*out_protocol = is_later ? IPPROTO_NONE : bytes[at + 9];
	return at + (size_t)(bytes[at] & 0xf) * 4;
}

/* Where the data begin; it may be beyond the end. */
static size_t find_data(const uint8_t *bytes, size_t length, enum tap_kind kind)
{
	size_t at = delay_packet_find_ip(bytes, length, kind);
	uint8_t protocol = IPPROTO_NONE;

	if (at && at + 40 <= length && bytes[at] >> 4 == 6)
		at = skip_ipv6(bytes, length, at, &protocol);
	else if (at && at + 20 <= length && bytes[at] >> 4 == 4)
		at = skip_ipv4(bytes, at, &protocol);
	else
		return TAP_HEADER_SIZE;
	if (protocol == IPPROTO_UDP)
		return at + 8;
	if (protocol == IPPROTO_TCP && at + 20 <= length)
		return at + (size_t)(bytes[at + 12] >> 4) * 4;
	return at;
}

bool delay_payload_is_in(const struct delay_payload *payload, const void *packet, size_t length,
			 enum tap_kind kind)
{
	const uint8_t *bytes = packet;
	const size_t at = find_data(bytes, length, kind);

	for (unsigned i = 0; i < payload->count && at < length; i++)
		if (memmem(bytes + at, length - at, payload->texts[i].bytes,
			   payload->texts[i].size))
			return true;
	return payload->count == 0;
}
