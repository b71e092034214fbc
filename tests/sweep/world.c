/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/world.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "sqsw-"

static char cgroups[256];

static void must(bool is_true, const char *what)
{
	if (is_true)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	_exit(99);
}

const char *world_cgroups(void)
{
	return cgroups;
}

const char *world_built(const char *name)
{
	static char path[4096];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 256);

	must(length > 0, "/proc/self/exe");
	path[length] = '\0';
	for (unsigned i = 0; i < 3; i++)
		*strrchr(path, '/') = '\0';
	snprintf(path + strlen(path), 128, "/%s", name);
	return path;
}

static void write_text(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd >= 0 && write(fd, text, strlen(text)) > 0, path);
}

/* Those below it first; a process that has just died may still be in one. */
static void remove_group(const char *group)
{
	for (unsigned i = 0; i < 200 && rmdir(group) < 0 && errno == EBUSY; i++) {
		cleanup_dir DIR *dir = opendir(group);
		struct dirent *entry;

		while (dir && (entry = readdir(dir)))
			if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
				unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
		usleep(10000);
	}
}

/* Of worlds that were killed from outside: nobody is in them, and that for a minute. */
static void remove_old_groups(void)
{
	cleanup_dir DIR *dir = opendir(cgroups);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char group[512], path[600], text[256] = "";
		struct stat status;
		cleanup_fd int fd = -1;

		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0)
			continue;
		snprintf(group, sizeof(group), "%s/%s", cgroups, entry->d_name);
		snprintf(path, sizeof(path), "%s/cgroup.events", group);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 || !strstr(text, "populated 0"))
			continue;
		if (stat(group, &status) == 0 && status.st_mtime + 60 < time(NULL))
			remove_group(group);
	}
}

/* The group that becomes the root of the new world; "" without cgroup v2. */
static void make_group(char *out, size_t size)
{
	struct cgroup_mounts mounts;

	out[0] = '\0';
	if (cgroup_find_mounts(&mounts, NULL) < 0 || !mounts.unified[0])
		return;
	snprintf(cgroups, sizeof(cgroups), "%s", mounts.unified);
	remove_old_groups();
	/* our number is one of a process namespace, and another one may have the same */
	snprintf(out, size, "%s/" PREFIX "%d-XXXXXX", mounts.unified, (int)getpid());
	must(mkdtemp(out) != NULL && chmod(out, 0755) == 0, out);
}

static void fresh(const char *folder)
{
	must(mount("squall-test", folder, "tmpfs", 0, "mode=755") == 0, folder);
}

static void enter(const char *group)
{
	char path[512];

	must(mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private mounts");
	must(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0, "/proc");
	/* what hangs below is somebody else's, and vanishes when he removes it */
	umount2("/run/netns", MNT_DETACH);
	fresh("/run");
	fresh("/var/lib");
	must(mkdir("/run/netns", 0755) == 0 && mkdir("/run/lock", 0755) == 0, "/run/netns");
	if (!group[0])
		return;
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	write_text(path, "0");
	must(unshare(CLONE_NEWCGROUP) == 0, "control group namespace");
	must(umount2(cgroups, MNT_DETACH) == 0, cgroups);
	must(mount("cgroup2", cgroups, "cgroup2", 0, NULL) == 0, cgroups);
}

/* Walking the connections of a namespace takes as long as the table is large, not as it is full,
 * and everybody does: squall, and who compares. One's own is as large as its parent says; before
 * Linux 6.1 there is one for all. */
static void enter_small_network(void)
{
	static const char *const sizes[] = {"/proc/sys/net/ipv4/tcp_child_ehash_entries",
					    "/proc/sys/net/ipv4/udp_child_hash_entries"};

	must(unshare(CLONE_NEWNET) == 0, "network namespace");
	for (unsigned again = 0; again < 2; again++) {
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
			if (access(sizes[i], W_OK) == 0)
				write_text(sizes[i], "256");
		if (!again)
			must(unshare(CLONE_NEWNET) == 0, "network namespace");
	}
}

int world_run(int (*inside)(void *context), void *context)
{
	char group[300];
	int status, code;
	pid_t pid;

	fflush(stdout);
	make_group(group, sizeof(group));
	must(unshare(CLONE_NEWPID) == 0, "process namespace");
	pid = fork();
	must(pid >= 0, "fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setvbuf(stdout, NULL, _IOLBF, 0);
		must(unshare(CLONE_NEWNS) == 0, "mount namespace");
		enter_small_network();
		enter(group);
		code = inside(context);
		fflush(stdout);
		_exit(code);
	}
	while (waitpid(pid, &status, 0) < 0)
		must(errno == EINTR, "waitpid");
	if (group[0])
		remove_group(group);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
