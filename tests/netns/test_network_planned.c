/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the plan says is what the kernel then has, in the words of the kernel's own tools: the queue
 * of the ifb (tc), the table and its hooks (nft).
 */
#include "tests/support/netlab_ways.h"
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The word of the plan behind `lead`. */
static const char *planned(const struct netlab_fault *fault, const char *lead, char out[64])
{
	const char *at = strstr(fault->plan, lead);

	if (!at)
		fail_msg("'%s' is not in the plan:\n%s", lead, fault->plan);
	at += strlen(lead);
	snprintf(out, 64, "%.*s", (int)strcspn(at, " \n"), at);
	return out;
}

/* Of the queues of an interface the netem, as tc sees it. Caller: json_decref(*out_all). */
static const json_t *netem_options(const struct netlab *lab, const char *interface,
				   json_t **out_all)
{
	cleanup_free char *text =
		netlab_output("tc -n %s -d -j qdisc show dev %s", lab->near, interface);
	size_t i;
	json_t *one;

	*out_all = json_loads(text, 0, NULL);
	json_array_foreach (*out_all, i, one)
		if (strcmp(member_text(one, "kind"), "netem") == 0)
			return json_object_get(one, "options");
	fail_msg("%s has no netem: %s", interface, text);
	return NULL;
}

static double number_in(const json_t *options, const char *group, const char *name)
{
	return json_number_value(json_object_get(json_object_get(options, group), name));
}

static void test_the_queue_is_that_of_the_plan(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char interface[64], words[200];
	const json_t *options;
	json_t *all;

	netlab_start(lab, &fault,
		     (const char *[]){"to", "10.88.0.2", "delay", "120ms", "jitter", "30ms", "loss",
				      "7%", "duplicate", "3%", "corrupt", "2%", "limit", "777",
				      NULL});
	options = netem_options(lab, planned(&fault, "add interface ", interface), &all);
	snprintf(words, sizeof(words),
		 "netem delay %.0fms jitter %.0fms distribution uniform loss %.0f%% duplicate "
		 "%.0f%% corrupt %.0f%% limit %lld ",
		 number_in(options, "delay", "delay") * 1000,
		 number_in(options, "delay", "jitter") * 1000,
		 number_in(options, "loss-random", "loss") * 100,
		 number_in(options, "duplicate", "duplicate") * 100,
		 number_in(options, "corrupt", "corrupt") * 100,
		 (long long)member_number(options, "limit"));
	if (!strstr(fault.plan, words))
		fail_msg("tc shows '%s', but the plan says:\n%s", words, fault.plan);
	assert_non_null(strstr(words, "delay 120ms jitter 30ms distribution uniform loss 7%"));
	assert_non_null(strstr(words, " limit 777 "));
	json_decref(all);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static unsigned count(const char *text, const char *word)
{
	unsigned found = 0;

	for (const char *at = text; (at = strstr(at, word)); at++)
		found++;
	return found;
}

/* The only table and the only hooks; afterwards there are none. */
static void assert_hooks(struct netlab *lab, const char *direction, const char *effect,
			 const char *value)
{
	const bool is_out = strcmp(direction, "ingress") != 0;
	const bool is_in = strcmp(direction, "egress") != 0;
	struct netlab_fault fault;
	char name[64], line[100];
	char *shown;

	netlab_start(
		lab, &fault,
		(const char *[]){"interface", "sqv0", "direction", direction, effect, value, NULL});
	shown = netlab_output("ip netns exec %s nft list ruleset", lab->near);
	snprintf(line, sizeof(line), "table netdev %s {",
		 planned(&fault, "add table netdev ", name));
	assert_non_null(strstr(shown, line));
	assert_int_equal(count(shown, "\ntable ") + (strncmp(shown, "table ", 6) == 0), 1);
	/* for what comes in there are two: one takes packets, the other knows what is back */
	assert_int_equal(count(shown, "hook egress device \"sqv0\"") > 0, is_out);
	assert_int_equal(count(shown, "hook ingress device \"sqv0\"") > 0, is_in);
	assert_int_equal(count(shown, " hook "), count(shown, "gress device \"sqv0\""));
	assert_int_equal(count(fault.plan, "interface sqv0 egress"), is_out);
	assert_int_equal(count(fault.plan, "interface sqv0 ingress"), is_in);
	free(shown);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	shown = netlab_output("ip netns exec %s nft list ruleset", lab->near);
	assert_string_equal(shown, "");
	free(shown);
}

static void test_the_table_and_its_hooks_are_those_of_the_plan(void **state)
{
	static const char *const directions[] = {"egress", "ingress", "both"};

	if (!netlab_has_egress_hook(*state))
		stage_skip("no nf_tables egress hook: tc filters take its place");
	for (unsigned i = 0; i < 3; i++) {
		assert_hooks(*state, directions[i], "loss", "10%");
		assert_hooks(*state, directions[i], "delay", "10ms");
	}
}

/* A rate lets more into a long delay than waits there. */
static void test_a_queue_that_is_too_short_is_told(void **state)
{
	static const char *const note = "at the full rate the queue (";
	static const struct {
		const char *delay, *rate, *limit, *words; /* NULL: it is long enough */
	} cases[] = {
		{"1h", "100mbit", "1000000", "is full after about "},
		{"100ms", "100mbit", "1000000", NULL},
		{"200ms", "8mbit", "10", "10 packets) is full after about 0.01"},
		{"200ms", "8mbit", "1000", NULL},
	};
	struct netlab *lab = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct netlab_fault fault;
		const char *at;

		netlab_start(lab, &fault,
			     (const char *[]){"to", "10.88.0.2", "delay", cases[i].delay, "rate",
					      cases[i].rate, "limit", cases[i].limit, NULL});
		at = strstr(fault.plan, note);
		assert_int_equal(at != NULL, cases[i].words != NULL);
		if (at)
			assert_non_null(strstr(at, cases[i].words));
		if (i == 0 && strstr(fault.plan, "tap interface"))
			assert_non_null(strstr(fault.plan, "the queue (256 MiB) is full after "
							   "about 21.5s of traffic"));
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

/* What the plan of a second step says of the first. */
static void assert_shared(struct netlab *lab, const char *const *first, const char *const *second,
			  const char *words)
{
	struct netlab_fault faults[2];
	struct error err = ERROR_INIT;
	const char *at;

	if (netlab_fault_plan(lab, &faults[0], "ccccd1", first, &err) < 0 ||
	    netlab_fault_plan_step(lab, &faults[1], &faults[0], 1, second, &err) < 0)
		fail_msg("%s", err.text);
	at = strstr(faults[1].plan, "shares an interface with another network step (");
	if (words && (!at || !strstr(at, words)))
		fail_msg("'%s' is not in the plan:\n%s", words, faults[1].plan);
	if (!words && at)
		fail_msg("%s", at);
	faults[1].fault.ops->release(&faults[1].fault);
	target_free(&faults[1].target);
	params_free(&faults[1].params);
	netlab_fault_finish(&faults[0], FAULT_END_NOW);
}

#define WORDS(...) ((const char *[]){__VA_ARGS__, NULL})

static void test_what_two_steps_do_to_one_packet_is_told(void **state)
{
	struct netlab *lab = *state;

	assert_shared(lab, WORDS("to", "10.88.0.2", "delay", "100ms"),
		      WORDS("to", "10.88.0.0/24", "delay", "50ms"),
		      "(delay 100ms): while both are in force, what both match meets both, the one "
		      "injected last first (that one is a delay line); delays add up: 50ms and "
		      "100ms are 150ms");
	assert_shared(lab, WORDS("to", "10.88.0.2", "delay", "100ms", "rate", "1mbit"),
		      WORDS("to", "10.88.0.2:80", "partition", "drop"),
		      "first lost or not, then delayed; of what is cut off nothing is left for "
		      "the other");
	assert_shared(lab, WORDS("to", "10.88.0.2", "loss", "10%"),
		      WORDS("interface", "sqv0", "loss", "20%"),
		      "20% and 10% of loss are 28% together");
	assert_shared(lab, WORDS("to", "10.88.0.2", "rate", "1mbit"),
		      WORDS("to", "10.88.0.2", "rate", "2mbit"), "the lower rate counts");
	assert_shared(lab, WORDS("to", "10.88.0.2", "rate", "1mbit"),
		      WORDS("to", "10.88.0.2", "loss", "2%"), "for the rate");
	/* no packet is of both */
	assert_shared(lab, WORDS("to", "10.88.0.2", "delay", "1ms"),
		      WORDS("to", "10.88.0.3", "delay", "1ms"), NULL);
	assert_shared(lab, WORDS("to", "10.88.0.2:80", "delay", "1ms"),
		      WORDS("to", "10.88.0.0/24:81-90", "delay", "1ms"), NULL);
	assert_shared(lab, WORDS("to", "10.88.0.2", "protocol", "udp", "delay", "1ms"),
		      WORDS("to", "10.88.0.2", "tcp-flags", "syn", "delay", "1ms"), NULL);
	assert_shared(lab, WORDS("to", "10.88.0.2", "local-port", "80", "delay", "1ms"),
		      WORDS("to", "10.88.0.2", "local-port", "1-79", "delay", "1ms"), NULL);
	assert_shared(lab, WORDS("to", "10.88.0.2", "delay", "1ms"),
		      WORDS("interface", "sqv0", "except", "10.88.0.0/30", "delay", "1ms"), NULL);
	assert_shared(lab, WORDS("to", "10.88.0.2", "direction", "ingress", "delay", "1ms"),
		      WORDS("to", "10.88.0.2", "delay", "1ms"), NULL);
}

static void assert_planned(struct netlab *lab, const char *const *settings,
			   const char *const *lines)
{
	struct netlab_fault fault;

	netlab_start(lab, &fault, settings);
	for (; *lines; lines++)
		if (!strstr(fault.plan, *lines))
			fail_msg("'%s' is not in the plan:\n%s", *lines, fault.plan);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* netem has 32 bits for it. */
static void test_a_jitter_of_seconds_is_made_by_a_delay_line(void **state)
{
	assert_planned(*state,
		       (const char *[]){"to", "10.88.0.2", "delay", "3s", "jitter", "4s", NULL},
		       (const char *[]){"a delay line in user space",
					"the jitter reaches beyond the delay: about 12% of", NULL});
	assert_planned(*state,
		       (const char *[]){"to", "10.88.0.2", "distribution-samples", "10ms",
					"distribution-samples", "30s", "distribution-lost", "4%",
					NULL},
		       (const char *[]){"a delay line in user space",
					"replayed: 2 round trips, 10.0ms to 30.0s, median 30.0s",
					"that is not replayed: add loss: 4%", NULL});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BY_NETEM(test_the_queue_is_that_of_the_plan),
		BY_LINE(test_the_table_and_its_hooks_are_those_of_the_plan),
		BY_LINE(test_what_two_steps_do_to_one_packet_is_told),
		BY_LINE(test_a_queue_that_is_too_short_is_told),
		BY_NETEM(test_a_queue_that_is_too_short_is_told),
		BY_NETEM(test_the_table_and_its_hooks_are_those_of_the_plan),
		BY_LINE(test_a_jitter_of_seconds_is_made_by_a_delay_line),
		BY_NETEM(test_a_jitter_of_seconds_is_made_by_a_delay_line),
	};

	return cmocka_run_group_tests(tests, netlab_setup, netlab_teardown_ways);
}
