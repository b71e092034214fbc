/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/soak/members.h"

#include "tests/sweep/world.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const member_names[MEMBER_COUNT] = {"conductor", "worker", "guardian", "launcher"};

void members_find(pid_t conductor, pid_t out[MEMBER_COUNT])
{
	char path[64], text[512] = "", comm[PROC_COMM_SIZE];
	cleanup_fd int fd = -1;

	memset(out, 0, MEMBER_COUNT * sizeof(*out));
	out[MEMBER_CONDUCTOR] = conductor;
	/* all of them are the conductor's children */
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", conductor, conductor);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return;
	for (char *rest, *word = strtok_r(text, " ", &rest); word;
	     word = strtok_r(NULL, " ", &rest)) {
		pid_t pid = (pid_t)strtol(word, NULL, 10);

		if (proc_read_comm(pid, comm, sizeof(comm)) < 0 || strncmp(comm, "squall-", 7) != 0)
			continue;
		for (unsigned i = MEMBER_WORKER; i < MEMBER_COUNT; i++)
			if (strcmp(comm + 7, member_names[i]) == 0)
				out[i] = pid;
	}
}

long soak_number(const char *path, const char *key)
{
	cleanup_file FILE *file = fopen(path, "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			return strtol(line + strlen(key), NULL, 10);
	return -1;
}

pid_t soak_start(int namespace_fd, const char *experiment, const char *log)
{
	sigset_t none;
	pid_t pid;
	int out;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (setns(namespace_fd, CLONE_NEWNET) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(98);
	execl(world_built("squall"), "squall", "run", "--json", experiment, NULL);
	_exit(99);
}
