/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/netlab.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/namespace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* "gc_timer  296.41": what a bridge is waiting for. */
static void drop_timers(char *line)
{
	for (char *at = strstr(line, "_timer "); at; at = strstr(at, "_timer ")) {
		at += strlen("_timer");
		memmove(at, at + strspn(at, " .0123456789"),
			strlen(at + strspn(at, " .0123456789")) + 1);
	}
}

char *netlab_dump(const struct netlab *lab)
{
	static const char *const commands[] = {
		"ip -n %s -d link",
		"tc -n %s qdisc",
		"tc -n %s class show dev sqv0",
		"tc -n %s filter show dev sqv0",
		"tc -n %s filter show dev sqv0 egress",
		"tc -n %s filter show dev sqv0 ingress",
		"ip netns exec %s nft -s list ruleset",
		"ip netns exec %s sysctl net.ipv4.conf.lo",
	};
	char *all = NULL;
	size_t size;
	FILE *out = open_memstream(&all, &size);

	for (unsigned i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		char command[128];
		char *text;

		/* the only conversion is the namespace */
		snprintf(command, sizeof(command), "%.*s%s%s",
			 (int)(strstr(commands[i], "%s") - commands[i]), commands[i], lab->near,
			 strstr(commands[i], "%s") + 2);
		text = netlab_output("%s", command);
		fprintf(out, "== %s\n", commands[i]);
		for (char *rest, *line = strtok_r(text, "\n", &rest); line;
		     line = strtok_r(NULL, "\n", &rest)) {
			drop_timers(line);
			if (strncmp(line, "class fq_codel ", 15) != 0) /* a flow of the moment */
				fprintf(out, "%s\n", line);
		}
		free(text);
	}
	fclose(out);
	return all;
}

void netlab_same(const struct netlab *lab, char *before)
{
	char *after = netlab_dump(lab), *old_rest, *new_rest;
	char *old = strtok_r(before, "\n", &old_rest), *new = strtok_r(after, "\n", &new_rest);

	while (old || new) {
		if (!old || !new || strcmp(old, new) != 0)
			fail_msg("before: %s\nafter:  %s", old ? old : "(nothing)",
				 new ? new : "(nothing)");
		old = strtok_r(NULL, "\n", &old_rest);
		new = strtok_r(NULL, "\n", &new_rest);
	}
	free(before);
	free(after);
}

/* Sockets. */

struct opening {
	int family, type, protocol;
	const struct sockaddr_storage *bind_to;
	socklen_t length;
};

static int open_socket(void *context, struct error *err)
{
	struct opening *o = context;
	int fd = socket(o->family, o->type | SOCK_CLOEXEC, o->protocol), on = 1;

	if (fd < 0)
		return error_errno(err, errno, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (o->bind_to && bind(fd, (const void *)o->bind_to, o->length) < 0) {
		close(fd);
		return error_errno(err, errno, "bind");
	}
	return fd;
}

socklen_t netlab_address(const char *text, uint16_t port, struct sockaddr_storage *out)
{
	struct sockaddr_in *four = (void *)out;
	struct sockaddr_in6 *six = (void *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		return sizeof(*four);
	}
	assert_int_equal(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	return sizeof(*six);
}

int netlab_socket(int namespace_fd, int family, int type, int protocol, const char *address,
		  uint16_t port)
{
	struct sockaddr_storage storage;
	struct opening opening = {.family = family, .type = type, .protocol = protocol};
	struct error err = ERROR_INIT;
	int fd;

	if (address) {
		opening.length = netlab_address(address, port, &storage);
		opening.bind_to = &storage;
	}
	fd = namespace_run(namespace_fd, open_socket, &opening, &err);
	if (fd < 0)
		fail_msg("%s", err.text);
	return fd;
}

/* The answering side. */

static void echo_one(int fd)
{
	char data[2048];
	struct sockaddr_storage from;
	socklen_t length = sizeof(from);
	ssize_t size = recvfrom(fd, data, sizeof(data), MSG_DONTWAIT, (void *)&from, &length);

	if (size >= 0)
		sendto(fd, data, (size_t)size, 0, (void *)&from, length);
}

/* Counts what comes and, at the end of it, sends the count back. */
static void *sink(void *context)
{
	int fd = (int)(intptr_t)context;
	static const size_t chunk_size = 65536;
	cleanup_free char *chunk = malloc(chunk_size);
	uint64_t total = 0;
	ssize_t size;

	while (chunk && (size = recv(fd, chunk, chunk_size, 0)) > 0)
		total += (uint64_t)size;
	send(fd, &total, sizeof(total), MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

static void *answer(void *context)
{
	struct netlab *lab = context;
	struct pollfd ready[NETLAB_SOCKETS + 1] = {{.fd = lab->stop_fd, .events = POLLIN}};

	for (unsigned i = 0; i < lab->echo_count; i++)
		ready[i + 1] = (struct pollfd){.fd = lab->echo[i], .events = POLLIN};
	for (;;) {
		poll(ready, lab->echo_count + 1, -1);
		if (ready[0].revents)
			return NULL;
		for (unsigned i = 1; i <= lab->echo_count; i++) {
			int listening = 0, fd;
			socklen_t length = sizeof(listening);
			pthread_t thread;

			if (!ready[i].revents)
				continue;
			getsockopt(ready[i].fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length);
			if (!listening) {
				for (unsigned k = 0; k < 64; k++)
					echo_one(ready[i].fd);
				continue;
			}
			fd = accept4(ready[i].fd, NULL, NULL, SOCK_CLOEXEC);
			if (fd >= 0 &&
			    pthread_create(&thread, NULL, sink, (void *)(intptr_t)fd) == 0)
				pthread_detach(thread);
		}
	}
}

static void add_echo(struct netlab *lab, int namespace_fd, const char *address, uint16_t port)
{
	int family = strchr(address, ':') ? AF_INET6 : AF_INET, buffer = 8 << 20;
	int fd = netlab_socket(namespace_fd, family, SOCK_DGRAM, 0, address, port);
	int tcp = netlab_socket(namespace_fd, family, SOCK_STREAM, 0, address, port);

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	assert_int_equal(listen(tcp, 16), 0);
	assert_in_range(lab->echo_count, 0, NETLAB_SOCKETS - 2);
	lab->echo[lab->echo_count++] = fd;
	lab->echo[lab->echo_count++] = tcp;
}

static void make_namespaces(struct netlab *lab)
{
	static unsigned number;
	struct error err = ERROR_INIT;

	snprintf(lab->near, sizeof(lab->near), "sqnt%x-%ua", getpid() & 0xffff, number);
	snprintf(lab->far, sizeof(lab->far), "sqnt%x-%ub", getpid() & 0xffff, number++);
	netlab_run("ip netns add %s", lab->near);
	netlab_run("ip netns add %s", lab->far);
	netlab_run("ip link add sqv0 netns %s type veth peer name sqv1 netns %s", lab->near,
		   lab->far);
	netlab_run("ip -n %s link set lo up", lab->near);
	netlab_run("ip -n %s addr add 10.88.0.1/24 dev sqv0", lab->near);
	netlab_run("ip -n %s addr add fd88::1/64 dev sqv0 nodad", lab->near);
	netlab_run("ip -n %s link set sqv0 up", lab->near);
	for (unsigned host = 2; host <= 3; host++) {
		netlab_run("ip -n %s addr add 10.88.0.%u/24 dev sqv1", lab->far, host);
		netlab_run("ip -n %s addr add fd88::%u/64 dev sqv1 nodad", lab->far, host);
	}
	netlab_run("ip -n %s link set sqv1 up", lab->far);
	if (namespace_open_name(lab->near, &lab->near_fd, &err) < 0 ||
	    namespace_open_name(lab->far, &lab->far_fd, &err) < 0)
		fail_msg("%s", err.text);
}

/* The kernel says a little later that a link is up ("state UNKNOWN" before), in dumps as well. */
static void await_up(const char *name, const char *link)
{
	for (int tries = 0; tries < 200; tries++) {
		cleanup_free char *text = netlab_output("ip -n %s link show %s", name, link);

		if (strstr(text, "state UP"))
			return;
		usleep(20000);
	}
	fail_msg("%s does not come up", link);
}

int netlab_setup(void **state)
{
	struct netlab *lab = calloc(1, sizeof(*lab));

	assert_non_null(lab);
	snprintf(lab->root, sizeof(lab->root), "/run/squall-test-XXXXXX");
	assert_non_null(mkdtemp(lab->root));
	journal_set_root(lab->root);
	make_namespaces(lab);
	await_up(lab->near, "sqv0");
	await_up(lab->far, "sqv1");
	/* each address its own socket: answers come from the address that was asked */
	add_echo(lab, lab->far_fd, "10.88.0.2", NETLAB_PORT);
	add_echo(lab, lab->far_fd, "10.88.0.2", NETLAB_OTHER_PORT);
	add_echo(lab, lab->far_fd, "10.88.0.3", NETLAB_PORT);
	add_echo(lab, lab->near_fd, "127.0.0.1", NETLAB_PORT);
	add_echo(lab, lab->far_fd, "fd88::2", NETLAB_PORT);
	add_echo(lab, lab->far_fd, "fd88::3", NETLAB_PORT);
	add_echo(lab, lab->near_fd, "::1", NETLAB_PORT);
	lab->stop_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(pthread_create(&lab->thread, NULL, answer, lab), 0);
	/* neighbours known, routes cached */
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3) > 0);
	assert_true(netlab_fastest(lab, "10.88.0.3", NETLAB_PORT, 3) > 0);
	assert_true(netlab_fastest(lab, "fd88::2", NETLAB_PORT, 3) > 0);
	*state = lab;
	return 0;
}

int netlab_teardown(void **state)
{
	struct netlab *lab = *state;

	eventfd_write(lab->stop_fd, 1);
	pthread_join(lab->thread, NULL);
	for (unsigned i = 0; i < lab->echo_count; i++)
		close(lab->echo[i]);
	close(lab->stop_fd);
	close(lab->near_fd);
	close(lab->far_fd);
	netlab_try("ip netns delete %s", lab->near);
	netlab_try("ip netns delete %s", lab->far);
	netlab_try("rm -r %s", lab->root);
	free(lab);
	return 0;
}

int netlab_teardown_ways(void **state)
{
	unsetenv("SQUALL_HOOK");
	unsetenv("SQUALL_NETEM");
	return netlab_teardown(state);
}

int netlab_setup_table(void **state)
{
	unsetenv("SQUALL_HOOK");
	return netlab_setup(state);
}

int netlab_setup_filters(void **state)
{
	setenv("SQUALL_HOOK", "clsact", 1);
	return netlab_setup(state);
}
