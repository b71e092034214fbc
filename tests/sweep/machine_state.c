/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/machine_state.h"

#include "tests/sweep/netlink_text.h"
#include "tests/sweep/socket_text.h"
#include "tests/sweep/world.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/journal/crc32.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct state_scope scope;
static struct netlink_text networks[4];
static struct socket_text sockets[4];

struct streams {
	FILE *part[STATE_PARTS];
};

/* The whole file, with a NUL that does not count; "" when it cannot be read. Valid until the next
 * call. */
static const char *read_bytes(int fd, size_t *out_size)
{
	static char text[1 << 17];
	size_t used = 0;
	ssize_t got;

	while (used < sizeof(text) - 1 &&
	       (got = pread(fd, text + used, sizeof(text) - 1 - used, (off_t)used)) > 0)
		used += (size_t)got;
	text[used] = '\0';
	*out_size = used;
	return text;
}

static const char *read_fd(int fd)
{
	size_t size;

	return read_bytes(fd, &size);
}

static const char *read_path(const char *format, ...)
{
	char path[512];
	cleanup_fd int fd = -1;
	va_list args;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return read_fd(fd);
}

void machine_state_scope(const struct state_scope *given)
{
	scope = *given;
	for (unsigned i = 0; i < scope.namespace_count; i++) {
		netlink_text_open(&networks[i], scope.namespaces[i]);
		socket_text_open(&sockets[i], scope.namespaces[i], i == 0);
	}
}

/* ---- Files ---- */

static uint32_t hash_file(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	size_t size = 0;
	const char *bytes = fd < 0 ? "" : read_bytes(fd, &size);

	return crc32_of(bytes, size);
}

static void write_attributes(const char *path, FILE *out)
{
	char names[512], value[1024];
	ssize_t size = llistxattr(path, names, sizeof(names));

	for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1) {
		ssize_t got = lgetxattr(path, names + at, value, sizeof(value));

		fprintf(out, " %s %08x", names + at, got < 0 ? 0 : crc32_of(value, (size_t)got));
	}
}

static void write_one_file(const char *path, FILE *out)
{
	struct stat status;

	if (lstat(path, &status) < 0)
		return;
	fprintf(out, "file %s mode %o owner %u:%u", path, status.st_mode, status.st_uid,
		status.st_gid);
	if (S_ISREG(status.st_mode)) {
		fprintf(out, " inode %lu links %lu size %lld mtime %lld.%09ld crc %08x",
			(unsigned long)status.st_ino, (unsigned long)status.st_nlink,
			(long long)status.st_size, (long long)status.st_mtim.tv_sec,
			status.st_mtim.tv_nsec, hash_file(path));
		write_attributes(path, out);
	}
	fputc('\n', out);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Results, and what was learned about the kernel, are kept on purpose. */
static bool is_kept(const char *path)
{
	return strcmp(path, "/var/lib/squall") == 0 ||
	       strcmp(path, "/var/lib/squall/results") == 0 ||
	       strcmp(path, "/var/lib/squall/audit.log") == 0 ||
	       strcmp(path, "/var/lib/squall/network-support") == 0;
}

static void write_folder(const char *folder, FILE *out)
{
	char *names[256], path[512];
	unsigned count = 0;
	cleanup_dir DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && count < 256 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			names[count++] = strdup(entry->d_name);
	qsort(names, count, sizeof(*names), by_name);
	for (unsigned i = 0; i < count; i++) {
		struct stat status;

		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		free(names[i]);
		if (!is_kept(path))
			write_one_file(path, out);
		if (strcmp(path, "/var/lib/squall/results") != 0 && lstat(path, &status) == 0 &&
		    S_ISDIR(status.st_mode))
			write_folder(path, out);
	}
}

/* ---- Control groups ---- */

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* Programs at a group act on whoever is in it, until the last descriptor of their link is closed.
 */
static void write_programs(const char *folder, const char *name, FILE *held)
{
	static const int hooks[] = {BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET6_CONNECT,
				    BPF_CGROUP_UDP4_SENDMSG,  BPF_CGROUP_UDP6_SENDMSG,
				    BPF_CGROUP_INET_INGRESS,  BPF_CGROUP_INET_EGRESS};
	cleanup_fd int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (unsigned i = 0; fd >= 0 && i < sizeof(hooks) / sizeof(*hooks); i++) {
		union bpf_attr attr = {
			.query = {.target_fd = (uint32_t)fd, .attach_type = (uint32_t)hooks[i]}};

		if ((bpf(BPF_PROG_QUERY, &attr) == 0 || errno == ENOSPC) && attr.query.prog_cnt)
			fprintf(held, "group %s: %u programs at hook %d\n", name,
				attr.query.prog_cnt, hooks[i]);
	}
}

static void write_group(const char *folder, const char *name, FILE *out)
{
	static const char *const files[] = {
		"cgroup.freeze", "cpu.max", "cpu.weight",  "memory.max",  "memory.high",
		"pids.max",	 "io.max",  "cpuset.cpus", "cgroup.type", "cgroup.subtree_control"};

	fprintf(out, "group %s", name);
	for (unsigned i = 0; i < sizeof(files) / sizeof(*files); i++) {
		const char *text = read_path("%s/%s", folder, files[i]);

		if (text[0])
			fprintf(out, " %s=%.*s", files[i], (int)strcspn(text, "\n"), text);
	}
	fputc('\n', out);
}

static void write_groups(const char *folder, const char *name, const struct streams *streams)
{
	FILE *recorded = streams->part[STATE_RECORDED], *inert = streams->part[STATE_INERT];
	cleanup_dir DIR *dir = opendir(folder);
	struct dirent *entry;
	bool is_guardian = strncmp(name, "/squall-guardian-", 17) == 0;

	write_group(folder, name, is_guardian ? inert : recorded);
	write_programs(folder, name, streams->part[STATE_HELD]);
	while (dir && (entry = readdir(dir))) {
		char path[512], below[600];

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		snprintf(below, sizeof(below), "%s/%s", strcmp(name, "/") ? name : "",
			 entry->d_name);
		write_groups(path, below, streams);
	}
}

/* ---- Processes ---- */

static bool is_child(pid_t pid)
{
	for (unsigned i = 0; i < scope.child_count; i++)
		if (scope.children[i] == pid)
			return true;
	return false;
}

static void write_child(pid_t pid, FILE *out)
{
	static const char *const kinds[] = {"mnt", "net", "cgroup"};
	const char *text = read_path("/proc/%d/stat", pid);
	const char *behind = strrchr(text, ')');
	bool is_there = behind != NULL;
	char state = is_there ? behind[2] : '-';

	/* running or asleep is its own business */
	fprintf(out, "child %d %s", pid,
		state == 'T'				    ? "stopped"
		: !is_there || state == 'Z' || state == 'X' ? "dead"
							    : "alive");
	for (unsigned i = 0; i < 3; i++) {
		char path[64], link[64] = "";

		snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, kinds[i]);
		if (readlink(path, link, sizeof(link) - 1) > 0)
			fprintf(out, " %s", link);
	}
	text = read_path("/proc/%d/limits", pid);
	fprintf(out, " limits %08x", crc32_of(text, strlen(text)));
	text = read_path("/proc/%d/mountinfo", pid);
	fprintf(out, " mounts %08x", crc32_of(text, strlen(text)));
	text = read_path("/proc/%d/oom_score_adj", pid);
	fprintf(out, " oom %.*s", (int)strcspn(text, "\n"), text);
	text = read_path("/proc/%d/cgroup", pid);
	fprintf(out, " groups %08x\n", crc32_of(text, strlen(text)));
}

/* Everybody in this process namespace but ourselves. */
static void write_processes(FILE *recorded, FILE *inert)
{
	cleanup_dir DIR *dir = opendir("/proc");
	struct dirent *entry;

	for (unsigned i = 0; i < scope.child_count; i++)
		write_child(scope.children[i], recorded);
	while (dir && (entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		const char *text, *behind;

		if (pid <= 1 || pid == scope.doomed || is_child(pid))
			continue;
		text = read_path("/proc/%d/stat", pid);
		behind = strrchr(text, ')');
		if (behind)
			fprintf(inert, "process %.*s %c\n", (int)(behind + 1 - text), text,
				behind[2]);
	}
}

/* ---- All of it ---- */

void machine_state_take(struct machine_state *out)
{
	struct streams streams;
	size_t sizes[STATE_PARTS];

	for (unsigned i = 0; i < STATE_PARTS; i++) {
		streams.part[i] = open_memstream(&out->parts[i], &sizes[i]);
		if (!streams.part[i])
			abort();
	}
	for (unsigned i = 0; i < scope.namespace_count; i++) {
		for (unsigned k = 0; k < STATE_PARTS; k++)
			fprintf(streams.part[k], "network namespace %u\n", i);
		netlink_text_write(&networks[i], streams.part[STATE_HELD],
				   streams.part[STATE_RECORDED], streams.part[STATE_INERT]);
		socket_text_write(&sockets[i], streams.part[STATE_HELD], streams.part[STATE_INERT]);
	}
	write_processes(streams.part[STATE_RECORDED], streams.part[STATE_INERT]);
	if (world_cgroups()[0])
		write_groups(world_cgroups(), "/", &streams);
	write_folder(scope.folder, streams.part[STATE_RECORDED]);
	fprintf(streams.part[STATE_RECORDED], "mounts %s", read_path("/proc/self/mountinfo"));
	write_folder("/run/squall", streams.part[STATE_INERT]);
	write_folder("/run/netns", streams.part[STATE_INERT]);
	write_folder("/var/lib/squall", streams.part[STATE_INERT]);
	for (unsigned i = 0; i < STATE_PARTS; i++)
		fclose(streams.part[i]);
}

void machine_state_free(struct machine_state *state)
{
	for (unsigned i = 0; i < STATE_PARTS; i++) {
		free(state->parts[i]);
		state->parts[i] = NULL;
	}
}

bool machine_state_is_same(const struct machine_state *a, const struct machine_state *b,
			   enum state_part part)
{
	return strcmp(a->parts[part], b->parts[part]) == 0;
}

/* Is `line` (up to its end) one of the lines of `text`? */
static bool has_line(const char *text, const char *line)
{
	size_t length = strcspn(line, "\n");

	while (*text) {
		size_t other = strcspn(text, "\n");

		if (other == length && strncmp(text, line, length) == 0)
			return true;
		text += other + (text[other] == '\n');
	}
	return false;
}

static unsigned write_missing(FILE *out, const char *sign, const char *from, const char *in,
			      unsigned most)
{
	unsigned count = 0;

	for (const char *line = from; *line;) {
		size_t length = strcspn(line, "\n");

		if (!has_line(in, line) && count++ < most)
			fprintf(out, "    %s %.*s\n", sign, (int)(length < 400 ? length : 400),
				line);
		line += length + (line[length] == '\n');
	}
	return count;
}

/* Of the same lines in another order or number. */
static void write_first_other(FILE *out, const char *before, const char *after)
{
	size_t same = 0;

	while (before[same] && before[same] == after[same])
		same++;
	while (same && before[same - 1] != '\n')
		same--;
	fprintf(out, "    in another order or number, from here on: %.*s; by now: %.*s\n",
		(int)strcspn(before + same, "\n"), before + same, (int)strcspn(after + same, "\n"),
		after + same);
}

char *machine_state_diff(const struct machine_state *before, const struct machine_state *after,
			 unsigned most)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (unsigned i = 0; i < STATE_PARTS; i++) {
		if (machine_state_is_same(before, after, i))
			continue;
		if (!write_missing(out, "-", before->parts[i], after->parts[i], most) &&
		    !write_missing(out, "+", after->parts[i], before->parts[i], most))
			write_first_other(out, before->parts[i], after->parts[i]);
		else
			write_missing(out, "+", after->parts[i], before->parts[i], most);
	}
	fclose(out);
	return text;
}
