/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall-tls: nobody, without capabilities, without a file or a socket that it could open. It ends
 * with its worker, and with whoever sends it what is no request.
 */
#include "faults/http_tls_pump.h"

#include "faults/http_responder.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/descriptors.h"
#include "injector/kernel/realtime.h"
#include "injector/kernel/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define SWEEP_NS (250 * NSEC_PER_MSEC)
#define SPARE	 32 /* descriptors for everything but connections, which have four */

int tls_reply(struct tls_server *server, const struct http_tls_reply *reply)
{
	return http_tls_send(server->socket, reply, sizeof(*reply), NULL, 0);
}

static void close_both(const int fds[HTTP_TLS_FDS_MAX])
{
	cleanup_fd_at(&fds[0]);
	cleanup_fd_at(&fds[1]);
}

static bool is_stream(int fd, bool is_local)
{
	int type = 0, domain = 0;
	socklen_t size = sizeof(type), domain_size = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
	       getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_size) == 0 &&
	       (domain == AF_UNIX) == is_local;
}

/* Without descriptors: there are too many; who was meant sees a reset. */
static bool begin(struct tls_server *server, const struct http_tls_request *request,
		  const int fds[HTTP_TLS_FDS_MAX])
{
	if (request->side >= HTTP_TLS_SIDES || !request->connection || !request->id ||
	    tls_side_find(server, request->id))
		return false;
	if (fds[0] < 0 || fds[1] < 0) {
		close_both(fds);
		return true;
	}
	if (!is_stream(fds[0], false) || !is_stream(fds[1], true))
		return false;
	tls_side_begin(server, request, fds[0], fds[1]);
	return true;
}

/* False: no request that may be made. */
static bool serve_one(struct tls_server *server, const struct http_tls_request *request,
		      const int fds[HTTP_TLS_FDS_MAX])
{
	struct tls_side *side;

	switch (request->op) {
	case HTTP_TLS_HOLD:
		cleanup_fd_at(&fds[1]);
		if (server->held >= 0)
			close(server->held);
		server->held = fds[0];
		return true;
	case HTTP_TLS_BEGIN:
		return begin(server, request, fds);
	case HTTP_TLS_END:
		close_both(fds);
		side = tls_side_find(server, request->id);
		if (side) {
			side->is_end_told = true;
			side->is_end_ragged |= request->side == 1;
		}
		return true;
	case HTTP_TLS_LEAVE:
		close_both(fds);
		server->is_leaving = true;
		return true;
	default:
		return false;
	}
}

void tls_serve(struct tls_server *server)
{
	struct http_tls_request request;
	int fds[HTTP_TLS_FDS_MAX], got = 1;

	while (!server->is_ending && !server->is_leaving && got > 0) {
		got = http_tls_receive(server->socket, &request, sizeof(request), fds);
		if (got == 0 || (got > 0 && !serve_one(server, &request, fds)))
			server->is_ending = true;
	}
}

static void on_request(void *context, uint32_t events)
{
	(void)events;
	tls_serve(context);
}

static void on_sweep(void *context)
{
	struct tls_server *server = context;
	int64_t now_ns = clock_now_ns();

	tls_sweep(server, now_ns);
	loop_timer_set(server->loop, &server->timer, now_ns + SWEEP_NS, on_sweep, server);
}

/* Connections first: the table of which a descriptor is held translates their last words. */
static void leave_off(struct tls_server *server)
{
	const struct http_tls_reply left = {.op = HTTP_TLS_LEFT};
	struct pollfd poller = {.fd = server->socket, .events = POLLOUT};

	tls_end_all(server);
	cleanup_fd_at(&server->held);
	server->held = -1;
	server->is_leaving = false;
	while (tls_reply(server, &left) == -EAGAIN)
		poll(&poller, 1, -1);
}

static int run(struct tls_server *server)
{
	int result = 0;

	on_sweep(server);
	while (result == 0 && !server->is_ending) {
		result = loop_turn(server->loop, -1, NULL);
		tls_settle(server);
		if (server->is_leaving && !server->is_ending) {
			leave_off(server);
			tls_serve(server);
			tls_settle(server);
		}
	}
	tls_end_all(server);
	return result < 0;
}

/* ---- Getting there ---- */

static void limit(void)
{
	const rlim_t needed = 4 * HTTP_CONNECTIONS_MAX + SPARE;
	const struct rlimit none = {0};
	struct rlimit files, processor;

	setrlimit(RLIMIT_CORE, &none); /* the key would be in it */
	/* the worker's time for planning is not that of connections */
	signal(SIGXCPU, SIG_DFL);
	if (getrlimit(RLIMIT_CPU, &processor) == 0) {
		processor.rlim_cur = processor.rlim_max;
		setrlimit(RLIMIT_CPU, &processor);
	}
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = needed;
	if (files.rlim_max < needed)
		files.rlim_max = needed;
	if (setrlimit(RLIMIT_NOFILE, &files) == 0 || getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static int drop(struct error *err)
{
	return sandbox_drop_user(HTTP_TLS_UID, HTTP_TLS_UID, err);
}

int http_tls_confine(struct error *err)
{
	int result = drop(err);

	return result < 0 ? result : sandbox_tls(err);
}

static int prepare(struct tls_server *server, pid_t parent, const struct params *params,
		   struct http_tls_reply *ready, struct error *err)
{
	int *const kept[] = {&server->socket};
	int result = descriptors_keep(kept, 1);

	prctl(PR_SET_NAME, "squall-tls");
	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes by write(2) */
	realtime_end();
	limit();
	if (result < 0)
		return error_errno(err, -result, "cannot close inherited descriptors");
	result = drop(err);
	/* behind the change of user, which takes it back */
	if (result == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		result = error_errno(err, errno, "cannot end with the worker");
	if (result == 0 && getppid() != parent)
		result = error_set(err, ESRCH, "the worker is gone");
	if (result == 0)
		result = http_tls_library_load(err);
	if (result == 0)
		result = http_tls_contexts_new(params, &server->contexts, ready->text, ready->more,
					       sizeof(ready->text), err);
	if (result == 0)
		result = loop_new(&server->loop, err);
	if (result == 0)
		result = loop_watch(server->loop, server->socket, EPOLLIN, on_request, server, err);
	return result < 0 ? result : sandbox_tls(err);
}

int http_tls_main(int socket, pid_t parent, const struct params *params)
{
	struct tls_server server = {.socket = socket, .held = -1};
	struct http_tls_reply ready = {.op = HTTP_TLS_READY};
	struct error err = ERROR_INIT;
	int result = prepare(&server, parent, params, &ready, &err);

	if (result < 0) {
		ready.code = -result;
		snprintf(ready.text, sizeof(ready.text), "%.239s", err.text);
		snprintf(ready.more, sizeof(ready.more), "%.239s", err.remedy);
	}
	if (tls_reply(&server, &ready) < 0 || result < 0)
		return 1;
	return run(&server);
}
