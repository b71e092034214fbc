/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where the bad version of one process tree is mounted: in its namespace, and in those that were
 * made from it meanwhile. A copy of a namespace has copies of its mounts, which no unmounting in
 * the first one takes away (mount_namespaces(7)).
 */
#include "faults/file_seat.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/mount_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

void file_seat_close(struct file_seat *seat)
{
	file_place_close(&seat->place);
	if (seat->namespace >= 0)
		close(seat->namespace);
	seat->namespace = -1;
}

/* The copies of a step: how the roots of their mounts end, and where they are. */
struct wanted {
	char due[64], told[64];
	dev_t device; /* 0: not known */
};

static struct wanted wanted_of(const struct file_swap *swap)
{
	struct file_mount_names names = file_mount_names(swap);
	cleanup_fd int directory = file_mount_directory(swap->record.run_id, NULL);
	struct stat about;
	struct wanted wanted = {
		.device = directory >= 0 && fstat(directory, &about) == 0 ? about.st_dev : 0};

	snprintf(wanted.due, sizeof(wanted.due), "/%s/%s", swap->record.run_id, names.due);
	snprintf(wanted.told, sizeof(wanted.told), "/%s/%s", swap->record.run_id, names.told);
	return wanted;
}

static bool ends_with(const char *text, size_t length, const char *end)
{
	size_t size = strlen(end);

	return length >= size && memcmp(text + length - size, end, size) == 0;
}

/* The root of a mount of one file is the path of that file on its file system, and the identifier
 * of the run is in it: "ID parent major:minor root point ..." (proc(5)). "//deleted" follows when
 * its name was removed. Of what separates words in C, names are written with all but blank, tab and
 * line feed (mangle_path() in fs/seq_file.c). */
static bool is_wanted(const struct wanted *wanted, const char *line)
{
	unsigned major_number, minor_number;
	int begin = 0, end = 0;
	size_t length;

	if (sscanf(line, "%*d %*d %u:%u %n%*[^ ]%n", &major_number, &minor_number, &begin, &end) <
		    2 ||
	    !end)
		return false;
	if (wanted->device && wanted->device != makedev(major_number, minor_number))
		return false;
	length = (size_t)(end - begin);
	if (ends_with(line + begin, length, "//deleted"))
		length -= strlen("//deleted");
	return ends_with(line + begin, length, wanted->due) ||
	       ends_with(line + begin, length, wanted->told);
}

/* 1, 0, or -errno. `proc`: of the namespace that we are in, or -1: `path` is absolute. */
static int is_listed(const struct wanted *wanted, int proc, const char *path)
{
	cleanup_free char *line = NULL;
	cleanup_file FILE *list = NULL;
	size_t capacity = 0;
	int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	bool found = false;

	list = fd < 0 ? NULL : fdopen(fd, "r");
	if (!list) {
		int number = errno;

		if (fd >= 0)
			close(fd);
		return -number;
	}
	for (errno = 0; !found && getline(&line, &capacity, list) > 0; errno = 0)
		found = is_wanted(wanted, line);
	/* also for want of memory, which is no error of the stream */
	return found ? 1 : errno ? -errno : ferror(list) ? -EIO : 0;
}

struct search {
	struct wanted wanted;
	int proc;
	bool is_found;
};

static int search_below(void *context, struct error *err)
{
	struct search *search = context;
	int result = is_listed(&search->wanted, search->proc, "thread-self/mountinfo");

	search->is_found = result == 1;
	return result < 0 ? error_errno(err, -result, "cannot read the mounts of a namespace") : 0;
}

/* The numbers of inodes are those of one file system, and what is under the mount lies on another
 * one. A copy whose name somebody has removed cannot be asked; then the number has to do. */
bool file_seat_is_copy(const struct file_swap *swap, const struct file_place *place)
{
	cleanup_fd int directory = file_mount_directory(swap->record.run_id, NULL);
	struct file_mount_names names = file_mount_names(swap);
	struct stat copy, seen;

	return directory < 0 ||
	       (fstatat(directory, names.due, &copy, AT_SYMLINK_NOFOLLOW) < 0 &&
		fstatat(directory, names.told, &copy, AT_SYMLINK_NOFOLLOW) < 0) ||
	       fstatat(place->directory, place->name, &seen, AT_SYMLINK_NOFOLLOW) < 0 ||
	       (copy.st_dev == seen.st_dev && copy.st_ino == seen.st_ino);
}

int file_seat_look(const struct file_swap *swap, struct file_seat *seat, struct error *err)
{
	cleanup_fd int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct search search = {.wanted = wanted_of(swap), .proc = proc};
	int result = file_mount_place(swap->path, seat->namespace, &seat->place, err);

	if (result == 0)
		result = file_look(swap, &seat->place, seat->place.name, &seat->seen, err);
	if (result > 0 && file_is_same(&seat->seen, &swap->record.copy) &&
	    file_seat_is_copy(swap, &seat->place))
		return FILE_SEAT_OURS;
	if (result < 0 && result != -ENOENT)
		return result;
	result = mount_namespace_run(seat->namespace, search_below, &search, err);
	if (result < 0)
		return result;
	return search.is_found ? FILE_SEAT_COVERED : FILE_SEAT_NONE;
}

int file_seat_find(const struct file_swap *swap, struct file_seat *seat, struct error *err)
{
	int result;

	/* It ended with that boot; its number may be somebody else's by now. */
	if (file_is_of_another_boot(swap))
		return FILE_SEAT_NOBODY;
	seat->inode = swap->record.namespace_inode;
	result = mount_namespace_find(seat->inode, &seat->namespace, &seat->pid, err);
	if (result == -ENOENT)
		return FILE_SEAT_NOBODY;
	return result < 0 ? result : file_seat_look(swap, seat, err);
}

struct tour {
	const struct file_swap *swap;
	struct wanted wanted;
	int (*visit)(void *context, struct file_seat *seat, int found, struct error *err);
	void *context;
};

/* Who has hidden its mounts from us, or is gone, has none of ours: the namespace was made by a
 * process that we have entered. */
static int look_there(void *context, pid_t pid, uint64_t inode, struct error *err)
{
	struct tour *tour = context;
	struct file_seat seat = FILE_SEAT_INIT;
	char path[64];
	int found;

	if (inode == tour->swap->record.namespace_inode)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
	if (is_listed(&tour->wanted, -1, path) != 1 ||
	    mount_namespace_open_pid(pid, &seat.namespace, NULL) < 0)
		return 0;
	seat.inode = inode;
	seat.pid = pid;
	found = file_seat_look(tour->swap, &seat, err);
	found = found < 0 ? found : tour->visit(tour->context, &seat, found, err);
	file_seat_close(&seat);
	return found;
}

int file_seat_each_copy(const struct file_swap *swap,
			int (*visit)(void *context, struct file_seat *seat, int found,
				     struct error *err),
			void *context, struct error *err)
{
	struct tour tour = {
		.swap = swap, .wanted = wanted_of(swap), .visit = visit, .context = context};

	if (file_is_of_another_boot(swap))
		return 0;
	return mount_namespace_each(look_there, &tour, err);
}
