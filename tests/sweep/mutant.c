/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall with one mistake, to see that the sweep finds it: undo records are written behind the
 * changes they undo, when the step is reported to be in force. Linked with --wrap.
 */
#include "injector/journal/journal.h"

#include <errno.h>
#include <string.h>

#define PENDING_MAX 64

static struct {
	char owner[16];
	uint32_t step, type;
	uint8_t payload[JOURNAL_PAYLOAD];
	size_t size;
} pending[PENDING_MAX];
static unsigned count;

/* The names are the linker's */
int __real_journal_undo(struct journal *journal, const char *owner, uint32_t step, uint32_t type,
			const void *payload, size_t payload_size, struct error *err);
int __wrap_journal_undo(struct journal *journal, const char *owner, uint32_t step, uint32_t type,
			const void *payload, size_t payload_size, struct error *err);
int __real_journal_started(struct journal *journal, uint32_t step, const char *text,
			   int64_t until_ns, struct error *err);
int __wrap_journal_started(struct journal *journal, uint32_t step, const char *text,
			   int64_t until_ns, struct error *err);

int __wrap_journal_undo(struct journal *journal, const char *owner, uint32_t step, uint32_t type,
			const void *payload, size_t payload_size, struct error *err)
{
	(void)journal;
	if (count == PENDING_MAX || payload_size > JOURNAL_PAYLOAD)
		return error_set(err, ENOSPC, "too many records for a mutant");
	strncpy(pending[count].owner, owner, sizeof(pending[count].owner) - 1);
	pending[count].step = step;
	pending[count].type = type;
	memcpy(pending[count].payload, payload, payload_size);
	pending[count].size = payload_size;
	return (int)++count; /* nobody but the journal itself uses the number */
}

int __wrap_journal_started(struct journal *journal, uint32_t step, const char *text,
			   int64_t until_ns, struct error *err)
{
	for (unsigned at = 0; at < count; at++)
		__real_journal_undo(journal, pending[at].owner, pending[at].step, pending[at].type,
				    pending[at].payload, pending[at].size, NULL);
	count = 0;
	return __real_journal_started(journal, step, text, until_ns, err);
}
