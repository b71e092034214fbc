/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probe `tcp`: can a connection be made? The kernel of the other side completes the handshake, so a
 * pass says that the port listens, not that its program answers. Every attempt is a new connection;
 * of a name's addresses the first that accepts counts.
 */
#include "injector/probes/probe.h"
#include "injector/probes/resolver.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { EXPECT_LATENCY };

static const struct param tcp_params[] = {{0}};
static const struct param tcp_expect[] = {
	[EXPECT_LATENCY] = {"latency", PARAM_COMPARE_DURATION,
			    .doc = "time until the connection stands, with the name look-up"},
	{0},
};

struct tcp {
	struct probe *probe;
	struct resolver *resolver;
	struct resolver_result addresses;
	unsigned next; /* address to try */
	int fd;	       /* -1: not connecting */
	char obstacle[ENDPOINT_HOST_MAX + 32];
};

static void on_connect(void *context, uint32_t events);

static int tcp_check(const struct probe_spec *spec, struct error *err)
{
	struct endpoint_host server;

	return probe_parse_host_port(spec->subject[0], &server, err);
}

static void tcp_close(struct probe *probe)
{
	struct tcp *tcp = probe->state;

	if (!tcp)
		return;
	resolver_free(tcp->resolver);
	free(tcp);
	probe->state = NULL;
}

static int tcp_open(struct probe *probe, struct error *err)
{
	struct endpoint_host server;
	struct tcp *tcp;
	int result = probe_parse_host_port(probe->spec->subject[0], &server, err);

	if (result < 0)
		return result;
	tcp = probe->state = calloc(1, sizeof(*tcp));
	if (!tcp)
		return error_errno(err, ENOMEM, "cannot prepare the probe");
	tcp->probe = probe;
	tcp->fd = -1;
	snprintf(tcp->obstacle, sizeof(tcp->obstacle), "resolve host '%s'", server.name);
	return resolver_new(&server, probe->loop, &tcp->resolver, err);
}

static void hang_up(struct tcp *tcp)
{
	if (tcp->fd < 0)
		return;
	loop_close(tcp->probe->loop, steal_fd(&tcp->fd));
}

static void fail(struct tcp *tcp, int code)
{
	struct probe *probe = tcp->probe;
	char reason[64];

	snprintf(reason, sizeof(reason), "%s", strerror(code));
	if (reason[0] >= 'A' && reason[0] <= 'Z')
		reason[0] = (char)(reason[0] + 'a' - 'A');
	probe->latency_ns = -1;
	if (probe_errno_is_local(code))
		probe_finish(probe, PROBE_UNKNOWN, NAN, "cannot connect from here: %s", reason);
	else
		probe_finish(probe, PROBE_FAIL, NAN, "%s", reason);
}

/* Tries the next address. 0: under way; otherwise the errno of the last attempt. */
static int connect_next(struct tcp *tcp)
{
	int code = EADDRNOTAVAIL;

	while (tcp->next < tcp->addresses.count) {
		const union resolver_address *to = &tcp->addresses.addresses[tcp->next++];
		cleanup_fd int fd =
			socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (fd < 0 || (connect(fd, &to->any, resolver_address_length(to)) < 0 &&
			       errno != EINPROGRESS)) {
			code = errno;
			continue;
		}
		if (loop_watch(tcp->probe->loop, fd, EPOLLOUT, on_connect, tcp, NULL) < 0)
			return ENOMEM;
		tcp->fd = steal_fd(&fd);
		return 0;
	}
	return code;
}

/* A connection to a free port of this machine may get that very port as its own and then meets
 * itself (simultaneous open, RFC 9293 3.5): nobody listens, and yet it stands. */
static bool is_connected_to_itself(int fd, const union resolver_address *to)
{
	union resolver_address ours = {0}, theirs = {0};
	socklen_t our_length = sizeof(ours), their_length = sizeof(theirs);

	/* both families have the port in the same place; nearly always this is all */
	return getsockname(fd, &ours.any, &our_length) == 0 &&
	       ours.v4.sin_port == to->v4.sin_port &&
	       getpeername(fd, &theirs.any, &their_length) == 0 && our_length == their_length &&
	       memcmp(&ours, &theirs, our_length) == 0;
}

static void on_connect(void *context, uint32_t events)
{
	struct tcp *tcp = context;
	struct probe *probe = tcp->probe;
	char reason[128], took[QUANTITY_TEXT_SIZE];
	socklen_t length = sizeof(int);
	int code = 0;
	int64_t latency;

	(void)events;
	if (getsockopt(tcp->fd, SOL_SOCKET, SO_ERROR, &code, &length) < 0)
		code = errno;
	if (code == 0 && is_connected_to_itself(tcp->fd, &tcp->addresses.addresses[tcp->next - 1]))
		code = ECONNREFUSED;
	latency = probe_take_latency(probe);
	hang_up(tcp);
	if (code) {
		/* the reason of the last address is told */
		if (tcp->next < tcp->addresses.count)
			code = connect_next(tcp);
		if (code)
			fail(tcp, code);
	} else if (!probe_latency_holds(probe, EXPECT_LATENCY, latency, reason, sizeof(reason))) {
		probe_finish(probe, PROBE_FAIL, NAN, "%s", reason);
	} else {
		probe_finish(probe, PROBE_PASS, NAN, "connected in %s",
			     quantity_format_latency(latency, took));
	}
}

static void on_addresses(void *context, const struct resolver_result *result)
{
	struct tcp *tcp = context;
	int code;

	tcp->probe->obstacle = NULL;
	if (result->code) {
		probe_finish(tcp->probe, PROBE_UNKNOWN, NAN, "could not %s: %s", tcp->obstacle,
			     result->reason);
		return;
	}
	tcp->addresses = *result;
	tcp->next = 0;
	code = connect_next(tcp);
	if (code)
		fail(tcp, code);
}

static int tcp_start(struct probe *probe, struct error *err)
{
	struct tcp *tcp = probe->state;
	struct resolver_result fixed;

	if (resolver_is_name(tcp->resolver)) {
		probe->obstacle = tcp->obstacle;
		return resolver_lookup(tcp->resolver, on_addresses, tcp, err);
	}
	resolver_fixed(tcp->resolver, &fixed);
	on_addresses(tcp, &fixed);
	return 0;
}

static void tcp_cancel(struct probe *probe)
{
	struct tcp *tcp = probe->state;

	resolver_forget(tcp->resolver);
	hang_up(tcp);
}

const struct probe_ops tcp_probe = {
	.name = "tcp",
	.summary = "a TCP connection can be made",
	.subject_doc = "HOST:PORT",
	.params = tcp_params,
	.expect = tcp_expect,
	.check = tcp_check,
	.open = tcp_open,
	.start = tcp_start,
	.cancel = tcp_cancel,
	.close = tcp_close,
};
