/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bad version for one process tree alone: a copy in the directory of the run, mounted over the
 * file in the mount namespace of those processes. The file itself is not touched. The mount is the
 * kernel's: it goes with the last process of the namespace, and with the machine. The name of the
 * copy tells what is still to be done: "mount-STEP" until who reads the file has been told that the
 * good one is back, "told-STEP" afterwards.
 */
#include "faults/file_seat.h"

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
	if (!list) {
		int result = error_errno(err, errno, "cannot read the mounts of a namespace");

		if (fd >= 0)
			close(fd);
		return result;
	}
	while (getline(&line, &capacity, list) > 0) {
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

int file_mount_directory(const char *run_id, struct error *err)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", journal_root_of(run_id), run_id);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_errno(err, errno, "cannot open %s", path) : fd;
}

struct file_mount_names file_mount_names(const struct file_swap *swap)
{
	struct file_mount_names names;

	snprintf(names.due, sizeof(names.due), "mount-%u", swap->record.step + 1);
	snprintf(names.told, sizeof(names.told), "told-%u", swap->record.step + 1);
	return names;
}

/* Is somebody still to be told? 1, 0, or -errno: it cannot be told. */
static int is_due(const struct file_swap *swap, struct error *err)
{
	cleanup_fd int directory = file_mount_directory(swap->record.run_id, err);
	struct stat copy;

	if (directory < 0)
		return directory == -ENOENT ? 0 : directory;
	if (fstatat(directory, file_mount_names(swap).due, &copy, AT_SYMLINK_NOFOLLOW) == 0)
		return copy.st_ino == swap->record.copy.inode;
	return errno == ENOENT ? 0
			       : error_errno(err, errno, "cannot look at %s beside the journal",
					     file_mount_names(swap).due);
}

static int note_told(const struct file_swap *swap, struct error *err)
{
	cleanup_fd int directory = file_mount_directory(swap->record.run_id, err);
	struct file_mount_names names = file_mount_names(swap);

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
	struct file_place beside = {.directory = file_mount_directory(swap->record.run_id, err)};
	struct mounting mounting = {.place = place, .tree = -1};
	cleanup_fd int copy = -1;
	struct file_mount_names names = file_mount_names(swap);
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

static int unmount(const struct file_swap *swap, struct file_seat *seat, struct error *err)
{
	struct mounting mounting = {.place = &seat->place, .tree = -1};

	if (!file_is_unchanged(&seat->seen, &swap->record.copy))
		return 0; /* edited by somebody: it is left alone, and told */
	return mount_namespace_run(seat->namespace, mount_inside, &mounting, err);
}

static int unmount_copy(void *context, struct file_seat *seat, int found, struct error *err)
{
	return found == FILE_SEAT_OURS ? unmount(context, seat, err) : 0;
}

int file_mount_undo(const struct file_swap *swap, struct error *err)
{
	struct file_seat seat = FILE_SEAT_INIT;
	int found = file_seat_find(swap, &seat, err), result = 0, copies;
	bool is_off = found == FILE_SEAT_NONE;

	if (found == FILE_SEAT_OURS) {
		result = unmount(swap, &seat, err);
		is_off = result == 0 && file_is_unchanged(&seat.seen, &swap->record.copy);
	}
	file_seat_close(&seat);
	copies = file_seat_each_copy(swap, unmount_copy, (void *)(uintptr_t)swap,
				     result < 0 ? NULL : err);
	/* Also when somebody died between the two, or could not tell. */
	if (is_off)
		result = is_due(swap, err);
	if (result > 0)
		result = file_reload(swap, err);
	if (result == 0 && (is_off || found == FILE_SEAT_NOBODY))
		result = note_told(swap, err);
	if (result == 0)
		result = copies;
	return found < 0 ? found : result;
}

/* umount itself enters the namespace: of what lies there, which belongs to others, nothing is run
 * (as it would be by nsenter), nor a helper for some kind of file system (-i). */
static void say_mounted(const struct file_swap *swap, const struct file_seat *seat, char *out,
			size_t size)
{
	const char *what = file_is_unchanged(&seat->seen, &swap->record.copy)
				   ? "is still the bad version"
				   : "was edited by somebody meanwhile and is left alone";
	char path[PATH_MAX + 64] = "";
	size_t used;

	snprintf(out, size, "%.200s %s in mount namespace %llu; ", swap->path, what,
		 (unsigned long long)seat->inode);
	used = strlen(out);
	shell_word_add(swap->path, path, sizeof(path));
	if (strlen(path) + 200 < size - used && strlen(path) < sizeof(path) - 1 &&
	    shell_word_is_plain(path))
		snprintf(out + used, size - used, "by hand: umount -i -l -N %d %s", (int)seat->pid,
			 path);
	else
		snprintf(out + used, size - used, "to be unmounted there by hand");
}

/* What is on top is theirs: a command that unmounts would take that away. */
static void say_covered(const struct file_swap *swap, const struct file_seat *seat, char *out,
			size_t size)
{
	if (seat->inode == swap->record.namespace_inode)
		snprintf(out, size,
			 "%.200s was mounted over by somebody in mount namespace %llu, and the bad "
			 "version is below that; when theirs is gone, run: squall restore",
			 swap->path, (unsigned long long)seat->inode);
	else
		snprintf(out, size,
			 "the bad version of %.200s is in mount namespace %llu, too, that somebody "
			 "made meanwhile, but not at that path: unmount it there (process %d), or "
			 "when that is gone, run: squall restore",
			 swap->path, (unsigned long long)seat->inode, (int)seat->pid);
}

static void say_due(const struct file_swap *swap, char *out, size_t size)
{
	char reload[FILE_RELOAD_TYPED], due[PATH_MAX];
	struct error why = ERROR_INIT;
	enum file_typing typing = file_reload_command(swap, reload, &why);
	bool fits = typing != FILE_TYPE_TOO_LONG && strlen(reload) + 500 < size &&
		    shell_word_is_plain(reload);

	snprintf(due, sizeof(due), "rm -f %s/%.6s/%s", journal_root_of(swap->record.run_id),
		 swap->record.run_id, file_mount_names(swap).due);
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

struct saying {
	const struct file_swap *swap;
	char *out;
	size_t size;
	bool is_said;
};

static void say_seat(struct saying *saying, const struct file_seat *seat, int found)
{
	if (saying->is_said)
		return;
	saying->is_said = true;
	if (found == FILE_SEAT_COVERED)
		say_covered(saying->swap, seat, saying->out, saying->size);
	else
		say_mounted(saying->swap, seat, saying->out, saying->size);
}

static int say_copy(void *context, struct file_seat *seat, int found, struct error *err)
{
	(void)err;
	if (found == FILE_SEAT_OURS || found == FILE_SEAT_COVERED)
		say_seat(context, seat, found);
	return 0;
}

int file_mount_verify(const struct file_swap *swap, bool *out_gone, char *out_left,
		      size_t left_size, struct error *err)
{
	struct file_seat seat = FILE_SEAT_INIT;
	struct saying saying = {.swap = swap, .out = out_left, .size = left_size};
	int found = file_seat_find(swap, &seat, err), due = 0, result;

	file_seat_close(&seat);
	if (found < 0)
		return found;
	if (found == FILE_SEAT_OURS || found == FILE_SEAT_COVERED)
		say_seat(&saying, &seat, found);
	result = file_seat_each_copy(swap, say_copy, &saying, err);
	if (result == 0 && !saying.is_said && found == FILE_SEAT_NONE)
		due = is_due(swap, err);
	if (result < 0 || due < 0)
		return result < 0 ? result : due;
	if (due)
		say_due(swap, out_left, left_size);
	*out_gone = !saying.is_said && !due;
	return 0;
}

int file_mount_look(const struct file_swap *swap, const struct file_place *place, struct error *err)
{
	struct file_identity seen;

	if (file_place_look(place, place->name, &seen) < 0 ||
	    !file_is_same(&seen, &swap->record.copy) || !file_seat_is_copy(swap, place))
		return error_set(err, ESTALE, "the bad version of %s was unmounted by somebody",
				 swap->path);
	if (!file_is_unchanged(&seen, &swap->record.copy))
		return error_set(err, ESTALE, "%s was edited by somebody", swap->path);
	return 0;
}
