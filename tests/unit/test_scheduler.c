/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The scheduler: its grid, its time-outs, and that no probe holds another up. Kinds made for the
 * test where the behaviour of a kind matters, real ones where the interplay does.
 */
#include "injector/base/clock.h"
#include "tests/support/probe_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MS NSEC_PER_MSEC

static const struct param no_params[] = {{0}};

struct script {
	unsigned starts, cancels, closes;
	enum { PASS_AT_ONCE, NEVER, LATER, REFUSE, RESOLVING } mode;
	int64_t after_ns;
	struct loop_timer timer;
	struct probe *running;
};

static struct script scripts[512];

static int no_check(const struct probe_spec *spec, struct error *err)
{
	(void)spec;
	(void)err;
	return 0;
}

static int fake_open(struct probe *probe, struct error *err)
{
	(void)err;
	probe->state = &scripts[probe->index];
	return 0;
}

static void finish_later(void *context)
{
	struct script *script = context;
	struct probe *probe = script->running;

	script->running = NULL;
	probe_finish(probe, PROBE_PASS, 1, "late");
}

static int fake_start(struct probe *probe, struct error *err)
{
	struct script *script = probe->state;

	assert_null(script->running); /* one attempt at a time */
	script->starts++;
	switch (script->mode) {
	case REFUSE:
		return error_set(err, ENOENT, "cannot be asked");
	case PASS_AT_ONCE:
		probe_finish(probe, PROBE_PASS, 1, "at once");
		return 0;
	case RESOLVING:
		probe->obstacle = "resolve host 'x'";
		break;
	case LATER:
		loop_timer_set(probe->loop, &script->timer, clock_now_ns() + script->after_ns,
			       finish_later, script);
		break;
	case NEVER:
		break;
	}
	script->running = probe;
	return 0;
}

static void fake_cancel(struct probe *probe)
{
	struct script *script = probe->state;

	assert_ptr_equal(script->running, probe);
	script->running = NULL;
	script->cancels++;
	loop_timer_cancel(probe->loop, &script->timer);
}

static void fake_close(struct probe *probe)
{
	struct script *script = probe->state;

	if (script)
		script->closes++;
}

static const struct probe_ops fake_probe = {
	.name = "fake",
	.params = no_params,
	.expect = no_params,
	.check = no_check,
	.open = fake_open,
	.start = fake_start,
	.cancel = fake_cancel,
	.close = fake_close,
};

static struct script *add_fake(struct fixture *fixture, int mode, int64_t every_ns,
			       int64_t timeout_ns)
{
	struct probe_spec *spec = &fixture->specs[fixture->spec_count];
	struct script *script = &scripts[fixture->spec_count++];

	*script = (struct script){.mode = mode};
	spec->name = strdup("fake");
	spec->ops = &fake_probe;
	spec->every_ns = every_ns;
	spec->timeout_ns = timeout_ns;
	return script;
}

static void test_first_attempts_come_at_once_and_spread(void **state)
{
	struct fixture *fixture = fixture_new();
	int64_t before, first = INT64_MAX, last = 0;

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		add_fake(fixture, PASS_AT_ONCE, NSEC_PER_SEC, NSEC_PER_SEC);
	fixture_open(fixture);
	before = clock_now_ns();
	fixture_run(fixture, 20, 500 * MS);
	assert_int_equal(fixture->sample_count, 20);
	for (unsigned i = 0; i < 20; i++) {
		int64_t at = fixture->samples[i].sample.started_ns - before;

		first = at < first ? at : first;
		last = at > last ? at : last;
	}
	assert_true(first < 20 * MS);
	/* the last of 20 is due at 47.5 ms */
	assert_true(last >= 45 * MS && last < 150 * MS);
	fixture_free(fixture);
}

/* Two hundred attempts a second: of twenty probes five begin together. A busy machine keeps them
 * apart now and then, but not in every one of ten rounds. */
static void test_many_attempts_begin_in_groups(void **state)
{
	struct fixture *fixture = fixture_new();
	int64_t began[20] = {0}, within = INT64_MAX, between = 0;

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		add_fake(fixture, PASS_AT_ONCE, 100 * MS, NSEC_PER_SEC);
	fixture_run(fixture, 200, 3 * NSEC_PER_SEC);
	for (unsigned i = 0; i < fixture->sample_count; i++) {
		unsigned probe = fixture->samples[i].probe;
		int64_t at = began[probe] = fixture->samples[i].sample.started_ns;

		if (probe == 4 && at - began[0] < within)
			within = at - began[0];
		if (probe == 5 && at - began[0] > between)
			between = at - began[0];
	}
	assert_in_range(within, 0, 4 * MS); /* without groups 10 ms */
	assert_true(between >= 12 * MS);
	fixture_free(fixture);
}

/* Each start lies on first + n * every, however late the ones before were. */
static void test_interval_does_not_drift(void **state)
{
	struct fixture *fixture = fixture_new();
	int64_t first, due, deviation;

	(void)state;
	add_fake(fixture, PASS_AT_ONCE, 10 * MS, NSEC_PER_SEC);
	fixture_run(fixture, 100, 3 * NSEC_PER_SEC);
	assert_int_equal(fixture->sample_count, 100);
	first = fixture->samples[0].sample.started_ns;
	due = first + (int64_t)(99 + probe_scheduler_skipped(fixture->scheduler, 0)) * 10 * MS;
	deviation = fixture->samples[99].sample.started_ns - due;
	assert_true(deviation > -9 * MS && deviation < 10 * MS);
	fixture_free(fixture);
}

static void test_slow_attempts_skip_ticks_and_count_them(void **state)
{
	struct fixture *fixture = fixture_new();
	struct script *script = add_fake(fixture, LATER, 50 * MS, NSEC_PER_SEC);
	int64_t gap;

	(void)state;
	script->after_ns = 120 * MS;
	fixture_run(fixture, 4, 3 * NSEC_PER_SEC);
	assert_int_equal(fixture->sample_count, 4);
	/* 0, 150, 300, 450: two ticks lost each time */
	assert_in_range(probe_scheduler_skipped(fixture->scheduler, 0), 5, 11);
	gap = fixture->samples[3].sample.started_ns - fixture->samples[0].sample.started_ns;
	assert_true(gap >= 448 * MS && gap < 700 * MS);
	assert_true(fixture->samples[0].sample.latency_ns >= 120 * MS);
	fixture_free(fixture);
}

static void test_time_out_is_a_failure_without_latency(void **state)
{
	struct fixture *fixture = fixture_new();
	struct script *script = add_fake(fixture, NEVER, NSEC_PER_SEC, 80 * MS);
	int64_t before = clock_now_ns(), took;
	const struct probe_sample *sample = fixture_once(fixture);

	(void)state;
	took = clock_now_ns() - before;
	assert_int_equal(sample->result, PROBE_FAIL);
	assert_string_equal(sample->reason, "timed out after 80ms");
	assert_int_equal(sample->latency_ns, -1);
	assert_true(isnan(sample->value));
	assert_true(took >= 80 * MS && took < 300 * MS);
	/* a failure that is seen, but only now */
	assert_in_range(sample->known_ns, before + 80 * MS, before + took);
	assert_int_equal(script->cancels, 1);
	fixture_free(fixture);
}

static void test_time_out_before_the_question_is_unknown(void **state)
{
	struct fixture *fixture = fixture_new();
	const struct probe_sample *sample;

	(void)state;
	add_fake(fixture, RESOLVING, NSEC_PER_SEC, 80 * MS);
	sample = fixture_once(fixture);
	assert_int_equal(sample->result, PROBE_UNKNOWN);
	assert_string_equal(sample->reason, "could not resolve host 'x' within 80ms");
	fixture_free(fixture);
}

/* every 50 ms, time-out 100 ms: the next attempt follows the time-out, not one tick later. */
static void test_attempt_follows_a_time_out_that_ends_on_a_tick(void **state)
{
	struct fixture *fixture = fixture_new();
	struct script *script = add_fake(fixture, NEVER, 50 * MS, 100 * MS);

	(void)state;
	fixture_run(fixture, 1000, 1040 * MS);
	/* 11 starts; 7 if each lost a tick */
	assert_in_range(script->starts, 9, 11);
	fixture_free(fixture);
}

static void test_refused_start_is_unknown(void **state)
{
	struct fixture *fixture = fixture_new();
	const struct probe_sample *sample;

	(void)state;
	add_fake(fixture, REFUSE, NSEC_PER_SEC, NSEC_PER_SEC);
	sample = fixture_once(fixture);
	assert_int_equal(sample->result, PROBE_UNKNOWN);
	assert_string_equal(sample->reason, "cannot be asked");
	fixture_free(fixture);
}

static void test_stop_cancels_without_a_sample(void **state)
{
	struct fixture *fixture = fixture_new();
	struct script *script = add_fake(fixture, NEVER, 20 * MS, 5 * NSEC_PER_SEC);

	(void)state;
	fixture_run(fixture, 1, 100 * MS);
	assert_int_equal(fixture->sample_count, 0);
	assert_int_equal(script->starts, 1);
	assert_int_equal(script->cancels, 1);
	assert_in_range(probe_scheduler_skipped(fixture->scheduler, 0), 3, 6);
	probe_scheduler_stop(fixture->scheduler); /* twice is fine */
	assert_int_equal(script->cancels, 1);
	fixture_free(fixture);
	assert_int_equal(script->closes, 1);
}

static void stop_in_sample(void *context, unsigned probe, const struct probe_sample *sample)
{
	struct probe_scheduler **scheduler = context;

	(void)probe;
	(void)sample;
	scripts[3].after_ns++;
	probe_scheduler_stop(*scheduler);
}

static void test_stop_from_within_a_sample(void **state)
{
	struct fixture *fixture = fixture_new();
	struct probe_scheduler *scheduler = NULL;
	struct error err = ERROR_INIT;

	(void)state;
	add_fake(fixture, PASS_AT_ONCE, 5 * MS, NSEC_PER_SEC);
	add_fake(fixture, PASS_AT_ONCE, 5 * MS, NSEC_PER_SEC);
	scripts[3] = (struct script){0};
	assert_int_equal(probe_scheduler_new(fixture->specs, 2, fixture->loop, NULL, stop_in_sample,
					     &scheduler, &scheduler, &err),
			 0);
	assert_int_equal(probe_scheduler_start(scheduler, &err), 0);
	for (unsigned i = 0; i < 10; i++)
		loop_turn(fixture->loop, 10 * MS, &err);
	assert_int_equal(scripts[3].after_ns, 1);
	probe_scheduler_free(scheduler);
	fixture_free(fixture);
}

static void test_failed_open_names_the_probe_and_closes_the_others(void **state)
{
	struct fixture *fixture = fixture_new();
	struct probe_scheduler *scheduler = NULL;
	struct error err = ERROR_INIT;

	(void)state;
	add_fake(fixture, PASS_AT_ONCE, 5 * MS, NSEC_PER_SEC);
	fixture_add(fixture, "process", "x", &err, "user=no-such-user-here", NULL);
	assert_int_equal(probe_scheduler_new(fixture->specs, 2, fixture->loop, NULL, stop_in_sample,
					     NULL, &scheduler, &err),
			 -ENOENT);
	assert_string_equal(err.text, "probe process: there is no user 'no-such-user-here'");
	assert_int_equal(scripts[0].closes, 1);
	fixture_free(fixture);
}

static int compare_times(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

/* 17 well probes of all kinds each 50 ms, and three that hang: in a web server, in a full listen
 * queue, in a command. The well ones must neither come late nor take longer. */
static void test_hanging_probes_delay_nobody(void **state)
{
	struct web_server server = web_server_start();
	struct fixture *fixture = fixture_new();
	struct error err = ERROR_INIT;
	char hang[64], ok[64], tcp[64], silent_url[64];
	uint16_t silent_port;
	int silent = listen_silently(16, &silent_port);
	unsigned samples[20] = {0}, hung = 0, count = 0;
	static int64_t latencies[FIXTURE_SAMPLES];

	(void)state;
	snprintf(hang, sizeof(hang), "http://127.0.0.1:%u/hang", server.port);
	snprintf(ok, sizeof(ok), "http://127.0.0.1:%u/ok", server.port);
	snprintf(tcp, sizeof(tcp), "127.0.0.1:%u", server.port);
	snprintf(silent_url, sizeof(silent_url), "http://127.0.0.1:%u/", silent_port);
	fixture_add(fixture, "http", hang, &err, "every=100ms", "timeout=900ms", NULL);
	fixture_add(fixture, "http", silent_url, &err, "every=100ms", "timeout=900ms", NULL);
	fixture_add(fixture, "command", "sleep|60", &err, "every=100ms", "timeout=900ms", NULL);
	for (unsigned i = 3; i < 8; i++)
		fixture_add(fixture, "http", ok, &err, "every=50ms", NULL);
	for (unsigned i = 8; i < 14; i++)
		fixture_add(fixture, "tcp", tcp, &err, "every=50ms", NULL);
	for (unsigned i = 14; i < 20; i++)
		fixture_add(fixture, "pressure", "cpu", &err, "every=50ms",
			    "expect.some-avg10=< 101", NULL);
	fixture_run(fixture, FIXTURE_SAMPLES, 2000 * MS);
	for (unsigned i = 0; i < fixture->sample_count; i++) {
		const struct probe_sample *sample = &fixture->samples[i].sample;
		unsigned probe = fixture->samples[i].probe;

		samples[probe]++;
		if (probe < 3) {
			assert_int_equal(sample->result, PROBE_FAIL);
			assert_string_equal(sample->reason, "timed out after 900ms");
			hung++;
		} else if (sample->latency_ns > 0) {
			latencies[count++] = sample->latency_ns;
		}
	}
	assert_int_equal(hung, 6);
	for (unsigned i = 3; i < 20; i++)
		assert_in_range(samples[i], 20,
				41); /* 40 ticks in two seconds; a busy machine skips some */
	qsort(latencies, count, sizeof(*latencies), compare_times);
	print_message("%u samples beside 3 hanging probes: median %.2f ms, 99%% %.2f ms\n", count,
		      (double)latencies[count / 2] / MS, (double)latencies[count * 99 / 100] / MS);
	assert_true(latencies[count * 95 / 100] < 100 * MS);
	fixture_free(fixture);
	web_server_stop(&server);
	close(silent);
}

static void test_five_hundred_probes_at_once(void **state)
{
	struct web_server server = web_server_start();
	struct fixture *fixture = fixture_new();
	struct error err = ERROR_INIT;
	unsigned passed = 0;
	char url[64], tcp[64];

	(void)state;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/ok", server.port);
	snprintf(tcp, sizeof(tcp), "localhost:%u", server.port);
	for (unsigned i = 0; i < 500; i++)
		fixture_add(fixture, i % 2 ? "http" : "tcp", i % 2 ? url : tcp, &err, "every=30s",
			    "timeout=20s", NULL);
	fixture_run(fixture, 500, 25000 * MS);
	assert_int_equal(fixture->sample_count, 500);
	for (unsigned i = 0; i < 500; i++)
		passed += fixture->samples[i].sample.result == PROBE_PASS;
	assert_int_equal(passed, 500);
	fixture_free(fixture);
	web_server_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_attempts_come_at_once_and_spread),
		cmocka_unit_test(test_many_attempts_begin_in_groups),
		cmocka_unit_test(test_interval_does_not_drift),
		cmocka_unit_test(test_slow_attempts_skip_ticks_and_count_them),
		cmocka_unit_test(test_time_out_is_a_failure_without_latency),
		cmocka_unit_test(test_time_out_before_the_question_is_unknown),
		cmocka_unit_test(test_attempt_follows_a_time_out_that_ends_on_a_tick),
		cmocka_unit_test(test_refused_start_is_unknown),
		cmocka_unit_test(test_stop_cancels_without_a_sample),
		cmocka_unit_test(test_stop_from_within_a_sample),
		cmocka_unit_test(test_failed_open_names_the_probe_and_closes_the_others),
		cmocka_unit_test(test_hanging_probes_delay_nobody),
		cmocka_unit_test(test_five_hundred_probes_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
