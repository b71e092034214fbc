/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From a container's name to its first process, by the files in which the runtimes keep their
 * state; no runtime is asked, and no program started. What they say is believed only when root
 * alone can have written it and the process is in a control group that bears the container's
 * number: a file that outlived its container names a process of somebody else.
 *
 * docker      /var/lib/docker/containers/ID/config.v2.json (moby, container/container.go)
 * podman,     /var/lib/containers/storage/DRIVER-containers/containers.json, and below /run
 *   CRI-O       DRIVER-containers/ID/userdata/pidfile (containers/storage, containers.go)
 * containerd  /run/containerd/io.containerd.runtime.v2.task/NAMESPACE/ID/init.pid, and the
 *               annotations of its config.json (CRI: POD/NAME; nerdctl)
 * others      control groups named ...-ID.scope or ID, by number
 */
#include "faults/target_group.h"

#include "injector/base/cleanup.h"
#include "injector/journal/directory.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX   (4 << 20)
#define ID_SHORT   12 /* digits that docker and podman show */
#define DEPTH_MAX  10
#define CONTAINERD "run/containerd/io.containerd.runtime.v2.task"

static char root_path[256] = "/";

struct search {
	const char *name;
	unsigned count;
	char ids[2][80];
	char runtime[16];
	pid_t pid;		/* 0: it does not run */
	struct error untrusted; /* a file that was not believed */
};

void target_container_set_root(const char *root)
{
	snprintf(root_path, sizeof(root_path), "%s", root ? root : "/");
	if (root_path[strlen(root_path) - 1] != '/')
		strcat(root_path, "/");
}

static bool is_number(const char *text)
{
	return strlen(text) >= ID_SHORT && strlen(text) < 80 &&
	       text[strspn(text, "0123456789abcdef")] == '\0';
}

static bool is_named(const struct search *search, const char *id, const char *name)
{
	if (name && strcmp(name[0] == '/' ? name + 1 : name, search->name) == 0)
		return true;
	return is_number(search->name) && strncmp(id, search->name, strlen(search->name)) == 0;
}

/* The same one may be known to two of them: docker runs its containers by containerd. */
static void take(struct search *search, const char *runtime, const char *id, pid_t pid)
{
	for (unsigned i = 0; i < search->count && i < 2; i++)
		if (strcmp(search->ids[i], id) == 0) {
			search->pid = search->pid ? search->pid : pid;
			return;
		}
	if (search->count < 2)
		snprintf(search->ids[search->count], sizeof(search->ids[0]), "%.79s", id);
	if (search->count++ == 0) {
		snprintf(search->runtime, sizeof(search->runtime), "%s", runtime);
		search->pid = pid;
	}
}

/* NULL: missing, or not to be trusted, which is kept for the answer. */
static char *read_state(struct search *search, const char *path)
{
	struct error why = ERROR_INIT;
	size_t length;
	char *text;
	int result = directory_read_file(path, FILE_MAX, &text, &length, &why);

	if (result == 0)
		return text;
	if (result != -ENOENT)
		search->untrusted = why;
	return NULL;
}

static json_t *read_json(struct search *search, const char *path)
{
	cleanup_free char *text = read_state(search, path);

	return text ? json_loads(text, 0, NULL) : NULL;
}

static pid_t read_pid(struct search *search, const char *path)
{
	cleanup_free char *text = read_state(search, path);
	long pid = text ? strtol(text, NULL, 10) : 0;

	return pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

/* Calls fn for each entry of a directory that root alone can write. */
typedef void (*entry_fn)(struct search *search, const char *directory, const char *name);
static void each_entry(struct search *search, const char *directory, entry_fn fn)
{
	struct error why = ERROR_INIT;
	int fd = directory_open(directory, 0, &why);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (fd < 0 && fd != -ENOENT)
		search->untrusted = why;
	if (fd >= 0 && !dir)
		close(fd);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			fn(search, directory, entry->d_name);
}

static void look_at_docker(struct search *search, const char *directory, const char *name)
{
	char path[PATH_MAX];
	json_t *config, *state;
	const char *id, *given;

	snprintf(path, sizeof(path), "%s/%s/config.v2.json", directory, name);
	config = read_json(search, path);
	state = json_object_get(config, "State");
	id = json_string_value(json_object_get(config, "ID"));
	given = json_string_value(json_object_get(config, "Name"));
	if (id && is_number(id) && is_named(search, id, given))
		take(search, "docker", id,
		     json_is_true(json_object_get(state, "Running"))
			     ? (pid_t)json_integer_value(json_object_get(state, "Pid"))
			     : 0);
	json_decref(config);
}

static void look_at_storage_list(struct search *search, const char *driver, const char *path)
{
	json_t *list = read_json(search, path), *entry;
	size_t i;

	json_array_foreach (list, i, entry) {
		const char *id = json_string_value(json_object_get(entry, "id"));
		json_t *names = json_object_get(entry, "names");
		bool is_it = false;
		char pid_path[PATH_MAX];

		if (!id || !is_number(id))
			continue;
		for (size_t n = 0; n < json_array_size(names) || n == 0; n++)
			is_it |= is_named(search, id, json_string_value(json_array_get(names, n)));
		snprintf(pid_path, sizeof(pid_path),
			 "%srun/containers/storage/%s/%s/userdata/pidfile", root_path, driver, id);
		if (is_it)
			take(search, "podman", id, read_pid(search, pid_path));
	}
	json_decref(list);
}

static void look_at_storage(struct search *search, const char *directory, const char *driver)
{
	size_t length = strlen(driver);
	char path[PATH_MAX];

	if (length < 11 || strcmp(driver + length - 11, "-containers") != 0)
		return;
	snprintf(path, sizeof(path), "%s/%s/containers.json", directory, driver);
	look_at_storage_list(search, driver, path);
	snprintf(path, sizeof(path), "%s/%s/volatile-containers.json", directory, driver);
	look_at_storage_list(search, driver, path);
}

/* Kubernetes names a container within its pod. */
static void look_at_task(struct search *search, const char *directory, const char *id)
{
	char path[PATH_MAX], full[300];
	const char *given, *pod, *other;
	json_t *config, *notes;

	if (strlen(id) >= sizeof(search->ids[0]))
		return;
	snprintf(path, sizeof(path), "%s/%s/config.json", directory, id);
	config = read_json(search, path);
	notes = json_object_get(config, "annotations");
	given = json_string_value(json_object_get(notes, "io.kubernetes.cri.container-name"));
	pod = json_string_value(json_object_get(notes, "io.kubernetes.cri.sandbox-name"));
	other = json_string_value(json_object_get(notes, "nerdctl/name"));
	snprintf(full, sizeof(full), "%.100s/%.100s", pod ? pod : "", given ? given : "");
	snprintf(path, sizeof(path), "%s/%s/init.pid", directory, id);
	if (is_named(search, id, given) || is_named(search, id, other) ||
	    (given && pod && strcmp(full, search->name) == 0))
		take(search, "containerd", id, read_pid(search, path));
	json_decref(config);
}

static void look_at_namespace(struct search *search, const char *directory, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	each_entry(search, path, look_at_task);
}

/* docker-ID.scope, libpod-ID.scope, cri-containerd-ID.scope, crio-ID.scope, or ID. */
static void search_groups(struct search *search, const char *directory, unsigned depth)
{
	cleanup_dir DIR *dir = opendir(directory);
	struct dirent *entry;

	while (dir && depth < DEPTH_MAX && (entry = readdir(dir))) {
		const char *dash = strrchr(entry->d_name, '-');
		char path[CGROUP_PATH_SIZE], id[256];
		struct cgroup group = {.is_unified = true};
		cleanup_free pid_t *pids = NULL;
		unsigned count = 0;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
		    snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name) >=
			    (int)sizeof(path))
			continue;
		snprintf(id, sizeof(id), "%s", dash ? dash + 1 : entry->d_name);
		id[strcspn(id, ".")] = '\0';
		/* conmon's scope stands beside that of its container, and bears the same number */
		if (!is_number(id) || strncmp(id, search->name, strlen(search->name)) != 0 ||
		    strstr(entry->d_name, "conmon")) {
			search_groups(search, path, depth + 1);
			continue;
		}
		snprintf(group.directory, sizeof(group.directory), "%s", path);
		if (cgroup_members(&group, &pids, &count, NULL, NULL) == 0 && count)
			take(search, "a control group", id, pids[0]);
	}
}

static void search_all(struct search *search)
{
	struct cgroup_mounts mounts;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%svar/lib/docker/containers", root_path);
	each_entry(search, path, look_at_docker);
	snprintf(path, sizeof(path), "%svar/lib/containers/storage", root_path);
	each_entry(search, path, look_at_storage);
	snprintf(path, sizeof(path), "%srun/containers/storage", root_path);
	each_entry(search, path, look_at_storage);
	snprintf(path, sizeof(path), "%s" CONTAINERD, root_path);
	each_entry(search, path, look_at_namespace);
	if (search->count || !is_number(search->name) || cgroup_find_mounts(&mounts, NULL) < 0)
		return;
	if (*mounts.unified)
		search_groups(search, mounts.unified, 0);
	if (!search->count && *mounts.systemd_v1)
		search_groups(search, mounts.systemd_v1, 0);
}

/* The part of a path up to the one that bears the number. */
static bool cut_at(char *path, const char *id)
{
	char *at = strstr(path, id);

	if (at)
		at[strcspn(at, "/")] = '\0';
	return at != NULL;
}

static int check(const struct search *search, struct target_container *out, struct error *err)
{
	char path[CGROUP_PATH_SIZE];

	snprintf(out->id, sizeof(out->id), "%s", search->ids[0]);
	out->pid = search->pid;
	out->group[0] = '\0';
	if (proc_read_cgroup(out->pid, "", path, sizeof(path)) >= 0 && cut_at(path, out->id)) {
		snprintf(out->group, sizeof(out->group), "%s", path);
		return 0;
	}
	/* cgroup v2 beside v1, used by systemd alone: it has a group, but not one packets know */
	if (proc_read_cgroup(out->pid, "name=systemd", path, sizeof(path)) >= 0 &&
	    cut_at(path, out->id))
		return 0;
	error_set(
		err, ESTALE,
		"container '%s': its state (%s) names process %d, which is in no control group of "
		"the container",
		search->name, search->runtime, out->pid);
	return error_remedy(err, "if the container runs, select it by its process: namespace: "
				 "pid:N");
}

int target_container_find(const char *name, struct target_container *out, struct error *err)
{
	struct search search = {.name = name, .untrusted = ERROR_INIT};

	search_all(&search);
	if (search.count > 1) {
		error_set(err, ENOTUNIQ, "container '%s' is ambiguous: %.12s and %.12s", name,
			  search.ids[0], search.ids[1]);
		return error_remedy(err, "give more digits of the number, or POD/NAME");
	}
	if (search.count && search.pid)
		return check(&search, out, err);
	if (search.count)
		return error_set(err, ESRCH, "container '%s' (%s) does not run", name,
				 search.runtime);
	error_set(err, ENOENT, "no container '%s' of docker, podman, containerd or CRI-O%s%s", name,
		  search.untrusted.text[0] ? "; " : "", search.untrusted.text);
	return error_remedy(err, "rootless ones and other data directories are not searched: give "
				 "the number, cgroup:, or namespace: pid:N");
}
