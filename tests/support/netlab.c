/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/netlab.h"

#include "faults/network.h"
#include "injector/base/quantity.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/namespace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#define WORDS_MAX 64

static char **split(char *line)
{
	static char *words[WORDS_MAX];
	unsigned count = 0;
	char *rest;

	for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		assert_in_range(count, 0, WORDS_MAX - 2);
		words[count++] = word;
	}
	words[count] = NULL;
	return words;
}

static int spawn(const char *format, va_list args, char **out_text)
{
	char line[1024];
	int ends[2], status;
	posix_spawn_file_actions_t actions;
	char **words;
	pid_t pid;

	assert_in_range(vsnprintf(line, sizeof(line), format, args), 1, sizeof(line) - 1);
	words = split(line);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	if (!out_text)
		posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
	assert_int_equal(posix_spawnp(&pid, words[0], &actions, NULL, words, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	{
		char *text = NULL, chunk[4096];
		size_t used = 0;
		ssize_t size;

		while ((size = read(ends[0], chunk, sizeof(chunk))) > 0) {
			text = realloc(text, used + (size_t)size + 1);
			assert_non_null(text);
			memcpy(text + used, chunk, (size_t)size);
			used += (size_t)size;
			text[used] = '\0';
		}
		if (out_text)
			*out_text = text ? text : strdup("");
		else
			free(text);
	}
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int netlab_try(const char *format, ...)
{
	va_list args;
	int status;

	va_start(args, format);
	status = spawn(format, args, NULL);
	va_end(args);
	return status;
}

void netlab_run(const char *format, ...)
{
	va_list args;
	int status;

	va_start(args, format);
	status = spawn(format, args, NULL);
	va_end(args);
	if (status != 0)
		fail_msg("'%s' ended with %d", format, status);
}

char *netlab_output(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	spawn(format, args, &text);
	va_end(args);
	return text;
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
		     line = strtok_r(NULL, "\n", &rest))
			if (strncmp(line, "class fq_codel ", 15) != 0) /* a flow of the moment */
				fprintf(out, "%s\n", line);
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

static socklen_t fill_address(const char *text, uint16_t port, struct sockaddr_storage *out)
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

static int lab_socket(int namespace_fd, int family, int type, int protocol, const char *address,
		      uint16_t port)
{
	struct sockaddr_storage storage;
	struct opening opening = {.family = family, .type = type, .protocol = protocol};
	struct error err = ERROR_INIT;
	int fd;

	if (address) {
		opening.length = fill_address(address, port, &storage);
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
	int fd = lab_socket(namespace_fd, family, SOCK_DGRAM, 0, address, port);
	int tcp = lab_socket(namespace_fd, family, SOCK_STREAM, 0, address, port);

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

int netlab_setup(void **state)
{
	struct netlab *lab = calloc(1, sizeof(*lab));

	assert_non_null(lab);
	snprintf(lab->root, sizeof(lab->root), "/run/squall-test-XXXXXX");
	assert_non_null(mkdtemp(lab->root));
	journal_set_root(lab->root);
	make_namespaces(lab);
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

/* Measuring. */

static int client(const struct netlab *lab, const char *address, uint16_t local_port, uint16_t port)
{
	int family = strchr(address, ':') ? AF_INET6 : AF_INET, buffer = 8 << 20;
	struct sockaddr_storage to;
	socklen_t length = fill_address(address, port, &to);
	int fd = lab_socket(lab->near_fd, family, SOCK_DGRAM, 0,
			    local_port ? (family == AF_INET ? "0.0.0.0" : "::") : NULL, local_port);

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	if (connect(fd, (void *)&to, length) < 0)
		fail_msg("connect to %s: %s", address, strerror(errno));
	return fd;
}

static bool await(int fd, int64_t until_ns)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	int64_t left = until_ns - clock_now_ns();

	return left > 0 && poll(&ready, 1, (int)(left / NSEC_PER_MSEC) + 1) > 0;
}

int64_t netlab_round_trip_from(const struct netlab *lab, uint16_t local_port, const char *address,
			       uint16_t port, int timeout_ms)
{
	static uint64_t number;
	cleanup_fd int fd = client(lab, address, local_port, port);
	int64_t start_ns = clock_now_ns(), until_ns = start_ns + timeout_ms * NSEC_PER_MSEC;
	uint64_t sent = ++number, got;

	send(fd, &sent, sizeof(sent), 0);
	while (await(fd, until_ns))
		if (recv(fd, &got, sizeof(got), MSG_DONTWAIT) == sizeof(got) && got == sent)
			return clock_now_ns() - start_ns;
	return -1;
}

int64_t netlab_round_trip(const struct netlab *lab, const char *address, uint16_t port,
			  int timeout_ms)
{
	return netlab_round_trip_from(lab, 0, address, port, timeout_ms);
}

int64_t netlab_fastest(const struct netlab *lab, const char *address, uint16_t port, unsigned count)
{
	int64_t best = -1;

	for (unsigned i = 0; i < count; i++) {
		int64_t took = netlab_round_trip(lab, address, port, 3000);

		if (took >= 0 && (best < 0 || took < best))
			best = took;
	}
	return best;
}

unsigned netlab_answers(const struct netlab *lab, const char *address, uint16_t port,
			unsigned count)
{
	cleanup_fd int fd = client(lab, address, 0, port);
	unsigned answers = 0;
	char data[64] = "?";

	for (unsigned i = 0; i < count; i++) {
		send(fd, data, sizeof(data), 0);
		while (recv(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
			answers++;
		if (i % 50 == 49) /* let the other side keep up on two processors */
			poll(NULL, 0, 1);
	}
	while (await(fd, clock_now_ns() + 500 * NSEC_PER_MSEC))
		while (recv(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
			answers++;
	return answers;
}

void netlab_stream_open(struct netlab_stream *stream, const struct netlab *lab, const char *address,
			uint16_t port)
{
	*stream = (struct netlab_stream){.fd = client(lab, address, 0, port)};
}

static void stream_receive(struct netlab_stream *stream)
{
	uint64_t number;

	while (recv(stream->fd, &number, sizeof(number), MSG_DONTWAIT) == sizeof(number)) {
		stream->answers++;
		stream->reordered += number < stream->last;
		if (number > stream->last)
			stream->last = number;
	}
}

void netlab_stream_send(struct netlab_stream *stream)
{
	uint64_t number = ++stream->sent;

	assert_int_equal(send(stream->fd, &number, sizeof(number), 0), sizeof(number));
	stream_receive(stream);
}

void netlab_stream_close(struct netlab_stream *stream, unsigned *out_answers,
			 unsigned *out_reordered)
{
	while (stream->answers < stream->sent &&
	       await(stream->fd, clock_now_ns() + 1000 * NSEC_PER_MSEC))
		stream_receive(stream);
	close(stream->fd);
	*out_answers = stream->answers;
	*out_reordered = stream->reordered;
}

int netlab_send_error(const struct netlab *lab, const char *address, uint16_t port)
{
	cleanup_fd int fd = client(lab, address, 0, port);
	int on = 1;

	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
	return send(fd, "?", 1, 0) == 1 ? 0 : errno;
}

int64_t netlab_ping(const struct netlab *lab, const char *address, int timeout_ms)
{
	bool six = strchr(address, ':');
	cleanup_fd int fd = lab_socket(lab->near_fd, six ? AF_INET6 : AF_INET, SOCK_RAW,
				       six ? IPPROTO_ICMPV6 : IPPROTO_ICMP, NULL, 0);
	struct sockaddr_storage to;
	socklen_t length = fill_address(address, 0, &to);
	struct icmphdr request = {.type = six ? ICMP6_ECHO_REQUEST : ICMP_ECHO};
	int64_t start_ns = clock_now_ns(), until_ns = start_ns + timeout_ms * NSEC_PER_MSEC;
	uint8_t packet[256];

	request.un.echo.id = htons((uint16_t)getpid());
	if (!six) { /* the kernel fills it in for ICMPv6 only */
		uint32_t sum = request.type + (uint32_t)request.un.echo.id;

		request.checksum = (uint16_t) ~((sum & 0xffff) + (sum >> 16));
	}
	assert_true(sendto(fd, &request, sizeof(request), 0, (void *)&to, length) > 0);
	while (await(fd, until_ns)) {
		ssize_t size = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
		size_t skip = six ? 0 : (size_t)(packet[0] & 0xf) * 4;
		struct icmphdr reply;

		if (size < (ssize_t)(skip + sizeof(reply)))
			continue;
		memcpy(&reply, packet + skip, sizeof(reply));
		if (reply.type == (six ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) &&
		    reply.un.echo.id == request.un.echo.id)
			return clock_now_ns() - start_ns;
	}
	return -1;
}

int64_t netlab_transfer(const struct netlab *lab, const char *address, uint16_t port, size_t bytes,
			int timeout_ms)
{
	bool six = strchr(address, ':');
	cleanup_fd int fd =
		lab_socket(lab->near_fd, six ? AF_INET6 : AF_INET, SOCK_STREAM, 0, NULL, 0);
	struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
	struct sockaddr_storage to;
	socklen_t length = fill_address(address, port, &to);
	int64_t start_ns = clock_now_ns(), until_ns = start_ns + timeout_ms * NSEC_PER_MSEC;
	static char chunk[65536];
	uint64_t total = 0;

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (void *)&to, length) < 0)
		return -1;
	for (size_t sent = 0; sent < bytes;) {
		size_t wanted = bytes - sent < sizeof(chunk) ? bytes - sent : sizeof(chunk);
		ssize_t size = send(fd, chunk, wanted, MSG_NOSIGNAL);

		if (size < 0 || clock_now_ns() > until_ns)
			return -1;
		sent += (size_t)size;
	}
	shutdown(fd, SHUT_WR);
	if (recv(fd, &total, sizeof(total), MSG_WAITALL) != sizeof(total))
		return -1;
	assert_int_equal(total, bytes);
	return clock_now_ns() - start_ns;
}

/* Faults. */

static void add_line(void *context, enum plan_kind kind, const char *text)
{
	struct netlab_fault *fault = context;
	size_t used = strlen(fault->plan);

	snprintf(fault->plan + used, sizeof(fault->plan) - used, "%d %s\n", kind, text);
}

static void set(struct netlab_fault *fault, const char *name, const char *value)
{
	int index = params_find(fault->target.params.table, name);
	struct params *params = index >= 0 ? &fault->target.params : &fault->params;
	struct error err = ERROR_INIT;

	if (index < 0)
		index = params_find(fault->params.table, name);
	assert_true(index >= 0);
	if (params_add(params, (unsigned)index, value, 1, 1, &err) < 0)
		fail_msg("%s: %s", name, err.text);
}

static int plan_step(struct netlab *lab, struct netlab_fault *out, unsigned step,
		     const char *const *settings, struct error *err)
{
	struct plan plan = {.line = add_line, .context = out};
	const struct fault_ops *ops = &network_fault;
	int result;

	if (settings[0] && strcmp(settings[0], "fault") == 0) {
		ops = fault_find(settings[1]);
		assert_non_null(ops);
		settings += 2;
	}
	out->target.kind = ops->target_kind;
	out->target.namespace_fd = -1;
	assert_int_equal(params_init(&out->target.params, target_params(ops->target_kind), err), 0);
	assert_int_equal(params_init(&out->params, ops->params, err), 0);
	if (lab && ops->target_kind == TARGET_TRAFFIC)
		set(out, "namespace", lab->near);
	set(out, "target", "test");
	for (; settings[0]; settings += 2)
		set(out, settings[0], settings[1]);
	out->env = (struct fault_env){.run_id = out->run_id, .journal = out->journal};
	out->fault = (struct fault){.ops = ops,
				    .level_ppb = SHARE_ONE,
				    .step = step,
				    .params = &out->params,
				    .target = &out->target,
				    .env = &out->env};
	result = ops->check ? ops->check(&out->params, err) : 0;
	if (result == 0)
		result = target_resolve(&out->target, 1000, NULL, err);
	if (result == 0)
		result = ops->plan(&out->fault, &plan, err);
	return result;
}

int netlab_fault_plan(struct netlab *lab, struct netlab_fault *out, const char *run_id,
		      const char *const *settings, struct error *err)
{
	struct journal_header header = {.deadline_ns = clock_now_ns() + 60 * NSEC_PER_SEC};
	int result;

	memset(out, 0, sizeof(*out));
	snprintf(out->run_id, sizeof(out->run_id), "%s", run_id);
	memcpy(header.run_id, out->run_id, sizeof(header.run_id));
	result = journal_create(&header, &out->journal, err);
	return result < 0 ? result : plan_step(lab, out, 0, settings, err);
}

int netlab_fault_plan_step(struct netlab *lab, struct netlab_fault *out,
			   const struct netlab_fault *first, unsigned step,
			   const char *const *settings, struct error *err)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->run_id, first->run_id, sizeof(out->run_id));
	out->journal = first->journal;
	return plan_step(lab, out, step, settings, err);
}

void netlab_fault_end(struct netlab_fault *fault, enum fault_end how)
{
	struct error err = ERROR_INIT;
	int64_t again_ns = 0;

	do {
		if (fault->fault.ops->end(&fault->fault, how, &again_ns, &err) < 0)
			fail_msg("end: %s", err.text);
		if (again_ns)
			poll(NULL, 0, (int)(again_ns / NSEC_PER_MSEC));
	} while (again_ns);
}

void netlab_undo_all(const char *run_id)
{
	netlab_undo_step(run_id, -1);
}

void netlab_undo_step(const char *run_id, int step)
{
	const struct fault_ops *ops;
	struct journal *journal;
	struct journal_record *records;
	struct error err = ERROR_INIT;
	unsigned count;

	if (journal_open(run_id, &journal, &err) < 0 ||
	    journal_read(journal, &records, &count, &err) < 0)
		fail_msg("%s", err.text);
	for (unsigned i = count; i-- > 0;) {
		char left[512];
		bool is_gone;

		if (!journal_is_open(records, count, i) ||
		    (step >= 0 && records[i].step != (uint32_t)step))
			continue;
		ops = fault_find(records[i].owner);
		assert_non_null(ops);
		if (ops->undo(&records[i], &err) < 0)
			fail_msg("undo: %s", err.text);
		if (ops->verify(&records[i], &is_gone, left, sizeof(left), &err) < 0)
			fail_msg("verify: %s", err.text);
		if (!is_gone)
			fail_msg("left: %s", left);
	}
	free(records);
	journal_close(journal);
}

void netlab_fault_finish(struct netlab_fault *fault, enum fault_end how)
{
	struct error err = ERROR_INIT;

	if (fault->fault.state)
		netlab_fault_end(fault, how);
	if (fault->journal)
		netlab_undo_all(fault->run_id);
	if (fault->fault.state)
		fault->fault.ops->release(&fault->fault);
	target_free(&fault->target);
	params_free(&fault->params);
	if (!fault->journal)
		return;
	journal_close(fault->journal);
	journal_remove(fault->run_id, &err);
}

bool netlab_has_netem(void)
{
	struct network_support support;
	struct error err = ERROR_INIT;

	if (network_survey(&support, &err) < 0)
		fail_msg("%s", err.text);
	return support.has_netem;
}
