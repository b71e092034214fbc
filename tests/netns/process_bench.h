/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One process fault from its selector to its release, in one process. The journal is an array, so
 * that a record can be altered and undone again; plans become text. To be included by one test
 * program each: it stands in for journal_undo() and plan_add().
 */
#ifndef SQUALL_TESTS_PROCESS_BENCH_H
#define SQUALL_TESTS_PROCESS_BENCH_H

#include "faults/fault.h"
#include "faults/process_record.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/proc.h"
#include "tests/support/children.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

extern const struct fault_ops process_fault;

/* --- stand-ins for what carries records and plans --- */

static struct journal_record records[64];
static unsigned record_count;
static int (*before_journal)(void) __attribute__((unused));
static char plan_text[16384];

int journal_undo(struct journal *journal, const char *owner, uint32_t step, uint32_t type,
		 const void *payload, size_t payload_size, struct error *err)
{
	struct journal_record *record = &records[record_count];

	(void)journal;
	if (before_journal && before_journal() < 0)
		return error_set(err, EIO, "the journal is broken");
	assert_string_equal(owner, "process");
	assert_in_range(payload_size, 1, JOURNAL_PAYLOAD);
	assert_true(record_count < 64);
	*record = (struct journal_record){.kind = JOURNAL_UNDO, .step = step, .type = type};
	memcpy(record->payload, payload, payload_size);
	return (int)++record_count;
}

int plan_add(struct plan *plan, enum plan_kind kind, const char *format, ...)
{
	size_t used = strlen(plan_text);
	va_list args;

	(void)plan;
	va_start(args, format);
	used += (size_t)snprintf(plan_text + used, sizeof(plan_text) - used, "%d ", (int)kind);
	vsnprintf(plan_text + used, sizeof(plan_text) - used, format, args);
	va_end(args);
	strncat(plan_text, "\n", sizeof(plan_text) - strlen(plan_text) - 1);
	return 0;
}

/* --- one fault from selector to release --- */

struct bench {
	struct fault_env env;
	struct target target;
	struct params params;
	struct fault fault;
	struct error err;
};

static inline void set_params(struct params *params, const struct param *table, const char *text)
{
	cleanup_free char *words = strdup(text);
	char *rest = words, *word, *value;
	struct error why = ERROR_INIT;

	assert_int_equal(params_init(params, table, NULL), 0);
	while ((word = strsep(&rest, "|"))) {
		value = strchr(word, '=');
		if (!value)
			continue;
		*value++ = '\0';
		if (params_add(params, (unsigned)params_find(table, word), value, 0, 0, &why) < 0)
			fail_msg("%s", why.text);
	}
}

static inline int select_processes(struct bench *bench, const char *selector)
{
	const struct target_guard guard = {0};

	*bench = (struct bench){.target.kind = TARGET_PROCESS};
	set_params(&bench->target.params, process_params, selector);
	return target_process_resolve(&bench->target, &guard, &bench->err);
}

static inline int plan_fault(struct bench *bench, const char *selector, const char *params)
{
	int result = select_processes(bench, selector);

	if (result < 0)
		fail_msg("%s: %s", selector, bench->err.text);
	set_params(&bench->params, process_fault.params, params);
	result = process_fault.check(&bench->params, &bench->err);
	if (result < 0)
		return result;
	bench->env.targets_more = UINT_MAX;
	record_count = 0;
	plan_text[0] = '\0';
	bench->fault = (struct fault){.ops = &process_fault,
				      .params = &bench->params,
				      .target = &bench->target,
				      .env = &bench->env};
	return process_fault.plan(&bench->fault, NULL, &bench->err);
}

static inline void must(struct bench *bench, int result)
{
	if (result < 0)
		fail_msg("%s", bench->err.text);
}

static inline void inject(struct bench *bench, const char *selector, const char *params)
{
	must(bench, plan_fault(bench, selector, params));
	must(bench, process_fault.inject(&bench->fault, &bench->err));
	assert_true(bench->fault.effect_started_ns > 0);
}

static inline void end_fault(struct bench *bench)
{
	int64_t again_ns = -1;

	must(bench, process_fault.end(&bench->fault, FAULT_END_NOW, &again_ns, &bench->err));
	assert_int_equal(again_ns, 0);
}

static inline void undo_all(void)
{
	struct error err = ERROR_INIT;

	for (unsigned i = record_count; i-- > 0;)
		if (process_fault.undo(&records[i], &err) < 0)
			fail_msg("%s", err.text);
}

static inline bool all_gone(void)
{
	struct error err = ERROR_INIT;
	char left[512];
	bool gone, all = true;

	for (unsigned i = 0; i < record_count; i++) {
		if (process_fault.verify(&records[i], &gone, left, sizeof(left), &err) < 0)
			fail_msg("%s", err.text);
		all = all && gone;
	}
	return all;
}

static inline struct evidence evidence_of(struct bench *bench)
{
	struct evidence evidence;

	must(bench, process_fault.evidence(&bench->fault, &evidence, &bench->err));
	return evidence;
}

static inline void release(struct bench *bench)
{
	if (bench->fault.ops)
		process_fault.release(&bench->fault);
	for (unsigned i = 0; i < bench->target.process_count; i++)
		close(bench->target.processes[i].pidfd);
	free(bench->target.processes);
	params_free(&bench->target.params);
	params_free(&bench->params);
}

static inline char *by_pid(pid_t pid)
{
	static char text[32];

	snprintf(text, sizeof(text), "pid=%d", pid);
	return text;
}

/* Skips, loudly, without root. */
static inline int run_as_root(int (*run)(void))
{
	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return getenv("SQUALL_MUST_RUN") ? 1 : 77;
	}
	children_init();
	return run();
}

#endif
