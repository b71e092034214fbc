/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Runs whose http fault is inside TLS, as their users run them: what is said of certificate and
 * key, and that nobody is ever told the key; what squall-tls is allowed to; what becomes of a run
 * without it.
 */
#include "tests/netns/http_tls_bench.h"

#include "tests/support/squall_runner.h"

#include <sys/stat.h>

static int set_up(void **state)
{
	struct stage *stage;

	stage_setup(state);
	stage = *state;
	if (!tls_home[0]) {
		tls_make_certificates();
		tls_start_nginx(stage->lab);
		free(stage->before);
		stage->before = stage_state(stage, false);
	}
	return 0;
}

static const char *write_experiment(const struct stage *stage, const char *more)
{
	tls_run("cp fault.pem fault.key ca.pem %s/ && chmod 600 %s/fault.key", stage->folder,
		stage->folder);
	return stage_write(
		stage, "tls.yaml",
		"version: 1\ntitle: inside TLS\nallow-idle: true\n"
		"limits: {duration: 60s, targets: 4}\nmethod:\n"
		"  - {at: 0s, for: 30s, http: {to: \"10.88.0.2:443\", path: /up, answer: "
		"503, tls-certificate: fault.pem, tls-key: fault.key%s}}\n",
		more);
}

/* Any line of the key, but those that say what it is. */
static void assert_no_key(const char *text)
{
	cleanup_free char *key = tls_shell(NULL, "grep -v -e ----- fault.key");
	char *save = NULL;

	for (char *line = strtok_r(key, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strstr(text, line))
			fail_msg("the key is shown: %s", text);
}

static void test_nobody_is_told_the_key(void **state)
{
	static const char *const commands[] = {"plan", "plan --json", "explain", "check"};
	struct stage *stage = *state;
	const char *path = write_experiment(stage, "");
	struct squall *squall;
	cleanup_free char *journal = NULL, *result = NULL;

	for (unsigned i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		cleanup_free char *said = NULL, *more = NULL;

		squall = squall_start(stage, NULL, "%s %s", commands[i], path);
		squall_assert_exit(squall, 0);
		said = squall_output(squall);
		more = squall_messages(squall);
		assert_no_key(said);
		assert_no_key(more);
		if (i == 1) { /* without line breaks */
			assert_non_null(strstr(said, "/CN=fault, valid until"));
			assert_non_null(strstr(said, "is not verified (tls-ca does that)"));
		}
	}
	squall = squall_start(stage, NULL, "run --json %s", path);
	squall_await_injected(squall);
	assert_tls_curl(stage->lab, "503", "-o /dev/null -w %{http_code} https://store.lab/up");
	journal =
		tls_shell(NULL, "cat $(find %s/run %s/lib -type f)", stage->folder, stage->folder);
	assert_no_key(journal);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	result = tls_shell(NULL, "cat %s/lib/squall/results/*", stage->folder);
	assert_non_null(strstr(result, "fault.key"));
	assert_no_key(result);
	stage_assert_clean(stage);
}

/* It is what `doctor --sandbox` says (test_doctor_sandbox), opens nothing, and has nothing open of
 * the worker's. */
static void test_the_process_has_no_rights(void **state)
{
	struct stage *stage = *state;
	struct squall *squall =
		squall_start(stage, NULL, "run --json %s", write_experiment(stage, ""));
	cleanup_free char *status = NULL, *open = NULL;
	pid_t tls;

	squall_await_injected(squall);
	tls = tls_process();
	status = tls_shell(NULL, "cat /proc/%d/status", tls);
	assert_non_null(strstr(status, "Uid:\t65534\t65534\t65534\t65534"));
	assert_non_null(strstr(status, "Gid:\t65534\t65534\t65534\t65534"));
	assert_non_null(strstr(status, "Groups:\t \n"));
	assert_non_null(strstr(status, "CapPrm:\t0000000000000000"));
	assert_non_null(strstr(status, "CapBnd:\t0000000000000000"));
	assert_non_null(strstr(status, "NoNewPrivs:\t1"));
	assert_non_null(strstr(status, "Seccomp:\t2"));
	free(tls_shell(NULL,
		       "grep -q 'cpu time *unlimited *unlimited' /proc/%d/limits && grep -q "
		       "'core file size *0 *0' /proc/%d/limits",
		       tls, tls));
	/* sanitizers keep a file for what they find */
	open = tls_shell(
		NULL,
		"readlink /proc/%d/fd/* | grep -v -x -e /dev/null -e '/memfd:err (deleted)' "
		"| sed 's/\\[.*//' | sort | uniq -c | tr -s ' \\n' ' '",
		tls);
	/* to the worker; and the owner of the table, which is held */
	assert_string_equal(open, " 2 anon_inode: 2 socket: ");
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	stage_assert_clean(stage);
}

static void test_its_death_ends_the_run(void **state)
{
	struct stage *stage = *state;
	struct squall *squall =
		squall_start(stage, NULL, "run --json %s", write_experiment(stage, ""));
	cleanup_free char *said = NULL;

	squall_await_injected(squall);
	assert_tls_curl(stage->lab, "503", "-o /dev/null -w %{http_code} https://store.lab/up");
	kill(tls_process(), SIGKILL);
	squall_await_exit(squall);
	assert_int_not_equal(squall->status, 0);
	said = squall_output(squall);
	if (!strstr(said, "squall-tls, which speaks TLS, has died"))
		fail_msg("%s", said);
	assert_tls_curl(stage->lab, "up", "https://store.lab/up");
	stage_assert_clean(stage);
}

static void test_a_dead_worker_takes_it_along(void **state)
{
	struct stage *stage = *state;
	struct squall *squall =
		squall_start(stage, NULL, "run --json %s", write_experiment(stage, ""));
	pid_t tls;

	squall_await_injected(squall);
	tls = tls_process();
	kill(squall->worker, SIGKILL);
	squall_await_exit(squall);
	assert_true(process_await_gone(tls, 2000));
	stage_await_finished(stage);
	assert_tls_curl(stage->lab, "up", "https://store.lab/up");
	stage_assert_clean(stage);
}

static void test_mistakes_are_told_where_they_are(void **state)
{
	static const struct {
		const char *change; /* of what write_experiment() has put there */
		const char *words;
	} mistakes[] = {
		{"sed -i '3s/^..../AA*A/' fault.pem", "fault.pem:3:3: this is not base64"},
		{"sed -i '3s/.$//' fault.pem", "fault.pem:3:64: the line of base64 is cut off"},
		{"sed -i '$d' fault.key", "fault.key:1:1: this block has no end"},
		{"echo > fault.pem", "fault.pem:1:1: no certificate"},
		{"cp fault.pem fault.key", "fault.key:1:1: no private key"},
		{"openssl pkey -aes128 -passout pass:abcd -in fault.key -out it && mv it fault.key",
		 "fault.key:1:12: the key is encrypted"},
		{"rm fault.key", "fault.key"},
		{"sed -i 's/, tls-key: fault.key//' tls.yaml", "tls-certificate: it needs tls-key"},
		{"sed -i 's/tls-key: fault.key/tls-key: other.key/' tls.yaml; openssl genpkey "
		 "-algorithm ec -pkeyopt ec_paramgen_curve:P-256 -out other.key",
		 "the key in other.key is not that of the certificate in fault.pem"},
	};
	struct stage *stage = *state;

	for (unsigned i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
		write_experiment(stage, "");
		tls_run("cd %s && %s", stage->folder, mistakes[i].change);
		squall_assert_refused(
			squall_start(stage, NULL, "plan %s", stage_path(stage, "tls.yaml")),
			mistakes[i].words);
	}
	stage_assert_clean(stage);
}

static void test_a_certificate_that_has_expired_is_told(void **state)
{
	struct stage *stage = *state;
	const char *path = write_experiment(stage, ", tls-ca: ca.pem");
	cleanup_free char *said = NULL;
	struct squall *squall;

	tls_run("printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\nserial=serial\\n"
		"new_certs_dir=.\\ncertificate=ca.pem\\nprivate_key=ca.key\\ndefault_md=sha256\\n"
		"policy=p\\n[p]\\ncommonName=supplied\\n' > old.conf; touch index; echo 77 > "
		"serial; "
		"openssl ca -batch -notext -config old.conf -startdate 20200101000000Z -enddate "
		"20210101000000Z -in fault.csr -out %s/fault.pem 2>log.old",
		stage->folder);
	squall = squall_start(stage, NULL, "plan --json %s", path);
	squall_assert_exit(squall, 0);
	said = squall_output(squall);
	assert_non_null(strstr(said, "the certificate has expired on 2021-01-01"));
	assert_non_null(strstr(said, "the server's certificate is verified by ca.pem"));
	stage_assert_clean(stage);
}

/* The key is read with the rights of who calls. */
static void test_a_key_of_others_is_not_read(void **state)
{
	static const char *const as_sudo[] = {"SUDO_UID=1", "SUDO_GID=1", NULL};
	const struct squall_how how = {.extra = as_sudo};
	struct stage *stage = *state;
	const char *path = write_experiment(stage, "");

	squall_assert_refused(squall_start(stage, &how, "plan %s", path), "tls-key: cannot open");
	/* nor by root what others could have put there */
	tls_run("chown 1234 %s/fault.key", stage->folder);
	squall_assert_refused(squall_start(stage, NULL, "plan %s", path), "fault.key");
	tls_run("rm %s/fault.key", stage->folder);
	stage_assert_clean(stage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nobody_is_told_the_key),
		TEST(test_the_process_has_no_rights),
		TEST(test_its_death_ends_the_run),
		TEST(test_a_dead_worker_takes_it_along),
		TEST(test_mistakes_are_told_where_they_are),
		TEST(test_a_certificate_that_has_expired_is_told),
		TEST(test_a_key_of_others_is_not_read),
	};
	int failed = STAGE_RUN(tests);

	if (tls_home[0])
		tls_stop_nginx();
	return failed;
}
