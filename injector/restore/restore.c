/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Walks a journal backwards: first every record is undone, newest first, so that all effects end as
 * early as they can; then each is read back, and what is still there is undone once more, since an
 * older record may have stood in its way. What may have to wait for a disk, or for a service that
 * reads its file again, comes behind the kernel's own things: a process that is frozen does not
 * stay so for it, and may be the very service. A failure never stops the walk. Knows no fault by
 * name.
 */
#include "injector/restore/restore.h"

#include "faults/fault.h"
#include "injector/base/alive.h"
#include "injector/base/cleanup.h"
#include "injector/base/log.h"
#include "injector/restore/reloader.h"
#include "injector/restore/report_lines.h"

#include <errno.h>
#include <string.h>

struct walk {
	struct journal *journal;
	const struct journal_record *records;
	unsigned count;
	int step;	 /* < 0: all */
	bool is_foreign; /* of another boot: what belongs to the kernel is gone */
	uint8_t *fates;	 /* enum fate by record; NULL when memory ran out */
	struct restore_report *report;
};

enum fate { FATE_UNTOUCHED, FATE_UNDO_RETURNED, FATE_GONE };

static bool concerns(const struct walk *walk, unsigned at)
{
	const struct fault_ops *ops;

	if (!journal_is_open(walk->records, walk->count, at) ||
	    (walk->step >= 0 && walk->records[at].step != (uint32_t)walk->step))
		return false;
	ops = walk->is_foreign ? fault_find(walk->records[at].owner) : NULL;
	/* one that is unknown may outlive a reboot: it is not passed over */
	return !ops || ops->outlives_reboot;
}

enum pass { PASS_KERNEL, PASS_LASTING_EFFECTS, PASS_LASTING };

static void undo_pass(struct walk *walk, enum pass pass)
{
	for (unsigned at = walk->count; at-- > 1;) {
		const struct journal_record *record = &walk->records[at];
		const struct fault_ops *ops;

		if (!concerns(walk, at))
			continue;
		alive();
		ops = fault_find(record->owner);
		if (!ops || ops->outlives_reboot != (pass != PASS_KERNEL))
			continue;
		if (pass != PASS_LASTING_EFFECTS) {
			if (ops->undo(record, NULL) == 0 && walk->fates)
				walk->fates[at] = FATE_UNDO_RETURNED;
		} else if (ops->undo_effect) {
			ops->undo_effect(record);
		}
	}
}

static void undo_all(struct walk *walk)
{
	undo_pass(walk, PASS_KERNEL);
	undo_pass(walk, PASS_LASTING_EFFECTS);
	undo_pass(walk, PASS_LASTING);
}

/* Reads back; without a reader the word of undo() counts. */
static bool is_gone(const struct fault_ops *ops, const struct journal_record *record,
		    bool undo_returned, char *left, struct error *err)
{
	bool gone = false;

	left[0] = '\0';
	if (!ops->verify)
		return undo_returned;
	return ops->verify(record, &gone, left, RESTORE_LINE, err) == 0 && gone;
}

/* `problem`: what it was that failed. */
static void say_left(struct walk *walk, const struct journal_record *record, const char *left,
		     const char *problem, const struct error *err)
{
	unsigned step = record->step + 1;

	walk->report->failed++;
	if (left[0] && err->code)
		report_left(walk->report, "step %u (%s): %s; %s: %s", step, record->owner, left,
			    problem, err->text);
	else if (left[0])
		report_left(walk->report, "step %u (%s): %s", step, record->owner, left);
	else if (err->code)
		report_left(walk->report, "step %u (%s): %s; %s", step, record->owner, err->text,
			    err->remedy[0] ? err->remedy : "run: squall restore");
	else
		report_left(walk->report, "step %u (%s): it could not be undone", step,
			    record->owner);
}

static void settle(struct walk *walk, unsigned at)
{
	const struct journal_record *record = &walk->records[at];
	const struct fault_ops *ops = fault_find(record->owner);
	struct error undo_err = ERROR_INIT, verify_err = ERROR_INIT;
	char left[RESTORE_LINE] = "";
	bool gone, undo_returned = walk->fates && walk->fates[at] == FATE_UNDO_RETURNED;

	if (!ops) {
		snprintf(
			left, sizeof(left),
			"a change of the fault '%s' that this version of squall does not know; run "
			"'squall restore' of the version that made it",
			record->owner);
		say_left(walk, record, left, "", &undo_err);
		return;
	}
	alive();
	gone = is_gone(ops, record, undo_returned, left, &verify_err);
	if (!gone) {
		undo_returned = ops->undo(record, &undo_err) == 0;
		verify_err = (struct error)ERROR_INIT;
		gone = is_gone(ops, record, undo_returned, left, &verify_err);
	}
	if (!gone) {
		if (undo_err.code)
			say_left(walk, record, left, "undoing it failed", &undo_err);
		else
			say_left(walk, record, left, "it cannot be looked at", &verify_err);
		return;
	}
	walk->report->undone++;
	if (walk->fates)
		walk->fates[at] = FATE_GONE;
	/* Without it the record is undone once more another time, which changes nothing. */
	if (journal_done(walk->journal, record->sequence, &verify_err) < 0)
		log_debug("%s", verify_err.text);
}

/* What people called the step when it began: the text of its STARTED record. */
static const char *step_text(const struct walk *walk, uint32_t step)
{
	for (unsigned at = 0; at < walk->count; at++)
		if (walk->records[at].kind == JOURNAL_STARTED && walk->records[at].step == step &&
		    walk->records[at].payload[0])
			return (const char *)walk->records[at].payload;
	return NULL;
}

/* One line a step and fault, at its first record. */
static void say_did(struct walk *walk, unsigned at)
{
	const struct journal_record *first = &walk->records[at];
	const char *text = step_text(walk, first->step);
	unsigned count = 0;

	for (unsigned i = 1; i < walk->count; i++) {
		if (walk->fates[i] != FATE_GONE || walk->records[i].step != first->step ||
		    strcmp(walk->records[i].owner, first->owner) != 0)
			continue;
		if (i < at)
			return;
		count++;
	}
	report_did(walk->report, "step %u (%s): %s: undone (%u change%s)", first->step + 1,
		   first->owner, text ? text : "not yet in force", count, count == 1 ? "" : "s");
}

/* One that is unknown can only be told. */
static bool is_lasting(const struct walk *walk, unsigned at)
{
	const struct fault_ops *ops = fault_find(walk->records[at].owner);

	return ops && ops->outlives_reboot;
}

int restore_records(struct journal *journal, int step, struct restore_report *report,
		    struct error *err)
{
	cleanup_free struct journal_record *records = NULL;
	cleanup_free uint8_t *fates = NULL;
	struct walk walk = {.journal = journal, .step = step, .report = report};
	char boot_id[40];
	int result = journal_read(journal, &records, &walk.count, err);

	reloader_use_own();
	if (result == 0)
		result = journal_boot_id(boot_id, err);
	if (result < 0)
		return result;
	walk.is_foreign = strcmp(boot_id, journal_header(records, walk.count)->boot_id) != 0;
	fates = calloc(walk.count, sizeof(*fates));
	walk.records = records;
	walk.fates = fates;
	undo_all(&walk);
	for (int lasting = 0; lasting < 2; lasting++)
		for (unsigned at = walk.count; at-- > 1;)
			if (concerns(&walk, at) && is_lasting(&walk, at) == (lasting == 1))
				settle(&walk, at);
	for (unsigned at = 1; fates && at < walk.count; at++)
		if (fates[at] == FATE_GONE)
			say_did(&walk, at);
	return 0;
}
