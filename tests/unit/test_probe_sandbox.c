/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every kind of probe does its work behind the conductor's filter, opened before it as in a run.
 */
#include "injector/base/clock.h"
#include "injector/kernel/sandbox.h"
#include "tests/support/probe_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void work_behind_the_filter(uint16_t port)
{
	struct fixture *fixture = fixture_new();
	struct error err = ERROR_INIT;
	char url[64], named_url[64], named[64];
	unsigned passes[7] = {0};
	int64_t before;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/ok", port);
	snprintf(named_url, sizeof(named_url), "http://localhost:%u/ok", port);
	snprintf(named, sizeof(named), "localhost:%u", port);
	fixture_add(fixture, "http", url, &err, "every=100ms", NULL);
	fixture_add(fixture, "http", named_url, &err, "every=100ms", "reuse=true", NULL);
	fixture_add(fixture, "tcp", named, &err, "every=100ms", NULL);
	fixture_add(fixture, "command", "echo|7", &err, "every=100ms", "expect.output=7", NULL);
	fixture_add(fixture, "process", "no-such-process", &err, "every=100ms", "expect.count=0",
		    NULL);
	fixture_add(fixture, "pressure", "cpu", &err, "every=100ms", "expect.some-avg10=<= 100",
		    NULL);
	fixture_add(fixture, "command", "sleep|60", &err, "every=100ms", "timeout=200ms", NULL);
	fixture_open(fixture);
	if (sandbox_conductor(&err) < 0)
		fail_msg("%s", err.text);
	fixture_run(fixture, FIXTURE_SAMPLES, 1000 * NSEC_PER_MSEC);
	for (unsigned i = 0; i < fixture->sample_count; i++) {
		const struct probe_sample *sample = &fixture->samples[i].sample;
		unsigned probe = fixture->samples[i].probe;

		passes[probe] += sample->result == PROBE_PASS;
		if (probe == 6)
			assert_string_equal(sample->reason, "timed out after 200ms");
		else if (sample->result != PROBE_PASS && !strstr(sample->reason, "psi=1"))
			fail_msg("probe %u: %s", probe, sample->reason);
	}
	for (unsigned i = 0; i < 5; i++)
		assert_in_range(passes[i], 5, 11);
	/* also the end: the launcher goes when it is told to, not when it is waited for in vain */
	before = clock_now_ns();
	fixture_free(fixture);
	assert_true(clock_now_ns() - before < 1000 * NSEC_PER_MSEC);
}

static void test_all_kinds_work_behind_the_filter(void **state)
{
	struct web_server server = web_server_start();
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		work_behind_the_filter(server.port);
		_exit(0);
	}
	waitpid(child, &status, 0);
	web_server_stop(&server);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_kinds_work_behind_the_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
