/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/fake_run.h"

#include "injector/base/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MS	NSEC_PER_MSEC
#define WALL_NS 1767268800000000000LL /* 2026-01-01T12:00:00Z */

static int no_evidence_needed(struct fault *fault, struct evidence *out, struct error *err)
{
	(void)fault;
	(void)err;
	*out = (struct evidence){0};
	return 0;
}

static const struct param no_params[] = {{.name = NULL}};
static const struct param latency_params[] = {{.name = "latency", .type = PARAM_COMPARE_DURATION},
					      {.name = NULL}};

static bool always_instant(const struct params *params)
{
	(void)params;
	return true;
}

/* One a step, so that the stand-in of experiment_describe_step() can use the summary. */
static const struct fault_ops delay_ops = {
	.name = "network",
	.summary = "delay 400ms, jitter 50ms to 10.0.5.0/24:443",
	.params = no_params,
	.target_kind = TARGET_TRAFFIC,
	.evidence = no_evidence_needed,
};
static const struct fault_ops kill_ops = {
	.name = "process",
	.summary = "signal KILL to unit orders.service",
	.params = no_params,
	.target_kind = TARGET_PROCESS,
	.is_instant = always_instant,
	.evidence = no_evidence_needed,
};
static const struct fault_ops loss_ops = {
	.name = "network",
	.summary = "loss 100% to store.internal:443",
	.params = no_params,
	.target_kind = TARGET_TRAFFIC,
	.evidence = no_evidence_needed,
};
static const struct probe_ops http_ops = {.name = "http", .expect = latency_params};
static const struct probe_ops command_ops = {.name = "command", .expect = no_params};

void fake_run_init(struct fake_run *run, int64_t start_ns)
{
	static char title[] = "Object store slow";
	static char hypothesis[] =
		"Checkout answers within a second while the object store is slow";
	static char path[] = "store.yaml", checkout[] = "checkout", backlog[] = "backlog",
		    search[] = "search";

	*run = (struct fake_run){
		.start_ns = start_ns,
		.done_ns = -1,
		.steps =
			{
				{.ops = &delay_ops, .at_ns = 0, .for_ns = 4000 * MS},
				{.ops = &kill_ops, .at_ns = 2000 * MS},
				{.ops = &loss_ops, .at_ns = 3000 * MS, .for_ns = 3000 * MS},
			},
		.probes =
			{
				{.name = checkout, .ops = &http_ops, .every_ns = 100 * MS},
				{.name = backlog, .ops = &command_ops, .every_ns = 500 * MS},
				{.name = search, .ops = &http_ops, .every_ns = 250 * MS},
			},
		.abort = {.probe = 0, .fails = 30},
	};
	run->experiment = (struct experiment){
		.time_scale = 1,
		.path = path,
		.title = title,
		.hypothesis = hypothesis,
		.limits = {.duration_ns = 300000 * MS, .targets = 3},
		.probes = run->probes,
		.probe_count = FAKE_PROBES,
		.steady_state = {.probes = run->required, .count = 1, .for_ns = 1900 * MS},
		.recovery = {.probes = run->required, .count = 1, .within_ns = 5000 * MS},
		.aborts = &run->abort,
		.abort_count = 1,
		.steps = run->steps,
		.step_count = FAKE_STEPS,
	};
}

void fake_run_listen(struct fake_run *run, struct event_listener listener)
{
	run->listeners[run->listener_count++] = listener;
}

void fake_run_tell(struct fake_run *run, int64_t at_ns, struct event event)
{
	if (event.kind == EVENT_PHASE)
		run->phase = event.phase;
	event.phase = run->phase;
	event.time_ns = run->start_ns + at_ns;
	event.wall_ns = WALL_NS + at_ns;
	for (unsigned i = 0; i < run->listener_count; i++)
		run->listeners[i].fn(run->listeners[i].context, &event);
}

/* What happens, but for samples and evidence; in the order of time. */
static const struct {
	int64_t at_ns;
	struct event event;
} script[] = {
	{0, {.kind = EVENT_PHASE, .phase = PHASE_PLAN}},
	{0, {.kind = EVENT_PLAN, .number = PLAN_TARGET, .text = "10.0.5.0/24:443 by eth0"}},
	{0, {.kind = EVENT_PLAN, .number = PLAN_NOTE, .text = "not affected: ARP"}},
	{0, {.kind = EVENT_PLAN, .number = PLAN_WAY, .text = "nf_tables forwards to an ifb"}},
	{0, {.kind = EVENT_PLAN, .number = PLAN_CHANGE, .text = "eth0: add ingress hook"}},
	{0, {.kind = EVENT_PLAN, .number = PLAN_NOTE, .text = "jitter reorders"}},
	{0,
	 {.kind = EVENT_PLAN,
	  .step = 1,
	  .number = PLAN_TARGET,
	  .text = "process 4711 orders (www-data)"}},
	{50 * MS, {.kind = EVENT_ARMED, .text = "k3f9a2"}},
	{100 * MS, {.kind = EVENT_PHASE, .phase = PHASE_STEADY_STATE}},
	{2000 * MS, {.kind = EVENT_PHASE, .phase = PHASE_METHOD}},
	{2003 * MS, {.kind = EVENT_INJECTED, .step = 0, .duration_ns = 3100000}},
	{4001 * MS, {.kind = EVENT_INJECTED, .step = 1, .duration_ns = 210000}},
	{5002 * MS, {.kind = EVENT_INJECTED, .step = 2, .duration_ns = 1900000}},
	{6004 * MS, {.kind = EVENT_ENDED, .step = 0, .duration_ns = 4200000}},
	{6030 * MS, {.kind = EVENT_RESTORED, .step = 0}},
	{8000 * MS, {.kind = EVENT_PHASE, .phase = PHASE_RESTORE}},
	{8001 * MS, {.kind = EVENT_ENDED, .step = 2, .duration_ns = 900000}},
	{8040 * MS, {.kind = EVENT_RESTORED, .step = 2}},
	{8200 * MS, {.kind = EVENT_PHASE, .phase = PHASE_RECOVERY}},
	{9400 * MS, {.kind = EVENT_RECOVERED, .number = 1, .duration_ns = 1200 * MS}},
	{9450 * MS, {.kind = EVENT_PHASE, .phase = PHASE_FINISHED}},
};

/* Latency of the HTTP probes: 20 ms, 420 ms under delay; -1 (no answer) under loss. Small waves, so
 * that a sparkline has something to show. */
static int64_t latency_at(const struct fake_run *run, unsigned probe, int64_t at_ns)
{
	int64_t wave = (at_ns / (50 * MS) * 7919 + probe * 31) % 17;
	bool delayed = at_ns >= 2003 * MS && at_ns < 6004 * MS;
	bool lost = at_ns >= 5002 * MS && at_ns < 8200 * MS && probe == 0 && !run->is_healthy;

	if (lost)
		return -1;
	return (delayed && probe == 0 ? 400 * MS : 0) + (18 + wave) * MS + probe * 3 * MS;
}

static void tell_sample(struct fake_run *run, unsigned probe, int64_t at_ns)
{
	struct probe_sample sample = {.result = PROBE_PASS, .value = NAN};

	sample.latency_ns = latency_at(run, probe, at_ns);
	if (probe == 1) {
		sample.latency_ns = 3 * MS;
		sample.value = (double)(40 + at_ns / (100 * MS));
		if (sample.value >= 100 && !run->is_healthy) {
			sample.result = PROBE_FAIL;
			snprintf(sample.reason, sizeof(sample.reason), "output %g, expected < 100",
				 sample.value);
		}
	} else if (sample.latency_ns < 0) {
		sample.result = PROBE_FAIL;
		snprintf(sample.reason, sizeof(sample.reason), "no answer within 2s");
	}
	sample.started_ns =
		run->start_ns + at_ns - (sample.latency_ns > 0 ? sample.latency_ns : 20 * MS);
	sample.known_ns = run->start_ns + at_ns;
	fake_run_tell(run, at_ns,
		      (struct event){.kind = EVENT_SAMPLE, .probe = probe, .sample = &sample});
}

static void tell_evidence(struct fake_run *run, unsigned step, int64_t at_ns)
{
	struct evidence evidence = {.unit = "packets"};
	uint64_t tenths = (uint64_t)(at_ns / (100 * MS));

	if (step == 0) {
		evidence.hits = evidence.passed = evidence.delayed = (tenths - 20) * 61;
		snprintf(evidence.detail, sizeof(evidence.detail), "%llu packets delayed on eth0",
			 (unsigned long long)evidence.hits);
	} else if (step == 1) {
		evidence.hits = 1;
		evidence.unit = "processes";
		snprintf(evidence.detail, sizeof(evidence.detail),
			 "1 process signalled: 4711 orders");
	} else if (!run->is_idle) {
		evidence.hits = evidence.dropped = (tenths - 49) * 23;
		snprintf(evidence.detail, sizeof(evidence.detail), "%llu packets dropped on eth0",
			 (unsigned long long)evidence.hits);
	}
	fake_run_tell(run, at_ns,
		      (struct event){.kind = EVENT_EVIDENCE, .step = step, .evidence = &evidence});
}

static void tell_tick(struct fake_run *run, int64_t at_ns)
{
	for (unsigned i = 0; i < FAKE_PROBES; i++)
		if (at_ns >= 100 * MS && at_ns < 9400 * MS &&
		    at_ns % (run->probes[i].every_ns) == 0)
			tell_sample(run, i, at_ns);
	if (at_ns % (500 * MS) != 0)
		return;
	if (at_ns > 2003 * MS && at_ns <= 6000 * MS)
		tell_evidence(run, 0, at_ns);
	if (at_ns > 4001 * MS && at_ns <= 4500 * MS)
		tell_evidence(run, 1, at_ns);
	if (at_ns > 5002 * MS && at_ns <= 8000 * MS)
		tell_evidence(run, 2, at_ns);
}

void fake_run_play(struct fake_run *run, int64_t until_ns)
{
	const int64_t tick_ns = 50 * MS;
	unsigned at = 0;

	while (at < sizeof(script) / sizeof(*script) && script[at].at_ns <= run->done_ns)
		at++;
	for (int64_t tick = (run->done_ns < 0 ? 0 : run->done_ns / tick_ns * tick_ns);;
	     tick += tick_ns) {
		/* the tick's samples come behind what was scripted before it */
		for (; at < sizeof(script) / sizeof(*script) && script[at].at_ns <= tick &&
		       script[at].at_ns <= until_ns;
		     at++)
			fake_run_tell(run, script[at].at_ns, script[at].event);
		if (tick > until_ns)
			break;
		if (tick > run->done_ns)
			tell_tick(run, tick);
	}
	for (; at < sizeof(script) / sizeof(*script) && script[at].at_ns <= until_ns; at++)
		fake_run_tell(run, script[at].at_ns, script[at].event);
	run->done_ns = until_ns;
}
