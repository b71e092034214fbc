/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/run/metrics.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define EVERY_NS (5 * NSEC_PER_SEC)
#define SOON_NS	 (100 * NSEC_PER_MSEC)
#define PROBE_ROOM                                                                                 \
	100 /* bytes of a probe's lines beside its name, which is at most 64, escaped twice that   \
	     */

struct latest {
	bool is_seen;
	enum probe_result result;
	int64_t latency_ns;
};

struct metrics {
	const struct run_result *result;
	struct loop *loop;
	const struct file_writer *writers;
	unsigned writer_count;
	enum run_phase phase;
	bool is_over;
	int64_t ended_wall_ns;
	struct latest *latest; /* by probe */
	struct loop_timer timer;
};

/* prometheus.io/docs/instrumenting/exposition_formats: \ " and line feeds are escaped. */
static void put_label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fputc('\\', out);
		fputc((unsigned char)*value < ' ' ? ' ' : *value, out);
	}
	fputc('"', out);
}

static void put_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP squall_%s %s\n# TYPE squall_%s %s\n", name, help, name, type);
}

static void put_run(FILE *out, const struct metrics *metrics)
{
	const struct run_result *result = metrics->result;

	put_head(out, "run_info", "gauge", "The run that these are about, always 1");
	fputs("squall_run_info{", out);
	put_label(out, "run", result->run_id);
	fputc(',', out);
	put_label(out, "title", result->experiment->title ? result->experiment->title : "");
	fputs("} 1\n", out);
	put_head(out, "run_active", "gauge", "1 while the run lasts");
	fprintf(out, "squall_run_active %d\n", !metrics->is_over);
	put_head(out, "run_died", "gauge",
		 "1 when the run was killed; this was then set right by another process");
	fputs("squall_run_died 0\n", out);
	put_head(out, "last_update_time_seconds", "gauge",
		 "When this file was written, since 1970; every 5 seconds while the run lasts");
	fprintf(out, "squall_last_update_time_seconds %.3f\n",
		(double)clock_wall_ns() / (double)NSEC_PER_SEC);
	put_head(out, "run_phase", "gauge", "1 for the phase that the run is in");
	for (unsigned i = 0; i < PHASE_COUNT; i++)
		fprintf(out, "squall_run_phase{phase=\"%s\"} %d\n", run_phase_names[i],
			i == (unsigned)metrics->phase);
	put_head(out, "run_start_time_seconds", "gauge", "When the run began, since 1970");
	fprintf(out, "squall_run_start_time_seconds %.3f\n",
		(double)result->started_wall_ns / (double)NSEC_PER_SEC);
	if (!metrics->is_over)
		return;
	put_head(out, "run_end_time_seconds", "gauge", "When the run was over, since 1970");
	fprintf(out, "squall_run_end_time_seconds %.3f\n",
		(double)metrics->ended_wall_ns / (double)NSEC_PER_SEC);
	put_head(out, "run_exit_code", "gauge", "Its exit code: 0 held, 1 failed, 3 aborted, ...");
	fprintf(out, "squall_run_exit_code %d\n", (int)result->verdict);
}

static bool is_active(const struct metrics *metrics, unsigned step)
{
	const struct step_result *at = &metrics->result->steps[step];

	return at->was_injected && !at->ended_ns &&
	       !run_is_instant(metrics->result->experiment, step);
}

static void put_step(FILE *out, const struct metrics *metrics, const char *name, unsigned step,
		     unsigned value)
{
	fprintf(out, "squall_%s{step=\"%u\",", name, step + 1);
	put_label(out, "fault", metrics->result->experiment->steps[step].ops->name);
	fputc(',', out);
	put_label(out, "text", metrics->result->steps[step].text);
	fprintf(out, "} %u\n", value);
}

static void put_faults(FILE *out, const struct metrics *metrics)
{
	const struct run_result *result = metrics->result;
	unsigned count = result->experiment->step_count;
	bool is_restored = !result->left_count && !result->left_lost;

	put_head(out, "fault_active", "gauge", "1 while the fault is in force");
	for (unsigned i = 0; i < count; i++)
		put_step(out, metrics, "fault_active", i, is_active(metrics, i));
	put_head(out, "fault_injections_total", "counter", "How often it was injected");
	for (unsigned i = 0; i < count; i++) {
		put_step(out, metrics, "fault_injections_total", i, result->steps[i].injections);
		is_restored &= !result_is_unrestored(result, i);
	}
	put_head(out, "restored", "gauge",
		 "1 when everything that was injected is undone and read back");
	fprintf(out, "squall_restored %d\n", is_restored);
	if (result->stop_latency_ns >= 0) {
		put_head(out, "stop_latency_seconds", "gauge",
			 "From the reason to stop until all faults were out of force");
		fprintf(out, "squall_stop_latency_seconds %.6f\n",
			(double)result->stop_latency_ns / (double)NSEC_PER_SEC);
	}
	if (result->recovery_ns >= 0) {
		put_head(out, "recovery_seconds", "gauge",
			 "From the last effect until the required probes passed again");
		fprintf(out, "squall_recovery_seconds %.6f\n",
			(double)result->recovery_ns / (double)NSEC_PER_SEC);
	}
}

static unsigned attempts(const struct metrics *metrics, unsigned probe, enum probe_result which)
{
	unsigned sum = 0;

	for (unsigned w = 0; w < WINDOW_COUNT; w++) {
		const struct probe_window *window = &metrics->result->probes[probe][w];

		sum += which == PROBE_PASS   ? window->passed
		       : which == PROBE_FAIL ? window->failed
					     : window->unknown;
	}
	return sum;
}

static void put_probe(FILE *out, const char *name, const struct probe_spec *spec, const char *more)
{
	fprintf(out, "squall_%s{", name);
	put_label(out, "probe", spec->name);
	fprintf(out, "%s} ", more);
}

static void put_probes(FILE *out, const struct metrics *metrics)
{
	const struct experiment *experiment = metrics->result->experiment;
	unsigned most = FILE_WRITER_MAX / 2 / (5 * (PROBE_ROOM + 128)),
		 count = experiment->probe_count;

	put_head(out, "probes_left_out", "gauge", "Probes that found no room in this file");
	fprintf(out, "squall_probes_left_out %u\n", count > most ? count - most : 0);
	count = count < most ? count : most;
	put_head(out, "probe_up", "gauge", "1 the last attempt passed, 0 it did not");
	for (unsigned i = 0; i < count; i++) {
		if (!metrics->latest[i].is_seen)
			continue;
		put_probe(out, "probe_up", &experiment->probes[i], "");
		fprintf(out, "%d\n", metrics->latest[i].result == PROBE_PASS);
	}
	put_head(out, "probe_latency_seconds", "gauge", "Of the last attempt that was answered");
	for (unsigned i = 0; i < count; i++) {
		if (metrics->latest[i].latency_ns <= 0)
			continue;
		put_probe(out, "probe_latency_seconds", &experiment->probes[i], "");
		fprintf(out, "%.6f\n",
			(double)metrics->latest[i].latency_ns / (double)NSEC_PER_SEC);
	}
	put_head(out, "probe_attempts_total", "counter", "Attempts by their result");
	for (unsigned i = 0; i < count; i++)
		for (unsigned which = PROBE_PASS; which <= PROBE_UNKNOWN; which++) {
			char more[40];

			snprintf(more, sizeof(more), ",result=\"%s\"", probe_result_names[which]);
			put_probe(out, "probe_attempts_total", &experiment->probes[i], more);
			fprintf(out, "%u\n", attempts(metrics, i, (enum probe_result)which));
		}
}

char *metrics_text(const struct metrics *metrics, size_t *out_length)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, out_length);

	if (!out)
		return NULL;
	put_run(out, metrics);
	put_faults(out, metrics);
	put_probes(out, metrics);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static void on_timer(void *context);

static void schedule(struct metrics *metrics, int64_t delay_ns)
{
	int64_t due_ns = clock_now_ns() + delay_ns;

	if (!metrics->timer.heap_index || metrics->timer.due_ns > due_ns)
		loop_timer_set(metrics->loop, &metrics->timer, due_ns, on_timer, metrics);
}

static void write_all(struct metrics *metrics)
{
	size_t length = 0;
	cleanup_free char *text = metrics_text(metrics, &length);

	for (unsigned i = 0; text && length <= FILE_WRITER_MAX && i < metrics->writer_count; i++)
		file_writer_put(&metrics->writers[i], text, length);
}

static void on_timer(void *context)
{
	struct metrics *metrics = context;

	write_all(metrics);
	schedule(metrics, EVERY_NS);
}

static void on_event(void *context, const struct event *event)
{
	struct metrics *metrics = context;
	struct latest *latest;

	metrics->phase = event->phase;
	switch (event->kind) {
	case EVENT_SAMPLE:
		if (!event->sample || event->probe >= metrics->result->experiment->probe_count)
			break;
		latest = &metrics->latest[event->probe];
		latest->is_seen = true;
		latest->result = event->sample->result;
		if (event->sample->latency_ns > 0)
			latest->latency_ns = event->sample->latency_ns;
		break;
	case EVENT_ARMED:
	case EVENT_INJECTED:
	case EVENT_ENDED:
	case EVENT_RESTORED:
	case EVENT_STOPPED:
	case EVENT_PHASE:
		if (metrics->result->run_id[0]) /* nothing is told of a plan that is refused */
			schedule(metrics, SOON_NS);
		break;
	case EVENT_RESULT:
		metrics->is_over = true;
		metrics->ended_wall_ns = clock_wall_ns();
		loop_timer_cancel(metrics->loop, &metrics->timer);
		write_all(metrics);
		break;
	default:
		break;
	}
}

struct event_listener metrics_listener(struct metrics *metrics)
{
	return (struct event_listener){.fn = on_event, .context = metrics};
}

int metrics_new(const struct run_result *result, struct loop *loop,
		const struct file_writer *writers, unsigned writer_count, struct metrics **out,
		struct error *err)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));

	if (!metrics || !(metrics->latest = calloc(result->experiment->probe_count + 1UL,
						   sizeof(*metrics->latest)))) {
		free(metrics);
		return error_errno(err, ENOMEM, "cannot keep metrics");
	}
	metrics->result = result;
	metrics->loop = loop;
	metrics->writers = writers;
	metrics->writer_count = writer_count;
	*out = metrics;
	return 0;
}

void metrics_free(struct metrics *metrics)
{
	if (!metrics)
		return;
	loop_timer_cancel(metrics->loop, &metrics->timer);
	free(metrics->latest);
	free(metrics);
}
