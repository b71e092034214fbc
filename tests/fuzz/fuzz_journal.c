/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The journal reader over any bytes. The checksums of half the inputs are mended first, else
 * nothing would ever get past them. Records of files are read as restore reads them, up to where
 * the file itself would be opened. By hand: make fuzz FUZZERS=fuzz_journal FUZZ_SECONDS=60
 */
#include "faults/file.h"
#include "injector/journal/crc32.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void mend(struct journal_record *record, unsigned at)
{
	struct file_record *file = (void *)record->payload;

	if (record->kind == JOURNAL_UNDO && file->text_size <= sizeof(file->text))
		file->text_crc = crc32_of(file->text, file->text_size);
	record->magic = JOURNAL_MAGIC;
	record->version = JOURNAL_VERSION;
	record->sequence = at + 1;
	record->crc = crc32_of(record, offsetof(struct journal_record, crc));
}

/* A text that lies beside a journal is never there: nothing of the machine is read. */
ssize_t journal_kept(const char *run_id, const char *name, void *out, size_t size,
		     struct error *err)
{
	(void)out, (void)size;
	if (strlen(run_id) >= RUN_ID_SIZE)
		abort();
	return error_set(err, ENOENT, "%s", name);
}

static void use_file(const struct journal_record *record)
{
	static struct file_swap swap;
	size_t length;

	if (file_record_read(record, &swap, NULL) < 0)
		return;
	length = strlen(swap.path);
	if (swap.path[0] != '/' || swap.reload_by != swap.path + length + 1 ||
	    length + strlen(swap.reload_by) + 2 > sizeof(swap.text) ||
	    strlen(swap.copy_name) > NAME_MAX || strchr(swap.copy_name, '/') ||
	    strchr(swap.kept_name, '/'))
		abort();
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
		if (records[at].kind == JOURNAL_UNDO)
			use_file(&records[at]);
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
	if (journal_trim(records, size) > size)
		abort();
	size = journal_trim(records, size);
	if (journal_parse(records, size, &count, &damaged, NULL) == 0) {
		if (count == 0 || count + damaged != size / sizeof(*records))
			abort();
		use(records, count);
	}
	free(records);
	return 0;
}
