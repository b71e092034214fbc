/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The `process` fault: kill, with any signal, or pause. Each signal goes through the pidfd of a
 * pinned process that was checked once more just before. A kill cannot be undone and leaves no
 * record; a pause is journalled first and undone exactly. Both need CAP_KILL and nothing else:
 * cgroup.freeze is written as its owner, uid 0.
 */
#include "faults/fault.h"
#include "faults/process_pause.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum process_fault_param { PARAM_OF_TARGET, PARAM_ACTION, PARAM_OF_SIGNAL, PARAM_PAUSE_BY };
enum action { ACTION_KILL, ACTION_PAUSE };

#define SHOWN_MAX 20			/* processes listed one by one in a plan */
#define EXIT_NS	  (100 * NSEC_PER_MSEC) /* SIGKILL to exit took 79 ms with 2 GiB of memory */

static const char *const actions[] = {"kill", "pause", NULL};
static const char *const ways[] = {"auto", "freezer", "sigstop", NULL};

static const struct param params_of_process[] = {
	[PARAM_OF_TARGET] = {.name = "target",
			     .type = PARAM_TARGET,
			     .doc = "the processes, a target of kind `process`"},
	[PARAM_ACTION] =
		{.name = "action",
		 .type = PARAM_WORD,
		 .words = actions,
		 .fallback = "kill",
		 .doc = "kill sends a signal, once; pause holds the processes still, for a while"},
	[PARAM_OF_SIGNAL] = {.name = "signal",
			     .type = PARAM_SIGNAL,
			     .fallback = "KILL",
			     .doc = "what kill sends; not STOP and its kin, which pause can undo"},
	[PARAM_PAUSE_BY] = {.name = "pause-by",
			    .type = PARAM_WORD,
			    .words = ways,
			    .fallback = "auto",
			    .doc = "auto takes the cgroup freezer for a whole unit, cgroup or "
				   "container, else SIGSTOP"},
	{.name = NULL},
};

struct process_state {
	struct pause pause;
	int64_t sent_ns;    /* when the first signal went out; 0: none yet */
	int64_t slowest_ns; /* of those that exited: seen this long after */
	unsigned signalled, gone, refused, exited;
	bool *is_awaited;  /* signalled and not seen to exit; one for each process, owned */
	char refusal[256]; /* the last one */
};

static bool is_pause(const struct params *params)
{
	return params_number(params, PARAM_ACTION, ACTION_KILL) == ACTION_PAUSE;
}

static bool is_instant(const struct params *params)
{
	return !is_pause(params);
}

static int signal_of(const struct params *params)
{
	return (int)params_number(params, PARAM_OF_SIGNAL, SIGKILL);
}

/* "SIGKILL"; "signal 40" for one without a name of its own */
static void name_signal(int number, char *out, size_t size)
{
	const char *name = signal_name(number);

	if (name)
		snprintf(out, size, "SIG%s", name);
	else
		snprintf(out, size, "signal %d", number);
}

static int check(const struct params *params, struct error *err)
{
	int number = signal_of(params);

	if (is_pause(params)) {
		if (params_is_set(params, PARAM_OF_SIGNAL))
			return error_set(err, EINVAL,
					 "`signal` belongs to `action: kill`; a pause "
					 "has no signal of its own");
		return 0;
	}
	if (params_is_set(params, PARAM_PAUSE_BY))
		return error_set(err, EINVAL, "`pause-by` belongs to `action: pause`");
	if (number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU) {
		error_set(err, EINVAL, "SIG%s stops a process and would never be undone",
			  signal_name(number));
		return error_remedy(err, "action: pause, with `for:`");
	}
	return 0;
}

static void find_freezer(char *out, size_t size)
{
	struct cgroup_mounts mounts;

	if (cgroup_find_mounts(&mounts, NULL) < 0 || !*mounts.unified)
		snprintf(out, size, "SIGSTOP (no cgroup v2)");
	else
		snprintf(out, size, "cgroup v2 freezer (%.80s) or SIGSTOP", mounts.unified);
}

static int probe(struct fault_support *out, struct error *err)
{
	struct fault_support support = {.usable = true};
	struct proc_stat stat;
	cleanup_fd int pidfd = -1;
	char freezer[sizeof(support.way) - 32];
	int result = proc_pin(getpid(), &stat, &pidfd);

	(void)err;
	if (result == 0)
		result = proc_pidfd_signal(pidfd, 0);
	find_freezer(freezer, sizeof(freezer));
	if (result == 0) {
		snprintf(support.way, sizeof(support.way), "kill by pidfd; pause by %s", freezer);
	} else {
		support.usable = false;
		snprintf(support.reason, sizeof(support.reason),
			 "a process cannot be held by a pidfd: %s", strerror(-result));
		snprintf(support.remedy, sizeof(support.remedy), "%s",
			 result == -ENOSYS ? "Linux 5.3 or newer is needed"
					   : "mount /proc without hidepid; run as root");
	}
	*out = support;
	return 0;
}

static int plan_targets(const struct target *target, struct plan *plan)
{
	struct passwd entry, *user;
	char buffer[4096], name[32];
	int result = 0;

	for (unsigned i = 0; result >= 0 && i < target->process_count && i < SHOWN_MAX; i++) {
		const struct target_process *process = &target->processes[i];

		user = NULL;
		getpwuid_r(process->uid, &entry, buffer, sizeof(buffer), &user);
		snprintf(name, sizeof(name), "%u", process->uid);
		result = plan_add(plan, PLAN_TARGET, "process %d %s (%s): %s", process->id.pid,
				  process->name, user ? user->pw_name : name, process->command);
	}
	if (result >= 0 && target->process_count > SHOWN_MAX)
		result = plan_add(plan, PLAN_TARGET, "and %u more processes",
				  target->process_count - SHOWN_MAX);
	return result;
}

static int plan_kill(struct process_state *state, const struct fault *fault, struct plan *plan,
		     struct error *err)
{
	unsigned count = fault->target->process_count;
	int number = signal_of(fault->params), result;
	char name[24];

	state->is_awaited = calloc(count, sizeof(*state->is_awaited));
	if (!state->is_awaited)
		return error_errno(err, ENOMEM, "cannot plan a kill");
	name_signal(number, name, sizeof(name));
	result = plan_add(plan, PLAN_CHANGE, "%s to %u %s, oldest first", name, count,
			  count == 1 ? "process" : "processes");
	if (result >= 0)
		result = plan_add(plan, PLAN_NOTE,
				  "a signal cannot be undone: nothing will be restored, only the "
				  "recovery is watched");
	return result < 0 ? error_errno(err, -result, "cannot write the plan") : 0;
}

static void release(struct fault *fault)
{
	struct process_state *state = fault->state;

	if (!state)
		return;
	pause_release(&state->pause);
	free(state->is_awaited);
	free(state);
	fault->state = NULL;
}

static int plan(struct fault *fault, struct plan *plan, struct error *err)
{
	struct process_state *state;
	int result = check(fault->params, err); /* again, on the privileged side */

	if (result < 0)
		return result;
	state = calloc(1, sizeof(*state));
	if (!state)
		return error_errno(err, ENOMEM, "cannot plan");
	state->pause.directory = -1;
	release(fault);
	fault->state = state;
	result = plan_targets(fault->target, plan);
	if (result < 0)
		result = error_errno(err, -result, "cannot write the plan");
	else if (is_pause(fault->params))
		result = pause_plan(&state->pause, fault,
				    (enum pause_way)params_number(fault->params, PARAM_PAUSE_BY, 0),
				    plan, err);
	else
		result = plan_kill(state, fault, plan, err);
	if (result < 0)
		release(fault);
	return result < 0 ? result : 0;
}

/* Counts who has exited meanwhile. What is seen late counts as late: the kernel does not say when.
 */
static void notice_exits(struct process_state *state, const struct target *target)
{
	int64_t since_ns = clock_now_ns() - state->sent_ns;

	for (unsigned i = 0; i < target->process_count; i++)
		if (state->is_awaited[i] && proc_pidfd_has_exited(target->processes[i].pidfd)) {
			state->is_awaited[i] = false;
			state->exited++;
			state->slowest_ns = since_ns;
		}
}

/* The first one that is still there is waited for; the others are looked at when it is gone. */
static void await_exits(struct process_state *state, const struct target *target)
{
	int64_t due_ns = state->sent_ns + EXIT_NS, left_ns;

	for (unsigned i = 0; i < target->process_count; i++) {
		struct pollfd watched = {.fd = target->processes[i].pidfd, .events = POLLIN};

		left_ns = due_ns - clock_now_ns();
		if (left_ns <= 0)
			break;
		if (state->is_awaited[i])
			poll(&watched, 1, (int)(left_ns / NSEC_PER_MSEC) + 1);
		notice_exits(state, target);
	}
}

/* 0 also for one that is gone or refused: the rest is still to be hit. */
static int kill_one(struct process_state *state, const struct target *target, unsigned at,
		    int number, struct error *err)
{
	const struct target_process *process = &target->processes[at];
	struct error why = ERROR_INIT;
	int result = target_process_recheck(process, target, &why);

	if (result == -EPERM) {
		state->refused++;
		snprintf(state->refusal, sizeof(state->refusal), "%.*s",
			 (int)sizeof(state->refusal) - 1, why.text);
		return 0;
	}
	if (result == 0) {
		if (!state->sent_ns)
			state->sent_ns = clock_now_ns();
		result = proc_pidfd_signal(process->pidfd, number);
		if (result < 0 && result != -ESRCH)
			return error_errno(err, -result, "cannot signal process %d (%s)",
					   process->id.pid, process->name);
	} else if (result != -ESRCH) {
		if (err)
			*err = why;
		return result;
	}
	if (result == -ESRCH) {
		state->gone++;
		return 0;
	}
	state->signalled++;
	state->is_awaited[at] = true;
	return 0;
}

static int inject_kill(struct process_state *state, struct fault *fault, struct error *err)
{
	const struct target *target = fault->target;
	int number = signal_of(fault->params), result = 0;

	state->sent_ns = 0; /* it may be sent again and again */
	for (unsigned i = 0; result == 0 && i < target->process_count; i++)
		result = kill_one(state, target, i, number, err);
	if (result < 0)
		return result;
	if (!state->signalled && state->refused)
		return error_set(err, EPERM, "nothing was signalled: %s", state->refusal);
	fault->effect_started_ns = state->sent_ns ? state->sent_ns : clock_now_ns();
	if (number == SIGKILL && state->signalled)
		await_exits(state, target);
	fault->effect_ended_ns = clock_now_ns();
	return 0;
}

static int inject(struct fault *fault, struct error *err)
{
	struct process_state *state = fault->state;
	int result;

	if (!is_pause(fault->params))
		return inject_kill(state, fault, err);
	result = pause_inject(&state->pause, fault, err);
	if (result == 0)
		fault->effect_started_ns = clock_now_ns();
	return result;
}

static int end(struct fault *fault, enum fault_end how, int64_t *out_again_ns, struct error *err)
{
	struct process_state *state = fault->state;
	int result = 0;

	(void)how; /* a pause has no soft end */
	if (is_pause(fault->params)) {
		result = pause_end(&state->pause, fault, err);
		if (result < 0)
			return result;
		fault->effect_ended_ns = clock_now_ns();
	}
	*out_again_ns = 0;
	return 0;
}

static int evidence(struct fault *fault, struct evidence *out, struct error *err)
{
	struct process_state *state = fault->state;
	struct evidence seen = {.unit = "processes"};
	int number = signal_of(fault->params), used;
	char took[QUANTITY_TEXT_SIZE], signal_text[24];

	(void)err;
	if (is_pause(fault->params)) {
		seen.hits = state->pause.paused;
		pause_describe(&state->pause, seen.detail, sizeof(seen.detail));
		*out = seen;
		return 0;
	}
	notice_exits(state, fault->target);
	seen.hits = state->signalled;
	name_signal(number, signal_text, sizeof(signal_text));
	used = snprintf(seen.detail, sizeof(seen.detail), "%u process%s got %s, %u exited",
			state->signalled, state->signalled == 1 ? "" : "es", signal_text,
			state->exited);
	if (state->exited)
		used += snprintf(seen.detail + used, sizeof(seen.detail) - (size_t)used,
				 " within %s", quantity_format_latency(state->slowest_ns, took));
	if (state->exited < state->signalled)
		used += snprintf(seen.detail + used, sizeof(seen.detail) - (size_t)used, " so far");
	if (state->gone)
		used += snprintf(seen.detail + used, sizeof(seen.detail) - (size_t)used,
				 ", %u gone before", state->gone);
	if (state->refused)
		snprintf(seen.detail + used, sizeof(seen.detail) - (size_t)used,
			 ", %u protected by now", state->refused);
	*out = seen;
	return 0;
}

static void explain(const struct params *params, char *out, size_t size)
{
	const char *signal = params_text(params, PARAM_OF_SIGNAL);

	if (!is_instant(params))
		snprintf(out, size,
			 "They stand still: connections stay open and nobody answers, which is "
			 "what a "
			 "hung process looks like from outside. Health checks by connecting may go "
			 "on "
			 "passing. Afterwards they go on where they were.");
	else if (strcmp(signal, "KILL") == 0 || strcmp(signal, "SIGKILL") == 0)
		snprintf(out, size,
			 "They die without a word, as in a crash: requests in flight are cut, new "
			 "ones "
			 "are refused until somebody starts them again. This cannot be undone; "
			 "what is "
			 "measured is how long the recovery takes.");
	else
		snprintf(out, size,
			 "They get the signal once and do with it what they do. This cannot be "
			 "undone; "
			 "what is measured is what becomes of the service.");
}

const struct fault_ops process_fault = {
	.name = PROCESS_FAULT_NAME,
	.summary = "kill processes with any signal, or pause them for a while",
	.params = params_of_process,
	.target_kind = TARGET_PROCESS,
	.capabilities = 1ULL << CAP_KILL,
	.is_instant = is_instant,
	.explain = explain,
	.check = check,
	.probe = probe,
	.plan = plan,
	.inject = inject,
	.end = end,
	.undo = pause_undo,
	.verify = pause_verify,
	.evidence = evidence,
	.release = release,
};
