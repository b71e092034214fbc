/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bad version for one process tree alone: a copy in the directory of the run, mounted over the
 * file in the mount namespace of those processes. The file itself is not touched. The mount is the
 * kernel's: it goes with the last process of the namespace, and with the machine. The name of the
 * copy tells what is still to be done: "mount-STEP" until who reads the file has been told that the
 * good one is back, "told-STEP" afterwards.
 */
#include "faults/file.h"

#include "injector/base/cleanup.h"
#include "injector/base/shell_word.h"
#include "injector/kernel/mount_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* --- the file, seen from inside --- */

struct opening {
	const char *path;
	struct file_place *place;
};

static int open_inside(void *context, struct error *err)
{
	const struct opening *opening = context;

	return file_place_open(opening->path, opening->place, err);
}

int file_mount_place(const char *path, int namespace, struct file_place *out, struct error *err)
{
	struct opening opening = {.path = path, .place = out};

	if (namespace < 0)
		return file_place_open(path, out, err);
	return mount_namespace_run(namespace, open_inside, &opening, err);
}

/* --- what must not happen: that everybody sees it --- */

struct check {
	const char *path;
	int file; /* O_PATH */
	int proc;
};

/* A shared mount hands on what is mounted below it, to the machine's own namespace as well. The
 * line of mountinfo is "ID parent dev root point options [shared:N ...] - ..." (proc(5)). */
static int check_propagation(void *context, struct error *err)
{
	const struct check *check = context;
	cleanup_free char *line = NULL;
	cleanup_file FILE *list = NULL;
	struct statx status;
	size_t capacity = 0;
	int fd;

	if (statx(check->file, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) < 0)
		return error_errno(err, errno, "cannot find the mount of %s", check->path);
	fd = openat(check->proc, "thread-self/mountinfo", O_RDONLY | O_CLOEXEC);
	list = fd < 0 ? NULL : fdopen(fd, "r");
	while (list && getline(&line, &capacity, list) > 0) {
		char *rest = strstr(line, " - ");

		if (strtoull(line, NULL, 10) != status.stx_mnt_id)
			continue;
		if (rest)
			*rest = '\0';
		if (!strstr(line, " shared:"))
			return 0;
		error_set(err, EPERM,
			  "%s lies on a mount that those processes share with others: everybody "
			  "would see the bad version",
			  check->path);
		return error_remedy(err, "PrivateMounts=yes in the unit, or without `namespace`");
	}
	return error_set(err, ENOENT, "the mount of %s is not listed", check->path);
}

int file_mount_check(const struct file_place *place, int namespace, struct error *err)
{
	cleanup_fd int file =
		openat(place->directory, place->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	cleanup_fd int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct check check = {.path = place->path, .file = file, .proc = proc};

	if (file < 0 || proc < 0)
		return error_errno(err, errno, "cannot look at the mount of %s", place->path);
	return mount_namespace_run(namespace, check_propagation, &check, err);
}

/* --- on and off --- */

struct mounting {
	const struct file_place *place;
	int tree; /* -1: taken away */
};

static int mount_inside(void *context, struct error *err)
{
	const struct mounting *mounting = context;
	const struct file_place *place = mounting->place;
	int result;

	if (mounting->tree >= 0)
		result = move_mount(mounting->tree, "", place->directory, place->name,
				    MOVE_MOUNT_F_EMPTY_PATH);
	else if (fchdir(place->directory) < 0)
		result = -1;
	else
		result = umount2(place->name, MNT_DETACH | UMOUNT_NOFOLLOW);
	return result < 0 ? error_errno(err, errno, "cannot %s the bad version %s %s",
					mounting->tree >= 0 ? "mount" : "unmount",
					mounting->tree >= 0 ? "over" : "from", place->path)
			  : 0;
}

static int run_directory(const char *run_id, struct error *err)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", journal_root_of(run_id), run_id);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_errno(err, errno, "cannot open %s", path) : fd;
}

struct names {
	char due[32], told[32];
};

static struct names names_of(const struct file_swap *swap)
{
	struct names names;

	snprintf(names.due, sizeof(names.due), "mount-%u", swap->record.step + 1);
	snprintf(names.told, sizeof(names.told), "told-%u", swap->record.step + 1);
	return names;
}

/* Is somebody still to be told? 1, 0, or -errno: it cannot be told. */
static int is_due(const struct file_swap *swap, struct error *err)
{
	cleanup_fd int directory = run_directory(swap->record.run_id, err);
	struct stat copy;

	if (directory < 0)
		return directory == -ENOENT ? 0 : directory;
	if (fstatat(directory, names_of(swap).due, &copy, AT_SYMLINK_NOFOLLOW) == 0)
		return copy.st_ino == swap->record.copy.inode;
	return errno == ENOENT ? 0
			       : error_errno(err, errno, "cannot look at %s beside the journal",
					     names_of(swap).due);
}

static int note_told(const struct file_swap *swap, struct error *err)
{
	cleanup_fd int directory = run_directory(swap->record.run_id, err);
	struct names names = names_of(swap);

	if (directory < 0)
		return directory;
	if (renameat(directory, names.due, directory, names.told) < 0 && errno != ENOENT)
		return error_errno(err, errno, "cannot rename %s beside the journal", names.due);
	return 0;
}

int file_mount_inject(struct file_swap *swap, const struct file_place *place, int namespace,
		      int original, const struct file_content *content, struct journal *journal,
		      int *out_copy, struct error *err)
{
	struct file_place beside = {.directory = run_directory(swap->record.run_id, err)};
	struct mounting mounting = {.place = place, .tree = -1};
	cleanup_fd int copy = -1;
	struct names names = names_of(swap);
	int result;

	if (beside.directory < 0)
		return beside.directory;
	memcpy(beside.path, place->path, sizeof(beside.path)); /* for messages */
	/* inert, and removed with the directory of the run: no record is needed for it */
	unlinkat(beside.directory, names.due, 0); /* of an earlier pulse */
	unlinkat(beside.directory, names.told, 0);
	result = file_copy_make(&beside, names.due, original, &swap->record.original, content,
				&copy, &swap->record.copy, err);
	if (result == 0)
		result = file_record_write(swap, FILE_RECORD_MOUNT, journal, err);
	if (result >= 0) {
		mounting.tree =
			open_tree(beside.directory, names.due, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		result = mounting.tree < 0
				 ? error_errno(err, errno, "cannot mount a copy of %s", place->path)
				 : mount_namespace_run(namespace, mount_inside, &mounting, err);
	}
	if (mounting.tree >= 0)
		close(mounting.tree);
	file_place_close(&beside);
	if (result == 0)
		*out_copy = steal_fd(&copy);
	return result;
}

/* The numbers of inodes are those of one file system, and what is under the mount lies on another
 * one. A copy whose name somebody has removed cannot be asked; then the number has to do. */
static bool is_copy(const struct file_swap *swap, const struct file_place *place)
{
	cleanup_fd int directory = run_directory(swap->record.run_id, NULL);
	struct names names = names_of(swap);
	struct stat copy, seen;

	return directory < 0 ||
	       (fstatat(directory, names.due, &copy, AT_SYMLINK_NOFOLLOW) < 0 &&
		fstatat(directory, names.told, &copy, AT_SYMLINK_NOFOLLOW) < 0) ||
	       fstatat(place->directory, place->name, &seen, AT_SYMLINK_NOFOLLOW) < 0 ||
	       (copy.st_dev == seen.st_dev && copy.st_ino == seen.st_ino);
}

struct search {
	const struct file_swap *swap;
	int proc;
	bool is_found;
};

/* The root of a mount of one file is the path of that file on its file system, and the identifier
 * of the run is in it. "//deleted" follows when its name was removed. */
static int search_below(void *context, struct error *err)
{
	struct search *search = context;
	struct names names = names_of(search->swap);
	char due[64], told[64];
	cleanup_free char *line = NULL;
	cleanup_file FILE *list = NULL;
	size_t capacity = 0;
	int fd = openat(search->proc, "thread-self/mountinfo", O_RDONLY | O_CLOEXEC);

	snprintf(due, sizeof(due), "/%s/%s", search->swap->record.run_id, names.due);
	snprintf(told, sizeof(told), "/%s/%s", search->swap->record.run_id, names.told);
	list = fd < 0 ? NULL : fdopen(fd, "r");
	if (!list)
		return error_errno(err, errno, "cannot read the mounts of %s", search->swap->path);
	for (errno = 0; !search->is_found && getline(&line, &capacity, list) > 0; errno = 0) {
		char *at = strstr(line, due);
		size_t length = strlen(due);

		if (!at) {
			at = strstr(line, told);
			length = strlen(told);
		}
		search->is_found = at && (at[length] == ' ' || at[length] == '/');
	}
	/* a list that breaks off must not pass for one without it */
	return errno ? error_errno(err, errno, "cannot read the mounts of %s", search->swap->path)
		     : 0;
}

/* Where it lies. */
struct seat {
	struct file_place place;
	struct file_identity seen;
	int namespace;
	pid_t pid; /* of a process that lives in that namespace */
};

#define SEAT_INIT                                                                                  \
	{                                                                                          \
		.place = FILE_PLACE_INIT, .namespace = -1                                          \
	}

static void seat_close(struct seat *seat)
{
	file_place_close(&seat->place);
	if (seat->namespace >= 0)
		close(seat->namespace);
	seat->namespace = -1;
}

enum found {
	FOUND_NONE,    /* it is not mounted (any more) */
	FOUND_NOBODY,  /* nor does anybody live in that namespace */
	FOUND_OURS,    /* the seat is filled */
	FOUND_COVERED, /* below a mount of somebody else */
};

/* enum found, or -errno */
static int find_mount(const struct file_swap *swap, struct seat *seat, struct error *err)
{
	cleanup_fd int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct search search = {.swap = swap, .proc = proc};
	int result;

	/* It ended with that boot; its number may be somebody else's by now. */
	if (file_is_of_another_boot(swap))
		return FOUND_NOBODY;
	result = mount_namespace_find(swap->record.namespace_inode, &seat->namespace, &seat->pid,
				      err);
	if (result == -ENOENT)
		return FOUND_NOBODY;
	if (result == 0)
		result = file_mount_place(swap->path, seat->namespace, &seat->place, err);
	if (result == 0)
		result = file_look(swap, &seat->place, seat->place.name, &seat->seen, err);
	if (result > 0 && file_is_same(&seat->seen, &swap->record.copy) &&
	    is_copy(swap, &seat->place))
		return FOUND_OURS;
	if (result < 0 && result != -ENOENT)
		return result;
	result = mount_namespace_run(seat->namespace, search_below, &search, err);
	if (result < 0)
		return result;
	return search.is_found ? FOUND_COVERED : FOUND_NONE;
}

int file_mount_undo(const struct file_swap *swap, struct error *err)
{
	struct seat seat = SEAT_INIT;
	struct mounting mounting = {.place = &seat.place, .tree = -1};
	int found = find_mount(swap, &seat, err), result = 0;
	bool is_off = found == FOUND_NONE;

	if (found == FOUND_OURS && file_is_unchanged(&seat.seen, &swap->record.copy)) {
		result = mount_namespace_run(seat.namespace, mount_inside, &mounting, err);
		is_off = result == 0;
	}
	seat_close(&seat);
	/* Also when somebody died between the two, or could not tell. */
	if (is_off)
		result = is_due(swap, err);
	if (result > 0)
		result = file_reload(swap, err);
	if (result == 0 && (is_off || found == FOUND_NOBODY))
		result = note_told(swap, err);
	return found < 0 ? found : result;
}

/* umount itself enters the namespace: of what lies there, which belongs to others, nothing is run
 * (as it would be by nsenter), nor a helper for some kind of file system (-i). */
static void say_mounted(const struct file_swap *swap, const char *what, pid_t pid, char *out,
			size_t size)
{
	char path[PATH_MAX + 64] = "";
	size_t used;

	snprintf(out, size, "%.200s %s in mount namespace %llu; ", swap->path, what,
		 (unsigned long long)swap->record.namespace_inode);
	used = strlen(out);
	shell_word_add(swap->path, path, sizeof(path));
	if (strlen(path) + 200 < size - used && strlen(path) < sizeof(path) - 1 &&
	    shell_word_is_plain(path))
		snprintf(out + used, size - used, "by hand: umount -i -l -N %d %s", (int)pid, path);
	else
		snprintf(out + used, size - used, "to be unmounted there by hand");
}

/* What is on top is theirs: a command that unmounts would take that away. */
static void say_covered(const struct file_swap *swap, char *out, size_t size)
{
	snprintf(out, size,
		 "%.200s was mounted over by somebody in mount namespace %llu, and the bad version "
		 "is below that; when theirs is gone, run: squall restore",
		 swap->path, (unsigned long long)swap->record.namespace_inode);
}

static void say_due(const struct file_swap *swap, char *out, size_t size)
{
	char reload[FILE_RELOAD_TYPED], due[PATH_MAX];
	struct error why = ERROR_INIT;
	enum file_typing typing = file_reload_command(swap, reload, &why);
	bool fits = typing != FILE_TYPE_TOO_LONG && strlen(reload) + 500 < size &&
		    shell_word_is_plain(reload);

	snprintf(due, sizeof(due), "rm -f %s/%.6s/%s", journal_root_of(swap->record.run_id),
		 swap->record.run_id, names_of(swap).due);
	if (typing == FILE_TYPE_NEVER)
		snprintf(out, size,
			 "%.200s is restored, but who reads it is not told: %.300s; when that is "
			 "mended, run: squall restore; or tell it by other means, and then: %s",
			 swap->path, why.text, due);
	else if (!fits)
		snprintf(
			out, size,
			"%.200s is restored, but who reads it is not told yet; run: squall restore",
			swap->path);
	else
		snprintf(out, size, "%.200s is restored, what follows is not: %s%s%s", swap->path,
			 reload, reload[0] ? " && " : "", due);
}

int file_mount_verify(const struct file_swap *swap, bool *out_gone, char *out_left,
		      size_t left_size, struct error *err)
{
	struct seat seat = SEAT_INIT;
	int found = find_mount(swap, &seat, err), due;

	seat_close(&seat);
	if (found < 0)
		return found;
	due = found == FOUND_NONE ? is_due(swap, err) : 0;
	if (due < 0)
		return due;
	*out_gone = found == FOUND_NOBODY || (found == FOUND_NONE && !due);
	if (due)
		say_due(swap, out_left, left_size);
	else if (found == FOUND_COVERED)
		say_covered(swap, out_left, left_size);
	else if (found == FOUND_OURS)
		say_mounted(swap,
			    file_is_unchanged(&seat.seen, &swap->record.copy)
				    ? "is still the bad version"
				    : "was edited by somebody meanwhile and is left alone",
			    seat.pid, out_left, left_size);
	return 0;
}

int file_mount_look(const struct file_swap *swap, const struct file_place *place, struct error *err)
{
	struct file_identity seen;

	if (file_place_look(place, place->name, &seen) < 0 ||
	    !file_is_same(&seen, &swap->record.copy) || !is_copy(swap, place))
		return error_set(err, ESTALE, "the bad version of %s was unmounted by somebody",
				 swap->path);
	if (!file_is_unchanged(&seen, &swap->record.copy))
		return error_set(err, ESTALE, "%s was edited by somebody", swap->path);
	return 0;
}
