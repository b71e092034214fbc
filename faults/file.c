/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The `file` fault: a configuration file is exchanged for a bad version of itself, for everybody,
 * and comes back as the same inode. The bad version is built when planning, in memory; what the
 * file is then is what it must still be when it is exchanged. Nothing here belongs to the kernel,
 * so the journal outlives a reboot.
 */
#include "faults/file.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/mount_namespace.h"
#include "injector/kernel/realtime.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define EVENTS_SIZE 4096
#define TELLING_NS  (10 * NSEC_PER_MSEC) /* how often is looked whether a command has ended */

struct file_state {
	struct file_swap swap;
	struct file_place place;
	struct file_content content;
	int copy, watch; /* descriptors; -1 */
	uint64_t opened;
	bool hides;	 /* who may not open it is not seen opening it */
	bool is_telling; /* the command that makes it read is under way */
	char told[400];	 /* how it ended, if not well */
};

static int check(const struct params *params, struct error *err)
{
	int result = file_content_check(params, err);

	return result == 0 ? file_reload_check(params, err) : result;
}

static int probe(struct fault_support *out, struct error *err)
{
	(void)err;
	*out = (struct fault_support){
		.usable = true,
		.way = "a copy beside the file, exchanged for it (RENAME_EXCHANGE, else link and "
		       "rename)"};
	return 0;
}

/* What belongs to one injection: there may be another one (pulses). */
static void forget_copy(struct file_state *state)
{
	if (state->copy >= 0)
		close(state->copy);
	if (state->watch >= 0)
		close(state->watch);
	state->copy = state->watch = -1;
}

static void release(struct fault *fault)
{
	struct file_state *state = fault->state;

	if (!state)
		return;
	file_place_close(&state->place);
	file_content_free(&state->content);
	forget_copy(state);
	free(state);
	fault->state = NULL;
}

static int fill_swap(struct file_state *state, const struct fault *fault, struct error *err)
{
	struct file_swap *swap = &state->swap;
	const char *path = params_text(&fault->target->params, FILE_PATH);
	int result;

	snprintf(swap->record.run_id, sizeof(swap->record.run_id), "%s", fault->env->run_id);
	swap->record.step = fault->step;
	swap->record.boot_crc = file_boot_crc();
	if (fault->target->namespace_fd >= 0) {
		struct namespace_id id;

		result = mount_namespace_identify(fault->target->namespace_fd, &id, err);
		if (result < 0)
			return result;
		swap->record.namespace_inode = id.inode;
	}
	result = file_reload_fill(fault, path, swap, err);
	if (result == 0)
		file_swap_name(swap);
	return result;
}

static int write_plan(const struct file_state *state, struct plan *plan)
{
	const struct file_identity *original = &state->swap.record.original;
	const struct file_content *content = &state->content;
	char reload[500];

	plan_add(plan, PLAN_TARGET, "file %s (%llu bytes, owner %u:%u, mode %04o)",
		 state->swap.path, (unsigned long long)original->size, original->uid, original->gid,
		 original->mode & 07777);
	plan_add(plan, PLAN_CHANGE,
		 "a bad version takes its place: %s (%zu bytes, owner %u:%u, mode %04o)",
		 content->words, content->grow_to, content->uid, content->gid, content->mode);
	file_reload_describe(&state->swap, reload, sizeof(reload));
	plan_add(plan, PLAN_CHANGE, "then, and after the restore: %s", reload);
	if (state->swap.record.namespace_inode)
		plan_add(plan, PLAN_WAY,
			 "a copy mounted over it, for the processes of mount namespace %llu alone",
			 (unsigned long long)state->swap.record.namespace_inode);
	else
		plan_add(plan, PLAN_WAY,
			 "a copy beside it, exchanged by one system call; the original waits as %s",
			 state->swap.kept_name);
	if (original->links > 1)
		plan_add(plan, PLAN_NOTE, "it has %u names: only this one is affected",
			 original->links);
	return 0;
}

static int plan_state(struct file_state *state, struct fault *fault, struct plan *plan,
		      struct error *err)
{
	const struct params *selector = &fault->target->params;
	cleanup_fd int fd = -1;
	struct realtime ordinary;
	int namespace = fault->target->namespace_fd, result = fill_swap(state, fault, err);

	if (result == 0)
		result = file_place_check_path(
			state->swap.path, params_number(selector, FILE_ALLOW_CRITICAL, 0), err);
	if (result == 0 && namespace >= 0 && state->swap.record.reload == FILE_RELOAD_BY_COMMAND) {
		error_set(err, EOPNOTSUPP,
			  "reload-command and `namespace`: the command does not see the bad "
			  "version");
		result = error_remedy(err, "reload-pidfile, or reload-unit");
	}
	if (result == 0)
		result = file_mount_place(state->swap.path, namespace, &state->place, err);
	if (result == 0 && namespace < 0)
		result = file_place_check_numbers(&state->place, err);
	if (result == 0 && namespace >= 0)
		result = file_mount_check(&state->place, namespace, err);
	if (result == 0)
		result = file_record_conflict(&state->place, namespace < 0, err);
	if (result == 0)
		result = file_place_open_file(&state->place, false, &fd,
					      &state->swap.record.original, err);
	if (result < 0)
		return result;
	state->swap.record.directory = state->place.directory_id;
	ordinary = realtime_pause(); /* a pattern takes what it takes */
	result = file_content_build(fault->params, fault->target->seed, fault->env->invoking_uid,
				    fd, &state->swap.record.original, &state->content, err);
	realtime_resume(ordinary);
	if (result < 0)
		return error_prefix(err, "%s", state->swap.path);
	state->hides = state->content.mode != (state->swap.record.original.mode & 07777) ||
		       state->content.uid != state->swap.record.original.uid ||
		       state->content.gid != state->swap.record.original.gid;
	result = file_reload_probe(&state->swap, err);
	return result < 0 ? result : write_plan(state, plan);
}

static int plan(struct fault *fault, struct plan *plan, struct error *err)
{
	struct file_state *state;
	int result = check(fault->params, err); /* again, on the privileged side */

	if (result < 0)
		return result;
	state = calloc(1, sizeof(*state));
	if (!state)
		return error_errno(err, ENOMEM, "cannot plan");
	state->place.directory = state->copy = state->watch = -1;
	release(fault);
	fault->state = state;
	result = plan_state(state, fault, plan, err);
	if (result < 0)
		release(fault);
	return result;
}

/* The same file, as it was planned. It may have become another inode by being copied up on an
 * overlay, which is our own doing: then its content's marks still agree. */
static int reopen(struct file_state *state, int namespace, int *out_fd, struct error *err)
{
	struct file_identity *planned = &state->swap.record.original, seen, opened;
	struct file_place now = FILE_PLACE_INIT;
	int result = file_mount_place(state->swap.path, namespace, &now, err);
	bool is_same_place;

	if (result < 0)
		return result;
	is_same_place = file_is_same(&now.directory_id, &state->place.directory_id);
	state->swap.record.directory = now.directory_id; /* its time may have changed */
	file_place_close(&now);
	if (!is_same_place)
		return error_set(err, ESTALE, "the directory of %s was replaced since the plan",
				 state->swap.path);
	result = file_record_conflict(&state->place, namespace < 0, err);
	if (result < 0)
		return result;
	result = file_place_look(&state->place, state->place.name, &seen);
	if (result < 0 || !file_is_unchanged(&seen, planned)) {
		error_set(err, ESTALE, "%s was %s by somebody since the plan", state->swap.path,
			  result < 0 ? "removed" : "changed");
		return error_remedy(err, "run the experiment again: it plans anew");
	}
	result = file_place_open_file(&state->place, namespace < 0, out_fd, &opened, err);
	if (result == 0)
		*planned = opened;
	return result;
}

/* Who opens the bad version is counted: a fault that nobody met has not bitten. */
static void watch(struct file_state *state)
{
	char path[64];

	state->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", state->copy);
	if (state->watch >= 0 && inotify_add_watch(state->watch, path, IN_OPEN) < 0) {
		close(state->watch);
		state->watch = -1;
	}
}

static int inject(struct fault *fault, struct error *err)
{
	struct file_state *state = fault->state;
	cleanup_fd int original = -1;
	int namespace = fault->target->namespace_fd, result;

	forget_copy(state);
	state->is_telling = false;
	state->told[0] = '\0';
	result = reopen(state, namespace, &original, err);
	if (result == 0)
		result = namespace < 0 ? file_swap_inject(&state->swap, &state->place, original,
							  &state->content, fault->env->journal,
							  &state->copy, err)
				       : file_mount_inject(&state->swap, &state->place, namespace,
							   original, &state->content,
							   fault->env->journal, &state->copy, err);
	if (result < 0)
		return result;
	fault->effect_started_ns = clock_now_ns();
	watch(state);
	if (state->swap.record.reload != FILE_RELOAD_BY_COMMAND)
		return file_reload(&state->swap, err);
	result = file_reload_start(&state->swap, err);
	state->is_telling = result == 0;
	return result;
}

/* Ours are those of who looks whether the copy was edited. */
static void count_opens(struct file_state *state, bool are_ours)
{
	char events[EVENTS_SIZE] __attribute__((aligned(8)));
	ssize_t got;

	while (state->watch >= 0 && (got = read(state->watch, events, sizeof(events))) > 0)
		for (const char *at = events; at < events + got;) {
			const struct inotify_event *event = (const void *)at;

			state->opened += !are_ours && event->mask & IN_OPEN;
			at += sizeof(*event) + event->len;
		}
}

/* The file is back at once, the command for it is started and not waited for: other faults end
 * meanwhile. Telling by other ways, which may wait as well, and whatever fails here, is for the
 * undo. */
static int end(struct fault *fault, enum fault_end how, int64_t *out_again_ns, struct error *err)
{
	struct file_state *state = fault->state;
	int result = 0;

	(void)how;
	*out_again_ns = 0;
	if (!fault->effect_ended_ns) {
		count_opens(state, false);
		result = file_swap_end(&state->swap, &state->place, err);
		count_opens(state, true);
		if (result <= 0)
			return result;
		fault->effect_ended_ns = clock_now_ns();
		state->is_telling = false;
		result = file_reload_start(&state->swap, err);
	}
	if (result == 0 && state->swap.record.reload == FILE_RELOAD_BY_COMMAND &&
	    !fault_command_is_over(&state->swap.command))
		*out_again_ns = TELLING_NS;
	return result;
}

/* What it says of a bad file is what the experiment is about. That it could not be started, or
 * never ended, is not: then nobody has read the file. */
static int hear_command(struct file_state *state, struct error *err)
{
	struct error inner = ERROR_INIT;
	int result;

	if (!state->is_telling || !fault_command_is_over(&state->swap.command))
		return 0;
	state->is_telling = false;
	result = fault_command_finish(&state->swap.command, &inner);
	if (result == 0)
		return 0;
	snprintf(state->told, sizeof(state->told), "; %.380s", inner.text);
	return result == -EREMOTEIO ? 0 : error_set(err, ESTALE, "reload: %s", inner.text);
}

static int evidence(struct fault *fault, struct evidence *out, struct error *err)
{
	struct file_state *state = fault->state;
	struct evidence seen = {.unit = "opens"};
	int result = hear_command(state, err);

	count_opens(state, fault->effect_ended_ns != 0);
	/* Not seen are those who may not open it, and everybody where nothing can be watched. */
	seen.hits = state->opened + (state->hides || state->watch < 0);
	snprintf(seen.detail, sizeof(seen.detail), "the bad version was opened %llu time%s%.110s",
		 (unsigned long long)state->opened, state->opened == 1 ? "" : "s", state->told);
	*out = seen;
	if (fault->effect_ended_ns || result < 0)
		return result;
	return state->swap.record.namespace_inode
		       ? file_mount_look(&state->swap, &state->place, err)
		       : file_swap_look(&state->swap, &state->place, err);
}

/* Entering another mount namespace, and mounting there; seeing what the process of a pid file or of
 * a unit runs, before it is told */
#define TO_ENTER  (1ULL << CAP_SYS_ADMIN | 1ULL << CAP_SYS_CHROOT | 1ULL << CAP_SYS_PTRACE)
#define TO_RELOAD (1ULL << CAP_SYS_PTRACE)

static uint64_t more_capabilities(const struct fault *fault)
{
	uint64_t more = 0;

	if (params_is_set(&fault->target->params, FILE_NAMESPACE))
		more = TO_ENTER;
	if (params_is_set(fault->params, FILE_RELOAD_PIDFILE) ||
	    params_is_set(fault->params, FILE_RELOAD_UNIT))
		more |= TO_RELOAD;
	return more;
}

const struct fault_ops file_fault = {
	.name = FILE_FAULT_NAME,
	.summary = "exchange a configuration file for a bad version, and back",
	.params = file_fault_params,
	.target_kind = TARGET_FILE,
	.capabilities = 1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_CHOWN | 1ULL << CAP_FOWNER |
			1ULL << CAP_FSETID | 1ULL << CAP_SETFCAP | 1ULL << CAP_KILL,
	.capabilities_more = TO_ENTER | TO_RELOAD,
	.more_capabilities = more_capabilities,
	.outlives_reboot = true,
	.explain = file_explain,
	.check = check,
	.probe = probe,
	.plan = plan,
	.command = file_reload_argv,
	.inject = inject,
	.end = end,
	.undo_effect = file_swap_undo_effect,
	.undo = file_swap_undo,
	.verify = file_swap_verify,
	.evidence = evidence,
	.release = release,
};
