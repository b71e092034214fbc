/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/trial.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>

/* What the child writes back; small enough for one atomic write to a pipe. */
struct message {
	int result;
	struct error why;
	_Alignas(max_align_t) unsigned char answer[TRIAL_ANSWER_MAX];
};
_Static_assert(sizeof(struct message) <= PIPE_BUF, "an answer is one write");

static int try(int (*fn)(void *answer, struct error *err), struct message *message)
{
	if (unshare(CLONE_NEWNET) < 0) {
		error_errno(&message->why, errno,
			    "cannot make a network namespace to try things in");
		return error_remedy(&message->why,
				    "run it as root; in a container, with CAP_SYS_ADMIN");
	}
	return fn(message->answer, &message->why);
}

static _Noreturn void answer_and_leave(int (*fn)(void *answer, struct error *err), int end,
				       struct message *message)
{
	message->result = try(fn, message);
	_exit(write(end, message, sizeof(*message)) == sizeof(*message) ? 0 : 1);
}

int trial_run(int (*fn)(void *answer, struct error *err), void *answer, size_t size,
	      struct error *err)
{
	struct message message = {.why = ERROR_INIT};
	int ends[2], status;
	ssize_t got;
	pid_t child;

	if (size > sizeof(message.answer))
		return error_set(err, EINVAL, "the answer of a trial is too large");
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, errno, "pipe");
	child = fork();
	if (child == 0)
		answer_and_leave(fn, ends[1], &message);
	close(ends[1]);
	if (child < 0) {
		close(ends[0]);
		return error_errno(err, errno, "cannot try what the kernel can do");
	}
	do
		got = read(ends[0], &message, sizeof(message));
	while (got < 0 && errno == EINTR);
	close(ends[0]);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (got != sizeof(message))
		return error_set(err, EIO, "trying what the kernel can do ended early");
	message.why.text[sizeof(message.why.text) - 1] = '\0';
	message.why.remedy[sizeof(message.why.remedy) - 1] = '\0';
	if (message.result < 0) {
		if (err)
			*err = message.why;
		return message.result;
	}
	if (size)
		memcpy(answer, message.answer, size);
	return 0;
}
