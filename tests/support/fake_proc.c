/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/fake_proc.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char tree[64];

static void must(bool done, const char *what)
{
	if (!done) {
		perror(what);
		abort();
	}
}

void fake_proc_open(void)
{
	strcpy(tree, "/tmp/squall-proc-XXXXXX");
	must(mkdtemp(tree) != NULL, "mkdtemp");
	proc_set_root(tree);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

void fake_proc_close(void)
{
	nftw(tree, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	proc_set_root(NULL);
}

const char *fake_proc_path(void)
{
	return tree;
}

void fake_proc_write(const char *name, const void *data, size_t size)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", tree, name);
	for (char *at = path + strlen(tree) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(path, 0755);
		*at = '/';
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	must(fd >= 0 && write(fd, data, size) == (ssize_t)size, path);
	close(fd);
}

static void write_text(pid_t pid, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void write_text(pid_t pid, const char *name, const char *format, ...)
{
	cleanup_free char *text = NULL;
	char path[128];
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	must(length >= 0, "vasprintf");
	snprintf(path, sizeof(path), "%d/%s", pid, name);
	fake_proc_write(path, text, (size_t)length);
}

static void write_stat(pid_t pid, const char *name, const struct fake_process *process)
{
	/* fields 3 to 22 of proc(5), and some more */
	write_text(pid, name,
		   "%d (%s) %c %d 1 %d 0 -1 %u 0 0 0 0 %lu 7 0 0 20 0 %u 0 %lu 1000 100 "
		   "18446744073709551615 1 1\n",
		   process->pid, process->comm, process->state ? process->state : 'S',
		   process->parent, process->session, process->flags, process->user_ticks,
		   process->threads ? process->threads : 1, process->start_time);
}

void fake_proc_add(const struct fake_process *process)
{
	char path[PATH_MAX], thread[64];
	cleanup_free char *command = strdup(process->command ? process->command : "");
	size_t length = strlen(command);

	write_stat(process->pid, "stat", process);
	snprintf(thread, sizeof(thread), "task/%d/stat", process->pid);
	write_stat(process->pid, thread, process);
	write_text(process->pid, "comm", "%.15s\n", process->comm);
	for (char *at = command; *at; at++)
		if (*at == '\n')
			*at = '\0';
	snprintf(path, sizeof(path), "%d/cmdline", process->pid);
	fake_proc_write(path, command, length ? length + 1 : 0);
	write_text(process->pid, "cgroup", "%s", process->cgroup ? process->cgroup : "0::/\n");
	if (process->status)
		write_text(process->pid, "status", "%s", process->status);
	else
		write_text(process->pid, "status", "Name:\tx\nNSpid:\t%d\nSigPnd:\t0\n",
			   process->pid);
	snprintf(path, sizeof(path), "%s/%d/fd", tree, process->pid);
	mkdir(path, 0755);
	if (process->exe) {
		snprintf(path, sizeof(path), "%s/%d/exe", tree, process->pid);
		must(symlink(process->exe, path) == 0, path);
	}
}

void fake_proc_add_thread(pid_t pid, pid_t tid, char state)
{
	const struct fake_process thread = {.pid = tid, .comm = "thread", .state = state};
	char name[64];

	snprintf(name, sizeof(name), "task/%d/stat", tid);
	write_stat(pid, name, &thread);
}

void fake_proc_remove(pid_t pid)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%d", tree, pid);
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int fake_proc_set_up(void **state)
{
	(void)state;
	fake_proc_open();
	return 0;
}

int fake_proc_tear_down(void **state)
{
	(void)state;
	fake_proc_close();
	return 0;
}
