/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What ends too early never ends in order, and nothing is left of the http fault inside TLS when it
 * has ended or was killed, or who speaks TLS for it.
 */
#define BENCH_RUNS "tlse"
#include "tests/netns/http_tls_fault.h"

#include "tests/support/netlab_dial.h"

#include <errno.h>

/* Ends. */

/* In a shell of the other side, in the folder of the test, until it listens. */
static pid_t start_server(const struct netlab *lab, uint16_t port, const char *command)
{
	pid_t server = fork();

	if (server == 0) {
		if (chdir(tls_home) == 0)
			execlp("ip", "ip", "netns", "exec", lab->far, "sh", "-c", command, NULL);
		_exit(127);
	}
	for (unsigned i = 0; i < 400; i++) {
		int fd = netlab_dial(lab->near_fd, "10.88.0.2", port);

		if (fd >= 0) {
			close(fd);
			return server;
		}
		poll(NULL, 0, 50);
	}
	fail_msg("'%s' does not listen", command);
	return 0;
}

static void stop_server(pid_t server)
{
	kill(server, SIGKILL);
	assert_int_equal(waitpid(server, NULL, 0), server);
}

/* Many do: what is whole by its own length arrives, all of it. */
static void test_a_server_that_ends_without_saying_so(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	pid_t server = start_server(
		lab, 446,
		"exec python3 -c \"\n"
		"import socket, ssl\n"
		"context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
		"context.load_cert_chain('real.pem', 'real.key')\n"
		"listener = socket.create_server(('10.88.0.2', 446))\n"
		"while True:\n"
		"  try:\n"
		"    stream = context.wrap_socket(listener.accept()[0], server_side=True)\n"
		"    stream.recv(4096)\n"
		"    stream.sendall(b'HTTP/1.1 200 ok\\r\\nContent-Length: 1000000\\r\\n\\r\\n')\n"
		"    stream.sendall(b'x' * 1000000)\n"
		"    stream.close()\n"
		"  except OSError: pass\n\"");

	TLS_START(lab, &fault, "to", "10.88.0.2:446", "path", "/none", "answer", "503");
	for (unsigned i = 0; i < 20; i++)
		assert_tls_curl(lab, "1000000 0",
				"-o /dev/null -w '%{size_download} %{exitcode}' "
				"https://10.88.0.2:446/");
	stop_server(server);
	finish(&fault);
}

/* A server that does not say how long it is. */
static void test_what_is_cut_off_never_ends_in_order(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	cleanup_free char *whole = NULL, *cut = NULL;
	pid_t server = start_server(lab, 445,
				    "exec openssl s_server -accept 445 -cert real.pem -key "
				    "real.key -HTTP -quiet >/dev/null 2>&1");

	tls_run("printf 'HTTP/1.0 200 ok\\r\\n\\r\\n' | cat - big > response");
	/* more than all buffers on its way can hold */
	tls_run("cat response big big big big big big big > long");
	TLS_START(lab, &fault, "to", "10.88.0.2:445", "path", "/none", "answer", "503");
	whole = tls_curl(lab, "-o /dev/null -w '%{size_download} %{exitcode}' "
			      "https://10.88.0.2:445/response");
	assert_string_equal(whole, "20000000 0");
	/* curl takes any end for one in order, as others do: who asks OpenSSL is told */
	cut = tls_shell(
		NULL,
		"ip netns exec %s python3 -c \"\n"
		"import os, socket, ssl\n"
		"context = ssl.create_default_context(cafile='ca.pem')\n"
		"context.check_hostname = False\n"
		"stream = context.wrap_socket(socket.create_connection(('10.88.0.2', 445)), "
		"suppress_ragged_eofs=False)\n"
		"stream.sendall(b'GET /long HTTP/1.0\\r\\n\\r\\n')\n"
		"try:\n"
		"  stream.recv(65536)\n"
		"  os.kill(%d, 9)\n"
		"  while stream.recv(65536): pass\n"
		"  print('whole', end='')\n"
		"except ssl.SSLEOFError: print('cut off', end='')\n"
		"except ConnectionResetError: print('reset', end='')\"",
		lab->near, server);
	assert_string_equal(cut, "cut off");
	tls_run("rm long");
	assert_int_equal(waitpid(server, NULL, 0), server);
	finish(&fault);
}

static void test_injected_again_after_its_end(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	TLS_START(lab, &fault, "to", "10.88.0.2:443", "answer", "503");
	for (unsigned i = 0; i < 3; i++) {
		assert_tls_curl(lab, "503", CODE "https://store.lab/up");
		netlab_fault_end(&fault, i % 2 ? FAULT_END_NOW : FAULT_END_SOFT);
		netlab_undo_all(fault.run_id);
		assert_tls_curl(lab, "200", CODE "https://store.lab/up");
		if (http_fault.inject(&fault.fault, &err) < 0)
			fail_msg("%s", err.text);
	}
	finish(&fault);
	netlab_same(lab, before);
}

static void test_a_download_is_finished_when_it_ends(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	pid_t curl;
	int status;

	tls_run("head -c 500000 big > mid");
	TLS_START(lab, &fault, "to", "10.88.0.2:443", "path", "/none", "answer", "503");
	curl = fork();
	if (curl == 0)
		_exit(call(lab, "curl -s -o got --max-time 20 --cacert ca.pem "
				"https://10.88.0.2/slow/mid"));
	poll(NULL, 0, 500);
	netlab_fault_end(&fault, FAULT_END_SOFT);
	assert_int_equal(waitpid(curl, &status, 0), curl);
	assert_int_equal(WEXITSTATUS(status), 0);
	tls_run("cmp got mid");
	finish(&fault);
}

/* Dying. */

/* It ends at once. */
static int exit_code_of(pid_t curl)
{
	int64_t before_ns = clock_now_ns();
	int status;

	assert_int_equal(waitpid(curl, &status, 0), curl);
	if (clock_now_ns() - before_ns > 2 * NSEC_PER_SEC)
		fail_msg("it ended too late, with %d", WEXITSTATUS(status));
	return WEXITSTATUS(status);
}

static void assert_cut(pid_t curl)
{
	assert_int_equal(exit_code_of(curl), 56);
}

static void test_killed_and_then_restored(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	pid_t child, curl;

	child = netlab_fault_start_apart(
		lab, "kkkkt1", TLS_SETTINGS("to", "10.88.0.2:443", "path", "/up", "answer", "503"));
	assert_tls_curl(lab, "503", CODE "https://store.lab/up");
	curl = start_download(lab);
	poll(NULL, 0, 700);
	kill(child, SIGKILL);
	assert_cut(curl);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_tls_is_gone();
	assert_tls_curl(lab, "up", "https://store.lab/up");
	netlab_same(lab, before);
	netlab_undo_all("kkkkt1");
	netlab_undo_all("kkkkt1");
}

/* Who speaks TLS is stopped: it dies with the worker all the same. */
static void test_killed_beside_a_stopped_process(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	pid_t child, curl;

	child = netlab_fault_start_apart(
		lab, "kkkkt2", TLS_SETTINGS("to", "10.88.0.2:443", "path", "/up", "answer", "503"));
	curl = start_download(lab);
	poll(NULL, 0, 700);
	kill(tls_process(), SIGSTOP);
	kill(child, SIGKILL);
	assert_cut(curl);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_tls_is_gone();
	netlab_undo_all("kkkkt2");
	netlab_same(lab, before);
}

static void test_without_who_speaks_tls_it_is_not_in_force(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	struct evidence seen;
	pid_t curl;

	TLS_START(lab, &fault, "to", "10.88.0.2:443", "path", "/up", "answer", "503");
	curl = start_download(lab);
	poll(NULL, 0, 700);
	kill(tls_process(), SIGKILL);
	assert_cut(curl);
	assert_tls_curl(lab, "000", CODE "https://store.lab/up");
	assert_int_equal(http_fault.evidence(&fault.fault, &seen, &err), -ESTALE);
	assert_non_null(strstr(err.text, "squall-tls"));
	finish(&fault);
	assert_tls_curl(lab, "up", "https://store.lab/up");
	netlab_same(lab, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_server_that_ends_without_saying_so),
		cmocka_unit_test(test_what_is_cut_off_never_ends_in_order),
		cmocka_unit_test(test_injected_again_after_its_end),
		cmocka_unit_test(test_a_download_is_finished_when_it_ends),
		cmocka_unit_test(test_killed_and_then_restored),
		cmocka_unit_test(test_killed_beside_a_stopped_process),
		cmocka_unit_test(test_without_who_speaks_tls_it_is_not_in_force),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
