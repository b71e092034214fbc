/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The readers of /proc, over a tree whose files hold any bytes: names, states and paths are written
 * by processes that want to look like others.
 */
#include "tests/fuzz/fuzz_tree.h"

#include "injector/kernel/cgroup.h"
#include "injector/kernel/proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_tree(void)
{
	char path[128];

	make_root();
	for (const char *const *each =
		     (const char *const[]){"/7", "/7/task", "/7/task/7", "/self", NULL};
	     *each; each++) {
		snprintf(path, sizeof(path), "%s%s", tree, *each);
		if (mkdir(path, 0755) < 0)
			abort();
	}
	proc_set_root(tree);
}

static void put(const char *name, const uint8_t *data, size_t size)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", tree, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

static void require_text(const char *text, size_t size)
{
	if (strnlen(text, size) == size)
		abort();
}

static void read_all(void)
{
	char text[512] = "";
	struct proc_stat stat;
	enum proc_stop stop;
	struct cgroup_mounts mounts;
	uid_t uid;
	pid_t inner;

	if (proc_read_stat(7, &stat) == 0)
		require_text(stat.comm, sizeof(stat.comm));
	proc_read_stop(7, &stop);
	proc_is_dying(7);
	proc_read_uid(7, &uid);
	proc_read_inner_pid(7, &inner);
	if (proc_read_comm(7, text, PROC_COMM_SIZE) == 0)
		require_text(text, PROC_COMM_SIZE);
	if (proc_read_command(7, text, sizeof(text)) == 0)
		require_text(text, sizeof(text));
	if (proc_read_cgroup(7, "", text, sizeof(text)) == 0)
		require_text(text, sizeof(text));
	proc_read_cgroup(7, "name=systemd", text, sizeof(text));
	proc_make_printable(text);
	if (cgroup_find_mounts(&mounts, NULL) == 0) {
		require_text(mounts.unified, sizeof(mounts.unified));
		require_text(mounts.systemd_v1, sizeof(mounts.systemd_v1));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"7/stat",	 "7/status", "7/comm",
					    "7/cmdline", "7/cgroup", "self/mountinfo"};

	if (!tree[0])
		make_tree();
	if (size < 1)
		return 0;
	/* one file, or all of them alike */
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (data[0] % 8 == i || data[0] % 8 > 5)
			put(names[i], data + 1, size - 1);
	put("7/task/7/stat", data + 1, size - 1);
	read_all();
	return 0;
}
