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
#include <fnmatch.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX   (4 << 20)
#define ID_SHORT   12 /* digits that docker and podman show */
#define ID_LONG	   64 /* all of them; no container has such a name */
#define DEPTH_MAX  10
#define CONTAINERD "run/containerd/io.containerd.runtime.v2.task"

static char root_path[256] = "/";

struct known {
	char id[80], name[128];
	char runtime[16];
	pid_t pid; /* 0: it does not run */
};

struct search {
	const char *name;    /* or a pattern */
	struct known *found; /* owned */
	unsigned count;
	int failure;
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
	if (name && fnmatch(search->name, name, FNM_PATHNAME) == 0)
		return true;
	return is_number(search->name) && strncmp(id, search->name, strlen(search->name)) == 0;
}

/* Its files need not be read: each of many containers may be looked for among many others. */
static bool is_other(const struct search *search, const char *id)
{
	return strlen(search->name) == ID_LONG && is_number(search->name) &&
	       strcmp(id, search->name) != 0;
}

/* A pidfile stays when its container has ended. */
static bool runs(pid_t pid)
{
	struct proc_stat stat;

	return pid > 0 && proc_read_stat(pid, &stat) != -ESRCH;
}

/* The same one may be known to two of them: docker runs its containers by containerd. */
static void take(struct search *search, const char *runtime, const char *id, const char *name,
		 pid_t pid)
{
	struct known *known = NULL, *grown;

	pid = runs(pid) ? pid : 0;
	for (unsigned i = 0; i < search->count; i++)
		if (strcmp(search->found[i].id, id) == 0)
			known = &search->found[i];
	if (known) {
		known->pid = known->pid ? known->pid : pid;
		return;
	}
	/* of those that match a pattern who does not run is not meant */
	if (param_is_glob(search->name) && !pid)
		return;
	if (search->count == TARGET_CONTAINERS_MAX) {
		search->failure = -E2BIG;
		return;
	}
	grown = reallocarray(search->found, search->count + 1, sizeof(*grown));
	if (!grown) {
		search->failure = -ENOMEM;
		return;
	}
	search->found = grown;
	known = &grown[search->count++];
	*known = (struct known){.pid = pid};
	snprintf(known->id, sizeof(known->id), "%.79s", id);
	snprintf(known->name, sizeof(known->name), "%.127s", name ? name : id);
	snprintf(known->runtime, sizeof(known->runtime), "%s", runtime);
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

	if (is_other(search, name))
		return;
	snprintf(path, sizeof(path), "%s/%s/config.v2.json", directory, name);
	config = read_json(search, path);
	state = json_object_get(config, "State");
	id = json_string_value(json_object_get(config, "ID"));
	given = json_string_value(json_object_get(config, "Name"));
	given = given && given[0] == '/' ? given + 1 : given;
	if (id && is_number(id) && is_named(search, id, given))
		take(search, "docker", id, given,
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
		const char *name = json_string_value(json_array_get(names, 0));
		bool is_it = false;
		char pid_path[PATH_MAX];

		if (!id || !is_number(id))
			continue;
		for (size_t n = 0; n < json_array_size(names) || n == 0; n++)
			is_it |= is_named(search, id, json_string_value(json_array_get(names, n)));
		snprintf(pid_path, sizeof(pid_path),
			 "%srun/containers/storage/%s/%s/userdata/pidfile", root_path, driver, id);
		if (is_it)
			take(search, "podman", id, name, read_pid(search, pid_path));
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

	if (strlen(id) >= sizeof(search->found->id) || is_other(search, id))
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
	    (given && pod && is_named(search, id, full)))
		take(search, "containerd", id,
		     given && pod ? full
		     : given	  ? given
				  : other,
		     read_pid(search, path));
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
			take(search, "a control group", id, NULL, pids[0]);
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

static int check(const struct known *known, struct target_container *out, struct error *err)
{
	snprintf(out->id, sizeof(out->id), "%s", known->id);
	snprintf(out->name, sizeof(out->name), "%s", known->name);
	out->pid = known->pid;
	if (proc_read_cgroup(out->pid, "", out->group, sizeof(out->group)) < 0 ||
	    !cut_at(out->group, out->id))
		out->group[0] = '\0';
	/* cgroup v2 beside v1, used by systemd alone: it has a group, but not one packets know */
	if (proc_read_cgroup(out->pid, "name=systemd", out->group_v1, sizeof(out->group_v1)) < 0 ||
	    !cut_at(out->group_v1, out->id))
		out->group_v1[0] = '\0';
	if (out->group[0] || out->group_v1[0])
		return 0;
	error_set(
		err, ESTALE,
		"container '%s': its state (%s) names process %d, which is in no control group of "
		"the container",
		known->name, known->runtime, out->pid);
	return error_remedy(err, "if the container runs, select it by its process: namespace: "
				 "pid:N");
}

static int refuse_none(const struct search *search, struct error *err)
{
	const char *more = search->untrusted.text;

	if (param_is_glob(search->name))
		error_set(err, ENOENT, "no container that runs matches '%s'%s%s", search->name,
			  more[0] ? "; " : "", more);
	else
		error_set(err, ENOENT,
			  "no container '%s' of docker, podman, containerd or CRI-O%s%s",
			  search->name, more[0] ? "; " : "", more);
	return error_remedy(err, "rootless ones and other data directories are not searched: give "
				 "the number, cgroup:, or namespace: pid:N");
}

/* One is meant: -ENOTUNIQ for more. */
static int take_one(const struct search *search, struct target_container *out, struct error *err)
{
	const struct known *known = search->found;

	if (search->count > 1) {
		error_set(err, ENOTUNIQ, "container '%s' is ambiguous: %.12s and %.12s",
			  search->name, known[0].id, known[1].id);
		return error_remedy(err, "give more digits of the number, or POD/NAME");
	}
	if (search->count && known->pid)
		return check(known, out, err);
	if (search->count)
		return error_set(err, ESRCH, "container '%s' (%s) does not run", search->name,
				 known->runtime);
	return refuse_none(search, err);
}

int target_container_find(const char *name, struct target_container *out, struct error *err)
{
	struct search search = {.name = name, .untrusted = ERROR_INIT};
	int result;

	search_all(&search);
	result = take_one(&search, out, err);
	free(search.found);
	return result;
}

static int append(struct target_container **inout, unsigned *inout_count,
		  const struct target_container *what, struct error *err)
{
	struct target_container *grown;

	for (unsigned i = 0; i < *inout_count; i++)
		if (strcmp((*inout)[i].id, what->id) == 0)
			return 0;
	if (*inout_count == TARGET_CONTAINERS_MAX)
		return error_set(err, E2BIG, "more than %d containers", TARGET_CONTAINERS_MAX);
	grown = reallocarray(*inout, *inout_count + 1, sizeof(*grown));
	if (!grown)
		return error_errno(err, ENOMEM, "container '%s'", what->name);
	grown[(*inout_count)++] = *what;
	*inout = grown;
	return 0;
}

/* A file that outlived its container keeps no other from being found. */
static int take_all(const struct search *search, struct target_container **inout,
		    unsigned *inout_count, struct error *err)
{
	struct target_container container;
	struct error why = ERROR_INIT;
	unsigned taken = 0;
	int result = search->failure;

	if (result == -E2BIG)
		return error_set(err, E2BIG, "container '%s': more than %d match", search->name,
				 TARGET_CONTAINERS_MAX);
	if (result < 0)
		return error_errno(err, -result, "container '%s'", search->name);
	for (unsigned i = 0; result == 0 && i < search->count; i++) {
		if (check(&search->found[i], &container, &why) < 0)
			continue;
		result = append(inout, inout_count, &container, err);
		taken++;
	}
	if (result == 0 && !taken && search->count) {
		if (err)
			*err = why;
		return -ESTALE;
	}
	return result < 0 || taken ? result : refuse_none(search, err);
}

int target_containers_find(const char *name, struct target_container **inout, unsigned *inout_count,
			   struct error *err)
{
	struct search search = {.name = name, .untrusted = ERROR_INIT};
	struct target_container container;
	int result;

	if (!param_is_glob(name)) {
		result = target_container_find(name, &container, err);
		return result < 0 ? result : append(inout, inout_count, &container, err);
	}
	search_all(&search);
	result = take_all(&search, inout, inout_count, err);
	free(search.found);
	return result;
}
