/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The effects on other courses than those of test_network_effects_* (egress, IPv4): packets that
 * come in, IPv6, those of another network namespace than squall's, and the loopback interface. Each
 * effect once, by what tells it from the others.
 */
#include "tests/support/netlab_ways.h"
#include "tests/support/squall_runner.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT 1500
#define MSEC  1e6
#define SIZE  1000
/* Ethernet, the IP header, UDP */
#define ON_WIRE(flow) (SIZE + 14 + ((flow)->is_six ? 40 : 20) + 8)

#define SEE(flow, ...) netlab_see(*state, flow, (const char *[]){__VA_ARGS__, NULL})

/* The courses: what comes in by IPv4, what goes out by IPv6, what leaves another namespace. */
enum { COMES_IN, GOES_OUT, ELSEWHERE, COURSES };

static struct netlab_flow flow_of(unsigned course)
{
	return (struct netlab_flow){.course = course == GOES_OUT ? NETLAB_OUT : NETLAB_BACK,
				    .is_six = course == GOES_OUT,
				    .is_elsewhere = course == ELSEWHERE,
				    .count = COUNT,
				    .size = SIZE,
				    .at_once = 20,
				    .pause_us = 1000,
				    .quiet_ms = 150,
				    .has_no_sum = true};
}

#define EACH_COURSE(flow)                                                                          \
	for (unsigned course = 0; course < COURSES; course++)                                      \
		for (struct netlab_flow flow = flow_of(course), *at = &flow; at; at = NULL)

static void test_loss(void **state)
{
	EACH_COURSE(flow)
	{
		struct netlab_seen seen = SEE(&flow, "loss", "20%");

		netlab_assert_share(COUNT - seen.arrived, COUNT, 0.2, 1);
		netlab_assert_share(seen.bursts, COUNT - seen.arrived, 0.8, 1);
		assert_int_equal(seen.duplicated + seen.damaged, 0);
		free(seen.delays_ns);
	}
}

static void test_gilbert_elliott(void **state)
{
	EACH_COURSE(flow)
	{
		struct netlab_seen seen = SEE(&flow, "gemodel-p", "5%", "gemodel-r", "25%");
		double burst = (double)(COUNT - seen.arrived) / seen.bursts; /* 1 / r */

		/* p / (p + r); neighbours are alike (correlation 0.7) */
		netlab_assert_share(COUNT - seen.arrived, COUNT, 0.05 / 0.3, sqrt(1.7 / 0.3));
		assert_true(burst > 2.5 && burst < 6.5);
		free(seen.delays_ns);
	}
}

static void test_damage(void **state)
{
	EACH_COURSE(flow)
	{
		struct netlab_seen seen = SEE(&flow, "corrupt", "30%");

		netlab_assert_share(seen.damaged, COUNT, 0.3 * SIZE / ON_WIRE(&flow), 1);
		assert_true(seen.arrived >= COUNT * 95 / 100); /* else a header was hit */
		free(seen.delays_ns);
	}
}

static void test_duplicates(void **state)
{
	EACH_COURSE(flow)
	{
		struct netlab_seen seen = SEE(&flow, "duplicate", "20%");

		assert_int_equal(seen.arrived, COUNT);
		netlab_assert_share(seen.duplicated, COUNT, 0.2, 1);
		free(seen.delays_ns);
	}
}

static void test_reordering(void **state)
{
	EACH_COURSE(flow)
	{
		struct netlab_seen seen = SEE(&flow, "delay", "100ms", "reorder", "25%");

		assert_int_equal(seen.arrived, COUNT);
		netlab_assert_share((unsigned)(netlab_seen_below(&seen, 90 * MSEC) * COUNT), COUNT,
				    0.25, 1);
		assert_true(seen.overtaken > COUNT / 2);
		free(seen.delays_ns);
	}
}

static void test_rate(void **state)
{
	EACH_COURSE(flow)
	{
		struct netlab_seen seen;
		double took_ns;

		flow.count = 300;
		took_ns = (double)flow.count * ON_WIRE(&flow) * 8 * 1e9 / 8e6;
		seen = SEE(&flow, "rate", "8mbit");
		assert_int_equal(seen.arrived, flow.count);
		assert_true(fabs((double)seen.took_ns - took_ns) < 0.1 * took_ns);
		free(seen.delays_ns);
	}
}

/* Every 50 ms at most ten. */
static void test_slots(void **state)
{
	EACH_COURSE(flow)
	{
		struct netlab_seen seen;

		flow.count = 100;
		seen = SEE(&flow, "slot", "50ms", "slot-packets", "10");
		assert_int_equal(seen.arrived, flow.count);
		assert_true((double)seen.took_ns > 400 * MSEC);
		assert_true((double)seen.took_ns < 800 * MSEC);
		free(seen.delays_ns);
	}
}

static void test_delay_on_loopback(void **state)
{
	for (unsigned is_six = 0; is_six < 2; is_six++) {
		const struct netlab_flow flow = {.course = NETLAB_LO,
						 .is_six = is_six,
						 .count = 200,
						 .size = 200,
						 .at_once = 2, /* over 0.2 s */
						 .pause_us = 2000,
						 .quiet_ms = 150};
		struct netlab_seen seen = SEE(&flow, "delay", "40ms");

		assert_int_equal(seen.arrived, flow.count);
		assert_int_equal(seen.duplicated, 0);
		assert_true(seen.least_ns >= 40 * MSEC);
		assert_true(seen.least_ns < 60 * MSEC);
		free(seen.delays_ns);
	}
}

int main(void)
{
#define ALL(BY)                                                                                    \
	BY(test_loss), BY(test_gilbert_elliott), BY(test_damage), BY(test_duplicates),             \
		BY(test_reordering), BY(test_rate), BY(test_slots), BY(test_delay_on_loopback)
	const struct CMUnitTest line[] = {ALL(BY_LINE)}, netem[] = {ALL(BY_NETEM)};

	return NETLAB_RUN_WAYS(line, netem);
}
