/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The web server of probe_fixture.h: a process that forks one for each connection. All of them die
 * with the test (PDEATHSIG), should it crash.
 */
#include "tests/support/probe_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		_exit(0);
}

static void answer(int fd, int status, const char *more, const char *body)
{
	char text[4096];

	snprintf(text, sizeof(text), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n%s", status,
		 strlen(body), more, body);
	say(fd, text);
}

static void answer_for_ever(int fd)
{
	char block[16384];

	say(fd, "HTTP/1.1 200 OK\r\n\r\nbegin");
	memset(block, 'x', sizeof(block));
	while (send(fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
		;
}

/* As Prometheus answers, by what is asked. */
static void answer_query(int fd, const char *query)
{
#define VECTOR(series)                                                                             \
	"{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[" series "]}}"
#define SERIES(value) "{\"metric\":{\"job\":\"x\"},\"value\":[1.5,\"" value "\"]}"
	static const struct {
		const char *query, *text;
	} known[] = {
		{"up%20%2B%200", VECTOR(SERIES("1"))},
		{"two", VECTOR(SERIES("1") "," SERIES("7"))},
		{"none", VECTOR("")},
		{"nan", VECTOR(SERIES("NaN"))},
		{"inf", VECTOR(SERIES("+Inf"))},
		{"odd", VECTOR("{\"value\":\"x\"}")},
		{"scalar%283%29", "{\"data\":{\"resultType\":\"scalar\",\"result\":[1.5,\"3\"]}}"},
		{"range", "{\"data\":{\"resultType\":\"matrix\",\"result\":[]}}"},
		{"bad", "{\"status\":\"error\",\"error\":\"parse error: \\u001b[2J here\"}"},
		{"page", "<html>"},
		{"deep", "[[[[[[[[[["},
	};

	for (unsigned i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(known[i].query, query) == 0)
			answer(fd, 200, "", known[i].text);
}

/* False: this connection is over. */
static bool serve_path(int fd, const char *path, const char *request, int connection)
{
	char text[64];

	if (strcmp(path, "/ok") == 0) {
		answer(fd, 200, "", strncmp(request, "HEAD", 4) == 0 ? "" : "hello\nready\n");
	} else if (strcmp(path, "/slow") == 0) {
		usleep(300000);
		answer(fd, 200, "", "late");
	} else if (strcmp(path, "/hang") == 0) {
		pause();
	} else if (strcmp(path, "/garbage") == 0) {
		say(fd, "SSH-2.0-OpenSSH_9.2\r\n");
		return false;
	} else if (strcmp(path, "/partial") == 0) {
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.");
		return false;
	} else if (strcmp(path, "/big") == 0) {
		answer_for_ever(fd);
		return false;
	} else if (strcmp(path, "/headers") == 0) {
		answer(fd, 200, "", request);
	} else if (strcmp(path, "/redirect") == 0) {
		answer(fd, 302, "Location: /status/500\r\n", "");
	} else if (strcmp(path, "/count") == 0) {
		snprintf(text, sizeof(text), "connection %d", connection);
		answer(fd, 200, "", text);
	} else if (strncmp(path, "/api/v1/query?query=", 20) == 0) {
		answer_query(fd, path + 20);
	} else if (strncmp(path, "/status/", 8) == 0) {
		answer(fd, atoi(path + 8), "", "status");
	} else {
		return false; /* "/close": without an answer */
	}
	return true;
}

static void serve_connection(int fd, int connection)
{
	char request[4096], path[128];
	size_t used = 0;
	ssize_t length;

	while ((length = recv(fd, request + used, sizeof(request) - 1 - used, 0)) > 0) {
		used += (size_t)length;
		request[used] = '\0';
		if (request[0] < 'A' || request[0] > 'Z') { /* TLS, for one */
			answer(fd, 400, "Connection: close\r\n", "");
			return;
		}
		if (!strstr(request, "\r\n\r\n"))
			continue;
		used = 0;
		if (sscanf(request, "%*s %127s", path) != 1 ||
		    !serve_path(fd, path, request, connection))
			return;
	}
}

static void serve(int listener)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	for (int connection = 1;; connection++) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			_exit(1);
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(listener);
			serve_connection(fd, connection);
			_exit(0);
		}
		close(fd);
	}
}

struct web_server web_server_start(void)
{
	struct web_server server;
	int listener = listen_silently(512, &server.port);

	server.pid = fork();
	assert_true(server.pid >= 0);
	if (server.pid == 0)
		serve(listener);
	close(listener);
	return server;
}

void web_server_stop(struct web_server *server)
{
	end_process(server->pid);
	server->pid = 0;
}
