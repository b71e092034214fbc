/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The worker's side. Nothing that the process says is believed beyond what http_tls_message.h
 * allows, and nothing waits for it longer than a moment: who does not answer is gone.
 */
#include "faults/http_tls_message.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/printable.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define READY_MS  10000 /* reading a file of authorities, on a machine that is busy */
#define ROOM_MS	  1000	/* for the process to take what it was sent */
#define LEAVE_NS  (2 * NSEC_PER_SEC)
#define HEARD_MAX 2000

struct http_tls {
	int socket;
	pid_t pid;
	uint64_t last; /* number */
	char certificate[240], oddity[240];
	_Atomic bool is_gone;
	pthread_mutex_t lock; /* of the counters */
	struct http_tls_counters counters;
};

static int await(const struct http_tls *tls, short events, int wait_ms)
{
	struct pollfd poller = {.fd = tls->socket, .events = events};
	int result;

	do
		result = poll(&poller, 1, wait_ms);
	while (result < 0 && errno == EINTR);
	return result;
}

/* It ends when it sees this, however late, and lets go what it holds. */
static void give_up(struct http_tls *tls)
{
	tls->is_gone = true;
	shutdown(tls->socket, SHUT_RDWR);
}

static void say(struct http_tls *tls, const struct http_tls_request *request, const int *fds,
		unsigned count)
{
	int result;

	if (tls->is_gone)
		return;
	result = http_tls_send(tls->socket, request, sizeof(*request), fds, count);
	if (result == -EAGAIN && await(tls, POLLOUT, ROOM_MS) > 0)
		result = http_tls_send(tls->socket, request, sizeof(*request), fds, count);
	if (result < 0)
		give_up(tls);
}

/* ---- Its life ---- */

static int meet(struct http_tls *tls, struct error *err)
{
	struct http_tls_reply ready;

	if (await(tls, POLLIN, READY_MS) <= 0 ||
	    http_tls_receive(tls->socket, &ready, sizeof(ready), NULL) != 1 ||
	    ready.op != HTTP_TLS_READY)
		return error_set(err, EIO, "the process that speaks TLS ended before it began");
	ready.text[sizeof(ready.text) - 1] = ready.more[sizeof(ready.more) - 1] = '\0';
	printable_clean(ready.text, false);
	printable_clean(ready.more, false);
	if (ready.code) {
		error_set(err, ready.code > 0 && ready.code < 4096 ? ready.code : EIO, "%s",
			  ready.text);
		return ready.more[0] ? error_remedy(err, "%s", ready.more) : -err->code;
	}
	memcpy(tls->certificate, ready.text, sizeof(tls->certificate));
	memcpy(tls->oddity, ready.more, sizeof(tls->oddity));
	return 0;
}

int http_tls_start(const struct params *params, struct http_tls **out, struct error *err)
{
	struct http_tls *tls = calloc(1, sizeof(*tls));
	pid_t parent = getpid();
	int pair[2], result;

	if (!tls)
		return error_errno(err, ENOMEM, "TLS");
	tls->socket = -1;
	pthread_mutex_init(&tls->lock, NULL);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		result = error_errno(err, errno, "cannot talk to a process that speaks TLS");
		http_tls_free(tls);
		return result;
	}
	tls->pid = fork();
	if (tls->pid == 0)
		_exit(http_tls_main(pair[1], parent, params));
	tls->socket = pair[0];
	close(pair[1]);
	result = tls->pid < 0 ? error_errno(err, errno, "cannot start a process that speaks TLS")
			      : meet(tls, err);
	if (result < 0)
		http_tls_free(tls);
	else
		*out = tls;
	return result;
}

const char *http_tls_certificate(const struct http_tls *tls)
{
	return tls->certificate;
}

const char *http_tls_oddity(const struct http_tls *tls)
{
	return tls->oddity;
}

/* Should it not end by itself, it is killed when the worker ends. */
void http_tls_free(struct http_tls *tls)
{
	if (!tls)
		return;
	cleanup_fd_at(&tls->socket);
	for (unsigned ms = 0; tls->pid > 0 && ms < 500; ms++)
		if (waitpid(tls->pid, NULL, WNOHANG) != 0)
			tls->pid = 0;
		else
			poll(NULL, 0, 1);
	pthread_mutex_destroy(&tls->lock);
	free(tls);
}

/* A local socket with `fd` in its queue. */
static int enclose(int fd)
{
	int pair[2], result;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	result = http_tls_send(pair[0], "", 1, &fd, 1);
	close(pair[0]);
	if (result == 0)
		return pair[1];
	close(pair[1]);
	return result;
}

/* What is in a queue is closed behind all that a dying process had open (fput() puts it on a list
 * that is looked at when the one before is done: task_work_run() in kernel/task_work.c).
 * Connections that are still under way to the process are in such a queue; what is held has to last
 * longer, and is in one in one. */
int http_tls_hold(struct http_tls *tls, int fd, struct error *err)
{
	cleanup_fd int inner = enclose(fd), outer = inner < 0 ? inner : enclose(inner);

	if (outer < 0)
		return error_errno(err, -outer, "cannot keep a table in force");
	say(tls, &(struct http_tls_request){.op = HTTP_TLS_HOLD}, &outer, 1);
	return http_tls_check_alive(tls, err);
}

int http_tls_check_alive(const struct http_tls *tls, struct error *err)
{
	if (!tls->is_gone)
		return 0;
	return error_set(err, ESTALE, "squall-tls, which speaks TLS, has died or does not answer");
}

void http_tls_count(const struct http_tls *tls, struct http_tls_counters *out)
{
	struct http_tls *locked = (struct http_tls *)(uintptr_t)tls;

	pthread_mutex_lock(&locked->lock);
	*out = tls->counters;
	pthread_mutex_unlock(&locked->lock);
}

/* ---- Connections ---- */

uint64_t http_tls_number(struct http_tls *tls)
{
	return ++tls->last;
}

int http_tls_pass(struct http_tls *tls, uint64_t connection, enum http_tls_side side, uint64_t id,
		  int *inout_fd)
{
	const struct http_tls_request request = {
		.op = HTTP_TLS_BEGIN, .side = side, .connection = connection, .id = id};
	int pair[2], tcp = *inout_fd;

	*inout_fd = -1;
	if (tls->is_gone ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		close(tcp);
		return -EPIPE;
	}
	say(tls, &request, (const int[]){tcp, pair[1]}, 2);
	close(tcp);
	close(pair[1]);
	if (!tls->is_gone) {
		*inout_fd = pair[0];
		return 0;
	}
	close(pair[0]);
	return -EPIPE;
}

void http_tls_end(struct http_tls *tls, uint64_t id, bool is_ragged)
{
	say(tls, &(struct http_tls_request){.op = HTTP_TLS_END, .side = is_ragged, .id = id}, NULL,
	    0);
}

static void note_failure(struct http_tls *tls, struct http_tls_reply *reply)
{
	struct http_tls_counters *counters = &tls->counters;

	if (reply->side >= HTTP_TLS_SIDES)
		return;
	reply->text[sizeof(reply->text) - 1] = '\0';
	printable_clean(reply->text, false);
	pthread_mutex_lock(&tls->lock);
	counters->failed[reply->side]++;
	snprintf(counters->reason[reply->side], HTTP_TLS_REASON, "%.*s", HTTP_TLS_REASON - 1,
		 reply->text);
	pthread_mutex_unlock(&tls->lock);
}

/* 1: something was said; 0: it is gone; -EAGAIN. */
static int hear_one(struct http_tls *tls, struct http_tls_reply *reply)
{
	int got = tls->is_gone ? 0 : http_tls_receive(tls->socket, reply, sizeof(*reply), NULL);

	if (got == 0)
		tls->is_gone = true;
	else if (got == 1 && reply->op == HTTP_TLS_FAILED)
		note_failure(tls, reply);
	else if (got == 1 && reply->op == HTTP_TLS_CLEAR) {
		pthread_mutex_lock(&tls->lock);
		tls->counters.clear++;
		pthread_mutex_unlock(&tls->lock);
	}
	return got;
}

void http_tls_hear(struct http_tls *tls, void (*ended)(void *context, uint64_t id, bool is_ragged),
		   void *context)
{
	struct http_tls_reply reply;

	/* more do not fit into the socket: who goes on sending does not keep us from the rest */
	for (unsigned i = 0; i < HEARD_MAX && hear_one(tls, &reply) == 1; i++)
		if (reply.op == HTTP_TLS_END)
			ended(context, reply.id, reply.code == 1);
}

int http_tls_socket(const struct http_tls *tls)
{
	return tls->socket;
}

void http_tls_leave(struct http_tls *tls)
{
	int64_t until_ns = clock_now_ns() + LEAVE_NS, now_ns;
	struct http_tls_reply reply;
	int got;

	say(tls, &(struct http_tls_request){.op = HTTP_TLS_LEAVE}, NULL, 0);
	while (!tls->is_gone && (now_ns = clock_now_ns()) < until_ns) {
		got = hear_one(tls, &reply);
		if (got == 1 && reply.op == HTTP_TLS_LEFT)
			return;
		if (got == -EAGAIN)
			await(tls, POLLIN, (int)((until_ns - now_ns) / NSEC_PER_MSEC) + 1);
	}
	give_up(tls);
}
