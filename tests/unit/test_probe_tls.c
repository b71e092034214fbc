/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probe `http` with TLS: a real nginx with a certificate of its own making, valid for ten days, and
 * no newer TLS than 1.2.
 */
#include "injector/base/clock.h"
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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/squall-tls-XXXXXX";
static char url[64], ca[96];
static pid_t nginx;

static int run(char *const argv[])
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(126);
		execvp(argv[0], argv);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void await_listening(uint16_t port)
{
	const struct timespec pause = {.tv_nsec = 20 * NSEC_PER_MSEC};
	char address[32];

	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	for (unsigned i = 0; i < 500; i++) {
		struct fixture *fixture = fixture_new();
		struct error err = ERROR_INIT;
		enum probe_result result;

		fixture_add(fixture, "tcp", address, &err, NULL);
		fixture_open(fixture);
		result = fixture_once(fixture)->result;
		fixture_free(fixture);
		if (result == PROBE_PASS)
			return;
		nanosleep(&pause, NULL);
	}
	fail_msg("nginx does not listen");
}

static int start_nginx(void **state)
{
	char key[96], configuration[96];
	char *make[] = {(char[]){"openssl"},
			(char[]){"req"},
			(char[]){"-x509"},
			(char[]){"-newkey"},
			(char[]){"rsa:2048"},
			(char[]){"-nodes"},
			(char[]){"-days"},
			(char[]){"10"},
			(char[]){"-subj"},
			(char[]){"/CN=x"},
			(char[]){"-addext"},
			(char[]){"subjectAltName=IP:127.0.0.1"},
			(char[]){"-keyout"},
			key,
			(char[]){"-out"},
			ca,
			NULL};
	char *start[] = {
		(char[]){"nginx"}, (char[]){"-p"},     folder, (char[]){"-c"}, configuration,
		(char[]){"-e"},	   (char[]){"stderr"}, NULL};
	uint16_t port = free_port();
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(key, sizeof(key), "%s/key", folder);
	snprintf(ca, sizeof(ca), "%s/ca", folder);
	snprintf(configuration, sizeof(configuration), "%s/conf", folder);
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", port);
	if (run(make) != 0)
		return 1;
	file = fopen(configuration, "we");
	assert_non_null(file);
	fprintf(file,
		"daemon off; master_process off; pid %s/pid; error_log /dev/null;\n"
		"events {}\n"
		"http { access_log off; client_body_temp_path %s/b; proxy_temp_path %s/p;\n"
		"fastcgi_temp_path %s/f; uwsgi_temp_path %s/u; scgi_temp_path %s/s;\n"
		"server { listen 127.0.0.1:%u ssl; ssl_certificate %s; ssl_certificate_key %s;\n"
		"ssl_protocols TLSv1.2; return 200 well; } }\n",
		folder, folder, folder, folder, folder, folder, port, ca, key);
	fclose(file);
	nginx = fork();
	if (nginx == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!freopen("/dev/null", "w", stderr))
			_exit(126);
		execvp(start[0], start);
		_exit(127);
	}
	await_listening(port);
	return 0;
}

static int stop_nginx(void **state)
{
	char *clean[] = {(char[]){"rm"}, (char[]){"-rf"}, folder, NULL};

	(void)state;
	end_process(nginx);
	return run(clean);
}

static const char *trusted(void)
{
	static char key[112];

	snprintf(key, sizeof(key), "ca=%s", ca);
	return key;
}

static void test_days_of_the_certificate(void **state)
{
	(void)state;
	expect_sample("http", url, KEYS(trusted(), "expect.certificate=> 9d"), PROBE_PASS,
		      "status 200");
	expect_sample("http", url, KEYS(trusted(), "expect.certificate=> 14d"), PROBE_FAIL,
		      "the certificate is valid for 9 more days");
	/* also where it is not trusted */
	expect_sample("http", url, KEYS("insecure=true", "expect.certificate=> 14d"), PROBE_FAIL,
		      "expected > 14d");
}

static void test_versions(void **state)
{
	(void)state;
	expect_sample("http", url, KEYS(trusted(), "tls=1.2"), PROBE_PASS, "status 200");
	expect_sample("http", url, KEYS(trusted(), "tls=1.3"), PROBE_FAIL, "TLS");
}

static void test_who_is_not_trusted(void **state)
{
	(void)state;
	expect_sample("http", url, KEYS(NULL), PROBE_FAIL, "TLS: ");
}

static void test_without_tls_there_is_no_certificate(void **state)
{
	(void)state;
	expect_checked("http", "http://127.0.0.1/", KEYS("expect.certificate=> 9d"),
		       "only https:// has TLS");
	expect_checked("http", "http://127.0.0.1/", KEYS("tls=1.3"), "only https:// has TLS");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_days_of_the_certificate),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_who_is_not_trusted),
		cmocka_unit_test(test_without_tls_there_is_no_certificate),
	};

	return cmocka_run_group_tests(tests, start_nginx, stop_nginx);
}
