/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/netlab_ways.h"

#include "tests/support/squall_runner.h"

#include "faults/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SETTINGS_MAX 32
#define MSEC	     1e6

static void choose(bool is_line, bool is_filters)
{
	if (is_line)
		setenv("SQUALL_NETEM", "off", 1);
	else
		unsetenv("SQUALL_NETEM");
	if (is_filters)
		setenv("SQUALL_HOOK", "clsact", 1);
	else
		unsetenv("SQUALL_HOOK");
}

int netlab_by_line(void **state)
{
	(void)state;
	choose(true, false);
	return 0;
}

int netlab_by_line_and_filters(void **state)
{
	(void)state;
	choose(true, true);
	return 0;
}

int netlab_by_netem(void **state)
{
	(void)state;
	choose(false, false);
	return 0;
}

int netlab_by_netem_and_filters(void **state)
{
	(void)state;
	choose(false, true);
	return 0;
}

void netlab_need_way(void)
{
	if (!getenv("SQUALL_NETEM") && !netlab_has_netem())
		stage_skip("no netem here: the test machine has it");
}

/* `lab` NULL: the settings say in which namespace. */
static void start(struct netlab *lab, struct netlab_fault *out, const char *const *settings)
{
	netlab_need_way();
	netlab_fault_start(lab, out, "aaaaf1", settings);
}

const char *const netlab_ends[2][2] = {{"10.88.0.1", "10.88.0.2"}, {"fd88::1", "fd88::2"}};

void netlab_start_course(struct netlab *lab, struct netlab_fault *out, unsigned course,
			 const char *const *settings)
{
	const bool is_back = course & 1, is_six = course & 2;
	const char *all[SETTINGS_MAX] = {"to", netlab_ends[is_six][1], "direction",
					 is_back ? "ingress" : "egress"};

	for (unsigned i = 0; settings[i]; i++) {
		assert_true(i + 5 < SETTINGS_MAX);
		all[i + 4] = settings[i];
	}
	netlab_start(lab, out, all);
}

void netlab_start(struct netlab *lab, struct netlab_fault *out, const char *const *settings)
{
	start(lab, out, settings);
}

/* Those that follow from the course; how many. */
static unsigned add_course(const struct netlab *lab, const struct netlab_flow *flow, bool has_to,
			   const char **out)
{
	const bool comes_in = flow->course == NETLAB_BACK && !flow->is_elsewhere;
	unsigned count = 0;

	out[count++] = "direction";
	out[count++] = comes_in ? "ingress" : "egress";
	if (flow->is_elsewhere) {
		out[count++] = "namespace";
		out[count++] = lab->far;
	}
	if (!has_to) {
		out[count++] = "to";
		out[count++] = flow->is_elsewhere ? netlab_flow_near(flow) : netlab_flow_peer(flow);
	}
	return count;
}

struct netlab_seen netlab_see(struct netlab *lab, const struct netlab_flow *flow,
			      const char *const *settings)
{
	const bool is_line = getenv("SQUALL_NETEM"), is_filters = getenv("SQUALL_HOOK");
	const char *all[SETTINGS_MAX] = {NULL};
	unsigned count = add_course(lab, flow, strcmp(settings[0], "to") == 0, all);
	struct netlab_fault fault;
	struct netlab_seen seen;

	for (unsigned i = 0; settings[i]; i++) {
		assert_true(count + 1 < SETTINGS_MAX);
		all[count++] = settings[i];
	}
	start(flow->is_elsewhere ? NULL : lab, &fault, all);
	assert_non_null(strstr(fault.plan, is_line ? "delay line" : "ifb with netem"));
	assert_int_equal(strstr(fault.plan, "SQUALL_HOOK=clsact") != NULL, is_filters);
	netlab_flow_run(lab, flow, &seen);
	assert_int_equal(network_fault.evidence(&fault.fault, &seen.told, NULL), 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	print_message("  %u arrived, %u twice, %u overtaken, %u damaged, %u bursts lost; %.3f ms "
		      "+- %.3f, %.0f ms long\n",
		      seen.arrived, seen.duplicated, seen.overtaken, seen.damaged, seen.bursts,
		      seen.mean_ns / MSEC, seen.deviation_ns / MSEC, (double)seen.took_ns / MSEC);
	assert_int_equal(seen.garbled, 0);
	return seen;
}
