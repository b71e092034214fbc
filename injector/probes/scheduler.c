/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every probe ticks on its own fixed grid (first tick + n * every), so late ticks never add up to
 * drift. A tick that finds the attempt before still running is skipped and counted. The time-out
 * lives here, not in the kinds: a kind that never answers cannot escape it.
 */
#include "injector/probes/scheduler.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define SPREAD_MAX_NS (50 * NSEC_PER_MSEC)
/* Most of what an attempt costs is waking up for it, with caches that others have used meanwhile.
 * Where there are many, some begin together: measured with ten probes, half the cost, for latencies
 * that are some tenths of a millisecond longer. Ten together cost no less, and half of the answers
 * waited 1.6 to 3.4 ms in place of 1 ms. */
#define TOGETHER      5
#define MANY_A_SECOND 50
/* A time-out that ends within this time of a tick goes first: with `timeout: 2s, every: 500ms` the
 * tick falls microseconds before the time-out and would be lost each time. */
#define TIMEOUT_FIRST_NS NSEC_PER_MSEC

struct entry {
	struct probe probe;
	struct probe_scheduler *scheduler;
	struct loop_timer tick, timeout;
	int64_t next_ns; /* of the grid */
	uint64_t skipped;
	bool is_open, in_flight;
};

struct probe_scheduler {
	struct loop *loop;
	struct entry *entries;
	unsigned count;
	probe_sample_fn fn;
	void *context;
};

static void on_tick(void *context);

/* The attempt is over; `sample` goes out. Nothing of the entry may be touched after fn. */
static void complete(struct entry *entry, const struct probe_sample *sample)
{
	struct probe_scheduler *scheduler = entry->scheduler;
	struct probe_sample known = *sample;

	if (!entry->in_flight)
		return;
	entry->in_flight = false;
	loop_timer_cancel(scheduler->loop, &entry->timeout);
	known.known_ns =
		sample->latency_ns >= 0 ? sample->started_ns + sample->latency_ns : clock_now_ns();
	scheduler->fn(scheduler->context, entry->probe.index, &known);
}

static void on_finish(struct probe *probe, const struct probe_sample *sample)
{
	complete(probe->context, sample);
}

static void on_timeout(void *context)
{
	struct entry *entry = context;
	struct probe *probe = &entry->probe;
	char after[QUANTITY_TEXT_SIZE];
	struct probe_sample sample = {
		.result = probe->obstacle ? PROBE_UNKNOWN : PROBE_FAIL,
		.started_ns = probe->attempt_started_ns,
		.latency_ns = -1,
		.value = NAN,
	};

	quantity_format_duration(probe->spec->timeout_ns, after);
	if (probe->obstacle)
		snprintf(sample.reason, sizeof(sample.reason), "could not %s within %s",
			 probe->obstacle, after);
	else
		snprintf(sample.reason, sizeof(sample.reason), "timed out after %s", after);
	probe->spec->ops->cancel(probe);
	complete(entry, &sample);
}

static void fail_start(struct entry *entry, const struct error *err)
{
	struct probe_sample sample = {
		.result = PROBE_UNKNOWN,
		.started_ns = entry->probe.attempt_started_ns,
		.latency_ns = -1,
		.value = NAN,
	};

	snprintf(sample.reason, sizeof(sample.reason), "%.*s", (int)sizeof(sample.reason) - 1,
		 err->text);
	complete(entry, &sample);
}

static void start_attempt(struct entry *entry)
{
	struct probe *probe = &entry->probe;
	struct error err = ERROR_INIT;

	entry->in_flight = true;
	probe->attempt_started_ns = clock_now_ns();
	probe->latency_ns = 0;
	probe->obstacle = NULL;
	/* The time-out is armed first: start() may finish the attempt, which disarms it again. */
	if (loop_timer_set(entry->scheduler->loop, &entry->timeout,
			   probe->attempt_started_ns + probe->spec->timeout_ns, on_timeout,
			   entry) < 0)
		error_errno(&err, ENOMEM, "cannot start the probe");
	else if (probe->spec->ops->start(probe, &err) == 0)
		return;
	fail_start(entry, &err);
}

static bool arm_tick(struct entry *entry, int64_t due_ns)
{
	return loop_timer_set(entry->scheduler->loop, &entry->tick, due_ns, on_tick, entry) == 0;
}

static void on_tick(void *context)
{
	struct entry *entry = context;
	int64_t every = entry->probe.spec->every_ns, now = clock_now_ns(), missed;

	if (entry->in_flight && entry->timeout.due_ns <= now + TIMEOUT_FIRST_NS) {
		arm_tick(entry, entry->timeout.due_ns + 1); /* reuses its heap slot: cannot fail */
		return;
	}
	missed = (now - entry->next_ns) / every; /* the machine slept, or the loop was held up */
	entry->skipped += (uint64_t)missed + entry->in_flight;
	entry->next_ns += (missed + 1) * every;
	/* Cannot fail either: the timer that just fired left room in the heap. */
	arm_tick(entry, entry->next_ns);
	if (!entry->in_flight)
		start_attempt(entry);
}

/* A probe needs up to three descriptors at once, the usual soft limit is 1024, and there may be a
 * thousand probes. Commands are started by the launcher, which keeps its own limit. */
static void raise_descriptor_limit(unsigned count)
{
	rlim_t wanted = 256 + 4 * (rlim_t)count;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int probe_scheduler_new(const struct probe_spec *specs, unsigned count, struct loop *loop,
			struct launcher *launcher, probe_sample_fn fn, void *context,
			struct probe_scheduler **out, struct error *err)
{
	struct probe_scheduler *scheduler = calloc(1, sizeof(*scheduler));
	int result;

	if (!scheduler || !(scheduler->entries = calloc(count ? count : 1, sizeof(struct entry)))) {
		free(scheduler);
		return error_errno(err, ENOMEM, "cannot prepare %u probes", count);
	}
	scheduler->loop = loop;
	scheduler->count = count;
	scheduler->fn = fn;
	scheduler->context = context;
	raise_descriptor_limit(count);
	for (unsigned i = 0; i < count; i++) {
		struct entry *entry = &scheduler->entries[i];

		entry->scheduler = scheduler;
		entry->probe = (struct probe){
			.spec = &specs[i],
			.loop = loop,
			.launcher = launcher,
			.index = i,
			.finish = on_finish,
			.context = entry,
		};
		if (specs[i].every_ns <= 0 || specs[i].timeout_ns <= 0)
			result = error_set(err, EINVAL, "interval and time-out must be above zero");
		else
			result = specs[i].ops->open(&entry->probe, err);
		entry->is_open = true; /* close() also follows a failed open() */
		if (result < 0) {
			error_prefix(err, "probe %s", specs[i].name);
			probe_scheduler_free(scheduler);
			return result;
		}
	}
	*out = scheduler;
	return 0;
}

static unsigned begin_together(const struct probe_scheduler *scheduler)
{
	double a_second = 0;

	for (unsigned i = 0; i < scheduler->count; i++)
		a_second +=
			(double)NSEC_PER_SEC / (double)scheduler->entries[i].probe.spec->every_ns;
	return a_second < MANY_A_SECOND ? 1 : TOGETHER;
}

int probe_scheduler_start(struct probe_scheduler *scheduler, struct error *err)
{
	const unsigned together = begin_together(scheduler);
	int64_t now = clock_now_ns();

	for (unsigned i = 0; i < scheduler->count; i++) {
		struct entry *entry = &scheduler->entries[i];
		int64_t every = entry->probe.spec->every_ns;
		int64_t spread = every < SPREAD_MAX_NS ? every : SPREAD_MAX_NS;

		entry->next_ns = now + spread * (i - i % together) / scheduler->count;
		if (!arm_tick(entry, entry->next_ns)) {
			probe_scheduler_stop(scheduler);
			return error_errno(err, ENOMEM, "cannot start the probes");
		}
	}
	return 0;
}

void probe_scheduler_stop(struct probe_scheduler *scheduler)
{
	for (unsigned i = 0; i < scheduler->count; i++) {
		struct entry *entry = &scheduler->entries[i];

		loop_timer_cancel(scheduler->loop, &entry->tick);
		loop_timer_cancel(scheduler->loop, &entry->timeout);
		if (!entry->in_flight)
			continue;
		entry->in_flight = false;
		entry->probe.spec->ops->cancel(&entry->probe);
	}
}

uint64_t probe_scheduler_skipped(const struct probe_scheduler *scheduler, unsigned probe)
{
	return scheduler->entries[probe].skipped;
}

void probe_scheduler_free(struct probe_scheduler *scheduler)
{
	if (!scheduler)
		return;
	probe_scheduler_stop(scheduler);
	for (unsigned i = 0; i < scheduler->count; i++)
		if (scheduler->entries[i].is_open)
			scheduler->entries[i].probe.spec->ops->close(&scheduler->entries[i].probe);
	free(scheduler->entries);
	free(scheduler);
}
