/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/disk.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdint.h>
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

/* linux/fs/ext4/ext4.h: nothing more is written, not even the file system's own journal */
#define EXT4_IOC_SHUTDOWN	    _IOR('X', 125, uint32_t)
#define EXT4_GOING_FLAGS_NOLOGFLUSH 2

static const struct disk {
	const char *folder, *pristine, *image;
	unsigned written; /* its bit */
} disks[] = {
	{DISK, "/run/disk-pristine.img", "/run/disk.img", DISK_FILES_WRITTEN},
	{STATE, "/run/state-pristine.img", "/run/state.img", DISK_STATE_WRITTEN},
};
#define DISKS (sizeof(disks) / sizeof(*disks))

static unsigned boots;

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
static bool attach(const char *image, const char *folder)
{
	cleanup_fd int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	cleanup_fd int backing = open(image, O_RDWR | O_CLOEXEC);
	struct loop_config config = {.fd = (unsigned)backing, .info.lo_flags = LO_FLAGS_AUTOCLEAR};

	for (unsigned i = 0; control >= 0 && backing >= 0 && i < TRIES; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		cleanup_fd int fd = -1;
		char device[32];

		snprintf(device, sizeof(device), "/dev/loop%d", number);
		fd = number < 0 ? -1 : open(device, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return false;
		if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
			return mount(device, folder, "ext4", MS_NOATIME, NULL) == 0;
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

static bool make_pristine(const struct disk *disk, char why[160])
{
	char command[256], lost[64];

	snprintf(command, sizeof(command),
		 "truncate -s 8M %s && mkfs.ext4 -q -F -m 0 -I 256 -E nodiscard %s", disk->pristine,
		 disk->pristine);
	if (system(command) != 0) {
		snprintf(why, 160, "no mkfs.ext4 (remedy: sudo make setup)");
		return false;
	}
	if (attach(disk->pristine, disk->folder)) {
		snprintf(lost, sizeof(lost), "%s/lost+found", disk->folder);
		must(rmdir(lost) == 0, lost);
		return true;
	}
	snprintf(why, 160, "no loop device, or no ext4: %s", strerror(errno));
	return false;
}

bool disk_make(void (*fill)(void), char why[160])
{
	must(mkdir(DISK, 0755) == 0 && mkdir(STATE, 0755) == 0, DISK);
	for (unsigned i = 0; i < DISKS; i++)
		if (!make_pristine(&disks[i], why))
			return false;
	must(mkdir(DISK_FOLDER, 0755) == 0, DISK_FOLDER);
	fill();
	for (unsigned i = 0; i < DISKS; i++)
		unmount(disks[i].folder);
	return true;
}

void disk_begin(void)
{
	for (unsigned i = 0; i < DISKS; i++) {
		copy_image(disks[i].pristine, disks[i].image);
		must(attach(disks[i].image, disks[i].folder), disks[i].folder);
	}
}

static void write_journal(const struct disk *disk)
{
	cleanup_fd int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "%s/other", disk->folder);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0, path);
}

/* Both at the same moment, and only then anything that takes time. */
static void cut_off(void)
{
	static const uint32_t how = EXT4_GOING_FLAGS_NOLOGFLUSH;
	int folders[DISKS];

	for (unsigned i = 0; i < DISKS; i++)
		folders[i] = open(disks[i].folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; i < DISKS; i++)
		must(ioctl(folders[i], EXT4_IOC_SHUTDOWN, &how) == 0, "EXT4_IOC_SHUTDOWN");
	for (unsigned i = 0; i < DISKS; i++)
		close(folders[i]);
}

static void boot_anew(void)
{
	cleanup_file FILE *out = fopen("/run/boot-id", "we");

	must(out && fprintf(out, "00000000-0000-4000-8000-%012u\n", ++boots) > 0, "/run/boot-id");
	fflush(out);
	must(boots > 1 || mount("/run/boot-id", BOOT_ID, NULL, MS_BIND, NULL) == 0, BOOT_ID);
	must(system("rm -rf /run/squall") == 0, "/run/squall");
}

void disk_lose_power(unsigned written)
{
	for (unsigned i = 0; i < DISKS; i++)
		if (written & disks[i].written)
			write_journal(&disks[i]);
	cut_off();
	for (unsigned i = 0; i < DISKS; i++) {
		unmount(disks[i].folder);
		must(attach(disks[i].image, disks[i].folder), disks[i].folder);
	}
	boot_anew();
}

void disk_end(void)
{
	for (unsigned i = 0; i < DISKS; i++) {
		unmount(disks[i].folder);
		unlink(disks[i].image);
	}
	must(system("rm -rf /run/squall") == 0, "/run/squall");
}
