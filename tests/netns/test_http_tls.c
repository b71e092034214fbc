/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The http fault inside TLS, on a real nginx: what is met and what passes is the same as without,
 * to the byte. The end of it: test_http_tls_ends.c.
 */
#define BENCH_RUNS "tlst"
#include "tests/netns/http_tls_fault.h"

/* What is met. */

static void test_only_what_is_asked_for_is_answered(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	struct netlab_fault fault;
	struct evidence seen;

	TLS_START(lab, &fault, "to", "10.88.0.2:443", "path", "/up", "answer", "503", "body", "no");
	assert_tls_curl(lab, "no503", "-w %{http_code} https://store.lab/up");
	assert_tls_curl(lab, "no503", "--tls-max 1.2 -w %{http_code} https://store.lab/up");
	assert_tls_curl(lab, "404", CODE "https://store.lab/none");
	/* without a name */
	assert_tls_curl(lab, "no503", "-w %{http_code} https://10.88.0.2/up");
	seen = netlab_evidence(&fault);
	assert_int_equal(seen.hits, 3);
	assert_string_equal(seen.detail, "3 of 4 requests met, 3 answered");
	finish(&fault);
	assert_tls_curl(lab, "up", "https://store.lab/up");
	netlab_same(lab, before);
}

/* Who is shown which certificate, and how the server is spoken to. */
static void test_both_sides_speak_tls_and_http_1(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	cleanup_free char *text = NULL;

	assert_tls_curl(lab, "store.lab TLSv1.3 HTTP/2.0 h2", "https://store.lab/name");
	TLS_START(lab, &fault, "to", "10.88.0.2:443", "path", "/none", "answer", "503");
	assert_tls_curl(lab, "store.lab TLSv1.3 HTTP/1.1 http/1.1", "https://store.lab/name");
	assert_tls_curl(lab, "store.lab TLSv1.3 HTTP/1.1 http/1.1",
			"--tls-max 1.2 https://store.lab/name");
	assert_tls_curl(lab, " TLSv1.3 HTTP/1.1 http/1.1", "https://10.88.0.2/name");
	text = tls_curl(lab, "-v https://store.lab/name 2>&1 | grep subject:");
	assert_non_null(strstr(text, "CN=fault"));
	finish(&fault);
}

static void test_a_delayed_request_is_late(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t before_ns = clock_now_ns();

	TLS_START(lab, &fault, "to", "10.88.0.2:443", "path", "/up", "delay", "700ms");
	assert_tls_curl(lab, "up", "https://store.lab/up");
	assert_true(clock_now_ns() - before_ns > 700 * NSEC_PER_MSEC);
	assert_int_equal(netlab_evidence(&fault).delayed, 1);
	finish(&fault);
}

static void test_requests_and_responses_are_changed(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	TLS_START(lab, &fault, "to", "10.88.0.2:443", "path", "/up", "set-path", "/name",
		  "set-status", "418", "set-response-header", "X-A: b");
	assert_tls_curl(lab, "store.lab TLSv1.3 HTTP/1.1 http/1.1 418",
			"-w ' %{http_code}' https://store.lab/up");
	finish(&fault);
}

static void test_an_aborted_request_is_a_reset(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	TLS_START(lab, &fault, "to", "10.88.0.2:443", "path", "/up", "abort", "true");
	assert_tls_curl(lab, "000 56",
			"-o /dev/null -w '%{http_code} %{exitcode}' "
			"https://store.lab/up");
	finish(&fault);
}

/* What passes. */

static void test_bodies_pass_byte_for_byte(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	TLS_START(lab, &fault, "to", "10.88.0.2:443", "path", "/none", "answer", "503");
	assert_tls_curl(lab, "", "-f -o got https://store.lab/big && cmp got big");
	assert_tls_curl(lab, "", "-f -T big https://store.lab/put/it && cmp put/it big");
	/* who reads slowly: the server waits, and nothing is lost */
	assert_tls_curl(lab, "", "-f --limit-rate 8M -o got https://store.lab/big && cmp got big");
	assert_int_equal(netlab_evidence(&fault).hits, 0);
	finish(&fault);
}

static void test_a_connection_is_kept(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	TLS_START(lab, &fault, "to", "10.88.0.2:443", "path", "/up", "answer", "503");
	assert_tls_curl(lab, "503 1,404 0,503 0,",
			"-w '%{http_code} %{num_connects},' -o /dev/null https://store.lab/up "
			"-o /dev/null https://store.lab/none -o /dev/null https://store.lab/up");
	finish(&fault);
}

static void test_many_at_once(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	cleanup_free char *text = NULL;

	TLS_START(lab, &fault, "to", "10.88.0.2:443", "path", "/none", "answer", "503");
	text = tls_shell(NULL, "ip netns exec %s wrk -c 60 -t 1 -d 2s https://10.88.0.2/up",
			 lab->near);
	if (strstr(text, "Socket errors") || strstr(text, "Non-2xx") ||
	    !strstr(text, "requests in"))
		fail_msg("%s", text);
	assert_true(netlab_evidence(&fault).hits == 0);
	finish(&fault);
}

/* Where requests arrive, with the server's own certificate: clients notice nothing. */
static void test_requests_are_met_where_they_arrive(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	struct netlab there = *lab;
	struct netlab_fault fault;
	pid_t curl;
	int status;

	snprintf(there.near, sizeof(there.near), "%s", lab->far);
	there.near_fd = lab->far_fd;
	TLS_START(&there, &fault, "local-port", "443", "path", "/up", "answer", "503");
	assert_tls_curl(lab, "503", CODE "https://store.lab/up");
	assert_tls_curl(lab, "store.lab TLSv1.3 HTTP/1.1 http/1.1", "https://store.lab/name");
	assert_tls_curl(lab, "", "-f -o got https://store.lab/big && cmp got big");
	curl = start_download(lab);
	poll(NULL, 0, 500);
	kill(tls_process(), SIGKILL);
	assert_int_equal(waitpid(curl, &status, 0), curl);
	assert_int_equal(WEXITSTATUS(status), 56);
	finish(&fault);
	assert_tls_curl(lab, "up", "https://store.lab/up");
	netlab_same(lab, before);
}

/* Not TLS on the same target: met as it is. */
static void test_what_is_not_tls_is_met_as_it_is(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	TLS_START(lab, &fault, "to", "10.88.0.2:80", "to", "10.88.0.2:443", "path", "/up", "answer",
		  "503");
	assert_tls_curl(lab, "503", CODE "http://10.88.0.2/up");
	assert_tls_curl(lab, "  HTTP/1.1 ", "http://10.88.0.2/name");
	assert_tls_curl(lab, "503", CODE "https://store.lab/up");
	assert_non_null(strstr(netlab_evidence(&fault).detail, "2 connections without TLS"));
	finish(&fault);
}

/* Handshakes. */

static void test_who_does_not_trust_the_certificate_is_counted(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	TLS_START(lab, &fault, "to", "10.88.0.2:443", "path", "/up", "answer", "503");
	for (unsigned i = 0; i < 3; i++)
		tls_run("! ip netns exec %s curl -s --max-time 5 https://10.88.0.2/up", lab->near);
	poll(NULL, 0, 100);
	assert_non_null(strstr(netlab_evidence(&fault).detail,
			       "3 handshakes failed: tlsv1 alert unknown ca"));
	finish(&fault);
}

static void test_the_server_is_verified_when_asked_for(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	tls_make_authority("other");
	start(lab, &fault,
	      settings_with("ca.pem", (const char *[]){"to", "10.88.0.2:443", "path", "/none",
						       "answer", "503", NULL}));
	assert_tls_curl(lab, "up", "https://store.lab/up");
	/* the client lets any name pass, and the server is none that bears it */
	assert_tls_curl(lab, "000", CODE "-k --resolve odd.lab:443:10.88.0.2 https://odd.lab/up");
	assert_non_null(strstr(netlab_evidence(&fault).detail,
			       "1 handshake with the server failed: hostname mismatch"));
	finish(&fault);
	start(lab, &fault,
	      settings_with("other.pem", (const char *[]){"to", "10.88.0.2:443", "path", "/none",
							  "answer", "503", NULL}));
	assert_tls_curl(lab, "000", CODE "https://store.lab/up");
	assert_non_null(
		strstr(netlab_evidence(&fault).detail, "1 handshake with the server failed"));
	finish(&fault);
}

/* Planning. */

static void assert_not_planned(struct netlab *lab, const char *certificate, const char *key,
			       const char *words)
{
	static unsigned runs;
	struct netlab_fault fault;
	struct settings settings = {0};
	struct error err = ERROR_INIT;
	char run_id[RUN_ID_SIZE];

	snprintf(run_id, sizeof(run_id), "bbbbp%u", ++runs % 10);
	tls_run("cp %s odd.pem && cp %s odd.key", certificate, key);
	add(&settings, "fault", "http");
	add_files(&settings, "odd", NULL);
	add(&settings, "to", "10.88.0.2:443");
	add(&settings, "answer", "503");
	assert_true(netlab_fault_plan(lab, &fault, run_id, settings.words, &err) < 0);
	if (!strstr(err.text, words))
		fail_msg("'%s' instead of '%s'", err.text, words);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	params_free(&settings.files);
	assert_tls_is_gone();
}

static void test_what_does_not_fit_is_refused(void **state)
{
	struct netlab *lab = *state;

	assert_not_planned(lab, "fault.pem", "real.key", "is not that of the certificate");
	tls_run("sed '2s/...../AAAAA/' fault.key > broken.key");
	assert_not_planned(lab, "fault.pem", "broken.key", "tls-key: ");
	tls_run("sed '2s/...../AAAAA/' fault.pem > broken.pem");
	assert_not_planned(lab, "broken.pem", "fault.key", "tls-certificate: certificate 1 of");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_what_is_asked_for_is_answered),
		cmocka_unit_test(test_both_sides_speak_tls_and_http_1),
		cmocka_unit_test(test_a_delayed_request_is_late),
		cmocka_unit_test(test_requests_and_responses_are_changed),
		cmocka_unit_test(test_an_aborted_request_is_a_reset),
		cmocka_unit_test(test_bodies_pass_byte_for_byte),
		cmocka_unit_test(test_a_connection_is_kept),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_requests_are_met_where_they_arrive),
		cmocka_unit_test(test_what_is_not_tls_is_met_as_it_is),
		cmocka_unit_test(test_who_does_not_trust_the_certificate_is_counted),
		cmocka_unit_test(test_the_server_is_verified_when_asked_for),
		cmocka_unit_test(test_what_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
