/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From a selector to pinned processes. A first pass over /proc finds who matches and who of them is
 * protected; then those that are chosen are held by a pidfd and put to the same questions again, so
 * that what was asked and what is held is the same process. Nothing is sent from here.
 */
#include "faults/target.h"

#include "faults/process_match.h"
#include "faults/protect.h"
#include "faults/target_group.h"
#include "faults/warden.h"
#include "injector/base/cleanup.h"
#include "injector/base/quantity.h"
#include "injector/base/random.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define PID_MAX 4194304 /* PID_MAX_LIMIT, include/linux/threads.h */

const struct param process_params[] = {
	[PROCESS_PID] = {.name = "pid",
			 .type = PARAM_INTEGER,
			 .flags = PARAM_LIST,
			 .min = 1,
			 .max = PID_MAX,
			 .doc = "process numbers; each must exist"},
	[PROCESS_PIDFILE] = {.name = "pidfile",
			     .type = PARAM_PATH,
			     .doc = "file that holds the process number; a stale one is refused"},
	[PROCESS_NAME] = {.name = "name",
			  .type = PARAM_TEXT,
			  .doc = "name of the program, exact, as in `ps -o comm`"},
	[PROCESS_EXE] = {.name = "exe",
			 .type = PARAM_PATH,
			 .doc = "path of the executable; also of one replaced since"},
	[PROCESS_COMMAND] = {.name = "command",
			     .type = PARAM_PATTERN,
			     .doc = "pattern that occurs in the command line, as for `pgrep -f`"},
	[PROCESS_USER] = {.name = "user",
			  .type = PARAM_NAME,
			  .doc = "effective user, name or number"},
	[PROCESS_CGROUP] = {.name = "cgroup",
			    .type = PARAM_PATH,
			    .flags = PARAM_LIST,
			    .doc = "control group, itself and all below: /system.slice/x.service"},
	[PROCESS_UNIT] = {.name = "unit",
			  .type = PARAM_NAME,
			  .flags = PARAM_LIST | PARAM_GLOB,
			  .doc = "systemd unit; without a suffix a service"},
	[PROCESS_CONTAINER] = {.name = "container",
			       .type = PARAM_NAME,
			       .flags = PARAM_LIST | PARAM_GLOB,
			       .doc = "container (docker, podman, containerd, CRI-O) by name, "
				      "POD/NAME, or at least 12 digits of its number; its first "
				      "process as well"},
	[PROCESS_PORT] = {.name = "port",
			  .type = PARAM_PORTS,
			  .doc = "TCP or UDP port, or range, that the process listens on"},
	[PROCESS_NAMESPACE] =
		{.name = "namespace",
		 .type = PARAM_NAME,
		 .doc = "network namespace of the port: a name of `ip netns` or pid:N"},
	[PROCESS_COUNT] = {.name = "count",
			   .type = PARAM_INTEGER,
			   .min = 1,
			   .max = 100000,
			   .doc = "at most this many of the matches, chosen at random"},
	[PROCESS_SHARE] =
		{.name = "share",
		 .type = PARAM_SHARE,
		 .min = 1,
		 .max = SHARE_ONE,
		 .doc = "this share of the matches, chosen at random, rounded down, at least one"},
	[PROCESS_ALLOW_CRITICAL] =
		{.name = "allow-critical",
		 .type = PARAM_BOOL,
		 .fallback = "false",
		 .doc = "also sshd, container runtimes, kubelet, dbus and systemd"},
	[PROCESS_FOLLOW] = {.name = "follow",
			    .type = PARAM_BOOL,
			    .fallback = "false",
			    .doc = "a unit, control group or container that is restarted while the "
				   "fault lasts is met again"},
	{.name = NULL},
};

struct scan {
	const struct process_match *match;
	struct protection protection;
	struct process_identity *found; /* owned */
	unsigned count, capacity;
	unsigned protected_count;
	unsigned unreadable_count;  /* not for us to look into: no match */
	enum protect_level mildest; /* of the protected ones */
	char protected_text[256];   /* the mildest of them: "process 812 (sshd) is ..." */
	bool has_failed;	    /* and err says how */
	struct error *err;
};

static int add_found(struct scan *scan, const struct proc_stat *stat)
{
	unsigned capacity = scan->capacity ? scan->capacity * 2 : 64;
	struct process_identity *found;

	if (scan->count == scan->capacity) {
		found = reallocarray(scan->found, capacity, sizeof(*found));
		if (!found)
			return error_errno(scan->err, ENOMEM, "cannot keep the processes found");
		scan->found = found;
		scan->capacity = capacity;
	}
	scan->found[scan->count++] =
		(struct process_identity){.pid = stat->pid, .start_time = stat->start_time};
	return 0;
}

static int scan_process(pid_t pid, void *context)
{
	struct scan *scan = context;
	struct proc_stat stat = {0};
	enum protect_level level;
	char reason[160];
	struct error why = ERROR_INIT;
	int result = process_match_test(scan->match, pid, &stat, &why);

	/* a security module may hide some processes even from root: the others can still be found
	 */
	if (result == -EACCES && !scan->match->is_explicit) {
		scan->unreadable_count++;
		return 0;
	}
	if (result < 0)
		*scan->err = why;
	scan->has_failed = result < 0;
	if (result <= 0)
		return result;
	level = protect_check(&scan->protection, &stat, reason, sizeof(reason));
	if (level == PROTECT_NONE) {
		result = add_found(scan, &stat);
		scan->has_failed = result < 0;
		return result;
	}
	if (scan->protected_count++ == 0 || level < scan->mildest) {
		scan->mildest = level;
		proc_make_printable(stat.comm);
		snprintf(scan->protected_text, sizeof(scan->protected_text), "process %d (%s) %s",
			 pid, stat.comm, reason);
	}
	return 0;
}

static int refuse_protected(const struct scan *scan, struct error *err)
{
	char more[64] = "";

	if (scan->protected_count > 1)
		snprintf(more, sizeof(more), "; %u more that match are protected",
			 scan->protected_count - 1);
	error_set(err, EPERM, "%s%s", scan->protected_text, more);
	if (scan->mildest == PROTECT_CRITICAL)
		error_remedy(err,
			     "if it is really meant, add `allow-critical: true` to the target");
	else
		error_remedy(err, "it is protected in any case: narrow the selector");
	return -EPERM;
}

/* A process that is named one by one must be there, and a protected one must not be named. */
static int check_named(pid_t pid, struct error *err)
{
	cleanup_fd int pidfd = -1;
	struct proc_stat stat = {0};
	int result = proc_pin(pid, &stat, &pidfd);

	if (result == -ESRCH) {
		error_set(err, ESRCH, "there is no process %d", pid);
		return error_remedy(err, "`ps -eo pid,user,comm,args` shows what there is");
	}
	if (result < 0)
		return error_errno(err, -result, "process %d", pid);
	if (stat.is_dead)
		return error_set(err, ESRCH,
				 "process %d (%s) has exited; only its parent (%d) has "
				 "not noticed yet",
				 pid, stat.comm, stat.parent);
	return 0;
}

static int scan_candidates(struct scan *scan)
{
	const struct process_match *match = scan->match;
	int result = 0;

	for (unsigned i = 0; result == 0 && i < match->candidate_count; i++) {
		if (match->is_explicit)
			result = check_named(match->candidates[i], scan->err);
		if (result == 0)
			result = scan_process(match->candidates[i], scan);
	}
	if (result == 0 && match->is_explicit && scan->protected_count)
		return refuse_protected(scan, scan->err);
	return result;
}

static int scan_all(struct scan *scan, const struct params *params)
{
	char words[512];
	int result;

	if (scan->match->has_candidates) {
		result = scan_candidates(scan);
	} else {
		result = proc_each(scan_process, scan);
		if (result < 0 && !scan->has_failed)
			error_errno(scan->err, -result, "cannot list %s", proc_root());
	}
	if (result < 0 || scan->count)
		return result;
	if (scan->protected_count)
		return refuse_protected(scan, scan->err);
	process_match_describe(params, words, sizeof(words));
	if (!scan->unreadable_count) {
		error_set(scan->err, ENOENT, "no process matches %s", words);
		return error_remedy(scan->err, "`ps -eo pid,user,comm,args` shows what there is");
	}
	error_set(scan->err, ENOENT, "no process matches %s; %u may not be looked into", words,
		  scan->unreadable_count);
	return error_remedy(scan->err, "`exe` and `port` need root (CAP_SYS_PTRACE)");
}

static int compare_age(const void *a, const void *b)
{
	const struct process_identity *one = a, *other = b;

	if (one->start_time != other->start_time)
		return one->start_time < other->start_time ? -1 : 1;
	return (one->pid > other->pid) - (one->pid < other->pid);
}

static void shuffle(struct process_identity *found, unsigned count, uint64_t seed)
{
	for (unsigned i = count; i > 1; i--) {
		unsigned other = (unsigned)(random_next(&seed) % i);
		struct process_identity swap = found[i - 1];

		found[i - 1] = found[other];
		found[other] = swap;
	}
}

static unsigned wanted_of(const struct params *params, unsigned count)
{
	int64_t wanted = count, share;

	if (params_is_set(params, PROCESS_SHARE)) {
		share = params_number(params, PROCESS_SHARE, SHARE_ONE);
		wanted = (int64_t)count * share / SHARE_ONE;
	}
	if (params_is_set(params, PROCESS_COUNT) &&
	    wanted > params_number(params, PROCESS_COUNT, count))
		wanted = params_number(params, PROCESS_COUNT, count);
	return wanted < 1 ? 1 : (unsigned)wanted;
}

/* 1: pinned; 0: gone since, changed, or protected by now. */
static int pin(const struct scan *scan, const struct process_identity *id,
	       struct target_process *out, struct error *err)
{
	struct target_process process = {.id = *id};
	cleanup_fd int pidfd = -1;
	struct proc_stat stat = {0};
	char why[160];
	uid_t uid;
	int result = proc_pin(id->pid, &stat, &pidfd);

	if (result == -ESRCH || (result == 0 && stat.start_time != id->start_time))
		return 0;
	if (result < 0)
		return error_errno(err, -result, "cannot hold process %d", id->pid);
	result = process_match_test(scan->match, id->pid, &stat, err);
	if (result <= 0)
		return result;
	if (protect_check(&scan->protection, &stat, why, sizeof(why)) != PROTECT_NONE ||
	    proc_read_uid(id->pid, &uid) < 0 ||
	    proc_read_command(id->pid, process.command, sizeof(process.command)) < 0 ||
	    proc_pidfd_signal(pidfd, 0) == -ESRCH)
		return 0;
	process.uid = uid;
	snprintf(process.name, sizeof(process.name), "%.15s", stat.comm);
	proc_make_printable(process.name);
	proc_make_printable(process.command);
	process.pidfd = steal_fd(&pidfd);
	*out = process;
	return 1;
}

static int compare_pinned(const void *a, const void *b)
{
	const struct target_process *one = a, *other = b;

	return compare_age(&one->id, &other->id);
}

static void release_pinned(struct target_process *processes, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		close(processes[i].pidfd);
	free(processes);
}

/* Pins as many as wanted; for one that is gone by now the next one is taken. */
static int pin_chosen(const struct scan *scan, struct target *target, unsigned wanted,
		      struct error *err)
{
	struct target_process *processes = calloc(wanted, sizeof(*processes));
	unsigned pinned = 0;
	int result = 0;

	if (!processes)
		return error_errno(err, ENOMEM, "cannot keep %u processes", wanted);
	for (unsigned i = 0; result >= 0 && i < scan->count && pinned < wanted; i++) {
		result = pin(scan, &scan->found[i], &processes[pinned], err);
		pinned += result > 0;
	}
	if (result == -EMFILE)
		error_remedy(err, "%u processes match: narrow the selector, or set `count`",
			     scan->count);
	if (result >= 0 && !pinned)
		result = error_set(err, ENOENT, "all %u processes that matched are gone already",
				   scan->count);
	if (result < 0) {
		release_pinned(processes, pinned);
		return result;
	}
	/* oldest first: a supervisor is hit before the children it would replace */
	qsort(processes, pinned, sizeof(*processes), compare_pinned);
	target->processes = processes;
	target->process_count = pinned;
	target->match_count = scan->count;
	return 0;
}

/* That is followed. */
static int pin_group(struct target *target, struct error *err)
{
	struct cgroup group;
	int result;

	if (!target_follows_groups(&target->params))
		return 0;
	result = process_match_one_group(&target->params, &group, err);
	if (result == 0)
		result = target_group_pin(target, &group, err);
	return result < 0 ? error_prefix(err, "follow") : 0;
}

int target_process_resolve(struct target *target, const struct target_guard *guard,
			   struct error *err)
{
	struct error local = ERROR_INIT;
	struct process_match match;
	struct scan scan = {.match = &match, .err = err ? err : &local};
	unsigned wanted;
	int result = process_match_init(&match, &target->params, scan.err);

	if (result == 0) {
		protect_init(&scan.protection, guard,
			     params_number(&target->params, PROCESS_ALLOW_CRITICAL, 0));
		scan.protection.means_containers =
			params_is_set(&target->params, PROCESS_CONTAINER);
		result = scan_all(&scan, &target->params);
	}
	if (result == 0) {
		qsort(scan.found, scan.count, sizeof(*scan.found), compare_age);
		wanted = wanted_of(&target->params, scan.count);
		if (wanted < scan.count)
			shuffle(scan.found, scan.count, target->seed);
		result = pin_chosen(&scan, target, wanted, scan.err);
	}
	free(scan.found);
	process_match_release(&match);
	return result < 0 ? result : pin_group(target, err);
}

int target_process_recheck(const struct target_process *process, const struct target *target,
			   struct error *err)
{
	/* Who we are was judged when it was pinned: it is still the same process. What it runs may
	 * have changed (exec). */
	struct protection protection = {
		.allow_critical = params_number(&target->params, PROCESS_ALLOW_CRITICAL, 0),
		.means_containers = params_is_set(&target->params, PROCESS_CONTAINER),
		.ours = {getpid(), getppid()},
		.our_count = 2,
	};
	struct proc_stat stat;
	char why[160];
	int result = proc_pidfd_signal(process->pidfd, 0);

	/* not every fault holds what signals need; who may not be sent one is there */
	if (result == 0 || result == -EPERM)
		result = proc_read_stat(process->id.pid, &stat);
	if (result == -ESRCH ||
	    (result == 0 && (stat.start_time != process->id.start_time || stat.is_dead)))
		return error_set(err, ESRCH, "process %d (%s) is gone", process->id.pid,
				 process->name);
	if (result < 0)
		return error_errno(err, -result, "process %d (%s)", process->id.pid, process->name);
	if (protect_check(&protection, &stat, why, sizeof(why)) != PROTECT_NONE) {
		proc_make_printable(stat.comm);
		return error_set(err, EPERM, "process %d (%s) %s", process->id.pid, stat.comm, why);
	}
	if (fault_warden_process(process->id.pid, err) < 0)
		return -EPERM;
	/* what was read belongs to it only if it still lives */
	if (proc_pidfd_signal(process->pidfd, 0) == -ESRCH)
		return error_set(err, ESRCH, "process %d (%s) is gone", process->id.pid,
				 process->name);
	return 0;
}
