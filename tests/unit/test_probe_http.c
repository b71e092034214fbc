/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probe `http` against real servers: every cause and what it is called.
 */
#include "injector/base/clock.h"
#include "injector/probes/http_url.h"
#include "tests/support/probe_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct web_server server;

static int start_server(void **state)
{
	(void)state;
	server = web_server_start();
	/* must not matter: a probe never takes the environment's proxy */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	return 0;
}

static int stop_server(void **state)
{
	(void)state;
	web_server_stop(&server);
	return 0;
}

static char *url_of(const char *host, unsigned port, const char *path)
{
	static char url[256];

	snprintf(url, sizeof(url), "http://%s:%u/%s", host, port, path);
	return url;
}

static void expect(const char *url, const char *keys[4], enum probe_result result,
		   const char *reason)
{
	struct fixture *fixture = fixture_new();
	struct error err = ERROR_INIT;
	const struct probe_sample *sample;

	if (fixture_add(fixture, "http", url, &err, keys[0], keys[1], keys[2], keys[3], NULL) < 0)
		fail_msg("%s", err.text);
	sample = fixture_once(fixture);
	if (sample->result != result || !strstr(sample->reason, reason))
		fail_msg("%s: %s (%s), expected %s (%s)", url, probe_result_names[sample->result],
			 sample->reason, probe_result_names[result], reason);
	if (result == PROBE_PASS)
		assert_true(sample->latency_ns > 0 && isfinite(sample->value));
	fixture_free(fixture);
}
#define KEYS(...) ((const char *[4]){__VA_ARGS__})

static void test_passes_and_shows_status_and_latency(void **state)
{
	(void)state;
	expect(url_of("127.0.0.1", server.port, "ok"), KEYS(NULL), PROBE_PASS, "status 200 in ");
	expect(url_of("localhost", server.port, "ok"), KEYS(NULL), PROBE_PASS, "status 200 in ");
	expect(url_of("127.0.0.1", server.port, "ok"), KEYS("expect.body=^ready$"), PROBE_PASS,
	       "status 200");
	expect(url_of("127.0.0.1", server.port, "status/503"), KEYS("expect.status=500-599"),
	       PROBE_PASS, "status 503");
}

static void test_fails_on_status_body_and_latency(void **state)
{
	(void)state;
	expect(url_of("127.0.0.1", server.port, "status/503"), KEYS(NULL), PROBE_FAIL,
	       "status 503, expected 200-399");
	expect(url_of("127.0.0.1", server.port, "status/200"), KEYS("expect.status=204"),
	       PROBE_FAIL, "status 200, expected 204");
	expect(url_of("127.0.0.1", server.port, "ok"), KEYS("expect.body=^goodbye"), PROBE_FAIL,
	       "body 'hello...' does not match '^goodbye'");
	expect(url_of("127.0.0.1", server.port, "slow"), KEYS("expect.latency=< 200ms"), PROBE_FAIL,
	       "ms, expected < 200ms");
	expect(url_of("127.0.0.1", server.port, "slow"), KEYS("expect.latency=< 5s"), PROBE_PASS,
	       "status 200");
}

static void test_does_not_follow_redirects(void **state)
{
	(void)state;
	expect(url_of("127.0.0.1", server.port, "redirect"), KEYS("expect.status=302"), PROBE_PASS,
	       "status 302");
}

static void test_no_answer_is_a_failure(void **state)
{
	uint16_t silent_port;
	int silent = listen_silently(5, &silent_port);

	(void)state;
	expect(url_of("127.0.0.1", free_port(), ""), KEYS(NULL), PROBE_FAIL, "connection refused");
	expect(url_of("127.0.0.1", server.port, "hang"), KEYS("timeout=200ms"), PROBE_FAIL,
	       "timed out after 200ms");
	expect(url_of("127.0.0.1", silent_port, ""), KEYS("timeout=200ms"), PROBE_FAIL,
	       "timed out after 200ms");
	expect(url_of("127.0.0.1", server.port, "close"), KEYS(NULL), PROBE_FAIL,
	       "closed without an answer");
	expect(url_of("127.0.0.1", server.port, "garbage"), KEYS(NULL), PROBE_FAIL, "HTTP/0.9");
	expect(url_of("127.0.0.1", server.port, "partial"), KEYS(NULL), PROBE_FAIL,
	       "90 bytes remaining");
	close(silent);
}

static void test_latency_of_no_answer_is_none(void **state)
{
	struct fixture *fixture = fixture_new();
	struct error err = ERROR_INIT;
	const struct probe_sample *sample;

	(void)state;
	fixture_add(fixture, "http", url_of("127.0.0.1", free_port(), ""), &err, NULL);
	sample = fixture_once(fixture);
	assert_int_equal(sample->latency_ns, -1);
	assert_true(isnan(sample->value));
	fixture_free(fixture);
}

static void test_reads_at_most_64_kib_of_a_body(void **state)
{
	(void)state;
	expect(url_of("127.0.0.1", server.port, "big"), KEYS("timeout=2s", "expect.body=^begin"),
	       PROBE_PASS, "status 200");
}

static void test_sends_method_and_headers(void **state)
{
	char *url = url_of("127.0.0.1", server.port, "headers");

	(void)state;
	expect(url, KEYS("header=X-One: 1", "header=X-Two: b c", "expect.body=^X-One: 1"),
	       PROBE_PASS, "");
	expect(url, KEYS("header=X-One: 1", "header=X-Two: b c", "expect.body=^X-Two: b c"),
	       PROBE_PASS, "");
	expect(url, KEYS("method=POST", "expect.body=^POST /headers HTTP/1.1"), PROBE_PASS, "");
	expect(url, KEYS("expect.body=^User-Agent: squall/"), PROBE_PASS, "");
	expect(url_of("127.0.0.1", server.port, "ok"), KEYS("method=HEAD"), PROBE_PASS, "200");
}

/* The server numbers its connections. */
static void test_makes_a_connection_an_attempt_unless_told(void **state)
{
	const char *bodies[] = {"expect.body=^connection [0-9]*$", "reuse=true"};

	(void)state;
	for (unsigned reuse = 0; reuse < 2; reuse++) {
		struct web_server own = web_server_start();
		struct fixture *fixture = fixture_new();
		struct error err = ERROR_INIT;

		fixture_add(fixture, "http", url_of("localhost", own.port, "count"), &err,
			    "every=20ms",
			    reuse ? "expect.body=^connection 1$" : "expect.body=^connection [123]$",
			    reuse ? bodies[1] : NULL, NULL);
		fixture_run(fixture, 5, 5 * NSEC_PER_SEC);
		assert_int_equal(fixture->sample_count, 5);
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(fixture->samples[i].sample.result,
					 reuse || i < 3 ? PROBE_PASS : PROBE_FAIL);
		fixture_free(fixture);
		web_server_stop(&own);
	}
}

static void test_tls_to_a_plain_server_is_named(void **state)
{
	char url[64];

	(void)state;
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/ok", server.port);
	expect(url, KEYS("timeout=2s"), PROBE_FAIL, "TLS: ");
}

static void test_server_comes_back(void **state)
{
	struct web_server own = web_server_start();
	struct fixture *fixture = fixture_new();
	struct error err = ERROR_INIT;

	(void)state;
	fixture_add(fixture, "http", url_of("127.0.0.1", own.port, "ok"), &err, NULL);
	assert_int_equal(fixture_once(fixture)->result, PROBE_PASS);
	web_server_stop(&own);
	assert_int_equal(fixture_once(fixture)->result, PROBE_FAIL);
	assert_int_equal(fixture_once(fixture)->result, PROBE_FAIL);
	fixture_free(fixture);
}

static void test_urls(void **state)
{
	static const struct {
		const char *url, *host;
		uint16_t port;
		const char *error;
	} cases[] = {
		{"http://a.example/x?y=1#z", "a.example", 80, NULL},
		{"https://a.example", "a.example", 443, NULL},
		{"https://a.example:8443/", "a.example", 8443, NULL},
		{"http://a.example?x", "a.example", 80, NULL},
		{"http://127.0.0.1:8080/", "", 8080, NULL},
		{"http://[::1]/x", "", 80, NULL},
		{"http://[::1]:81/x", "", 81, NULL},
		{"ftp://a.example/", NULL, 0, "must begin with http"},
		{"HTTP://a.example/", NULL, 0, "must begin with http"},
		{"a.example", NULL, 0, "must begin with http"},
		{"http://", NULL, 0, "names no host"},
		{"http:///x", NULL, 0, "names no host"},
		{"http://user:secret@a.example/", NULL, 0, "user information is refused"},
		{"http://a.example:0/", NULL, 0, "not a port"},
		{"http://a.example:80-90/", NULL, 0, "needs one port"},
		{"http://a.example:99999/", NULL, 0, "not a port"},
		{"http://*/", NULL, 0, "more than one host"},
		{"http://a.example/a b", NULL, 0, "percent-encoded (%20)"},
		{"http://a.example/\xc3\xa4", NULL, 0, "percent-encoded (%C3)"},
		{"http://[::1/", NULL, 0, "bracket"},
	};
	struct endpoint_host parsed;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err = ERROR_INIT;
		int result = http_url_parse(cases[i].url, &parsed, &err);

		if ((result < 0) != (cases[i].error != NULL))
			fail_msg("%s: %d %s", cases[i].url, result, err.text);
		if (cases[i].error && !strstr(err.text, cases[i].error))
			fail_msg("%s: %s", cases[i].url, err.text);
		if (cases[i].error)
			continue;
		assert_string_equal(parsed.name, cases[i].host);
		assert_int_equal(parsed.endpoint.port_first, cases[i].port);
	}
}

static void test_secret_of_a_url_is_not_repeated(void **state)
{
	struct endpoint_host parsed;
	struct error err = ERROR_INIT;

	(void)state;
	assert_true(http_url_parse("http://user:secret@a.example/", &parsed, &err) < 0);
	assert_null(strstr(err.text, "secret"));
}

static void test_check_names_mistakes(void **state)
{
	struct fixture *fixture = fixture_new();
	struct error err = ERROR_INIT;

	(void)state;
	assert_true(fixture_add(fixture, "http", "http://a/", &err, "header=no colon", NULL) < 0);
	assert_non_null(strstr(err.text, "Name: value"));
	assert_true(fixture_add(fixture, "http", "http://a/", &err, "method=HEAD", "expect.body=x",
				NULL) < 0);
	assert_non_null(strstr(err.text, "HEAD has no body"));
	fixture_free(fixture);
}

/* A real web server, with a certificate of its own. */
static char *write_nginx(unsigned port, unsigned tls_port)
{
	static char directory[] = "/tmp/squall-probe-XXXXXX";
	char text[1024];
	FILE *file;

	assert_non_null(mkdtemp(directory));
	snprintf(text, sizeof(text), "%s/nginx.conf", directory);
	file = fopen(text, "w");
	assert_non_null(file);
	fprintf(file,
		"daemon off; master_process off; worker_processes 1; pid %s/pid;\n"
		"error_log stderr emerg; events {}\n"
		"http { access_log off; client_body_temp_path %s; proxy_temp_path %s;\n"
		"fastcgi_temp_path %s; uwsgi_temp_path %s; scgi_temp_path %s;\n"
		"server { listen 127.0.0.1:%u; listen 127.0.0.1:%u ssl; ssl_certificate %s/c.pem;\n"
		"ssl_certificate_key %s/k.pem; location = / { return 200 'real'; }\n"
		"location /busy { return 503; } } }\n",
		directory, directory, directory, directory, directory, directory, port, tls_port,
		directory, directory);
	fclose(file);
	return directory;
}

static pid_t start_program(char *const argv[])
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(null_fd, STDERR_FILENO);
		execvp(argv[0], argv);
		_exit(127);
	}
	return pid;
}

static bool make_certificate(const char *directory)
{
	char key[128], certificate[128];
	int status = -1;
	pid_t pid;

	snprintf(key, sizeof(key), "%s/k.pem", directory);
	snprintf(certificate, sizeof(certificate), "%s/c.pem", directory);
	pid = start_program((char *[]){
		(char[]){"openssl"}, (char[]){"req"}, (char[]){"-x509"}, (char[]){"-newkey"},
		(char[]){"rsa:2048"}, (char[]){"-nodes"}, (char[]){"-subj"},
		(char[]){"/CN=localhost"}, (char[]){"-addext"},
		(char[]){"subjectAltName=DNS:localhost"}, (char[]){"-days"}, (char[]){"2"},
		(char[]){"-keyout"}, key, (char[]){"-out"}, certificate, NULL});
	waitpid(pid, &status, 0);
	return status == 0;
}

static void remove_directory(const char *directory)
{
	static const char *const names[] = {"nginx.conf", "c.pem", "k.pem", "pid"};
	char path[128];

	for (unsigned i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	if (rmdir(directory) < 0)
		print_message("left behind: %s\n", directory);
}

static void await_port(uint16_t port)
{
	char subject[32];

	snprintf(subject, sizeof(subject), "127.0.0.1:%u", port);
	for (unsigned i = 0; i < 100; i++) {
		struct fixture *fixture = fixture_new();
		struct error err = ERROR_INIT;
		enum probe_result result;

		fixture_add(fixture, "tcp", subject, &err, NULL);
		result = fixture_once(fixture)->result;
		fixture_free(fixture);
		if (result == PROBE_PASS)
			return;
		usleep(50000);
	}
	fail_msg("nginx did not start");
}

static void test_nginx_with_tls(void **state)
{
	uint16_t port = free_port(), tls_port = free_port();
	char *directory, config[128], ca[160], url[64];
	pid_t nginx;

	(void)state;
	if (access("/usr/sbin/nginx", X_OK) < 0)
		fixture_skip("nginx is not installed");
	directory = write_nginx(port, tls_port);
	if (!make_certificate(directory)) {
		remove_directory(directory);
		fixture_skip("openssl cannot make a certificate");
	}
	snprintf(config, sizeof(config), "%s/nginx.conf", directory);
	snprintf(ca, sizeof(ca), "ca=%s/c.pem", directory);
	nginx = start_program(
		(char *[]){(char[]){"/usr/sbin/nginx"}, (char[]){"-c"}, config, NULL});
	await_port(port);
	expect(url_of("127.0.0.1", port, ""), KEYS("expect.body=^real$"), PROBE_PASS, "status 200");
	expect(url_of("127.0.0.1", port, "busy"), KEYS(NULL), PROBE_FAIL, "status 503");
	snprintf(url, sizeof(url), "https://localhost:%u/", tls_port);
	expect(url, KEYS(NULL), PROBE_FAIL, "TLS: ");
	expect(url, KEYS("insecure=true"), PROBE_PASS, "status 200");
	expect(url, KEYS(ca, "expect.body=^real$"), PROBE_PASS, "status 200");
	expect(url, KEYS("ca=/nonexistent.pem"), PROBE_UNKNOWN, "/nonexistent.pem");
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", tls_port);
	expect(url, KEYS(ca), PROBE_FAIL, "TLS: ");
	end_process(nginx);
	expect(url, KEYS(ca), PROBE_FAIL, "connection refused");
	remove_directory(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passes_and_shows_status_and_latency),
		cmocka_unit_test(test_fails_on_status_body_and_latency),
		cmocka_unit_test(test_does_not_follow_redirects),
		cmocka_unit_test(test_no_answer_is_a_failure),
		cmocka_unit_test(test_latency_of_no_answer_is_none),
		cmocka_unit_test(test_reads_at_most_64_kib_of_a_body),
		cmocka_unit_test(test_sends_method_and_headers),
		cmocka_unit_test(test_makes_a_connection_an_attempt_unless_told),
		cmocka_unit_test(test_tls_to_a_plain_server_is_named),
		cmocka_unit_test(test_server_comes_back),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_secret_of_a_url_is_not_repeated),
		cmocka_unit_test(test_check_names_mistakes),
		cmocka_unit_test(test_nginx_with_tls),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
