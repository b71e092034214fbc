/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The http fault between curl and a real nginx: started, counted, and what is asked through it. To
 * be included by one test program each.
 *
 *   10.88.0.2, 10.88.0.3, fd88::2, port 80: files, /up (200 "up"), /put/ (PUT), /slow/ (400 kB/s),
 * /echo (what is asked), /json/, /chunks/ (files as JSON)
 *   the same at port 81; one that waits 1 s for a request at port 82; TLS at port 443, spoken to as
 * 80 is
 */
#ifndef SQUALL_TESTS_HTTP_BENCH_H
#define SQUALL_TESTS_HTTP_BENCH_H

#define BENCH_FAULT "http"
#include "tests/netns/redirect_bench.h"
#include "tests/support/netlab_dial.h"

#include "faults/http.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define BENCH_BIG 3000000 /* bytes of /big */
#define BENCH_MID 500000  /* of /mid */

static char bench_home[32];

static inline void bench_write(const char *name, size_t size)
{
	char path[64];
	cleanup_file FILE *file = NULL;

	snprintf(path, sizeof(path), "%s/%s", bench_home, name);
	file = fopen(path, "we");
	assert_non_null(file);
	for (size_t i = 0; i < size; i++)
		putc((int)(random() >> 8 & 0xff), file);
}

static inline void bench_start_nginx(const struct netlab *lab)
{
	char path[64];
	FILE *file;

	snprintf(bench_home, sizeof(bench_home), "/tmp/squall-http-XXXXXX");
	assert_non_null(mkdtemp(bench_home));
	netlab_run("mkdir %s/put", bench_home);
	bench_write("index.html", 100);
	bench_write("mid", BENCH_MID);
	bench_write("big", BENCH_BIG);
	netlab_run("openssl req -x509 -newkey rsa:2048 -nodes -keyout %s/key -out %s/cert -days 2 "
		   "-subj /CN=store.lab",
		   bench_home, bench_home);
	snprintf(path, sizeof(path), "%s/conf", bench_home);
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, "user root; worker_processes 1; pid %s/pid; error_log %s/errors crit;\n",
		bench_home, bench_home);
	fputs("events {} http { access_log off; client_max_body_size 100m;\n", file);
	for (unsigned i = 0; i < 5; i++)
		fprintf(file, "%s_temp_path %s/temp%u;\n",
			((const char *const[]){"client_body", "proxy", "fastcgi", "uwsgi",
					       "scgi"})[i],
			bench_home, i);
	fprintf(file,
		"server { listen 80; listen [::]:80; listen 81; listen 443 ssl http2;\n"
		"ssl_certificate %s/cert; ssl_certificate_key %s/key; root %s;\n"
		"gzip on; gzip_types *; gzip_min_length 1;\n"
		"location = /up { return 200 up; }\n"
		"location = /empty { return 204; }\n"
		"location /echo { return 200 \"$request_method $request_uri $http_x_user.\"; }\n"
		"location /put/ { dav_methods PUT; }\n"
		"location /json/ { default_type application/json; alias %s/; }\n"
		"location /chunks/ { default_type application/json; gzip off; ssi on; ssi_types *;"
		" alias %s/; }\n"
		"location /slow/ { alias %s/; limit_rate 400k; }\n"
		"}\n"
		"server { listen 82; client_header_timeout 1s; return 200 patient; } }\n",
		bench_home, bench_home, bench_home, bench_home, bench_home, bench_home);
	fclose(file);
	netlab_run("ip netns exec %s nginx -p %s -c %s -e %s/errors", lab->far, bench_home, path,
		   bench_home);
}

static inline int set_up(void **state)
{
	netlab_setup(state);
	bench_start_nginx(*state);
	return 0;
}

static inline int tear_down(void **state)
{
	cleanup_free char *pid = netlab_output("cat %s/pid", bench_home);

	kill(atoi(pid), SIGKILL); /* its worker sees that */
	netlab_run("rm -r %s", bench_home);
	return netlab_teardown(state);
}

static inline struct http_counters counters_of(const struct netlab_fault *fault)
{
	const struct http_state *http = fault->fault.state;
	struct http_counters seen;

	http_responder_counters(http->redirect.responder, &seen);
	return seen;
}

/* What curl says of requests, by its words: "200", "503", "000" where there is no answer. */
static inline void assert_curl(const struct netlab *lab, const char *wanted, const char *arguments)
{
	cleanup_free char *text = netlab_output("ip netns exec %s curl -s -o /dev/null --max-time "
						"20 -w %%{http_code} %s",
						lab->near, arguments);

	if (strcmp(text, wanted) != 0)
		fail_msg("curl %s: '%s' instead of '%s'", arguments, text, wanted);
}

/* The same bytes as in the folder of nginx. */
static inline void assert_bytes(const struct netlab *lab, const char *name, const char *arguments)
{
	netlab_run("ip netns exec %s curl -sf --max-time 20 -o %s/got %s", lab->near, bench_home,
		   arguments);
	netlab_run("cmp %s/got %s/%s", bench_home, bench_home, name);
}

/* A connection of our own. */
static inline int dial(const struct netlab *lab, const char *address)
{
	int fd = netlab_dial(lab->near_fd, address, 80);

	assert_true(fd >= 0);
	return fd;
}

static inline void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads until `text` has been said, or for ever nothing; what was read. */
static inline void hear(int fd, const char *text, char *out, size_t size)
{
	int64_t until_ns = clock_now_ns() + 10 * NSEC_PER_SEC;
	size_t used = 0;

	out[0] = '\0';
	while (!strstr(out, text) && used + 1 < size && clock_now_ns() < until_ns) {
		struct pollfd polled = {.fd = fd, .events = POLLIN};
		ssize_t got = poll(&polled, 1, 1000) == 1
				      ? recv(fd, out + used, size - 1 - used, MSG_DONTWAIT)
				      : -2;

		if (got == 0 || got == -1)
			break;
		used += got > 0 ? (size_t)got : 0;
		out[used] = '\0';
	}
	if (!strstr(out, text))
		fail_msg("'%s' instead of '%s'", out, text);
}

#endif
