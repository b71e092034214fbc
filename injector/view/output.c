/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/view/output.h"

#include "injector/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP_MAX     (4U << 20)
#define RETRY_NS     (20 * NSEC_PER_MSEC)
#define LAST_WAIT_NS (2 * NSEC_PER_SEC)

struct output {
	FILE *file;
	struct loop *loop;
	struct loop_timer retry;
	int fd;	    /* of `file`; -1: it has none (a memory stream) */
	int own_fd; /* the same terminal or pipe, opened again without blocking; -1: not possible */
	bool is_socket, is_pipe, is_terminal, is_gone;
	char *kept; /* not yet sent, from kept_at on; owned */
	size_t kept_at, kept_end, kept_size;
	unsigned lost;
};

static void retry(void *context);

/* Setting O_NONBLOCK on standard output would set it for the shell as well (open file descriptions
 * are shared), so the terminal or pipe is opened a second time. A process that has given up root
 * may not open its own descriptors again, nor the terminal of somebody else; the controlling
 * terminal it may. */
static int open_again(int fd)
{
	const int flags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	unsigned device = 0, controlling = 0;
	char path[64];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags);
	if (again >= 0 || !isatty(fd))
		return again;
	again = open("/dev/tty", flags);
	if (again >= 0 && ioctl(fd, TIOCGDEV, &device) == 0 &&
	    ioctl(again, TIOCGDEV, &controlling) == 0 && device == controlling)
		return again;
	if (again >= 0)
		close(again);
	return -1;
}

int output_new(FILE *file, struct loop *loop, struct output **out, struct error *err)
{
	struct output *output = calloc(1, sizeof(*output));
	struct stat stat;

	if (!output)
		return error_errno(err, ENOMEM, "cannot make a view");
	fflush(file);
	output->file = file;
	output->loop = loop;
	output->fd = fileno(file);
	output->own_fd = -1;
	if (output->fd >= 0 && fstat(output->fd, &stat) == 0) {
		output->is_socket = S_ISSOCK(stat.st_mode);
		output->is_pipe = S_ISFIFO(stat.st_mode);
		output->is_terminal = isatty(output->fd);
		if (output->is_pipe || output->is_terminal)
			output->own_fd = open_again(output->fd);
	}
	*out = output;
	return 0;
}

/* A terminal that says it is ready may still have no room for a second byte, so asking is not
 * enough: the flag that all who share the descriptor see is set, for the moment of this one call.
 */
static ssize_t write_terminal(int fd, const char *text, size_t length)
{
	int flags = fcntl(fd, F_GETFL), code;
	ssize_t sent;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	sent = write(fd, text, length);
	code = errno;
	fcntl(fd, F_SETFL, flags);
	return sent < 0 ? -code : sent;
}

/* A pipe that is ready takes PIPE_BUF bytes without waiting, pipe(7). */
static ssize_t write_pipe(int fd, const char *text, size_t length)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	ssize_t sent;

	if (poll(&ready, 1, 0) <= 0)
		return -EAGAIN;
	sent = write(fd, text, length < PIPE_BUF ? length : PIPE_BUF);
	return sent < 0 ? -errno : sent;
}

/* As write(2), without waiting: -EAGAIN instead. */
static ssize_t send_some(const struct output *output, const char *text, size_t length)
{
	ssize_t sent;

	if (output->fd < 0) {
		size_t written = fwrite(text, 1, length, output->file);

		return written ? (ssize_t)written : -EIO;
	}
	if (output->own_fd < 0 && output->is_terminal)
		return write_terminal(output->fd, text, length);
	if (output->own_fd < 0 && output->is_pipe)
		return write_pipe(output->fd, text, length);
	if (output->is_socket)
		sent = send(output->fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		sent = write(output->own_fd >= 0 ? output->own_fd : output->fd, text, length);
	return sent < 0 ? -errno : sent;
}

/* Sends as much as goes without waiting; returns how much. */
static size_t send_all(struct output *output, const char *text, size_t length)
{
	size_t done = 0;

	while (done < length && !output->is_gone) {
		ssize_t sent = send_some(output, text + done, length - done);

		if (sent > 0)
			done += (size_t)sent;
		else if (sent == -EAGAIN)
			break;
		else if (sent != -EINTR)
			output->is_gone = true; /* EPIPE, EIO: nobody is there any more */
	}
	return done;
}

static void flush_kept(struct output *output)
{
	size_t left = output->kept_end - output->kept_at;

	if (left)
		output->kept_at += send_all(output, output->kept + output->kept_at, left);
	if (output->is_gone || output->kept_at == output->kept_end)
		output->kept_at = output->kept_end = 0;
	else if (output->loop)
		loop_timer_set(output->loop, &output->retry, clock_now_ns() + RETRY_NS, retry,
			       output);
}

static void retry(void *context)
{
	flush_kept(context);
}

/* Keeps the rest of a piece. A piece that was begun is always kept whole when memory allows: half a
 * line of JSON would spoil the stream. */
static void keep(struct output *output, const char *text, size_t length, bool begun)
{
	size_t used = output->kept_end - output->kept_at;
	char *grown;

	if (used + length > KEEP_MAX && !begun) {
		output->lost++;
		return;
	}
	if (output->kept_at) {
		memmove(output->kept, output->kept + output->kept_at, used);
		output->kept_at = 0;
		output->kept_end = used;
	}
	if (used + length > output->kept_size) {
		grown = realloc(output->kept, (used + length) * 2);
		if (!grown) {
			output->lost++;
			return;
		}
		output->kept = grown;
		output->kept_size = (used + length) * 2;
	}
	memcpy(output->kept + used, text, length);
	output->kept_end = used + length;
}

void output_write(struct output *output, const char *text, size_t length)
{
	size_t sent = 0;

	if (output->is_gone || !length)
		return;
	flush_kept(output);
	if (!output_is_busy(output))
		sent = send_all(output, text, length);
	if (sent < length && !output->is_gone) {
		keep(output, text + sent, length - sent, sent > 0);
		flush_kept(output);
	}
}

bool output_is_busy(const struct output *output)
{
	return output->kept_end > output->kept_at;
}

bool output_is_gone(const struct output *output)
{
	return output->is_gone;
}

unsigned output_take_lost(struct output *output)
{
	unsigned lost = output->lost;

	/* while there is no room, the news of it would be lost as well */
	if (output->kept_end - output->kept_at > KEEP_MAX / 2)
		return 0;
	output->lost = 0;
	return lost;
}

int output_fd(const struct output *output)
{
	return output->fd;
}

void output_free(struct output *output)
{
	int64_t until_ns = clock_now_ns() + LAST_WAIT_NS;

	if (!output)
		return;
	while (output_is_busy(output) && clock_now_ns() < until_ns) {
		struct pollfd ready = {.fd = output->fd, .events = POLLOUT};

		poll(&ready, 1, 50);
		flush_kept(output);
	}
	if (output->loop)
		loop_timer_cancel(output->loop, &output->retry);
	if (output->own_fd >= 0)
		close(output->own_fd);
	if (output->fd < 0)
		fflush(output->file);
	free(output->kept);
	free(output);
}
