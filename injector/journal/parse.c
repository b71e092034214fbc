/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bytes of a journal file -> valid records. Works in place and touches nothing but the memory it is
 * given, so that it can be fuzzed. A record belongs at the position its sequence number says:
 * copied or shifted ones are damage, too.
 */
#include "injector/journal/crc32.h"
#include "injector/journal/journal.h"

#include <errno.h>
#include <string.h>

static bool is_whole(const struct journal_record *record, unsigned at)
{
	return record->magic == JOURNAL_MAGIC && record->version == JOURNAL_VERSION &&
	       record->sequence == at + 1 && record->owner[sizeof(record->owner) - 1] == '\0' &&
	       record->crc == crc32_of(record, offsetof(struct journal_record, crc));
}

static bool is_zero(const struct journal_record *record)
{
	static const struct journal_record zero;

	return memcmp(record, &zero, sizeof(zero)) == 0;
}

size_t journal_trim(const struct journal_record *records, size_t bytes)
{
	size_t whole = bytes / sizeof(*records), kept = whole;

	while (kept > 1 && is_zero(&records[kept - 1]))
		kept--;
	return kept == whole ? bytes : kept * sizeof(*records);
}

static int check_header(const struct journal_record *records, size_t bytes, struct error *err)
{
	if (bytes < sizeof(*records) || is_zero(&records[0]))
		return error_set(err, ENODATA, "the journal has no header: nothing was done");
	if (records[0].magic != JOURNAL_MAGIC)
		return error_set(err, EBADMSG, "this is not a journal of squall");
	if (records[0].version != JOURNAL_VERSION)
		return error_set(err, EPROTONOSUPPORT,
				 "the journal has format %u, this squall reads format %u",
				 records[0].version, JOURNAL_VERSION);
	if (!is_whole(&records[0], 0) || records[0].kind != JOURNAL_HEADER)
		return error_set(err, EBADMSG, "the header of the journal is damaged");
	return 0;
}

static void terminate_texts(struct journal_record *record)
{
	struct journal_header header;

	if (record->kind == JOURNAL_HEADER) {
		memcpy(&header, record->payload, sizeof(header));
		header.run_id[sizeof(header.run_id) - 1] = '\0';
		header.boot_id[sizeof(header.boot_id) - 1] = '\0';
		header.title[sizeof(header.title) - 1] = '\0';
		memcpy(record->payload, &header, sizeof(header));
	} else if (record->kind == JOURNAL_STARTED) {
		record->payload[sizeof(record->payload) - 1] = '\0';
	}
}

int journal_parse(struct journal_record *records, size_t bytes, unsigned *out_count,
		  unsigned *out_damaged, struct error *err)
{
	unsigned total = bytes / sizeof(*records), valid = 1, damaged = 0;
	int result = check_header(records, bytes, err);

	if (result < 0)
		return result;
	terminate_texts(&records[0]);
	for (unsigned at = 1; at < total; at++) {
		if (!is_whole(&records[at], at) || records[at].kind < JOURNAL_UNDO ||
		    records[at].kind > JOURNAL_ENDED) {
			damaged++;
			continue;
		}
		terminate_texts(&records[at]);
		if (valid != at)
			records[valid] = records[at];
		valid++;
	}
	*out_count = valid;
	*out_damaged = damaged;
	return 0;
}

const struct journal_header *journal_header(const struct journal_record *records, unsigned count)
{
	if (!count || records[0].kind != JOURNAL_HEADER)
		return NULL;
	return (const void *)records[0].payload;
}

bool journal_is_open(const struct journal_record *records, unsigned count, unsigned at)
{
	if (at >= count || records[at].kind != JOURNAL_UNDO)
		return false;
	for (unsigned i = at + 1; i < count; i++)
		if (records[i].kind == JOURNAL_DONE &&
		    records[i].of_sequence == records[at].sequence)
			return false;
	return true;
}
