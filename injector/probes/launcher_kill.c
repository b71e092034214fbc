/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Finding descendants. A process group catches a probe command and its children in one call; this
 * is for what a group cannot reach: daemons that made a session of their own, and COMMAND, which
 * shares ours. The launcher is their subreaper, so whatever is orphaned becomes its child.
 *
 * Race-free: a pid is signalled through a pidfd, after its parent has been read once more, and
 * before SIGKILL the whole tree is stopped, level by level, so that nothing forks out of the
 * snapshot.
 */
#include "injector/probes/launcher_message.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

#define STOP_PASSES 64 /* a tree that still grows after so many was not stopped by SIGSTOP */

struct relation {
	pid_t pid, parent;
	bool is_hit;
};

/* All processes, while they are collected. */
struct census {
	struct relation *list;
	unsigned count, capacity;
};

static pid_t read_parent(pid_t pid)
{
	struct proc_stat stat;

	return proc_read_stat(pid, &stat) == 0 ? stat.parent : -1;
}

static int add_process(pid_t pid, void *context)
{
	struct census *census = context;
	pid_t parent = read_parent(pid);

	if (parent < 0)
		return 0;
	if (census->count == census->capacity) {
		unsigned capacity = census->capacity ? census->capacity * 2 : 512;
		struct relation *larger = realloc(census->list, capacity * sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		census->list = larger;
		census->capacity = capacity;
	}
	census->list[census->count++] = (struct relation){.pid = pid, .parent = parent};
	return 0;
}

/* All processes with their parents; NULL without memory or /proc. */
static struct relation *scan(unsigned *out_count)
{
	struct census census = {0};

	if (proc_each(add_process, &census) < 0) {
		free(census.list);
		return NULL;
	}
	*out_count = census.count;
	return census.list;
}

static int compare_pids(const void *a, const void *b)
{
	const struct relation *left = a, *right = b;

	return (left->pid > right->pid) - (left->pid < right->pid);
}

static struct relation *find(struct relation *list, unsigned count, pid_t pid)
{
	struct relation wanted = {.pid = pid};

	return bsearch(&wanted, list, count, sizeof(*list), compare_pids);
}

/* Is `pid` its ancestor, or itself? The list is not one instant: cut a circle off. */
static bool is_below(struct relation *list, unsigned count, const struct relation *at, pid_t pid)
{
	for (unsigned depth = 0; at && depth < 4096; depth++) {
		if (at->pid == pid)
			return true;
		at = find(list, count, at->parent);
	}
	return false;
}

static void signal_if_unchanged(const struct relation *process, int signal)
{
	cleanup_fd int pidfd = pidfd_open(process->pid, 0);

	if (pidfd >= 0 && read_parent(process->pid) == process->parent)
		pidfd_send_signal(pidfd, signal, NULL, 0);
}

/* One walk; the number of processes below (and with) `pid` that `known` does not hold yet. */
static unsigned signal_below(pid_t pid, int signal, struct relation **known, unsigned *known_count)
{
	cleanup_free struct relation *before = *known;
	unsigned count = 0, kept = 0, fresh = 0;
	struct relation *list = scan(&count);

	if (list)
		qsort(list, count, sizeof(*list), compare_pids);
	for (unsigned i = 0; list && i < count; i++)
		list[i].is_hit = is_below(list, count, &list[i], pid);
	for (unsigned i = 0; list && i < count; i++) {
		if (!list[i].is_hit)
			continue;
		list[kept++] = list[i];
		if (before && find(before, *known_count, list[i].pid))
			continue;
		fresh++;
		signal_if_unchanged(&list[i], signal);
	}
	*known = list;
	*known_count = kept;
	return fresh;
}

void launcher_kill_tree(pid_t pid, int signal)
{
	cleanup_free struct relation *known = NULL;
	unsigned count = 0;

	if (signal != SIGKILL) {
		signal_below(pid, signal, &known, &count);
		return;
	}
	for (unsigned pass = 0; pass < STOP_PASSES; pass++)
		if (!signal_below(pid, SIGSTOP, &known, &count))
			break;
	for (unsigned i = 0; known && i < count; i++)
		signal_if_unchanged(&known[i], SIGKILL);
	kill(pid, SIGKILL); /* our own child, not reaped: its pid is ours, even when /proc is not */
}

/* The run in the environment of a process; 0: it has no mark. */
static uint64_t read_mark(pid_t pid)
{
	static const char mark[] = LAUNCHER_MARK "=";
	cleanup_file FILE *environment = NULL;
	cleanup_free char *line = NULL;
	unsigned long long run = 0;
	size_t size = 0;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	environment = fopen(path, "re");
	while (environment && getdelim(&line, &size, '\0', environment) > 0)
		if (strncmp(line, mark, sizeof(mark) - 1) == 0 &&
		    sscanf(line + sizeof(mark) - 1, "%llu", &run) == 1)
			return run;
	return 0;
}

static bool kill_if_marked(pid_t pid, uint64_t run)
{
	uint64_t mark = read_mark(pid);

	if (!mark || (run && mark != run))
		return false;
	launcher_kill_tree(pid, SIGKILL);
	return true;
}

unsigned launcher_kill_marked(uint64_t run)
{
	cleanup_free struct relation *list = NULL;
	cleanup_file FILE *children = NULL;
	unsigned count = 0, hits = 0;
	char path[64];
	int pid;

	/* CONFIG_PROC_CHILDREN: without a walk through all processes. The caller has one thread. */
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	children = fopen(path, "re");
	while (children && fscanf(children, "%d", &pid) == 1)
		hits += kill_if_marked(pid, run);
	if (children)
		return hits;
	list = scan(&count);
	for (unsigned i = 0; list && i < count; i++)
		if (list[i].parent == getpid())
			hits += kill_if_marked(list[i].pid, run);
	return hits;
}
