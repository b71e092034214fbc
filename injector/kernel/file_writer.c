/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The folder is opened once, so that nobody can put another one in its place later.
 */
#include "injector/kernel/file_writer.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct place {
	int folder;
	char name[NAME_MAX], next[NAME_MAX + 1]; /* next: beside it, hidden */
};

static int open_place(const char *path, struct place *out, struct error *err)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];

	if (path[0] != '/' || !slash[1] || strlen(slash + 1) > NAME_MAX - 16)
		return error_set(err, EINVAL, "'%.200s' is not the absolute path of a file", path);
	snprintf(folder, sizeof(folder), "%.*s/", (int)(slash - path), path);
	snprintf(out->name, sizeof(out->name), "%s", slash + 1);
	/* no suffix that a collector looks for */
	snprintf(out->next, sizeof(out->next), ".%s.squall", slash + 1);
	out->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (out->folder < 0)
		return error_errno(err, errno, "cannot open %s", folder);
	if (faccessat(out->folder, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return error_errno(err, errno, "cannot write in %s", folder);
	return 0;
}

static int replace(const struct place *place, const char *text, size_t length)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd, code;

	unlinkat(place->folder, place->next, 0); /* of one that was killed */
	fd = openat(place->folder, place->next, flags, 0644);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0644) == 0 && write(fd, text, length) == (ssize_t)length && close(fd) == 0 &&
	    renameat(place->folder, place->next, place->folder, place->name) == 0)
		return 0;
	code = errno ? errno : EIO;
	unlinkat(place->folder, place->next, 0);
	return -code;
}

static int change(const struct place *place, const char *text, size_t length, file_writer_fn fn)
{
	cleanup_free char *changed = NULL;
	size_t changed_length = 0;
	int result = fn(text, length, &changed, &changed_length);

	return result == 0 && changed ? replace(place, changed, changed_length) : result;
}

static void serve(int socket, const struct place *place, file_writer_fn last)
{
	static char text[FILE_WRITER_MAX], next[FILE_WRITER_MAX];
	ssize_t length = 0, got;

	while ((got = recv(socket, next, sizeof(next), 0)) > 0 || (got < 0 && errno == EINTR))
		if (got > 0) {
			memcpy(text, next, (size_t)got);
			length = got;
			replace(place, text, (size_t)length);
		}
	if (length)
		change(place, text, (size_t)length, last);
}

int file_writer_confine(uid_t uid, gid_t gid, struct error *err)
{
	return uid ? sandbox_drop_user(uid, gid, err) : sandbox_keep_capabilities(0, err);
}

static int prepare(const char *path, uid_t uid, gid_t gid, struct place *place, struct error *err)
{
	int result = file_writer_confine(uid, gid, err);

	return result < 0 ? result : open_place(path, place, err);
}

static void become_writer(int socket, const char *path, uid_t uid, gid_t gid, file_writer_fn last)
{
	struct error err = ERROR_INIT;
	struct place place;
	int result;

	prctl(PR_SET_NAME, "squall-metrics");
	signal(SIGINT, SIG_IGN); /* it ends when the other end does */
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	close_range(STDERR_FILENO + 1, (unsigned)socket - 1, 0);
	close_range((unsigned)socket + 1, ~0U, 0);
	result = prepare(path, uid, gid, &place, &err);
	if (send(socket, err.text, strlen(err.text) + 1, MSG_NOSIGNAL) > 0 && result == 0)
		serve(socket, &place, last);
	_exit(0);
}

int file_writer_start(struct file_writer *writer, const char *path, uid_t uid, gid_t gid,
		      file_writer_fn last, struct error *err)
{
	const int room = 2 * FILE_WRITER_MAX;
	char answer[sizeof(err->text)];
	ssize_t length;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, errno, "cannot talk to a writer of %.100s", path);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	writer->pid = fork();
	if (writer->pid == 0)
		become_writer(pair[1], path, uid, gid, last);
	close(pair[1]);
	writer->socket = pair[0];
	if (writer->pid < 0) {
		close(pair[0]);
		writer->pid = 0;
		return error_errno(err, EAGAIN, "cannot start a writer of %.100s", path);
	}
	length = recv(writer->socket, answer, sizeof(answer), 0);
	if (length == 1)
		return 0;
	file_writer_stop(writer);
	if (length <= 0)
		return error_set(err, EIO, "the writer of %.100s ended before it began", path);
	answer[sizeof(answer) - 1] = '\0';
	return error_set(err, EACCES, "%s", answer);
}

int file_writer_put(const struct file_writer *writer, const char *text, size_t length)
{
	if (!writer->pid)
		return -ESRCH;
	return send(writer->socket, text, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void file_writer_stop(struct file_writer *writer)
{
	struct pollfd ended = {.fd = writer->socket, .events = POLLIN};

	if (writer->pid <= 0)
		return;
	shutdown(writer->socket, SHUT_WR);
	/* its end is closed when it has written all */
	while (poll(&ended, 1, 1000) < 0 && errno == EINTR)
		;
	close(writer->socket);
	waitpid(writer->pid, NULL, WNOHANG);
	*writer = (struct file_writer){0};
}

int file_writer_change(const char *path, uid_t uid, gid_t gid, file_writer_fn fn)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	static char text[FILE_WRITER_MAX];
	struct place place;
	struct stat about;
	ssize_t length;
	int fd, result = prepare(path, uid, gid, &place, NULL);

	if (result < 0)
		return result;
	fd = openat(place.folder, place.name, flags);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &about) < 0 || !S_ISREG(about.st_mode) ||
	    about.st_size > (off_t)sizeof(text)) {
		close(fd);
		return -EMEDIUMTYPE;
	}
	length = read(fd, text, sizeof(text));
	close(fd);
	return length < 0 ? -errno : change(&place, text, (size_t)length, fn);
}
