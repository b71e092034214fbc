/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Packets of strangers through all of the delay line that looks into them: refusing, marking,
 * damaging, cutting, and merging; what is cut or merged holds every byte of every payload, and no
 * more.
 */
#include "faults/delay_cut.h"
#include "faults/delay_merge.h"
#include "faults/delay_packet.h"
#include "faults/delay_refuse.h"
#include "faults/delay_return.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* In a place of its own size, which the sanitizer watches. */
static uint8_t *copy_of(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	if (size)
		memcpy(copy, bytes, size);
	return copy;
}

/* An answer is written into the place of the packet, which is that of the largest. */
static void refuse(const uint8_t *bytes, size_t size, enum tap_kind kind, bool resets)
{
	static uint8_t place[TAP_HEADER_SIZE + TAP_FRAME_MAX];
	const struct refusal refusal = {.is_on = true, .resets = resets};

	memcpy(place, bytes, size);
	if (delay_refuse(place, size, kind, &refusal) > sizeof(place))
		abort();
}

static void change(const uint8_t *bytes, size_t size, enum tap_kind kind, size_t tag, uint32_t draw)
{
	uint8_t *packet = copy_of(bytes, size);
	uint32_t bits = delay_packet_bits(size, tag);

	delay_packet_wire_length(packet, size, tag);
	delay_packet_mark(packet, size, kind);
	if (bits)
		delay_packet_damage(packet, size, tag, draw % bits);
	free(packet);
}

static void cut(const uint8_t *bytes, size_t size, enum tap_kind kind, uint32_t segment)
{
	uint8_t *packet = copy_of(bytes, size), *piece = copy_of(bytes, size);
	struct delay_cut cut;
	size_t length, at = 0;

	if (delay_cut_begin(&cut, packet, size, kind, segment)) {
		while ((length = delay_cut_next(&cut, piece))) {
			size_t data = length - cut.payload;

			if (length > size || !data || data > segment ||
			    memcmp(piece + cut.payload, packet + cut.payload + at, data) != 0)
				abort();
			at += data;
		}
		if (at != cut.end - cut.payload)
			abort();
	}
	free(packet);
	free(piece);
}

/* The same packet with other identifications, and one that differs. */
static void merge(const uint8_t *bytes, size_t size, const uint8_t *other, size_t other_size,
		  enum tap_kind kind)
{
	static struct delay_merge merge;
	uint8_t *first = copy_of(bytes, size), *second = copy_of(other, other_size);
	size_t whole = 0;
	int count;

	delay_merge_begin(&merge, first, size, kind);
	for (unsigned i = 0; i < 2; i++)
		if (delay_merge_add(&merge, second, other_size) &&
		    (size < merge.payload || other_size < merge.payload))
			abort();
	for (const struct iovec *parts = delay_merge_finish(&merge, &count); count > 0; count--)
		whole += parts++->iov_len;
	if (whole != merge.total || whole > TAP_HEADER_SIZE + TAP_FRAME_MAX + size)
		abort();
	free(first);
	free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	enum tap_kind kind;
	size_t half;

	if (size < 4 || size > TAP_HEADER_SIZE + TAP_FRAME_MAX)
		return 0;
	kind = bytes[0] & 1 ? TAP_IP : TAP_ETHERNET;
	half = bytes[1] % size;
	if (half < 2)
		half = size;
	refuse(bytes + 2, half - 2, kind, bytes[0] & 2);
	change(bytes + 2, half - 2, kind, bytes[0] & 4 ? DELAY_TAG_SIZE : 0, bytes[0] * 977U);
	cut(bytes + 2, half - 2, kind, bytes[1] % 100U + 1);
	merge(bytes + 2, half - 2, bytes + half, size - half, kind);
	return 0;
}
