/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kinds tcp and command with every cause of their three results, host names that cannot be
 * resolved, and what all kinds share.
 */
#include "injector/base/clock.h"
#include "tests/support/probe_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_SKIPPED 77

/* all kinds ----------------------------------------------------------------------- */

static void check_table(const struct param *table)
{
	for (; table->name; table++) {
		struct param_value value;
		struct error err = ERROR_INIT;

		assert_non_null(table->doc);
		assert_true(strlen(table->doc) > 5 && !strchr(table->doc, '\n') &&
			    table->doc[strlen(table->doc) - 1] != '.');
		if (!table->fallback)
			continue;
		assert_int_equal(param_parse(table, table->fallback, &value, &err), 0);
		param_value_free(&value);
	}
}

static void test_every_kind_is_complete(void **state)
{
	unsigned count = 0;

	(void)state;
	for (; probe_all()[count]; count++) {
		const struct probe_ops *ops = probe_all()[count];

		assert_ptr_equal(probe_find(ops->name), ops);
		assert_true(ops->summary && ops->subject_doc && ops->check && ops->open &&
			    ops->start && ops->cancel && ops->close);
		check_table(ops->params);
		check_table(ops->expect);
	}
	assert_int_equal(count, 9);
	assert_null(probe_find("ftp"));
}

static void test_excerpt_is_one_printable_line(void **state)
{
	char out[12];

	(void)state;
	assert_string_equal(probe_excerpt("one\n", 4, out, sizeof(out)), "one");
	assert_string_equal(probe_excerpt("one\ntwo", 7, out, sizeof(out)), "one...");
	assert_string_equal(probe_excerpt("a\033[31mb", 7, out, sizeof(out)), "a?[31mb");
	assert_string_equal(probe_excerpt("0123456789abcdef", 16, out, sizeof(out)), "01234567...");
	assert_string_equal(probe_excerpt("", 0, out, sizeof(out)), "");
}

/* tcp ----------------------------------------------------------------------------- */

static const char *address(const char *host, unsigned port)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s:%u", host, port);
	return text;
}

static void test_tcp_connects(void **state)
{
	uint16_t port;
	int listener = listen_silently(8, &port);

	(void)state;
	expect_sample("tcp", address("127.0.0.1", port), KEYS(NULL), PROBE_PASS, "connected in ");
	/* localhost may be ::1 first, where nobody listens: the next address is tried */
	expect_sample("tcp", address("localhost", port), KEYS(NULL), PROBE_PASS, "connected in ");
	expect_sample("tcp", address("127.0.0.1", port), KEYS("expect.latency=> 1h"), PROBE_FAIL,
		      ", expected > 1h");
	close(listener);
}

static void test_tcp_refused_and_silent_fail(void **state)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	uint16_t port;
	int listener = listen_silently(0, &port), fill[4];

	(void)state;
	expect_sample("tcp", address("127.0.0.1", free_port()), KEYS(NULL), PROBE_FAIL,
		      "connection refused");
	expect_sample("tcp", address("localhost", free_port()), KEYS(NULL), PROBE_FAIL,
		      "connection refused");
	/* With a full queue the kernel drops the SYN, as a host that has gone does. */
	to.sin_port = htons(port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (unsigned i = 0; i < 4; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (connect(fill[i], (struct sockaddr *)&to, sizeof(to)) < 0)
			assert_int_equal(errno, EINPROGRESS);
	}
	expect_sample("tcp", address("127.0.0.1", port), KEYS("timeout=300ms"), PROBE_FAIL,
		      "timed out after 300ms");
	for (unsigned i = 0; i < 4; i++)
		close(fill[i]);
	close(listener);
}

static void test_tcp_check(void **state)
{
	(void)state;
	expect_checked("tcp", "db.internal:5432", KEYS(NULL), NULL);
	expect_checked("tcp", "[2001:db8::1]:5432", KEYS(NULL), NULL);
	expect_checked("tcp", "db.internal", KEYS(NULL), "needs one port");
	expect_checked("tcp", "10.0.0.0/8:80", KEYS(NULL), "more than one host");
	expect_checked("tcp", "*:80", KEYS(NULL), "more than one host");
	expect_checked("tcp", "10.0.0.1:80-90", KEYS(NULL), "needs one port");
}

/* names --------------------------------------------------------------------------- */

/* A network of our own, whose only name server is a socket that nobody reads (`is_silent`), or a
 * port that refuses. 0, or an errno. */
static int enter_dead_network(bool is_silent)
{
	struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
	char path[] = "/tmp/squall-resolv-XXXXXX";
	static const char line[] = "nameserver 127.0.0.1\n";
	int fd = mkstemp(path), silent;

	if (fd < 0 || write(fd, line, sizeof(line) - 1) < 0 || fchmod(fd, 0644) < 0)
		return errno;
	close(fd);
	if (unshare((getuid() ? CLONE_NEWUSER : 0) | CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL) < 0) {
		fd = errno;
		unlink(path);
		return fd;
	}
	unlink(path);
	silent = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (ioctl(silent, SIOCSIFFLAGS, &loopback) < 0)
		return errno;
	if (is_silent && bind(silent, (struct sockaddr *)&to, sizeof(to)) < 0)
		return errno;
	return 0;
}

static unsigned count_threads(void)
{
	char text[64];
	unsigned threads = 0;
	FILE *status = fopen("/proc/self/status", "r");

	while (status && fgets(text, sizeof(text), status))
		if (sscanf(text, "Threads: %u", &threads) == 1)
			break;
	if (status)
		fclose(status);
	return threads;
}

/* In the dead network: two probes with names, one without, which must not notice. */
static void probe_dead_network(void)
{
	struct fixture *fixture = fixture_new();
	struct error err = ERROR_INIT;
	unsigned counts[3] = {0};
	uint16_t port;
	int64_t before;
	int listener = listen_silently(64, &port);

	fixture_add(fixture, "http", "http://shop.internal/", &err, "every=50ms", "timeout=200ms",
		    NULL);
	fixture_add(fixture, "tcp", "db.internal:5432", &err, "every=50ms", "timeout=200ms", NULL);
	fixture_add(fixture, "tcp", address("127.0.0.1", port), &err, "every=50ms", NULL);
	before = clock_now_ns();
	fixture_run(fixture, FIXTURE_SAMPLES, 1500 * NSEC_PER_MSEC);
	assert_true(clock_now_ns() - before < 1700 * NSEC_PER_MSEC);
	for (unsigned i = 0; i < fixture->sample_count; i++) {
		const struct probe_sample *sample = &fixture->samples[i].sample;

		counts[fixture->samples[i].probe]++;
		if (fixture->samples[i].probe == 2) {
			assert_int_equal(sample->result, PROBE_PASS);
			continue;
		}
		assert_int_equal(sample->result, PROBE_UNKNOWN);
		assert_non_null(strstr(sample->reason, ".internal' within 200ms"));
	}
	/* fewer on a busy machine: seven and thirty are what fits in */
	assert_in_range(counts[0], 3, 8);
	assert_in_range(counts[1], 3, 8);
	assert_in_range(counts[2], 12, 31);
	/* seven attempts, one look-up each: threads do not pile up */
	assert_int_equal(count_threads(), 3);
	before = clock_now_ns();
	fixture_free(fixture);
	assert_true(clock_now_ns() - before < 200 * NSEC_PER_MSEC);
	close(listener);
}

static void run_in_dead_network(bool is_silent, void (*fn)(void))
{
	int pipe_ends[2], code = -1, status;
	pid_t child;

	assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		code = enter_dead_network(is_silent);
		if (write(pipe_ends[1], &code, sizeof(code)) < 0)
			_exit(2);
		if (code == 0)
			fn();
		_exit(0);
	}
	close(pipe_ends[1]);
	if (read(pipe_ends[0], &code, sizeof(code)) != (ssize_t)sizeof(code))
		code = -1;
	close(pipe_ends[0]);
	waitpid(child, &status, 0);
	if (code > 0 || (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED))
		fixture_skip("no network namespace can be made here");
	assert_int_equal(code, 0);
	assert_int_equal(status, 0);
}

/* With one port left to connect from, and that port asked for, the connection meets itself. */
static void probe_itself(void)
{
	FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "we");

	if (!range || fputs("40000 40000", range) < 0 || fclose(range) != 0)
		_exit(EXIT_SKIPPED);
	expect_sample("tcp", "127.0.0.1:40000", KEYS(NULL), PROBE_FAIL, "connection refused");
}

static void test_tcp_to_itself_is_no_connection(void **state)
{
	(void)state;
	run_in_dead_network(false, probe_itself);
}

static void test_dead_name_server_delays_nobody(void **state)
{
	(void)state;
	run_in_dead_network(true, probe_dead_network);
}

static void probe_unknown_hosts(void)
{
	expect_sample("tcp", "shop.internal:80", KEYS("timeout=15s"), PROBE_UNKNOWN,
		      "could not resolve host 'shop.internal': ");
	expect_sample("http", "http://shop.internal/", KEYS("timeout=15s"), PROBE_UNKNOWN,
		      "could not resolve host 'shop.internal': ");
}

static void test_unknown_host_is_unknown(void **state)
{
	(void)state;
	run_in_dead_network(false, probe_unknown_hosts);
}

/* command ------------------------------------------------------------------------- */

static void test_command_judges_the_exit_code(void **state)
{
	(void)state;
	expect_sample("command", "true", KEYS(NULL), PROBE_PASS, "exit code 0 in ");
	expect_sample("command", "sh|-c|echo broken; exit 3", KEYS(NULL), PROBE_FAIL,
		      "exit code 3, expected 0: broken");
	assert_true(expect_sample("command", "sh|-c|exit 3", KEYS("expect.exit=1-4"), PROBE_PASS,
				  "exit code 3") == 3);
	expect_sample("command", "sh|-c|kill -9 $$", KEYS(NULL), PROBE_FAIL,
		      "killed by signal 9 KILL");
}

static void test_command_judges_the_output(void **state)
{
	(void)state;
	assert_true(expect_sample("command", "echo|42", KEYS("expect.output=< 100"), PROBE_PASS,
				  "output 42") == 42);
	assert_true(expect_sample("command", "echo|142", KEYS("expect.output=< 100"), PROBE_FAIL,
				  "output 142, expected < 100") == 142);
	expect_sample("command", "echo| 7.5 ", KEYS("expect.output=7-8"), PROBE_PASS, "");
	expect_sample("command", "echo|7", KEYS("expect.output=7"), PROBE_PASS, "");
	expect_sample("command", "echo|70", KEYS("expect.output=7"), PROBE_FAIL, "expected 7");
	expect_sample("command", "echo|many", KEYS("expect.output=< 100"), PROBE_FAIL,
		      "output 'many' is not a number");
	expect_sample("command", "true", KEYS("expect.output=< 100"), PROBE_FAIL,
		      "output '' is not a number");
	expect_sample("command", "echo|inf", KEYS("expect.output=> 1"), PROBE_FAIL,
		      "is not a number");
	expect_sample("command", "printf|one\\nready\\n", KEYS("expect.output=^ready$"), PROBE_PASS,
		      "");
	expect_sample("command", "echo|not yet", KEYS("expect.output=^ready$"), PROBE_FAIL,
		      "output 'not yet' does not match '^ready$'");
	expect_sample("command", "sh|-c|echo 5; exit 1", KEYS("expect.output=5"), PROBE_FAIL,
		      "exit code 1");
	expect_sample("command", "sleep|0.2", KEYS("expect.latency=< 100ms"), PROBE_FAIL,
		      ", expected < 100ms");
}

static void test_command_that_cannot_start_is_unknown(void **state)
{
	(void)state;
	expect_sample("command", "./backlog.sh", KEYS(NULL), PROBE_UNKNOWN,
		      "cannot start './backlog.sh': No such file or directory");
	expect_sample("command", "no-such-program", KEYS(NULL), PROBE_UNKNOWN,
		      "no such program in PATH");
}

static void test_command_that_hangs_fails(void **state)
{
	(void)state;
	expect_sample("command", "sh|-c|trap '' TERM; sleep 60", KEYS("timeout=300ms"), PROBE_FAIL,
		      "timed out after 300ms");
	expect_sample("command", "sh|-c|setsid -f sleep 0.4; sleep 0.1; echo 1",
		      KEYS("timeout=3s", "expect.output=1"), PROBE_PASS, "");
	expect_sample("command", "head|-c|5000000|/dev/zero", KEYS("timeout=5s"), PROBE_PASS, "");
}

static void test_command_check(void **state)
{
	(void)state;
	expect_checked("command", "", KEYS(NULL), "program is empty");
	expect_checked("command", "true", KEYS("expect.output=< ten"), "not a number");
	expect_checked("command", "true", KEYS("expect.output=(open"), "regular expression");
	expect_checked("command", "true", KEYS("expect.output=^ok$"), NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind_is_complete),
		cmocka_unit_test(test_excerpt_is_one_printable_line),
		cmocka_unit_test(test_tcp_connects),
		cmocka_unit_test(test_tcp_refused_and_silent_fail),
		cmocka_unit_test(test_tcp_to_itself_is_no_connection),
		cmocka_unit_test(test_tcp_check),
		cmocka_unit_test(test_unknown_host_is_unknown),
		cmocka_unit_test(test_dead_name_server_delays_nobody),
		cmocka_unit_test(test_command_judges_the_exit_code),
		cmocka_unit_test(test_command_judges_the_output),
		cmocka_unit_test(test_command_that_cannot_start_is_unknown),
		cmocka_unit_test(test_command_that_hangs_fails),
		cmocka_unit_test(test_command_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
