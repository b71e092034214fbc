/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is in a control group and the groups below it. They come and go meanwhile: one that is gone
 * has nothing in it.
 */
#include "injector/kernel/cgroup.h"

#include "injector/base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 32

struct pid_list {
	pid_t *pids;
	unsigned count, capacity, hidden;
};

static int add_pid(struct pid_list *list, pid_t pid)
{
	unsigned capacity = list->capacity ? list->capacity * 2 : 64;
	pid_t *pids;

	if (list->count == list->capacity) {
		pids = reallocarray(list->pids, capacity, sizeof(*pids));
		if (!pids)
			return -ENOMEM;
		list->pids = pids;
		list->capacity = capacity;
	}
	list->pids[list->count++] = pid;
	return 0;
}

static int add_file(void *context, const char *directory)
{
	struct pid_list *list = context;
	char path[PATH_MAX];
	cleanup_file FILE *file = NULL;
	int pid, result = 0;

	snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (result == 0 && fscanf(file, "%d", &pid) == 1) {
		/* 0 stands for a process of a pid namespace we cannot see into */
		if (pid > 0)
			result = add_pid(list, pid);
		else
			list->hidden++;
	}
	/* ENODEV: removed after it was opened. EOPNOTSUPP: a threaded group, whose processes are
	 * listed in its domain, above. */
	return result < 0 ? result : ferror(file) ? -errno : 0;
}

static bool is_gone(int code)
{
	return code == -ENOENT || code == -ENODEV;
}

typedef int (*visit_fn)(void *context, const char *directory);

static int walk(const char *directory, unsigned depth, visit_fn visit, void *context)
{
	char child[CGROUP_PATH_SIZE];
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	int result = visit(context, directory);

	if (is_gone(result))
		return 0;
	if (result < 0 && result != -EOPNOTSUPP)
		return result;
	dir = opendir(directory);
	if (!dir)
		return is_gone(-errno) ? 0 : -errno;
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if (depth >= DEPTH_MAX || (size_t)snprintf(child, sizeof(child), "%s/%s", directory,
							   entry->d_name) >= sizeof(child))
			return -ENAMETOOLONG;
		result = walk(child, depth + 1, visit, context);
		if (result < 0)
			return result;
	}
	return is_gone(-errno) ? 0 : -errno; /* of the last readdir() */
}

static int compare_pids(const void *a, const void *b)
{
	const pid_t *one = a, *other = b;

	return (*one > *other) - (*one < *other);
}

/* A process of another pid namespace is listed as 0, and so is one of ours that is just ending, for
 * a moment (task_pid_vnr() behind __unhash_process()): who stays is hidden. */
#define HIDDEN_TRIES 4

static int list_members(const struct cgroup *cgroup, struct pid_list *list)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < HIDDEN_TRIES && (i == 0 || list->hidden); i++) {
		list->count = list->hidden = 0;
		result = walk(cgroup->directory, 0, add_file, list);
	}
	return result;
}

int cgroup_members(const struct cgroup *cgroup, pid_t **out, unsigned *out_count,
		   unsigned *out_hidden, struct error *err)
{
	struct pid_list list = {0};
	unsigned kept = 0;
	int result = list_members(cgroup, &list);

	if (result < 0) {
		free(list.pids);
		return error_errno(err, -result, "cannot list the processes of %s",
				   cgroup->directory);
	}
	if (list.count)
		qsort(list.pids, list.count, sizeof(*list.pids), compare_pids);
	/* one that moved while the tree was walked may be there twice */
	for (unsigned i = 0; i < list.count; i++)
		if (kept == 0 || list.pids[i] != list.pids[kept - 1])
			list.pids[kept++] = list.pids[i];
	*out = list.pids;
	*out_count = kept;
	if (out_hidden)
		*out_hidden = list.hidden;
	return 0;
}

struct id_list {
	uint64_t *ids;
	unsigned count;
};

static int add_id(void *context, const char *directory)
{
	struct id_list *list = context;
	uint64_t *grown = reallocarray(list->ids, list->count + 1UL, sizeof(*grown));
	struct stat about;

	if (!grown)
		return -ENOMEM;
	list->ids = grown;
	if (stat(directory, &about) < 0)
		return -errno;
	list->ids[list->count++] = about.st_ino; /* kernfs: the number that the kernel gives out */
	return 0;
}

int cgroup_ids(const struct cgroup *cgroup, uint64_t **out, unsigned *out_count, struct error *err)
{
	struct id_list list = {0};
	int result = walk(cgroup->directory, 0, add_id, &list);

	if (result < 0) {
		free(list.ids);
		return error_errno(err, -result, "cannot list the groups below %s",
				   cgroup->directory);
	}
	*out = list.ids;
	*out_count = list.count;
	return 0;
}
