/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/dns_message.h"

#include <stdio.h>
#include <string.h>

#define HEADER_SIZE   12
#define LABEL_MAX     63
#define WIRE_NAME_MAX 255 /* bytes on the wire, RFC 1035 2.3.4 */
#define POINTER	      0xc0

/* Bits of the third and fourth byte. */
#define BIT_RESPONSE  0x80
#define BITS_OPCODE   0x78
#define BIT_RECURSION 0x01 /* desired */
#define BIT_AVAILABLE 0x80
#define BIT_UNCHECKED 0x10 /* CD */

#define TYPE_OPT  41
#define CLASS_IN  1
#define CLASS_ANY 255
#define BIT_DO	  0x8000 /* in the flags of OPT */
#define EDNS_SIZE 1232	 /* datagrams we would take: no fragments */

static unsigned get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static uint8_t *put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
	return at + 2;
}

static char *put_character(char *out, uint8_t byte)
{
	if (byte >= 'A' && byte <= 'Z')
		byte = (uint8_t)(byte - 'A' + 'a');
	if ((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
	    byte == '_') {
		*out = (char)byte;
		return out + 1;
	}
	return out + sprintf(out, "\\%03u", byte);
}

/* The name at `at`, without compression: there is nothing before a question that it could point
 * to. Returns where it ends, 0: it is not sound. */
static size_t read_name(const uint8_t *message, size_t size, size_t at, char *out)
{
	size_t start = at;
	char *text = out;

	for (;;) {
		unsigned length;

		if (at >= size)
			return 0;
		length = message[at++];
		if (length == 0)
			break;
		if (length > LABEL_MAX || length > size - at ||
		    at - start + length > WIRE_NAME_MAX - 1)
			return 0;
		if (text != out)
			*text++ = '.';
		for (unsigned i = 0; i < length; i++)
			text = put_character(text, message[at++]);
	}
	if (text == out)
		*text++ = '.';
	*text = '\0';
	return at;
}

/* Where a name in a record ends; it may end in a pointer. 0: beyond the message. */
static size_t skip_name(const uint8_t *message, size_t size, size_t at)
{
	while (at < size) {
		unsigned length = message[at++];

		if (length == 0)
			return at;
		if ((length & POINTER) == POINTER)
			return at < size ? at + 1 : 0;
		if (length > LABEL_MAX)
			return 0;
		at += length;
	}
	return 0;
}

/* EDNS is a record of type OPT behind the question, at the root. */
static void find_edns(const uint8_t *message, size_t size, struct dns_question *question)
{
	unsigned count = get16(message + 6) + get16(message + 8) + get16(message + 10);
	size_t at = question->end;

	while (count-- > 0) {
		size_t fixed = skip_name(message, size, at), data;

		if (fixed == 0 || size - fixed < 10)
			return;
		data = get16(message + fixed + 8);
		if (get16(message + fixed) == TYPE_OPT && message[at] == 0) {
			question->has_edns = true;
			question->wants_dnssec = get16(message + fixed + 6) & BIT_DO;
			return;
		}
		if (data > size - fixed - 10)
			return;
		at = fixed + 10 + data;
	}
}

bool dns_message_read(const uint8_t *message, size_t size, struct dns_question *out)
{
	size_t end;

	if (size < HEADER_SIZE || message[2] & (BIT_RESPONSE | BITS_OPCODE) ||
	    get16(message + 4) != 1)
		return false;
	end = read_name(message, size, HEADER_SIZE, out->name);
	if (end == 0 || size - end < 4)
		return false;
	out->type = (uint16_t)get16(message + end);
	out->class = (uint16_t)get16(message + end + 2);
	out->end = end + 4;
	out->has_edns = out->wants_dnssec = false;
	if (out->class != CLASS_IN && out->class != CLASS_ANY)
		return false;
	find_edns(message, size, out);
	return true;
}

/* A record of the name that was asked for; the name is a pointer to it. */
static uint8_t *put_record(uint8_t *at, unsigned type, const void *data, unsigned size)
{
	at = put16(at, POINTER << 8 | HEADER_SIZE);
	at = put16(at, type);
	at = put16(at, CLASS_IN);
	at = put16(at, 0); /* time to live */
	at = put16(at, 0);
	at = put16(at, size);
	memcpy(at, data, size);
	return at + size;
}

static uint8_t *put_addresses(uint8_t *at, unsigned type, const struct dns_addresses *addresses,
			      unsigned *out_count)
{
	unsigned count = 0;

	for (unsigned i = 0; type == DNS_TYPE_A && i < addresses->count4; i++, count++)
		at = put_record(at, type, &addresses->v4[i], sizeof(addresses->v4[i]));
	for (unsigned i = 0; type == DNS_TYPE_AAAA && i < addresses->count6; i++, count++)
		at = put_record(at, type, &addresses->v6[i], sizeof(addresses->v6[i]));
	*out_count = count;
	return at;
}

/* 12 + 255 + 4 bytes before the records, 28 at most for each address, 11 for EDNS. */
_Static_assert(HEADER_SIZE + WIRE_NAME_MAX + 4 + DNS_ADDRESSES_MAX * 28 + 11 <= DNS_ANSWER_MAX,
	       "every answer fits");

size_t dns_message_answer(const uint8_t *query, const struct dns_question *question,
			  enum dns_code code, const struct dns_addresses *addresses, uint8_t *out)
{
	uint8_t *at = out + question->end;
	unsigned count = 0;

	memcpy(out, query, question->end);
	out[2] = (uint8_t)(BIT_RESPONSE | (query[2] & BIT_RECURSION));
	out[3] = (uint8_t)(BIT_AVAILABLE | (query[3] & BIT_UNCHECKED) | code);
	if (addresses)
		at = put_addresses(at, question->type, addresses, &count);
	put16(out + 6, count);
	put16(out + 8, 0);
	put16(out + 10, question->has_edns);
	if (question->has_edns) {
		*at++ = 0; /* the root */
		at = put16(at, TYPE_OPT);
		at = put16(at, EDNS_SIZE);
		at = put16(at, 0); /* extended code, version */
		at = put16(at, question->wants_dnssec ? BIT_DO : 0);
		at = put16(at, 0);
	}
	return (size_t)(at - out);
}
