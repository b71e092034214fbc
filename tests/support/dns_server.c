/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/dns_server.h"

#include "injector/base/clock.h"
#include "injector/kernel/namespace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static pid_t servers[2];

static pid_t start_one(const char *namespace, const char *listen_on)
{
	char list[128];
	pid_t pid;

	snprintf(list, sizeof(list), "--listen-address=%s", listen_on);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execlp("ip", "ip", "netns", "exec", namespace, "dnsmasq", "--keep-in-foreground",
		       "--no-resolv", "--no-hosts", "--user=root",
		       "--pid-file=", "--conf-file=/dev/null", "--log-facility=/dev/null",
		       "--bind-interfaces", "--address=/test/192.0.2.1",
		       "--address=/test/2001:db8::1", list, NULL);
		_exit(127);
	}
	return pid;
}

static void await_answer(const struct netlab *lab, const char *server, const char *name)
{
	unsigned tries = 0;

	while (DNS_ASK(lab, .server = server, .name = name, .timeout_ms = 200).rcode != 0)
		if (tries++ > 50 || poll(NULL, 0, 100) != 0)
			fail_msg("no DNS server on %s", server);
}

void dns_servers_start(struct netlab *lab)
{
	static const char *const addresses[] = {"10.88.0.2", "10.88.0.3", "fd88::2", "fd88::3",
						"127.0.0.53"};

	servers[0] = start_one(lab->far, "10.88.0.2,10.88.0.3,fd88::2,fd88::3");
	servers[1] = start_one(lab->near, "127.0.0.53");
	for (unsigned i = 0; i < sizeof(addresses) / sizeof(*addresses); i++)
		await_answer(lab, addresses[i], "a.test");
}

void dns_servers_stop(void)
{
	for (unsigned i = 0; i < 2; i++) {
		if (!servers[i])
			continue;
		kill(servers[i], SIGTERM);
		while (waitpid(servers[i], NULL, 0) < 0 && errno == EINTR)
			;
		servers[i] = 0;
	}
}

static const char *hosts_path;

void dns_hosts_start(struct netlab *lab, const char *path)
{
	char hosts[160];

	hosts_path = path;
	snprintf(hosts, sizeof(hosts), "--addn-hosts=%s", path);
	servers[0] = fork();
	assert_true(servers[0] >= 0);
	if (servers[0] == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execlp("ip", "ip", "netns", "exec", lab->far, "dnsmasq", "--keep-in-foreground",
		       "--no-resolv", "--no-hosts", "--user=root",
		       "--pid-file=", "--conf-file=/dev/null", "--log-facility=/dev/null",
		       "--bind-interfaces", "--listen-address=10.88.0.2", "--local=/test/", hosts,
		       NULL);
		_exit(127);
	}
	await_answer(lab, "10.88.0.2", "here.test");
}

void dns_hosts_write(const char *text)
{
	FILE *file = fopen(hosts_path, "we");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	if (servers[0])
		kill(servers[0], SIGHUP);
}

void dns_servers_signal(int signal)
{
	kill(servers[0], signal);
}

size_t dns_query(const char *name, uint16_t type, uint16_t id, uint8_t out[512])
{
	uint8_t *at = out + 12, *length;

	memset(out, 0, 12);
	out[0] = (uint8_t)(id >> 8);
	out[1] = (uint8_t)id;
	out[2] = 1; /* recursion desired */
	out[5] = 1;
	while (*name) {
		length = at++;
		while (*name && *name != '.')
			*at++ = (uint8_t)*name++;
		*length = (uint8_t)(at - length - 1);
		name += *name == '.';
	}
	*at++ = 0;
	*at++ = (uint8_t)(type >> 8);
	*at++ = (uint8_t)type;
	*at++ = 0;
	*at++ = 1;
	return (size_t)(at - out);
}

struct opening {
	const struct sockaddr_storage *to;
	socklen_t length;
	int type, fd;
};

static int open_there(void *context, struct error *err)
{
	struct opening *opening = context;
	int fd = socket(opening->to->ss_family, opening->type | SOCK_CLOEXEC, 0);

	(void)err;
	if (fd >= 0 && connect(fd, (const void *)opening->to, opening->length) < 0) {
		close(fd);
		fd = -1;
	}
	opening->fd = fd;
	return 0;
}

int dns_socket(const struct netlab *lab, const char *server, uint16_t port, int type)
{
	struct sockaddr_storage to = {0};
	struct sockaddr_in6 *to6 = (void *)&to;
	struct sockaddr_in *to4 = (void *)&to;
	struct opening opening = {.to = &to, .type = type};
	struct error err = ERROR_INIT;

	to.ss_family = strchr(server, ':') ? AF_INET6 : AF_INET;
	to4->sin_port = htons(port);
	opening.length = to.ss_family == AF_INET ? sizeof(*to4) : sizeof(*to6);
	assert_int_equal(inet_pton(to.ss_family, server,
				   to.ss_family == AF_INET ? (void *)&to4->sin_addr
							   : (void *)&to6->sin6_addr),
			 1);
	if (namespace_run(lab->near_fd, open_there, &opening, &err) < 0)
		fail_msg("%s", err.text);
	return opening.fd;
}

static ssize_t receive(int fd, uint8_t *out, size_t size, int64_t until_ns, bool over_tcp)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	uint8_t frame[2];
	size_t wanted = over_tcp ? 2 : 0, used = 0;
	ssize_t got;

	for (;;) {
		int64_t left_ns = until_ns - clock_now_ns();

		if (left_ns <= 0 || poll(&polled, 1, (int)(left_ns / NSEC_PER_MSEC) + 1) == 0)
			return -1;
		if (!over_tcp) {
			got = recv(fd, out, size, 0);
			return got < 0 ? -2 : got;
		}
		got = used < 2 ? recv(fd, frame + used, 2 - used, 0)
			       : recv(fd, out + used - 2, wanted - used, 0);
		if (got <= 0)
			return -2;
		used += (size_t)got;
		if (used == 2)
			wanted = 2 + ((size_t)frame[0] << 8 | frame[1]);
		assert_true(wanted - 2 <= size || used < 2);
		if (used >= 2 && used == wanted)
			return (ssize_t)wanted - 2;
	}
}

static void read_reply(struct dns_reply *reply, size_t query_size)
{
	const uint8_t *record = reply->bytes + query_size;
	int family = 0;

	reply->rcode = reply->bytes[3] & 15;
	reply->answers = (unsigned)reply->bytes[6] << 8 | reply->bytes[7];
	reply->is_truncated = reply->bytes[2] & 2;
	if (!reply->answers || reply->size < query_size + 12)
		return;
	if (record[3] == DNS_TYPE_A && reply->size >= query_size + 16)
		family = AF_INET;
	else if (record[3] == DNS_TYPE_AAAA && reply->size >= query_size + 28)
		family = AF_INET6;
	if (family)
		inet_ntop(family, record + 12, reply->address, sizeof(reply->address));
}

struct dns_reply dns_ask(const struct netlab *lab, const struct dns_ask *ask)
{
	static uint16_t last_id;
	int64_t start_ns = clock_now_ns(),
		until_ns = start_ns + (ask->timeout_ms ? ask->timeout_ms : 3000) * NSEC_PER_MSEC;
	struct dns_reply reply = {.rcode = -1};
	uint8_t query[514];
	uint16_t id = ++last_id;
	size_t size = dns_query(ask->name, ask->type ? ask->type : DNS_TYPE_A, id, query + 2);
	int fd = ask->fd > 0 ? ask->fd
			     : dns_socket(lab, ask->server ? ask->server : "10.88.0.2",
					  ask->port ? ask->port : 53,
					  ask->over_tcp ? SOCK_STREAM : SOCK_DGRAM);
	ssize_t got = -2;

	query[0] = (uint8_t)(size >> 8);
	query[1] = (uint8_t)size;
	if (fd >= 0 && send(fd, ask->over_tcp ? query : query + 2, size + (ask->over_tcp ? 2 : 0),
			    MSG_NOSIGNAL) > 0)
		do
			got = receive(fd, reply.bytes, sizeof(reply.bytes), until_ns,
				      ask->over_tcp);
		while (got >= 2 && (reply.bytes[0] != id >> 8 || reply.bytes[1] != (id & 255)));
	reply.took_ns = clock_now_ns() - start_ns;
	if (fd >= 0 && ask->fd <= 0)
		close(fd);
	if (got < 12) {
		reply.rcode = got < 0 ? (int)got : -1;
		return reply;
	}
	reply.size = (size_t)got;
	/* the question comes back as it was, whoever answers */
	assert_true(reply.size >= size);
	assert_memory_equal(reply.bytes + 12, query + 2 + 12, size - 12);
	read_reply(&reply, size);
	return reply;
}
