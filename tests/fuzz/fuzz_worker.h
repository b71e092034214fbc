/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A worker that can do no harm: its faults have the parameters, checks and shapes of the real ones
 * and act on nothing; guardian, journal, sandbox, reloader, clock and timers are stand-ins. For the
 * fuzzer that drives it. Each call that may fail in life fails here when the input says so. What
 * must hold at each call is looked at: nothing is injected that was not approved and armed, nothing
 * twice, nothing behind a stop.
 */
#ifndef SQUALL_FUZZ_WORKER_H
#define SQUALL_FUZZ_WORKER_H

#include "tests/fuzz/fuzz_time.h"

#include "injector/experiment/model.h"
#include "injector/probes/launcher.h"
#include "injector/restore/reloader.h"
#include "injector/run/worker_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define FAKES 16

static struct worker *fake_worker;
static bool fake_in_force[EXPERIMENT_MAX_STEPS], fake_has_journal;
static uint32_t fake_failures; /* a bit for each call to come */
static unsigned fake_again[EXPERIMENT_MAX_STEPS];
static struct fault_ops fakes[FAKES];

static int fails(struct error *err)
{
	bool is_failure = fake_failures & 1;

	fake_failures >>= 1;
	return is_failure ? error_set(err, EIO, "it was to fail") : 0;
}

/* ---- Faults ---- */

static int fake_plan(struct fault *fault, struct plan *plan, struct error *err)
{
	require(fault->target->is_resolved && !fake_has_journal);
	plan_add(plan, PLAN_CHANGE, "step %u", fault->step);
	return fails(err);
}

static int fake_inject(struct fault *fault, struct error *err)
{
	const struct worker *worker = fake_worker;

	require(fake_has_journal && worker->state == WORKER_ARMED);
	require(!fake_in_force[fault->step]);
	if (fails(err) < 0)
		return -EIO;
	fault->effect_started_ns = fake_now_ns;
	fake_in_force[fault->step] = true;
	fake_again[fault->step] = 2;
	return 0;
}

static int fake_set_level(struct fault *fault, struct error *err)
{
	require(fake_in_force[fault->step]);
	return fails(err);
}

static int fake_end(struct fault *fault, enum fault_end how, int64_t *out_again_ns,
		    struct error *err)
{
	if (fails(err) < 0)
		return -EIO;
	if (how == FAULT_END_SOFT && fake_again[fault->step]--) {
		*out_again_ns = NSEC_PER_MSEC;
		return 0;
	}
	fake_in_force[fault->step] = false;
	if (!fault->effect_ended_ns)
		fault->effect_ended_ns = fake_now_ns;
	*out_again_ns = 0;
	return 0;
}

static int fake_evidence(struct fault *fault, struct evidence *out, struct error *err)
{
	(void)fault;
	out->hits++;
	out->unit = "packets";
	return fails(err) < 0 ? -ESTALE : 0;
}

static int fake_listen(struct fault *fault, struct error *err)
{
	(void)fault;
	return fails(err) < 0 ? -ESTALE : -ENOSYS;
}

static int fake_follow(struct fault *fault, char *out_note, size_t size, struct error *err)
{
	(void)fault;
	snprintf(out_note, size, "%s", "");
	return fails(err);
}

/* Those that the real one lacks are lacking here. */
#define STAND_IN(ops, member)                                                                      \
	do {                                                                                       \
		if ((ops)->member)                                                                 \
			(ops)->member = fake_##member;                                             \
	} while (0)

static void fake_make_faults(void)
{
	const struct fault_ops *const *all = fault_all();

	for (unsigned i = 0; all[i]; i++) {
		struct fault_ops *ops = &fakes[i];

		require(i + 1 < FAKES);
		memcpy(ops, all[i], sizeof(*ops));
		STAND_IN(ops, plan);
		STAND_IN(ops, inject);
		STAND_IN(ops, set_level);
		STAND_IN(ops, end);
		STAND_IN(ops, evidence);
		STAND_IN(ops, listen);
		STAND_IN(ops, follow);
		ops->follow_interfaces = NULL;
		ops->release = NULL;
	}
}

const struct fault_ops *fault_find(const char *name)
{
	for (unsigned i = 0; fakes[i].name; i++)
		if (strcmp(fakes[i].name, name) == 0)
			return &fakes[i];
	return NULL;
}

int target_resolve(struct target *target, unsigned limit, const struct target_guard *guard,
		   struct error *err)
{
	(void)limit, (void)guard;
	if (fails(err) < 0)
		return -EIO;
	target->is_resolved = true;
	return 0;
}

int restore_records(struct journal *journal, int step, struct restore_report *report,
		    struct error *err)
{
	(void)journal;
	for (int i = 0; i < EXPERIMENT_MAX_STEPS; i++)
		if (step < 0 || step == i)
			fake_in_force[i] = false;
	report->undone++;
	return fails(err);
}

/* ---- Guardian, reloader ---- */

int guardian_meet(struct guardian *guardian, struct error *err)
{
	guardian->pid = 7;
	return fails(err);
}

int guardian_confine(struct guardian *guardian, uint64_t capabilities, struct error *err)
{
	(void)guardian, (void)capabilities;
	return fails(err);
}

int guardian_give_reloader(struct guardian *guardian, int socket, struct error *err)
{
	(void)guardian, (void)socket;
	return fails(err);
}

int guardian_begin(struct guardian *guardian, const char *run_id, int64_t deadline_ns,
		   struct error *err)
{
	(void)guardian, (void)run_id;
	require(deadline_ns > fake_now_ns);
	return fails(err);
}

int guardian_ready(struct guardian *guardian, struct error *err)
{
	(void)guardian;
	return fails(err);
}

void guardian_ping(struct guardian *guardian)
{
	(void)guardian;
}

void guardian_end(struct guardian *guardian)
{
	(void)guardian;
}

int reloader_start(const struct fault_command *commands, unsigned count, struct launcher **out,
		   struct error *err)
{
	for (unsigned i = 0; i < count; i++)
		require(commands[i].argv[0] && commands[i].argv[0][0] == '/');
	*out = (struct launcher *)fakes; /* nobody looks into it */
	return fails(err);
}

void reloader_use(int socket, void (*tick)(void *context), void *context)
{
	(void)socket, (void)tick, (void)context;
}

int launcher_socket(const struct launcher *launcher)
{
	(void)launcher;
	return -1;
}

void launcher_leave(struct launcher *launcher)
{
	(void)launcher;
}

void launcher_free(struct launcher *launcher)
{
	(void)launcher;
}

/* ---- Files ---- */

static int fake_journal(const struct journal_header *given, struct journal **out, struct error *err)
{
	require(given->deadline_ns > fake_now_ns && !fake_has_journal);
	if (fails(err) < 0)
		return -EIO;
	fake_has_journal = true;
	*out = (struct journal *)&fake_has_journal; /* nobody looks into it */
	return 0;
}

int journal_create(const struct journal_header *given, struct journal **out, struct error *err)
{
	return fake_journal(given, out, err);
}

int journal_create_kept(const struct journal_header *given, struct journal **out, struct error *err)
{
	return fake_journal(given, out, err);
}

int journal_started(struct journal *journal, uint32_t step, const char *text, int64_t until_ns,
		    struct error *err)
{
	(void)journal, (void)step, (void)until_ns;
	require(strlen(text) < 256);
	return fails(err);
}

int journal_ended(struct journal *journal, uint32_t step, struct error *err)
{
	(void)journal, (void)step;
	return fails(err);
}

int journal_remove(const char *run_id, struct error *err)
{
	(void)run_id;
	return fails(err);
}

int result_file_open(const char *run_id, uid_t reader, struct error *err)
{
	(void)run_id, (void)reader;
	return fails(err) < 0 ? -EIO : open("/dev/null", O_WRONLY | O_CLOEXEC);
}

void result_file_remove(const char *run_id)
{
	(void)run_id;
}

void result_files_prune(void)
{
}

int audit_write(struct error *err, const char *event, const char *run_id, const char *format, ...)
{
	(void)event, (void)run_id, (void)format;
	return fails(err);
}

int halt_check(struct error *err)
{
	return fails(err);
}

int proc_identity(pid_t pid, struct process_identity *out)
{
	*out = (struct process_identity){.pid = pid, .start_time = 1};
	return 0;
}

int sandbox_keep_capabilities(uint64_t keep, struct error *err)
{
	(void)keep;
	return fails(err);
}

int sandbox_worker(uint64_t capabilities, struct error *err)
{
	(void)capabilities;
	return fails(err);
}

/* What the conductor is told is whole and about a step that there is. */
int reply_send(int socket, const struct reply *reply, int fd, int patience_ms)
{
	(void)socket, (void)fd, (void)patience_ms;
	require(reply->type < REPLY_COUNT);
	require(reply->index == 0 || reply->index < fake_worker->step_count);
	require(strnlen(reply->text, sizeof(reply->text)) < sizeof(reply->text));
	require(strnlen(reply->remedy, sizeof(reply->remedy)) < sizeof(reply->remedy));
	return fails(NULL) < 0 ? -EAGAIN : 0;
}

static void fake_begin(struct worker *worker)
{
	if (!fakes[0].name)
		fake_make_faults();
	fake_worker = worker;
	fake_time_begin();
	fake_has_journal = false;
	fake_failures = 0;
	memset(fake_in_force, 0, sizeof(fake_in_force));
	memset(fake_again, 0, sizeof(fake_again));
}

#endif
