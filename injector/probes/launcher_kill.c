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

static bool has_member(const struct launcher_tree *tree, pid_t pid)
{
	for (unsigned i = 0; i < tree->count; i++)
		if (tree->members[i].pid == pid)
			return true;
	return false;
}

/* By pidfd first, then asked for its parent again: it is what the walk saw. */
static bool pin(struct launcher_tree *tree, const struct relation *process)
{
	cleanup_fd int pidfd = pidfd_open(process->pid, 0);

	if (pidfd < 0 || read_parent(process->pid) != process->parent)
		return false;
	if (tree->count == tree->capacity) {
		unsigned capacity = tree->capacity ? tree->capacity * 2 : 16;
		struct launcher_member *larger = realloc(tree->members, capacity * sizeof(*larger));

		if (!larger)
			return false;
		tree->members = larger;
		tree->capacity = capacity;
	}
	tree->members[tree->count++] =
		(struct launcher_member){.pid = process->pid, .pidfd = steal_fd(&pidfd)};
	return true;
}

/* Pins what is below (and with) `pid` and not in the tree yet; how many that were. */
static unsigned pin_below(struct launcher_tree *tree, pid_t pid)
{
	unsigned count = 0, before = tree->count;
	cleanup_free struct relation *list = scan(&count);

	if (list)
		qsort(list, count, sizeof(*list), compare_pids);
	for (unsigned i = 0; list && i < count; i++)
		if (is_below(list, count, &list[i], pid) && !has_member(tree, list[i].pid))
			pin(tree, &list[i]);
	return tree->count - before;
}

static void signal_from(const struct launcher_tree *tree, unsigned first, int signal)
{
	for (unsigned i = first; i < tree->count; i++)
		proc_pidfd_signal(tree->members[i].pidfd, signal);
}

static void kill_below(pid_t pid)
{
	struct launcher_tree tree = {0};
	unsigned fresh;

	for (unsigned pass = 0; pass < STOP_PASSES && (fresh = pin_below(&tree, pid)); pass++)
		signal_from(&tree, tree.count - fresh, SIGSTOP);
	signal_from(&tree, 0, SIGKILL);
	launcher_tree_clear(&tree);
}

void launcher_kill_tree(pid_t pid)
{
	kill_below(pid);
	kill(pid, SIGKILL); /* our own child, not reaped: its pid is ours, even when /proc is not */
}

/* Pinned before the first is asked: as soon as one ends, its children are nobody's. */
void launcher_tree_terminate(struct launcher_tree *tree, pid_t pid)
{
	pin_below(tree, pid);
	signal_from(tree, 0, SIGTERM);
}

bool launcher_tree_has_ended(const struct launcher_tree *tree)
{
	for (unsigned i = 0; i < tree->count; i++)
		if (!proc_pidfd_has_exited(tree->members[i].pidfd))
			return false;
	return true;
}

void launcher_tree_kill(const struct launcher_tree *tree)
{
	for (unsigned i = 0; i < tree->count; i++)
		if (!proc_pidfd_has_exited(tree->members[i].pidfd))
			kill_below(tree->members[i].pid);
}

void launcher_tree_clear(struct launcher_tree *tree)
{
	for (unsigned i = 0; i < tree->count; i++)
		close(tree->members[i].pidfd);
	free(tree->members);
	*tree = (struct launcher_tree){0};
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

/* In the middle of an exec a process has neither arguments nor environment (load_elf_binary() in
 * fs/binfmt_elf.c sets both last): whose it is shows a moment later. */
static bool is_in_exec(pid_t pid)
{
	struct proc_stat stat;
	char text[16];

	return proc_read_file(pid, "environ", text, sizeof(text)) == 0 &&
	       proc_read_file(pid, "cmdline", text, sizeof(text)) == 0 &&
	       proc_read_stat(pid, &stat) == 0 && stat.state != 'Z' && stat.state != 'X';
}

static bool kill_if_marked(pid_t pid, uint64_t run)
{
	uint64_t mark = read_mark(pid);

	if (!mark && is_in_exec(pid))
		return true; /* come again */
	if (!mark || (run && mark != run))
		return false;
	launcher_kill_tree(pid);
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
