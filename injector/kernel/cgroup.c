/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Finds control groups through the file system alone (no D-Bus: a manager that hangs must not hang
 * the restore). Formats: cgroups(7), Documentation/admin-guide/cgroup-v2.rst, mountinfo in proc(5).
 */
#include "injector/kernel/cgroup.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/params.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define DEPTH_MAX 32
#define UNITS_MAX 256 /* that match a pattern */

/* mountinfo writes blank, tab, newline and backslash as three octal digits */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] && from[3]) {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

static bool has_option(const char *options, const char *wanted)
{
	size_t length = strlen(wanted);

	for (const char *at = options; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, wanted, length) == 0 && (!at[length] || at[length] == ','))
			return true;
	}
	return false;
}

/* The first mount wins; only whole hierarchies count, since paths are compared with
 * /proc/PID/cgroup. */
static void take_mount(char *line, struct cgroup_mounts *mounts)
{
	char top[256], point[256], type[32], options[512];
	char *tail = strstr(line, " - "), *out = NULL;

	if (!tail || sscanf(line, "%*d %*d %*s %255s %255s", top, point) != 2 ||
	    sscanf(tail, " - %31s %*s %511s", type, options) != 2 || strcmp(top, "/") != 0)
		return;
	if (strcmp(type, "cgroup2") == 0)
		out = mounts->unified;
	else if (strcmp(type, "cgroup") == 0 && has_option(options, "name=systemd"))
		out = mounts->systemd_v1;
	else if (strcmp(type, "cgroup") == 0 && has_option(options, "freezer"))
		out = mounts->freezer_v1;
	if (!out || *out)
		return;
	unescape(point);
	memcpy(out, point, strlen(point) + 1);
}

int cgroup_find_mounts(struct cgroup_mounts *out, struct error *err)
{
	struct cgroup_mounts mounts = {0};
	char path[PATH_MAX];
	cleanup_file FILE *file = NULL;
	cleanup_free char *line = NULL;
	size_t capacity = 0;

	snprintf(path, sizeof(path), "%s/self/mountinfo", proc_root());
	file = fopen(path, "re");
	if (!file)
		return error_errno(err, errno, "cannot read %s", path);
	for (errno = 0; getline(&line, &capacity, file) > 0; errno = 0)
		take_mount(line, &mounts);
	if (errno)
		return error_errno(err, errno, "cannot read %s", path);
	if (!*mounts.unified && !*mounts.systemd_v1) {
		error_set(err, ENOENT, "no cgroup hierarchy is mounted here");
		error_remedy(err, "mount -t cgroup2 none /sys/fs/cgroup");
		return -ENOENT;
	}
	*out = mounts;
	return 0;
}

int cgroup_open_root(int *out_fd, struct error *err)
{
	struct cgroup_mounts mounts = {0};
	cleanup_fd int filesystem = -1;
	int fd;

	if (cgroup_find_mounts(&mounts, NULL) == 0 && *mounts.unified) {
		fd = open(mounts.unified, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0) {
			*out_fd = fd;
			return 0;
		}
	}
	filesystem = fsopen("cgroup2", FSOPEN_CLOEXEC);
	if (filesystem < 0 || fsconfig(filesystem, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return error_errno(err, errno, "cannot open cgroup v2");
	fd = fsmount(filesystem, FSMOUNT_CLOEXEC,
		     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "cannot open cgroup v2");
	*out_fd = fd;
	return 0;
}

static int set_group(const char *mount, const char *path, bool is_unified, struct cgroup *out)
{
	size_t length = strlen(path);
	int used;

	while (length > 1 && path[length - 1] == '/')
		length--;
	used = snprintf(out->directory, sizeof(out->directory), "%s%.*s", mount, (int)length, path);
	if (used < 0 || (size_t)used >= sizeof(out->directory))
		return -ENAMETOOLONG;
	out->mount_length = (unsigned)strlen(mount);
	out->is_unified = is_unified;
	return 0;
}

static bool is_group(const char *directory)
{
	char path[CGROUP_PATH_SIZE + 32];

	snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
	return access(path, F_OK) == 0;
}

static const char *below(const char *path, const char *mount)
{
	size_t length = strlen(mount);

	if (length && strncmp(path, mount, length) == 0 && path[length] == '/')
		return path + length;
	return path;
}

int cgroup_open_path(const struct cgroup_mounts *mounts, const char *path, struct cgroup *out,
		     struct error *err)
{
	bool is_unified = *mounts->unified;
	const char *mount = is_unified ? mounts->unified : mounts->systemd_v1;
	const char *name = below(path, mount);
	int result;

	/* the name is compared with what /proc shows, so it must be written as the kernel does */
	if (strstr(name, "//") || strstr(name, "/../") || strstr(name, "/./") || name[0] != '/')
		return error_set(err, EINVAL, "cgroup '%s': write the path without //, . and ..",
				 path);
	if (strcmp(name, "/") == 0)
		return error_set(err, EINVAL,
				 "cgroup '/' is the whole machine; name a group below it");
	result = set_group(mount, name, is_unified, out);
	if (result < 0)
		return error_errno(err, -result, "cgroup '%s'", path);
	if (!is_group(out->directory)) {
		error_set(err, ENOENT, "cgroup '%s' does not exist (looked for %s)", path,
			  out->directory);
		return error_remedy(err, "systemd-cgls, or cat /proc/PID/cgroup, shows the names");
	}
	return 0;
}

/* The search for a unit: the system manager keeps its units in slices below the root; each user
 * manager is a service below which the same pattern repeats. Nothing else is entered, so a unit of
 * the same name inside a container is never taken for ours. */
struct unit_search {
	const char *unit; /* or a pattern */
	bool is_unified, into_users;
	const char *mount;
	struct cgroup *found; /* owned */
	unsigned count;
	int failure;
};

static bool ends_with(const char *text, const char *tail)
{
	size_t length = strlen(text), wanted = strlen(tail);

	return length > wanted && strcmp(text + length - wanted, tail) == 0;
}

static bool is_user_manager(const char *name)
{
	return strncmp(name, "user@", 5) == 0 && ends_with(name, ".service");
}

/* systemd puts an underscore before names that could be files of the kernel (cg_escape) */
static bool is_unit(const char *name, const char *unit)
{
	/* some names have backslashes */
	return fnmatch(unit, name, FNM_NOESCAPE) == 0 ||
	       (name[0] == '_' && fnmatch(unit, name + 1, FNM_NOESCAPE) == 0);
}

static void take_unit(struct unit_search *search, const char *path)
{
	struct cgroup *grown;

	if (search->count == UNITS_MAX) {
		search->failure = -E2BIG;
		return;
	}
	grown = reallocarray(search->found, search->count + 1, sizeof(*grown));
	if (!grown) {
		search->failure = -ENOMEM;
		return;
	}
	search->found = grown;
	if (set_group(search->mount, path, search->is_unified, &grown[search->count]) == 0)
		search->count++;
}

static void search_unit(struct unit_search *search, const char *path, bool in_user, unsigned depth)
{
	char directory[CGROUP_PATH_SIZE], child[CGROUP_PATH_SIZE];
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	bool user;

	snprintf(directory, sizeof(directory), "%s%s", search->mount, path);
	dir = opendir(directory);
	while (dir && depth < DEPTH_MAX && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if ((size_t)snprintf(child, sizeof(child), "%s/%s", path, entry->d_name) >=
		    sizeof(child))
			continue;
		user = is_user_manager(entry->d_name);
		if (in_user == search->into_users && is_unit(entry->d_name, search->unit))
			take_unit(search, child);
		else if (ends_with(entry->d_name, ".slice") || (user && search->into_users))
			search_unit(search, child, in_user || user, depth + 1);
	}
}

static int full_name(const char *unit, char *out, size_t size, struct error *err)
{
	const char *dot = strrchr(unit, '.');
	static const char *const types[] = {".service", ".scope", ".slice", ".socket",
					    ".mount",	".swap",  NULL};
	bool has_type = false;

	for (unsigned i = 0; dot && types[i]; i++)
		has_type = has_type || strcmp(dot, types[i]) == 0;
	if (snprintf(out, size, "%s%s", unit, has_type ? "" : ".service") >= (int)size)
		return error_set(err, ENAMETOOLONG, "unit '%s': the name is too long", unit);
	return 0;
}

/* One that is named, and found more than once. */
static bool is_ambiguous(const char *unit, struct unit_search *search, struct error *err)
{
	if (search->count < 2 || param_is_glob(unit))
		return false;
	error_set(err, ENOTUNIQ, "unit '%s' runs more than once: %s and %s", unit,
		  cgroup_path(&search->found[0]), cgroup_path(&search->found[1]));
	error_remedy(err, "select it by `cgroup: %s`", cgroup_path(&search->found[0]));
	search->failure = -ENOTUNIQ;
	return true;
}

int cgroup_find_units(const struct cgroup_mounts *mounts, const char *pattern, struct cgroup **out,
		      unsigned *out_count, struct error *err)
{
	char full[256];
	int result = full_name(pattern, full, sizeof(full), err);

	for (unsigned i = 0; result == 0 && i < 4; i++) {
		struct unit_search search = {
			.unit = full,
			.into_users = i >= 2,
			.is_unified = i % 2 == 0,
			.mount = i % 2 == 0 ? mounts->unified : mounts->systemd_v1,
		};

		if (!*search.mount)
			continue;
		search_unit(&search, "", false, 0);
		if (search.count && !search.failure && !is_ambiguous(pattern, &search, err)) {
			*out = search.found;
			*out_count = search.count;
			return 0;
		}
		free(search.found);
		if (search.failure == -ENOTUNIQ)
			return search.failure;
		if (search.failure == -E2BIG)
			return error_set(err, E2BIG, "unit '%s': more than %d match", full,
					 UNITS_MAX);
		if (search.failure)
			return error_errno(err, -search.failure, "unit '%s'", full);
	}
	if (result < 0)
		return result;
	if (param_is_glob(full)) {
		error_set(err, ENOENT, "no unit that runs here matches '%s'", full);
		return error_remedy(err, "systemctl list-units '%s'", full);
	}
	error_set(err, ENOENT, "unit '%s' has no control group: it does not run here", full);
	return error_remedy(err, "systemctl status %s", full);
}

bool cgroup_contains(const struct cgroup *cgroup, const char *path)
{
	size_t length = strlen(cgroup_path(cgroup));

	return strncmp(path, cgroup_path(cgroup), length) == 0 &&
	       (path[length] == '\0' || path[length] == '/');
}
