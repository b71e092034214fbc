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

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define EVENTS_SIZE 4096

struct file_state {
	struct file_swap swap;
	struct file_place place;
	struct file_content content;
	int copy, watch; /* descriptors; -1 */
	uint64_t opened;
	bool hides; /* who may not open it is not seen opening it */
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
	enum file_reload_kind kind = file_reload_kind_of(fault->params);
	const char *by =
		kind == FILE_RELOAD_BY_SIGNAL ? params_text(fault->params, FILE_RELOAD_PIDFILE)
		: kind == FILE_RELOAD_BY_UNIT ? params_text(fault->params, FILE_RELOAD_UNIT)
					      : "";

	if (strlen(path) + strlen(by) + 2 > sizeof(swap->text))
		return error_set(err, ENAMETOOLONG, "%.100s...: the path is too long", path);
	snprintf(swap->record.run_id, sizeof(swap->record.run_id), "%s", fault->env->run_id);
	swap->record.step = fault->step;
	swap->record.reload = kind;
	swap->record.reload_signal = (uint32_t)params_number(fault->params, FILE_RELOAD_SIGNAL, 0);
	swap->record.boot_crc = file_boot_crc();
	if (fault->target->namespace_fd >= 0) {
		struct namespace_id id;
		int result = mount_namespace_identify(fault->target->namespace_fd, &id, err);

		if (result < 0)
			return result;
		swap->record.namespace_inode = id.inode;
	}
	swap->path = swap->text;
	swap->reload_by = stpcpy(swap->text, path) + 1;
	strcpy(swap->text + strlen(path) + 1, by);
	file_swap_name(swap);
	return 0;
}

static int write_plan(const struct file_state *state, struct plan *plan)
{
	const struct file_identity *original = &state->swap.record.original;
	const struct file_content *content = &state->content;
	char reload[300];

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
	int namespace = fault->target->namespace_fd, result = fill_swap(state, fault, err);

	if (result == 0)
		result = file_place_check_path(
			state->swap.path, params_number(selector, FILE_ALLOW_CRITICAL, 0), err);
	if (result == 0)
		result = file_mount_place(state->swap.path, namespace, &state->place, err);
	if (result == 0 && namespace >= 0)
		result = file_mount_check(&state->place, namespace, err);
	if (result == 0)
		result = file_record_conflict(&state->place, err);
	if (result == 0)
		result = file_place_open_file(&state->place, false, &fd,
					      &state->swap.record.original, err);
	if (result < 0)
		return result;
	state->swap.record.directory = state->place.directory_id;
	result = file_content_build(fault->params, fault->target->seed, fault->env->invoking_uid,
				    fd, &state->swap.record.original, &state->content, err);
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
	result = file_record_conflict(&state->place, err);
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
	return file_reload(&state->swap, err);
}

static void count_opens(struct file_state *state)
{
	char events[EVENTS_SIZE] __attribute__((aligned(8)));
	ssize_t got;

	while (state->watch >= 0 && (got = read(state->watch, events, sizeof(events))) > 0)
		for (const char *at = events; at < events + got;) {
			const struct inotify_event *event = (const void *)at;

			state->opened += (event->mask & IN_OPEN) != 0;
			at += sizeof(*event) + event->len;
		}
}

static int evidence(struct fault *fault, struct evidence *out, struct error *err)
{
	struct file_state *state = fault->state;
	struct evidence seen = {.unit = "opens"};

	count_opens(state);
	/* Not seen are those who may not open it, and everybody where nothing can be watched. */
	seen.hits = state->opened + (state->hides || state->watch < 0);
	snprintf(seen.detail, sizeof(seen.detail), "the bad version was opened %llu time%s",
		 (unsigned long long)state->opened, state->opened == 1 ? "" : "s");
	*out = seen;
	if (fault->effect_ended_ns)
		return 0;
	return state->swap.record.namespace_inode
		       ? file_mount_look(&state->swap, &state->place, err)
		       : file_swap_look(&state->swap, &state->place, err);
}

/* Entering another mount namespace, and mounting there */
static uint64_t more_capabilities(const struct fault *fault)
{
	return params_is_set(&fault->target->params, FILE_NAMESPACE)
		       ? 1ULL << CAP_SYS_ADMIN | 1ULL << CAP_SYS_CHROOT | 1ULL << CAP_SYS_PTRACE
		       : 0;
}

const struct fault_ops file_fault = {
	.name = FILE_FAULT_NAME,
	.summary = "exchange a configuration file for a bad version, and back",
	.params = file_fault_params,
	.target_kind = TARGET_FILE,
	.capabilities = 1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_CHOWN | 1ULL << CAP_FOWNER |
			1ULL << CAP_FSETID | 1ULL << CAP_SETFCAP | 1ULL << CAP_KILL,
	.more_capabilities = more_capabilities,
	.outlives_reboot = true,
	.explain = file_explain,
	.check = check,
	.probe = probe,
	.plan = plan,
	.inject = inject,
	.undo = file_swap_undo,
	.verify = file_swap_verify,
	.evidence = evidence,
	.release = release,
};
