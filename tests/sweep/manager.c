/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who talks to it may be killed or stopped in the middle: each has a thread of his own, and only
 * the reload itself is one after the other.
 */
#include "tests/sweep/manager.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/systemd.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER "l\2\0\1\0\0\0\0\2\0\0\0\10\0\0\0" /* a return; the size of its body at 4 */

static const char *from, *to;
static pthread_mutex_t reloading = PTHREAD_MUTEX_INITIALIZER;

static void must(bool is_true, const char *what)
{
	if (is_true)
		return;
	perror(what);
	_exit(99);
}

static void reload(void)
{
	cleanup_fd int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
	struct stat status;
	char text[4096];
	ssize_t size;

	pthread_mutex_lock(&reloading);
	out = open(to, O_WRONLY | O_TRUNC | O_CLOEXEC);
	must(in >= 0 && out >= 0 && fstat(in, &status) == 0, from);
	while ((size = read(in, text, sizeof(text))) > 0)
		must(write(out, text, (size_t)size) == size, to);
	must(futimens(out, (struct timespec[]){status.st_atim, status.st_mtim}) == 0, to);
	pthread_mutex_unlock(&reloading);
}

/* Up to `end`, or `size` bytes; false: the other one is gone. */
static bool hear(int fd, char *text, size_t size, const char *end)
{
	for (size_t used = 0; used < size; used++) {
		if (read(fd, text + used, 1) != 1)
			return false;
		if (end && used + 1 >= strlen(end) &&
		    memcmp(text + used + 1 - strlen(end), end, strlen(end)) == 0)
			return true;
	}
	return !end;
}

/* LoadUnit is answered by the path of the unit, ReloadUnit by that of no job. */
static void answer(int fd, bool is_path)
{
	static const char path[] = "/org/freedesktop/systemd1/unit/sweep_2eservice";
	char message[160] = ANSWER "\10\1g\0\1o\0\0";
	const uint32_t length = sizeof(path) - 1, body = length + 5;

	if (!is_path) {
		(void)!write(fd, ANSWER "\5\1u\0\1\0\0", 24);
		return;
	}
	memcpy(message + 4, &body, 4);
	memcpy(message + 24, &length, 4);
	memcpy(message + 28, path, sizeof(path));
	(void)!write(fd, message, 24 + body);
}

static void talk(int fd)
{
	char text[4096];
	uint32_t body, fields;

	if (!hear(fd, text, sizeof(text), "BEGIN\r\n") || write(fd, "OK 1234\r\n", 9) != 9 ||
	    !hear(fd, text, 16, NULL))
		return;
	memcpy(&body, text + 4, 4);
	memcpy(&fields, text + 12, 4);
	body += (fields + 7) & ~7U;
	if (body > sizeof(text) || !hear(fd, text, body, NULL))
		return;
	if (memmem(text, body, "ReloadUnit", 10) &&
	    memmem(text, body, MANAGER_UNIT, strlen(MANAGER_UNIT)))
		reload();
	answer(fd, memmem(text, body, "LoadUnit", 8) != NULL);
}

static void *serve(void *context)
{
	int fd = (int)(intptr_t)context;

	talk(fd);
	close(fd);
	return NULL;
}

static void write_program(void)
{
	FILE *out;

	must(mkdir(MANAGER_PROGRAMS, 0755) == 0, MANAGER_PROGRAMS);
	out = fopen(MANAGER_PROGRAMS "/systemctl", "we");
	must(out != NULL, MANAGER_PROGRAMS);
	fprintf(out,
		"#!/bin/sh\n"
		"test \"$*\" = 'reload " MANAGER_UNIT "' && exec cp --preserve=timestamps %s %s\n",
		from, to);
	fclose(out);
	must(chmod(MANAGER_PROGRAMS "/systemctl", 0755) == 0, MANAGER_PROGRAMS);
}

static int listen_there(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SYSTEMD_SOCKET};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(mkdir("/run/systemd", 0755) == 0, "/run/systemd");
	must(bind(fd, (const void *)&address, sizeof(address)) == 0 && listen(fd, 16) == 0,
	     SYSTEMD_SOCKET);
	return fd;
}

pid_t manager_start(const char *copy_from, const char *copy_to)
{
	int listener = listen_there();
	pid_t pid;

	from = copy_from;
	to = copy_to;
	write_program();
	fflush(NULL);
	pid = fork();
	must(pid >= 0, "fork");
	if (pid > 0) {
		close(listener);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		pthread_t thread;

		must(fd >= 0, "accept");
		must(pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0, "thread");
		pthread_detach(thread);
	}
}
