/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/file_place.h"

#include "injector/base/cleanup.h"
#include "injector/base/shell_word.h"
#include "injector/journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#ifndef EXFAT_SUPER_MAGIC
#define EXFAT_SUPER_MAGIC 0x2011BAB0 /* since Linux 5.13's headers */
#endif

#define FILE_SIZE_MAX (64 << 20) /* of a configuration file; it is held in memory */

/* A trailing '/' stands for everything below. By name: a guard against mistakes, no boundary. */
static const char *const critical[] = {
	"/boot/",
	"/efi/",
	"/bin/",
	"/sbin/",
	"/lib/",
	"/lib32/",
	"/lib64/",
	"/libx32/",
	"/usr/bin/",
	"/usr/sbin/",
	"/usr/lib/",
	"/usr/lib32/",
	"/usr/lib64/",
	"/usr/libexec/",
	"/usr/libx32/",
	"/usr/local/bin/",
	"/usr/local/lib/",
	"/usr/local/sbin/",
	"/root/",
	"/etc/passwd",
	"/etc/passwd-",
	"/etc/shadow",
	"/etc/shadow-",
	"/etc/group",
	"/etc/group-",
	"/etc/gshadow",
	"/etc/gshadow-",
	"/etc/subuid",
	"/etc/subgid",
	"/etc/sudoers",
	"/etc/sudoers.d/",
	"/etc/sudo.conf",
	"/etc/doas.conf",
	"/etc/ssh/",
	"/etc/pam.d/",
	"/etc/pam.conf",
	"/etc/security/",
	"/etc/login.defs",
	"/etc/shells",
	"/etc/securetty",
	"/etc/fstab",
	"/etc/crypttab",
	"/etc/inittab",
	"/etc/nsswitch.conf",
	"/etc/ld.so.conf",
	"/etc/ld.so.cache",
	"/etc/ld.so.preload",
	"/etc/ld.so.conf.d/",
	"/etc/systemd/",
	"/etc/init.d/",
	"/etc/crontab",
	"/etc/cron.d/",
	"/etc/cron.daily/",
	"/etc/cron.hourly/",
	"/etc/selinux/",
	"/etc/apparmor.d/",
	"/etc/modprobe.d/",
	"/etc/udev/",
	"/etc/squall/",
	"/var/spool/cron/",
	NULL,
};

static const char *const never[] = {
	"/proc/", "/sys/", "/dev/", JOURNAL_ROOT "/", JOURNAL_STATE "/", NULL,
};

static bool is_listed(const char *const *list, const char *path)
{
	for (; *list; list++) {
		size_t length = strlen(*list);

		if ((*list)[length - 1] == '/' ? strncmp(*list, path, length) == 0
					       : strcmp(*list, path) == 0)
			return true;
	}
	return false;
}

/* Only one spelling of a path: what is compared by name is what is opened. */
static bool is_canonical(const char *path)
{
	const char *last = strrchr(path, '/');

	return path[0] == '/' && last[1] && !strstr(path, "//") && !strstr(path, "/./") &&
	       !strstr(path, "/../") && strcmp(last, "/.") != 0 && strcmp(last, "/..") != 0;
}

int file_place_check_path(const char *path, bool allow_critical, struct error *err)
{
	if (!is_canonical(path))
		return error_set(
			err, EINVAL,
			"path '%s' must be the plain one: without //, ., .. and a slash at "
			"the end",
			path);
	if (is_listed(never, path))
		return error_set(
			err, EPERM,
			"%s belongs to the kernel or to squall itself: it is never touched", path);
	if (allow_critical || (!is_listed(critical, path) && !strstr(path, "/.ssh/")))
		return 0;
	error_set(err, EPERM,
		  "%s is a file that the way into this machine, or its start, may hang on", path);
	return error_remedy(err, "allow-critical: true, if that is meant");
}

static int64_t ns_of(const struct statx_timestamp *time)
{
	return time->tv_sec * 1000000000LL + time->tv_nsec;
}

static int identify(int directory, const char *name, int flags, struct file_identity *out)
{
	struct statx status;

	if (statx(directory, name, flags, STATX_BASIC_STATS | STATX_BTIME, &status) < 0)
		return -errno;
	*out = (struct file_identity){.inode = status.stx_ino,
				      .size = status.stx_size,
				      .mtime_ns = ns_of(&status.stx_mtime),
				      .mode = status.stx_mode,
				      .uid = status.stx_uid,
				      .gid = status.stx_gid,
				      .links = status.stx_nlink};
	if (S_ISREG(status.stx_mode) && status.stx_mask & STATX_BTIME)
		out->birth_ns = ns_of(&status.stx_btime);
	return 0;
}

int file_identify(int fd, struct file_identity *out)
{
	return identify(fd, "", AT_EMPTY_PATH, out);
}

/* One that is as it was is the same one also where the time of birth is not to be relied on. */
bool file_is_same(const struct file_identity *a, const struct file_identity *b)
{
	bool is_as_it_was = a->size == b->size && a->mtime_ns == b->mtime_ns;

	return a->inode == b->inode && (a->mode & S_IFMT) == (b->mode & S_IFMT) &&
	       (is_as_it_was || !a->birth_ns || !b->birth_ns || a->birth_ns == b->birth_ns);
}

bool file_is_unchanged(const struct file_identity *a, const struct file_identity *b)
{
	return file_is_same(a, b) && a->size == b->size && a->mtime_ns == b->mtime_ns &&
	       a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
	       (!a->attributes || !b->attributes || a->attributes == b->attributes);
}

static int say_link(const char *path, struct error *err)
{
	cleanup_free char *real = realpath(path, NULL);

	error_set(err, ELOOP, "%s is, or lies behind, a symbolic link: links are not followed",
		  path);
	if (real)
		error_remedy(err, "name the file itself: path: %s", real);
	return -ELOOP;
}

int file_place_open(const char *path, struct file_place *out, struct error *err)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	struct file_place place = FILE_PLACE_INIT;
	char directory[PATH_MAX];
	size_t length = strlen(path);
	int code;

	if (length >= sizeof(place.path) || !is_canonical(path))
		return error_set(err, EINVAL, "'%.200s' is not a path that can be used", path);
	memcpy(place.path, path, length + 1);
	place.name = strrchr(place.path, '/') + 1;
	snprintf(directory, sizeof(directory), "%.*s", (int)(place.name - place.path), place.path);
	place.directory = (int)syscall(SYS_openat2, AT_FDCWD, directory, &how, sizeof(how));
	if (place.directory < 0 && errno == ELOOP)
		return say_link(path, err);
	if (place.directory < 0)
		return error_errno(err, errno, "cannot open the directory %s", directory);
	code = file_identify(place.directory, &place.directory_id);
	if (code < 0) {
		close(place.directory);
		return error_errno(err, -code, "cannot examine the directory %s", directory);
	}
	*out = place;
	out->name = out->path + (place.name - place.path);
	return 0;
}

void file_place_close(struct file_place *place)
{
	if (place->directory >= 0)
		close(place->directory);
	place->directory = -1;
}

int file_place_look(const struct file_place *place, const char *name, struct file_identity *out)
{
	int result = identify(place->directory, name, AT_SYMLINK_NOFOLLOW, out);

	if (result == 0 && S_ISREG(out->mode))
		result = file_attributes_of(place->directory, name, &out->attributes);
	return result;
}

bool file_place_changed(const struct file_place *place, const char *name, int64_t *out_ns)
{
	struct statx status;

	if (statx(place->directory, name, AT_SYMLINK_NOFOLLOW, STATX_CTIME, &status) < 0 ||
	    !(status.stx_mask & STATX_CTIME))
		return false;
	*out_ns = ns_of(&status.stx_ctime);
	return true;
}

static const char *kind_of(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFCHR:
	case S_IFBLK:
		return "a device";
	case S_IFIFO:
		return "a pipe";
	case S_IFSOCK:
		return "a socket";
	default:
		return "no regular file";
	}
}

/* The path as a shell takes it; nothing where it would not be shown whole. */
static int tell_to_type(const char *before, const char *path, const char *after, struct error *err)
{
	char word[4 * PATH_MAX + SHELL_WORD_MORE + 1] = "";

	shell_word_add(path, word, sizeof(word));
	if (!shell_word_is_plain(word) ||
	    strlen(before) + strlen(word) + strlen(after) >= sizeof(err->remedy))
		return error_remedy(err, "%s", "");
	return error_remedy(err, "%s%s%s", before, word, after);
}

/* What the kernel would refuse in the middle is refused before. */
static int check_attributes(const char *path, int fd, const struct file_identity *identity,
			    struct error *err)
{
	struct statx more;

	if (!S_ISREG(identity->mode))
		return error_set(err, EINVAL, "%s is %s; only regular files are exchanged", path,
				 kind_of(identity->mode));
	if (identity->size > FILE_SIZE_MAX)
		return error_set(err, EFBIG, "%s has %llu bytes; at most %d MiB are exchanged",
				 path, (unsigned long long)identity->size, FILE_SIZE_MAX >> 20);
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &more) < 0)
		return error_errno(err, errno, "cannot examine %s", path);
	if (more.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) {
		error_set(err, EPERM, "%s is protected by its flag %s", path,
			  more.stx_attributes & STATX_ATTR_IMMUTABLE ? "i (immutable)"
								     : "a (append only)");
		return tell_to_type("chattr -i -a ", path, ", if it may be exchanged", err);
	}
	if (more.stx_attributes & STATX_ATTR_MOUNT_ROOT) {
		error_set(err, EBUSY, "%s is a mount of its own: its name cannot be exchanged",
			  path);
		return tell_to_type("name the file that is mounted there (findmnt ", path, ")",
				    err);
	}
	return 0;
}

/* FAT has no inodes: the kernel numbers them from a counter, anew each time they are read from the
 * disk (fat_build_inode(), exfat_build_inode()), also under a directory that is held open. */
int file_place_check_numbers(const struct file_place *place, struct error *err)
{
	struct statfs system;

	if (fstatfs(place->directory, &system) < 0)
		return error_errno(err, errno, "cannot ask for the file system of %s", place->path);
	if (system.f_type != MSDOS_SUPER_MAGIC && system.f_type != EXFAT_SUPER_MAGIC)
		return 0;
	error_set(err, EOPNOTSUPP,
		  "%s lies on a FAT file system, where a file is another one for the kernel each "
		  "time it is read from the disk: the original could not be recognized",
		  place->path);
	return error_remedy(err, "with `namespace`, for the processes of one mount namespace: "
				 "there it stays where it is");
}

/* An overlay gives a file of a lower layer another inode once it is changed, as a rename does. */
static void copy_up(const struct file_place *place, int fd)
{
	struct statfs system;
	int writable;

	if (fstatfs(fd, &system) < 0 || system.f_type != OVERLAYFS_SUPER_MAGIC)
		return;
	writable = openat(place->directory, place->name,
			  O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (writable >= 0)
		close(writable);
}

int file_place_open_file(const struct file_place *place, bool may_copy_up, int *out_fd,
			 struct file_identity *out, struct error *err)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct file_identity identity = {0};
	cleanup_fd int fd = -1;
	int result = file_place_look(place, place->name, &identity);

	if (result == -ENOENT)
		return error_set(err, ENOENT, "there is no file %s", place->path);
	if (result < 0)
		return error_errno(err, -result, "cannot examine %s", place->path);
	if (S_ISLNK(identity.mode))
		return say_link(place->path, err);
	if (!S_ISREG(identity.mode)) /* before it is opened: a device or pipe may act on that */
		return check_attributes(place->path, -1, &identity, err);
	for (int turn = 0; turn < 2; turn++) {
		if (fd >= 0)
			close(fd);
		/* reading it must not show in its times */
		fd = openat(place->directory, place->name, flags | O_NOATIME);
		if (fd < 0 && errno == EPERM)
			fd = openat(place->directory, place->name, flags);
		if (fd < 0)
			return error_errno(err, errno, "cannot open %s", place->path);
		if (!may_copy_up || turn)
			break;
		copy_up(place, fd);
	}
	result = file_identify(fd, &identity);
	if (result < 0)
		return error_errno(err, -result, "cannot examine %s", place->path);
	result = check_attributes(place->path, fd, &identity, err);
	if (result < 0)
		return result;
	*out = identity;
	*out_fd = steal_fd(&fd);
	return 0;
}

struct file_times file_times_keep(int directory)
{
	struct stat status;
	struct file_times times = {.is_known = fstat(directory, &status) == 0};

	if (times.is_known) {
		times.pair[0] = (struct timespec){.tv_nsec = UTIME_OMIT};
		times.pair[1] = status.st_mtim;
	}
	return times;
}

void file_times_put_back(int directory, const struct file_times *times)
{
	if (times->is_known)
		futimens(directory, times->pair);
}
