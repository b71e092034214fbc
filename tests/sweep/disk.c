/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/disk.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK	"/run/disk"
#define STATE	"/var/lib/squall"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define TRIES	50

static const char pristine[] = "/run/pristine.img";
static char image[32]; /* what is mounted */
static unsigned images, boots;

static void must(bool is_true, const char *what)
{
	if (is_true)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	abort();
}

static void copy_image(const char *from, const char *to)
{
	cleanup_fd int in = open(from, O_RDONLY | O_CLOEXEC);
	cleanup_fd int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct stat status;
	off_t at = 0, end;

	must(in >= 0 && out >= 0 && fstat(in, &status) == 0, to);
	must(ftruncate(out, status.st_size) == 0, to);
	/* most of it is holes */
	while ((at = lseek(in, at, SEEK_DATA)) >= 0) {
		end = lseek(in, at, SEEK_HOLE);
		must(lseek(out, at, SEEK_SET) == at, to);
		while (at < end)
			must(sendfile(out, in, &at, (size_t)(end - at)) > 0, to);
	}
}

/* Of all programs that want one: the number that was free may be taken by now. The device goes when
 * it is unmounted. */
static bool attach(const char *path, char device[32])
{
	cleanup_fd int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	cleanup_fd int backing = open(path, O_RDWR | O_CLOEXEC);
	struct loop_config config = {.fd = (unsigned)backing, .info.lo_flags = LO_FLAGS_AUTOCLEAR};

	for (unsigned i = 0; control >= 0 && backing >= 0 && i < TRIES; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE), fd;

		if (number < 0)
			return false;
		snprintf(device, 32, "/dev/loop%d", number);
		fd = open(device, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return false;
		if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
			return mount(device, DISK, "ext4", MS_NOATIME, NULL) == 0 && close(fd) == 0;
		close(fd);
		if (errno != EBUSY)
			return false;
		usleep(10000);
	}
	return false;
}

static void unmount(const char *path)
{
	/* a process that was killed may be at its end still */
	for (unsigned i = 0; i < TRIES; i++) {
		if (umount2(path, 0) == 0)
			return;
		must(errno == EBUSY, path);
		usleep(20000);
	}
	must(false, path);
}

static void mount_image(const char *path)
{
	char device[32];

	snprintf(image, sizeof(image), "%s", path);
	must(attach(path, device), "a disk for the test");
	must(mount(DISK "/state", STATE, NULL, MS_BIND, NULL) == 0, STATE);
}

static void next_image(const char *from)
{
	char path[32];

	snprintf(path, sizeof(path), "/run/disk-%u.img", ++images);
	copy_image(from, path);
	mount_image(path);
}

static void unmount_image(void)
{
	unmount(STATE);
	unmount(DISK);
	unlink(image);
}

bool disk_make(void (*fill)(void), char why[160])
{
	char device[32];

	must(mkdir(DISK, 0755) == 0 && mkdir(STATE, 0755) == 0, DISK);
	if (system("truncate -s 8M /run/pristine.img && "
		   "mkfs.ext4 -q -F -m 0 -I 256 -E nodiscard /run/pristine.img") != 0) {
		snprintf(why, 160, "no mkfs.ext4 (remedy: sudo make setup)");
		return false;
	}
	if (!attach(pristine, device)) {
		snprintf(why, 160, "no loop device, or no ext4: %s", strerror(errno));
		return false;
	}
	must(mkdir(DISK "/state", 0755) == 0 && mkdir(DISK_FOLDER, 0755) == 0, DISK_FOLDER);
	fill();
	unmount(DISK);
	return true;
}

void disk_begin(void)
{
	next_image(pristine);
}

static void commit(void)
{
	cleanup_fd int fd = open(DISK "/other", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	must(fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0, DISK "/other");
}

static void boot_anew(void)
{
	cleanup_file FILE *out = fopen("/run/boot-id", "we");

	must(out && fprintf(out, "00000000-0000-4000-8000-%012u\n", ++boots) > 0, "/run/boot-id");
	fflush(out);
	must(boots > 1 || mount("/run/boot-id", BOOT_ID, NULL, MS_BIND, NULL) == 0, BOOT_ID);
	must(system("rm -rf /run/squall") == 0, "/run/squall");
}

void disk_lose_power(bool is_committed)
{
	char before[32];

	if (is_committed)
		commit();
	snprintf(before, sizeof(before), "%s", image);
	snprintf(image, sizeof(image), "/run/disk-%u.img", ++images);
	copy_image(before, image);
	unmount(STATE);
	unmount(DISK);
	unlink(before);
	mount_image(strdupa(image));
	boot_anew();
}

void disk_end(void)
{
	unmount_image();
	must(system("rm -rf /run/squall") == 0, "/run/squall");
}
