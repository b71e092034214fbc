/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The http fault between curl and a real nginx that speaks TLS: an authority of the laboratory, the
 * server's own certificate (CN=real), and one for the fault (CN=fault), both for store.lab. To be
 * included by one test program each.
 *
 *   10.88.0.2, port 443: files, /up, /name (what the server was called, and the protocol), /put/,
 * /slow/ (400 kB/s); port 80: the same without TLS; port 444: asks for a certificate
 */
#ifndef SQUALL_TESTS_HTTP_TLS_BENCH_H
#define SQUALL_TESTS_HTTP_TLS_BENCH_H

#define BENCH_FAULT "http"
#include "tests/netns/redirect_bench.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define TLS_BIG 20000000 /* bytes of /big */

static char tls_home[40];

static inline const char *tls_path(const char *name)
{
	static char paths[4][80];
	static unsigned at;

	at = (at + 1) % 4;
	snprintf(paths[at], sizeof(paths[at]), "%s/%s", tls_home, name);
	return paths[at];
}

/* What a shell prints, in that folder; caller frees. Its exit code, if that is asked for; else it
 * must be 0. */
static inline char *tls_shell(int *out_code, const char *format, ...)
{
	char line[2048], *text = calloc(1, 65536);
	size_t used = 0;
	ssize_t got;
	int ends[2], status;
	va_list args;
	pid_t pid;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		if (chdir(tls_home) == 0)
			execl("/bin/sh", "sh", "-c", line, NULL);
		_exit(127);
	}
	close(ends[1]);
	while ((got = read(ends[0], text + used, 65535 - used)) > 0)
		used += (size_t)got;
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (out_code)
		*out_code = WEXITSTATUS(status);
	else if (status)
		fail_msg("'%s' ended with %d: %s", line, WEXITSTATUS(status), text);
	return text;
}
#define tls_run(...) free(tls_shell(NULL, __VA_ARGS__))

/* NAME.pem and NAME.key, signed by ca.pem; `days` may lie in the past. */
static inline void tls_certify(const char *name, const char *validity)
{
	tls_run("exec 2>log.%s; openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
		"-keyout %s.key -out %s.csr -subj /CN=%s && "
		"openssl x509 -req -in %s.csr -CA ca.pem -CAkey ca.key -CAcreateserial %s "
		"-extfile names -out %s.pem",
		name, name, name, name, name, validity, name);
}

/* NAME.pem and NAME.key, which nobody else has signed. */
static inline void tls_make_authority(const char *name)
{
	tls_run("exec 2>log.%s; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
		"-nodes -keyout %s.key -out %s.pem -days 9 -subj /CN=%s",
		name, name, name, name);
}

static inline void tls_make_certificates(void)
{
	snprintf(tls_home, sizeof(tls_home), "/tmp/squall-tls-XXXXXX");
	assert_non_null(mkdtemp(tls_home));
	tls_make_authority("ca");
	tls_run("chmod 755 . && mkdir put && head -c %d /dev/urandom > big && "
		"echo subjectAltName=DNS:store.lab,IP:10.88.0.2 > names",
		TLS_BIG);
	tls_certify("real", "-days 5");
	tls_certify("fault", "-days 5");
}

static inline void tls_start_nginx(const struct netlab *lab)
{
	FILE *file = fopen(tls_path("conf"), "we");

	assert_non_null(file);
	fprintf(file, "user root; worker_processes 1; pid %s/pid; error_log %s/errors crit;\n",
		tls_home, tls_home);
	fprintf(file, "events {} http { access_log off; client_max_body_size 100m; root %s;\n",
		tls_home);
	for (unsigned i = 0; i < 5; i++)
		fprintf(file, "%s_temp_path %s/temp%u;\n",
			((const char *const[]){"client_body", "proxy", "fastcgi", "uwsgi",
					       "scgi"})[i],
			tls_home, i);
	fprintf(file,
		"ssl_certificate %s/real.pem; ssl_certificate_key %s/real.key;\n"
		"server { listen 80; listen 443 ssl http2; ssl_protocols TLSv1.2 TLSv1.3;\n"
		"location = /up { return 200 up; }\n"
		"location = /name { return 200 \"$ssl_server_name $ssl_protocol "
		"$server_protocol $ssl_alpn_protocol\"; }\n"
		"location /put/ { dav_methods PUT; }\n"
		"location /slow/ { alias %s/; limit_rate 400k; } }\n"
		"server { listen 444 ssl; ssl_client_certificate %s/ca.pem; ssl_verify_client on;\n"
		"return 200 known; } }\n",
		tls_home, tls_home, tls_home, tls_home);
	fclose(file);
	netlab_run("ip netns exec %s nginx -p %s -c %s/conf -e %s/errors", lab->far, tls_home,
		   tls_home, tls_home);
}

static inline void tls_stop_nginx(void)
{
	cleanup_free char *pid = netlab_output("cat %s/pid", tls_home);

	kill(atoi(pid), SIGKILL); /* its worker sees that */
	netlab_run("rm -r %s", tls_home);
}

/* What curl says with these arguments: it trusts the laboratory's authority and knows store.lab. */
static inline char *tls_curl(const struct netlab *lab, const char *arguments)
{
	int code;

	return tls_shell(&code,
			 "ip netns exec %s curl -s --max-time 20 --cacert ca.pem --resolve "
			 "store.lab:443:10.88.0.2 --resolve store.lab:444:10.88.0.2 %s",
			 lab->near, arguments);
}

static inline void assert_tls_curl(const struct netlab *lab, const char *wanted,
				   const char *arguments)
{
	cleanup_free char *text = tls_curl(lab, arguments);

	if (strcmp(text, wanted) != 0)
		fail_msg("curl %s: '%s' instead of '%s'", arguments, text, wanted);
}

/* The process that speaks TLS, of whichever run. */
static inline pid_t tls_process(void)
{
	int code;
	cleanup_free char *text = tls_shell(&code, "pgrep -n -x squall-tls");

	return (pid_t)atoi(text);
}

#endif
