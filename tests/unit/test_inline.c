/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Experiments from command-line words.
 */
#include "injector/experiment/inline.h"

#include "injector/base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define WORDS_MAX 10

static unsigned copy_words(const char *const *words, char **out)
{
	unsigned count = 0;

	for (; count < WORDS_MAX && words[count]; count++)
		out[count] = strdup(words[count]);
	return count;
}

static int build(const char *fault, const char *const *words, struct experiment **out,
		 struct error *err)
{
	char *copies[WORDS_MAX] = {0};
	unsigned count = copy_words(words, copies);
	int result = inline_experiment(fault, copies, count, out, err);

	for (unsigned i = 0; i < count; i++) {
		assert_string_equal(copies[i], words[i]); /* argv is not ours to change */
		free(copies[i]);
	}
	return result;
}

static const struct {
	const char *fault, *words[WORDS_MAX];
	const char *title;
	int seconds;
	unsigned limit;
} goods[] = {
	{"network",
	 {"to=10.0.5.7:443", "delay=100ms", "for=30s"},
	 "delay 100ms to 10.0.5.7:443 for 30s",
	 30,
	 16},
	{"network",
	 {"to=10.0.0.1,[fd00::1]:80", "to=10.0.0.3", "loss=5%", "for=1m", "targets=3"},
	 "loss 5% to 10.0.0.1, [fd00::1]:80, 10.0.0.3 for 1m",
	 60,
	 3},
	{"network",
	 {"local-address=10.0.0.5,2001:db8::/64", "except-local-address=10.0.0.9", "loss=5%",
	  "for=1m"},
	 "loss 5% to any address, local-address 10.0.0.5, 2001:db8::/64, except-local-address "
	 "10.0.0.9 for 1m",
	 60,
	 16},
	{"network",
	 {"to=10.0.0.1", "tcp-flags=fin,rst", "delay=5s", "for=1m"},
	 "delay 5s to 10.0.0.1, tcp-flags fin, rst for 1m",
	 60,
	 16},
	{"network",
	 {"to=10.0.0.1", "delay=1s", "for=1m", "ramp=5s", "every=20s", "active=10s", "seed=7"},
	 "delay 1s, seed 7 to 10.0.0.1 for 1m, for 10s every 20s, from 0% to 100% over 5s",
	 60,
	 16},
	{"network",
	 {"to=10.0.0.1", "loss=5%", "every=10s", "active=2s", "repeat=3"},
	 "loss 5% to 10.0.0.1, for 2s every 10s",
	 22,
	 16},
	{"process",
	 {"name=nginx", "command=nginx: worker, or x=y", "count=1"},
	 "kill processes with name nginx, command 'nginx: worker, or x=y', count 1",
	 0,
	 16},
	{"process",
	 {"pid=1234", "action=pause", "for=2s"},
	 "pause processes with pid 1234 for 2s",
	 2,
	 16},
};

static const struct {
	const char *fault, *words[WORDS_MAX];
	const char *text, *remedy; /* remedy: a part of it */
} bads[] = {
	{"netwrk",
	 {0},
	 "there is no fault 'netwrk'; did you mean 'network'?",
	 "the faults are: network, process, dns, http, connect, port, file"},
	{"network", {"delay"}, "'delay' is not of the form key=value", ""},
	{"network", {"=5"}, "'=5' is not of the form key=value", ""},
	{"network",
	 {"dealy=5ms"},
	 "unknown key 'dealy'; did you mean 'delay'?",
	 "container-count, of, follow, follow-every, delay, "},
	{"network",
	 {"target=store"},
	 "a command line has no named targets; select with the keys themselves",
	 "targets, to, "},
	{"network",
	 {"delay=5"},
	 "delay: '5' has no unit; write 5ms or 5s (units: ns, us, ms, s, m, min, h, d)",
	 ""},
	{"network", {"delay=5ms", "delay=6ms"}, "'delay' is given twice", ""},
	{"network", {"to=10.0.0.1,"}, "to: a value is missing in '10.0.0.1,'", ""},
	{"network",
	 {"to=10.0.0.1,,10.0.0.2"},
	 "to: a value is missing in '10.0.0.1,,10.0.0.2'",
	 ""},
	{"network", {"to="}, "to: a value is missing in ''", ""},
	{"network",
	 {"local-address=10.0.0.1:80"},
	 "local-address: '10.0.0.1:80' has a port; only an address or a network is allowed here",
	 ""},
	{"network",
	 {"to=10.0.0.1", "delay=5ms"},
	 "for= is missing: how long 'network' lasts",
	 "add for=30s"},
	{"network", {"delay=5ms", "for=5s"}, "'network' has no target", "select one with: to"},
	{"network",
	 {"to=10.0.0.1", "delay=5ms", "for=5"},
	 "for: '5' has no unit; write 5ms or 5s (units: ns, us, ms, s, m, min, h, d)",
	 ""},
	{"network",
	 {"to=10.0.0.1", "delay=5ms", "for=5s", "targets=0"},
	 "targets: '0' is out of range: 1 to 100000 is allowed",
	 ""},
	{"network",
	 {"to=10.0.0.1", "delay=5ms", "for=5s", "namespace=target:x"},
	 "namespace: a command line has no named targets; write NAME or pid:N",
	 ""},
	{"network",
	 {"to=10.0.0.1", "delay=5ms", "for=5s", "of=web"},
	 "of: a command line has no named targets; give unit, cgroup or container",
	 ""},
	{"network",
	 {"to=10.0.0.1", "delay=5s", "for=5s", "tcp-flags=fin", "protocol=udp"},
	 "tcp-flags selects packets of tcp alone, and protocol names udp: leave protocol out",
	 ""},
	{"port",
	 {"local-port=80", "action=occupy", "for=5s", "tcp-flags=syn"},
	 "tcp-flags selects single packets, which 'port' does not see: leave it out, or use "
	 "network",
	 ""},
	{"network",
	 {"to=10.0.0.1", "delay=5ms", "for=5s", "ramp=6s"},
	 "the ramp takes 6s, but the step ends after 5s: it would never arrive",
	 ""},
	{"network",
	 {"to=10.0.0.1", "delay=5ms", "for=5s", "active=1s"},
	 "active= goes with every=: the time from one pulse to the next",
	 ""},
	{"network",
	 {"to=10.0.0.1", "delay=5ms", "for=5s", "every=2s", "active=1s", "repeat=2"},
	 "repeat= and for= both say how long the pulses go on; give one of the two",
	 ""},
	{"network",
	 {"to=10.0.0.1", "delay=5ms", "for=5s", "every=2s"},
	 "'active' is missing: how long each pulse lasts, like active: 2s",
	 ""},
	{"process", {"name=nginx", "every=2s"}, "repeat= is missing: how often 'process' acts", ""},
	{"process",
	 {"name=nginx", "action=pause", "for=5s", "ramp=2s"},
	 "'process' is either there or not: it has no strength that a ramp could change",
	 ""},
	{"http",
	 {"to=10.0.0.1", "answer=503", "for=5s", "share=10%"},
	 "share: requests are chosen by server, by what is asked and by who asks, and this cannot "
	 "be given",
	 "leave it out; what can be given: to, to-file, local-port, local-address, protocol"},
	{"process",
	 {"name=nginx", "for=5s"},
	 "'process' (kill) acts at once and has no end: remove "
	 "for=",
	 ""},
	{"process",
	 {"name=nginx", "action=pause"},
	 "for= is missing: how long 'process' lasts",
	 "add for=30s"},
	{"process",
	 {"count=1"},
	 "'process' would select every process; say which: pid, pidfile, "
	 "name, exe, command, user, cgroup, unit, container or port",
	 ""},
};

static void test_words_make_an_experiment_of_one_step(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(goods) / sizeof(*goods); i++) {
		struct experiment *experiment = NULL;
		struct error err = ERROR_INIT;

		if (build(goods[i].fault, goods[i].words, &experiment, &err) < 0)
			fail_msg("%s: %s", goods[i].words[0], err.text);
		assert_string_equal(experiment->title, goods[i].title);
		assert_string_equal(experiment->path, "command line");
		assert_int_equal(experiment->step_count, 1);
		assert_int_equal(experiment->target_count, 1);
		assert_int_equal(experiment->steps[0].target, 0);
		assert_int_equal(experiment->steps[0].for_ns, goods[i].seconds * NSEC_PER_SEC);
		assert_int_equal(experiment->limits.duration_ns,
				 (goods[i].seconds + 30) * NSEC_PER_SEC);
		assert_int_equal(experiment->limits.targets, goods[i].limit);
		assert_true(experiment->allow_idle);
		experiment_free(experiment);
		free(experiment);
	}
}

static void test_pulses_a_ramp_and_a_seed(void **state)
{
	struct experiment *experiment = NULL;
	struct error err = ERROR_INIT;

	(void)state;
	if (build("network",
		  (const char *[]){"to=10.0.0.1", "delay=1s", "for=1m", "ramp=5s", "every=20s",
				   "active=10s", "seed=7", NULL},
		  &experiment, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(experiment->steps[0].shape.count, 3);
	assert_int_equal(experiment->steps[0].shape.active_ns, 10 * NSEC_PER_SEC);
	assert_int_equal(experiment->steps[0].shape.over_ns, 5 * NSEC_PER_SEC);
	assert_true(experiment->has_seed && experiment->seed == 7);
	experiment_free(experiment);
	free(experiment);
	if (build("process", (const char *[]){"name=nginx", "every=2s", "repeat=3", "seed=8", NULL},
		  &experiment, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(experiment->steps[0].shape.count, 3);
	assert_int_equal(experiment->limits.duration_ns, 34 * NSEC_PER_SEC);
	assert_int_equal(experiment->seed, 8);
	experiment_free(experiment);
	free(experiment);
}

static void test_bad_words_are_explained(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bads) / sizeof(*bads); i++) {
		struct experiment *experiment = NULL;
		struct error err = ERROR_INIT;

		if (build(bads[i].fault, bads[i].words, &experiment, &err) == 0)
			fail_msg("%s %s was accepted", bads[i].fault, bads[i].words[0]);
		assert_null(experiment);
		assert_string_equal(err.text, bads[i].text);
		if (!strstr(err.remedy, bads[i].remedy))
			fail_msg("%s: the remedy is '%s'", err.text, err.remedy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_make_an_experiment_of_one_step),
		cmocka_unit_test(test_pulses_a_ramp_and_a_seed),
		cmocka_unit_test(test_bad_words_are_explained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
