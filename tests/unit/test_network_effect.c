/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The parameters of the network fault: which go together, what they become at a strength, measured
 * round trips from files, and the shapes of jitter.
 */
#include "faults/network.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct params params_of(const char *const *settings)
{
	struct params params;

	assert_int_equal(params_init(&params, network_params, NULL), 0);
	for (; settings[0]; settings += 2) {
		struct error err = ERROR_INIT;

		if (params_add(&params, (unsigned)params_find(network_params, settings[0]),
			       settings[1], 0, 0, &err) < 0)
			fail_msg("%s", err.text);
	}
	return params;
}

static void refuse(const char *words, const char *const *settings)
{
	struct params params = params_of(settings);
	struct error err = ERROR_INIT;

	if (network_check(&params, &err) >= 0)
		fail_msg("accepted, but should say: %s", words);
	if (!strstr(err.text, words))
		fail_msg("'%s' does not say '%s'", err.text, words);
	params_free(&params);
}

static void take(const char *const *settings)
{
	struct params params = params_of(settings);
	struct error err = ERROR_INIT;

	if (network_check(&params, &err) < 0)
		fail_msg("%s", err.text);
	params_free(&params);
}

#define REFUSE(words, ...) refuse(words, (const char *[]){__VA_ARGS__, NULL})
#define ACCEPT(...)	   take((const char *[]){__VA_ARGS__, NULL})

static void test_what_makes_no_sense_together_is_refused(void **state)
{
	(void)state;
	REFUSE("no effect", "seed", "1");
	REFUSE("no effect", "delay", "0");
	REFUSE("jitter needs a delay", "jitter", "2ms");
	REFUSE("distribution is the shape of a jitter", "delay", "1ms", "distribution", "normal");
	REFUSE("delay-correlation needs jitter", "delay", "1ms", "delay-correlation", "25%");
	REFUSE("loss-correlation needs loss", "delay", "1ms", "loss-correlation", "25%");
	REFUSE("reset-connections ends connections when the fault begins, and after-bytes later",
	       "partition", "reset", "reset-connections", "true", "after-bytes", "1MB");
	REFUSE("no effect: give", "after-bytes", "1MB");
	REFUSE("partition lets nothing through: segment does not go with it", "partition", "reset",
	       "segment", "100B");
	REFUSE("three models of loss", "loss", "1%", "gemodel-p", "1%");
	REFUSE("three models of loss", "state-p13", "1%", "gemodel-p", "1%");
	REFUSE("gemodel-r needs gemodel-p", "loss", "1%", "gemodel-r", "1%");
	REFUSE("loss-every-first needs loss-every", "loss", "1%", "loss-every-first", "2");
	REFUSE("loss-every-first is greater than loss-every", "loss-every", "5", "loss-every-first",
	       "6");
	REFUSE("more than 100% together", "state-p13", "60%", "state-p14", "41%");
	REFUSE("reorder needs a delay", "reorder", "5%", "loss", "1%");
	REFUSE("reorder-gap needs reorder", "delay", "1ms", "reorder-gap", "5");
	REFUSE("burst needs rate", "delay", "1ms", "burst", "10kB");
	REFUSE("peak-rate needs rate", "delay", "1ms", "peak-rate", "2mbit");
	REFUSE("peak-rate needs burst", "rate", "1mbit", "peak-rate", "2mbit");
	REFUSE("peak-burst needs peak-rate", "rate", "1mbit", "burst", "10kB", "peak-burst", "2kB");
	REFUSE("peak-rate is not above rate", "rate", "1mbit", "burst", "10kB", "peak-rate",
	       "1mbit");
	/* in whole bytes they are the same */
	REFUSE("peak-rate is not above rate", "rate", "9bit", "burst", "10kB", "peak-rate",
	       "16bit");
	REFUSE("peak-burst is not below burst", "rate", "1mbit", "burst", "2kB", "peak-rate",
	       "2mbit", "peak-burst", "2kB");
	REFUSE("cell-overhead needs cell-size", "rate", "1mbit", "cell-overhead", "5");
	REFUSE("does not go with cell-size", "rate", "1mbit", "burst", "10kB", "cell-size", "48");
	REFUSE("slot-max is less than slot", "slot", "10ms", "slot-max", "5ms");
	REFUSE("slot-max is more than 2s greater", "slot", "10ms", "slot-max", "3s");
	REFUSE("both say how slot varies", "slot", "10ms", "slot-max", "15ms", "slot-jitter",
	       "5ms");
	REFUSE("slot-jitter is greater than slot", "slot", "10ms", "slot-jitter", "11ms");
	REFUSE("slot-jitter needs slot", "delay", "10ms", "slot-jitter", "11ms");
	REFUSE("slot-distribution is the shape of slot-jitter", "slot", "10ms", "slot-distribution",
	       "normal");
	REFUSE("ecn needs a loss", "delay", "1ms", "ecn", "true");
	REFUSE("come from the measured round trips", "delay", "1ms", "distribution-samples", "5ms",
	       "distribution-samples", "6ms");
	REFUSE("needs two round trips", "distribution-samples", "5ms");
	REFUSE("loss does not go with it", "partition", "drop", "loss", "5%");
	REFUSE("loss-every does not go with it", "partition", "reject", "loss-every", "5");
	REFUSE("rate does not go with it", "partition", "reset", "rate", "1mbit");
	REFUSE("what is dropped cannot be delayed", "partition", "drop", "delay", "1ms");
	REFUSE("belongs to `partition: reject`", "loss", "5%", "reject-with", "host-unreachable");
	REFUSE("belongs to `partition: reject`", "partition", "drop", "reject-with",
	       "host-unreachable");
}

static void test_everything_at_once_is_accepted(void **state)
{
	(void)state;
	ACCEPT("segment", "100B");
	ACCEPT("delay", "1ms", "jitter", "1h");
	ACCEPT("delay", "100ms", "jitter", "10ms", "delay-correlation", "25%", "distribution",
	       "paretonormal", "gemodel-p", "1%", "gemodel-r", "10%", "gemodel-1-h", "70%",
	       "gemodel-1-k", "0.1%", "ecn", "true", "duplicate", "1%", "duplicate-correlation",
	       "5%", "corrupt", "0.1%", "reorder", "5%", "reorder-gap", "5", "rate", "10mbit",
	       "packet-overhead", "-10", "cell-size", "48", "cell-overhead", "5", "slot", "1ms",
	       "slot-max", "5ms", "slot-packets", "10", "seed", "42", "limit", "500");
}

static void test_a_counted_loss_goes_with_every_model_and_alone(void **state)
{
	(void)state;
	ACCEPT("loss-every", "2");
	ACCEPT("loss-every", "1000000", "loss-every-first", "1000000", "ecn", "true");
	ACCEPT("loss-every", "5", "loss-every-first", "5", "loss", "1%", "loss-correlation", "5%");
	ACCEPT("loss-every", "5", "gemodel-p", "1%", "delay", "5ms", "seed", "1");
	ACCEPT("loss-every", "5", "state-p13", "1%", "rate", "1mbit", "duplicate", "5%");
}

static void test_a_refusal_may_be_late(void **state)
{
	(void)state;
	ACCEPT("partition", "drop");
	ACCEPT("partition", "reset", "delay", "20ms", "jitter", "5ms");
	ACCEPT("partition", "reject", "reject-with", "admin-prohibited");
}

static struct network_effect effect_of(const char *const *settings)
{
	struct params params = params_of(settings);
	struct network_effect effect;
	struct error err = ERROR_INIT;

	if (network_effect_read(&params, &effect, &err) < 0)
		fail_msg("%s", err.text);
	params_free(&params);
	return effect;
}

#define EFFECT(...) effect_of((const char *[]){__VA_ARGS__, NULL})

static void test_half_the_strength(void **state)
{
	struct network_effect effect = EFFECT("delay", "100ms", "jitter", "10ms", "loss", "4%",
					      "corrupt", "2%", "rate", "8mbit", "slot", "10ms");

	(void)state;
	network_effect_scale(&effect, SHARE_ONE / 2);
	assert_int_equal(effect.at.delay_ns, 50 * NSEC_PER_MSEC);
	assert_int_equal(effect.at.jitter_ns, 5 * NSEC_PER_MSEC);
	assert_int_equal(effect.at.loss_ppb, SHARE_ONE / 50);
	assert_int_equal(effect.at.corrupt_ppb, SHARE_ONE / 100);
	assert_int_equal(effect.at.rate_bytes, 2000000);
	assert_int_equal(effect.at.slot_min_ns, 5 * NSEC_PER_MSEC);
	network_effect_scale(&effect, 0);
	assert_int_equal(effect.at.delay_ns, 0);
	assert_int_equal(effect.at.rate_bytes, 0);
	network_effect_scale(&effect, SHARE_ONE);
	assert_memory_equal(&effect.at, &effect.full, sizeof(effect.at));
}

static void test_a_counted_loss_is_of_more_packets_when_it_is_weaker(void **state)
{
	struct network_effect effect = EFFECT("loss-every", "10", "loss-every-first", "3");
	char words[200];

	(void)state;
	assert_string_equal(network_effect_describe(&effect, words, sizeof(words)),
			    "loss of one in every 10 packets, number 3 first");
	assert_true(network_effect_needs_wire_packets(&effect));
	assert_false(network_effect_is_independent(&effect));
	assert_false(network_effect_is_plain_loss(&effect));
	network_effect_scale(&effect, SHARE_ONE / 2);
	assert_int_equal(effect.at.loss_every, 20);
	assert_int_equal(effect.at.loss_every_first, 6);
	network_effect_scale(&effect, 1);
	assert_int_equal(effect.at.loss_every, UINT32_MAX);
	network_effect_scale(&effect, 0);
	assert_int_equal(effect.at.loss_every, 0);
	effect = EFFECT("loss-every", "10", "loss", "1%");
	assert_int_equal(effect.full.loss_every_first, 10);
	assert_false(network_effect_is_plain_loss(&effect));
	assert_string_equal(network_effect_describe(&effect, words, sizeof(words)),
			    "loss 1% loss of one in every 10 packets");
}

static void test_a_peak_rate_scales_as_the_rate(void **state)
{
	struct network_effect effect = EFFECT("rate", "8mbit", "burst", "20kB", "peak-rate",
					      "16mbit", "peak-burst", "3kB");
	char words[200];

	(void)state;
	ACCEPT("rate", "1mbit", "burst", "20kB", "peak-rate", "2mbit", "packet-overhead", "24",
	       "delay", "10ms", "jitter", "5ms", "loss", "1%", "loss-every", "7", "slot", "5ms");
	assert_string_equal(network_effect_describe(&effect, words, sizeof(words)),
			    "rate 8000000bit burst 20000B peakrate 16000000bit minburst 3000B");
	assert_true(network_effect_needs_wire_packets(&effect));
	network_effect_scale(&effect, SHARE_ONE / 2);
	assert_int_equal(effect.at.rate_bytes, 2000000);
	assert_int_equal(effect.at.peak_bytes, 4000000);
	network_effect_scale(&effect, 0);
	assert_int_equal(effect.at.rate_bytes, 0);
	assert_int_equal(effect.at.peak_bytes, 0);
}

static void test_slots_vary_evenly_or_by_a_table(void **state)
{
	struct network_effect effect = EFFECT("slot", "50ms", "slot-jitter", "20ms");
	char words[200];

	(void)state;
	assert_int_equal(effect.full.slot_min_ns, 30 * NSEC_PER_MSEC);
	assert_int_equal(effect.full.slot_max_ns, 70 * NSEC_PER_MSEC);
	assert_null(effect.full.slot_table);
	assert_string_equal(network_effect_describe(&effect, words, sizeof(words)),
			    "slot 30ms to 70ms");
	effect = EFFECT("slot", "50ms", "slot-jitter", "20ms", "slot-distribution", "pareto",
			"slot-packets", "9");
	assert_int_equal(effect.full.slot_max_ns, 50 * NSEC_PER_MSEC);
	assert_ptr_equal(effect.full.slot_table, network_distribution(NETWORK_PARETO));
	network_effect_scale(&effect, SHARE_ONE / 2);
	assert_string_equal(network_effect_describe(&effect, words, sizeof(words)),
			    "slot 25ms jitter 10ms distribution pareto packets 9");
}

static void test_limit_fits_into_memory(void **state)
{
	const uint64_t memory = 1ULL << 30, whole = 65536 + 1024, wire = 1514 + 1024;
	struct network_effect effect = EFFECT("delay", "200ms");

	(void)state;
	assert_int_equal(effect.full.limit, 400000);
	assert_true(network_effect_bound(&effect, wire, memory) <= memory);
	assert_int_equal(effect.full.limit, 400000); /* as packets of the wire they fit */
	assert_true(network_effect_bound(&effect, whole, memory) <= memory);
	assert_int_equal(effect.full.limit, memory / whole);
	assert_int_equal(effect.at.limit, effect.full.limit);
	/* a small machine: as many as netem has by itself */
	assert_int_equal(network_effect_bound(&effect, whole, 1 << 20), NETWORK_LIMIT_MIN * whole);
	/* what was asked for stays */
	effect = EFFECT("delay", "200ms", "limit", "50000");
	assert_int_equal(network_effect_bound(&effect, whole, memory), 50000 * whole);
	assert_int_equal(effect.full.limit, 50000);
}

static void test_bursts_keep_their_rhythm_at_half_the_strength(void **state)
{
	struct network_effect effect = EFFECT("gemodel-p", "2%", "gemodel-r", "20%");

	(void)state;
	network_effect_scale(&effect, SHARE_ONE / 2);
	assert_int_equal(effect.at.gemodel.p_ppb, SHARE_ONE / 50);
	assert_int_equal(effect.at.gemodel.r_ppb, SHARE_ONE / 5);
	assert_int_equal(effect.at.gemodel.bad_ppb, SHARE_ONE / 2);
}

static void moments(const struct netem_table *table, double *out_mean, double *out_deviation)
{
	double sum = 0, squares = 0;

	for (unsigned i = 0; i < NETEM_TABLE_SIZE; i++) {
		double value = (double)table->values[i] / NETEM_DIST_SCALE;

		assert_true(i == 0 || table->values[i] >= table->values[i - 1]);
		sum += value;
		squares += value * value;
	}
	*out_mean = sum / NETEM_TABLE_SIZE;
	*out_deviation = sqrt(squares / NETEM_TABLE_SIZE - *out_mean * *out_mean);
}

static void test_shapes_of_jitter(void **state)
{
	const struct netem_table *normal = network_distribution(NETWORK_NORMAL);
	double mean, deviation;

	(void)state;
	assert_null(network_distribution(NETWORK_UNIFORM));
	moments(normal, &mean, &deviation);
	assert_true(fabs(mean) < 0.001 && fabs(deviation - 1) < 0.002);
	/* 97.5 %: 1.96 */
	assert_true(fabs(normal->values[NETEM_TABLE_SIZE * 975 / 1000] / 8192.0 - 1.96) < 0.01);
	moments(network_distribution(NETWORK_PARETO), &mean, &deviation);
	assert_true(fabs(mean) < 0.05 && deviation > 0.8 && deviation < 1.2);
	moments(network_distribution(NETWORK_PARETONORMAL), &mean, &deviation);
	assert_true(fabs(mean) < 0.05 && deviation > 0.8 && deviation < 1.2);
}

static void test_jitter_beyond_the_delay_lets_some_leave_at_once(void **state)
{
	struct network_effect effect = EFFECT("delay", "10ms", "jitter", "10ms");

	(void)state;
	assert_true(network_effect_early(&effect) == 0);
	effect = EFFECT("delay", "10ms", "jitter", "40ms");
	assert_true(fabs(network_effect_early(&effect) - 0.375) < 1e-9);
	/* below minus one deviation */
	effect = EFFECT("delay", "10ms", "jitter", "10ms", "distribution", "normal");
	assert_true(fabs(network_effect_early(&effect) - 0.1587) < 0.001);
	effect = EFFECT("delay", "10ms");
	assert_true(network_effect_early(&effect) == 0);
}

static int read_text(void *context, const char *name, size_t max, char **out_text,
		     size_t *out_length, struct error *err)
{
	(void)err;
	assert_string_equal(name, "trips.txt");
	assert_true(strlen(context) <= max);
	*out_text = strdup(context);
	*out_length = strlen(context);
	return 0;
}

static int load(char *text, struct params *out, struct error *err)
{
	const struct fault_files files = {.read = read_text, .context = text};

	*out = params_of((const char *[]){"distribution-file", "trips.txt", NULL});
	return network_load(out, &files, err);
}

static void test_output_of_ping_is_read(void **state)
{
	struct params params;
	struct error err = ERROR_INIT;

	(void)state;
	if (load((char[]){"PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data.\n"
			  "64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=31.5 ms\n"
			  "64 bytes from 10.0.0.1: icmp_seq=3 ttl=64 time=1204 ms (DUP!)\n\n"
			  "--- 10.0.0.1 ping statistics ---\n"
			  "3 packets transmitted, 2 received, 33% packet loss, time 2003ms\n"
			  "rtt min/avg/max/mdev = 31.5/600/1204/1 ms\n"},
		 &params, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(params_count(&params, NETWORK_DISTRIBUTION_SAMPLES), 2);
	assert_int_equal(params_value(&params, NETWORK_DISTRIBUTION_SAMPLES, 0)->number, 31500000);
	assert_int_equal(params_value(&params, NETWORK_DISTRIBUTION_SAMPLES, 1)->number,
			 1204 * NSEC_PER_MSEC);
	assert_int_equal(network_check(&params, &err), 0);
	params_free(&params);
}

static void test_numbers_and_durations_are_read(void **state)
{
	struct params params;
	struct error err = ERROR_INIT;

	(void)state;
	if (load((char[]){"# ms\n12.5\n\n 1.2s \r\n800us\n"}, &params, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(params_count(&params, NETWORK_DISTRIBUTION_SAMPLES), 3);
	assert_int_equal(params_value(&params, NETWORK_DISTRIBUTION_SAMPLES, 2)->number,
			 1200 * NSEC_PER_MSEC);
	params_free(&params);
}

static void test_a_bad_line_is_named(void **state)
{
	struct params params;
	struct error err = ERROR_INIT;

	(void)state;
	assert_true(load((char[]){"12ms\nabc\n"}, &params, &err) < 0);
	assert_non_null(strstr(err.text, ":2: no round trip"));
	params_free(&params);
	err = (struct error)ERROR_INIT;
	assert_true(load((char[]){"# nothing\n"}, &params, &err) < 0);
	assert_non_null(strstr(err.text, "no round trips"));
	params_free(&params);
}

static void test_many_round_trips_become_as_many_as_a_table_holds(void **state)
{
	struct network_effect effect;
	struct params params;
	struct error err = ERROR_INIT;
	char *text = calloc(50000, 8), *at = text;

	(void)state;
	for (unsigned i = 0; i < 50000; i++)
		at += sprintf(at, "%u\n", 1 + i % 1000);
	if (load(text, &params, &err) < 0)
		fail_msg("%s", err.text);
	free(text);
	assert_int_equal(params_count(&params, NETWORK_DISTRIBUTION_SAMPLES), NETEM_TABLE_SIZE);
	assert_int_equal(network_effect_read(&params, &effect, &err), 0);
	/* even from 1 to 1000 ms; the farthest is as far as a table reaches */
	assert_true(llabs(effect.full.delay_ns - 500500000) < NSEC_PER_MSEC);
	assert_true(effect.full.table->values[NETEM_TABLE_SIZE - 1] > 32000);
	assert_true(llabs(effect.full.delay_ns +
			  effect.full.jitter_ns * effect.full.table->values[0] / NETEM_DIST_SCALE -
			  NSEC_PER_MSEC) < 2 * NSEC_PER_MSEC);
	network_effect_free(&effect);
	params_free(&params);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_makes_no_sense_together_is_refused),
		cmocka_unit_test(test_everything_at_once_is_accepted),
		cmocka_unit_test(test_a_counted_loss_goes_with_every_model_and_alone),
		cmocka_unit_test(test_a_counted_loss_is_of_more_packets_when_it_is_weaker),
		cmocka_unit_test(test_a_peak_rate_scales_as_the_rate),
		cmocka_unit_test(test_a_refusal_may_be_late),
		cmocka_unit_test(test_half_the_strength),
		cmocka_unit_test(test_slots_vary_evenly_or_by_a_table),
		cmocka_unit_test(test_limit_fits_into_memory),
		cmocka_unit_test(test_bursts_keep_their_rhythm_at_half_the_strength),
		cmocka_unit_test(test_shapes_of_jitter),
		cmocka_unit_test(test_jitter_beyond_the_delay_lets_some_leave_at_once),
		cmocka_unit_test(test_output_of_ping_is_read),
		cmocka_unit_test(test_numbers_and_durations_are_read),
		cmocka_unit_test(test_a_bad_line_is_named),
		cmocka_unit_test(test_many_round_trips_become_as_many_as_a_table_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
