/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Root alone has one: who called sudo can read for himself.
 */
#include "injector/kernel/file_reader.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/descriptors.h"
#include "injector/kernel/sandbox.h"
#include "injector/kernel/trusted_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_FILES 300 /* included ones and values */

struct answer {
	int code;
	char text[512], remedy[256];
};

/* What is no regular file is not handed out: a device or a pipe could be anything. Nor what others
 * than root could have written: it says what root does. */
static int open_regular(const char *path, struct error *err)
{
	cleanup_fd int fd =
		sandbox_open_as_caller(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, err);
	struct stat stat;

	if (fd < 0)
		return fd;
	if (fstat(fd, &stat) < 0)
		return error_errno(err, errno, "cannot read %s", path);
	if (!S_ISREG(stat.st_mode))
		return error_set(err, EINVAL, "%s is not a regular file", path);
	if (trusted_file_check_for(fd, path, 0, err) < 0)
		return -EPERM;
	return steal_fd(&fd);
}

uint64_t file_reader_capabilities(void)
{
	const uint64_t reading = 1ULL << CAP_DAC_READ_SEARCH, all = 1ULL << CAP_DAC_OVERRIDE;

	return sandbox_held(reading) ? reading : sandbox_held(all);
}

int file_reader_confine(struct error *err)
{
	int result = sandbox_keep_capabilities(file_reader_capabilities(), err);

	return result < 0 ? result : sandbox_reader(err);
}

/* `refusal`: why nothing is opened, or NULL. */
static void serve(int socket, const struct error *refusal)
{
	for (int served = 0; served < MOST_FILES; served++) {
		char path[PATH_MAX + 1];
		struct answer reply = {0};
		struct error err = ERROR_INIT;
		ssize_t size = recv(socket, path, sizeof(path) - 1, 0);
		int fd = -EPERM;

		if (size <= 1) /* gone, or told to leave */
			return;
		path[size] = '\0';
		if (refusal)
			err = *refusal;
		else
			fd = open_regular(path, &err);
		reply.code = fd < 0 ? -fd : 0;
		snprintf(reply.text, sizeof(reply.text), "%.*s", (int)sizeof(reply.text) - 1,
			 err.text);
		snprintf(reply.remedy, sizeof(reply.remedy), "%.*s", (int)sizeof(reply.remedy) - 1,
			 err.remedy);
		descriptor_send(socket, &reply, sizeof(reply), fd, MSG_NOSIGNAL);
		if (fd >= 0)
			close(fd);
	}
}

static void become_reader(int socket)
{
	struct error err = ERROR_INIT;
	int result;

	signal(SIGINT, SIG_DFL);
	close_range(STDERR_FILENO + 1, (unsigned)socket - 1, 0);
	close_range((unsigned)socket + 1, ~0U, 0);
	result = file_reader_confine(&err);
	serve(socket, result < 0 ? &err : NULL);
	_exit(0);
}

int file_reader_start(struct file_reader *reader, struct error *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, errno, "cannot talk to a reader of files");
	reader->pid = fork();
	if (reader->pid < 0) {
		close(pair[0]);
		close(pair[1]);
		reader->pid = 0;
		return error_errno(err, errno, "cannot start a reader of files");
	}
	if (reader->pid == 0)
		become_reader(pair[1]);
	close(pair[1]);
	reader->socket = pair[0];
	return 0;
}

int file_reader_open(const struct file_reader *reader, const char *path, struct error *err)
{
	struct answer reply;
	int fd, result;

	if (strlen(path) > PATH_MAX ||
	    send(reader->socket, path, strlen(path) + 1, MSG_NOSIGNAL) < 0)
		return error_errno(err, ENAMETOOLONG, "cannot open %.200s", path);
	if (descriptor_receive(reader->socket, &reply, sizeof(reply), &fd, 0) != sizeof(reply)) {
		cleanup_fd_at(&fd);
		return error_errno(err, EIO, "cannot open %.200s", path);
	}
	if (reply.code == 0 && fd >= 0)
		return fd;
	cleanup_fd_at(&fd);
	reply.text[sizeof(reply.text) - 1] = reply.remedy[sizeof(reply.remedy) - 1] = '\0';
	result = error_set(err, reply.code, "%s", reply.text);
	if (reply.remedy[0])
		error_remedy(err, "%s", reply.remedy);
	return result;
}

void file_reader_stop(struct file_reader *reader)
{
	if (reader->pid <= 0)
		return;
	(void)!send(reader->socket, "", 1, MSG_NOSIGNAL);
	close(reader->socket);
	while (waitpid(reader->pid, NULL, 0) < 0 && errno == EINTR)
		;
	reader->pid = 0;
}
