/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The journal reader over any bytes. The checksums of half the inputs are mended first, else
 * nothing would ever get past them. By hand:
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -I. -o fuzz_journal \
 *     tests/fuzz/fuzz_journal.c injector/journal/parse.c injector/journal/crc32.c \
 *     injector/base/error.c && ./fuzz_journal -max_len=8192 -max_total_time=60
 */
#include "injector/journal/crc32.h"
#include "injector/journal/journal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void mend(struct journal_record *record, unsigned at)
{
	record->magic = JOURNAL_MAGIC;
	record->version = JOURNAL_VERSION;
	record->sequence = at + 1;
	record->crc = crc32_of(record, offsetof(struct journal_record, crc));
}

/* What every reader does with what it is given */
static void use(const struct journal_record *records, unsigned count)
{
	const struct journal_header *header = journal_header(records, count);
	size_t sum = 0;

	if (!header || strlen(header->run_id) >= RUN_ID_SIZE || strlen(header->boot_id) >= 40 ||
	    strlen(header->title) >= 160)
		abort();
	for (unsigned at = 0; at < count; at++) {
		sum += strlen(records[at].owner);
		if (records[at].kind == JOURNAL_STARTED)
			sum += strlen((const char *)records[at].payload);
		sum += journal_is_open(records, count, at);
		if (at && records[at].sequence <= records[at - 1].sequence)
			abort();
	}
	if (sum > count * sizeof(*records))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct journal_record *records;
	unsigned count, damaged;
	bool is_mended;

	if (size < 2)
		return 0;
	is_mended = bytes[0] & 1;
	size--;
	records = malloc(size); /* exactly as long: reading beyond is seen */
	if (!records)
		return 0;
	memcpy(records, bytes + 1, size);
	for (unsigned at = 0; is_mended && at < size / sizeof(*records); at++)
		if (at == 0 || bytes[1 + at] & 3)
			mend(&records[at], at);
	if (journal_parse(records, size, &count, &damaged, NULL) == 0) {
		if (count == 0 || count + damaged != size / sizeof(*records))
			abort();
		use(records, count);
	}
	free(records);
	return 0;
}
