/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/report/explain.h"

#include "faults/target_follow.h"
#include "faults/target_group.h"
#include "injector/base/cleanup.h"
#include "injector/base/quantity.h"
#include "injector/experiment/format.h"
#include "injector/run/expectation.h"
#include "injector/view/words.h"

#include <string.h>

#define INDENT 2

static void put_heading(struct page *page, const char *text)
{
	page_line(page);
	page_wrap(page, TONE_TITLE, 0, "%s", text);
}

/* "checkout", "checkout and search", "a, b and c": of the probes named. */
static char *names_of(const struct experiment *experiment, const unsigned *probes, unsigned count)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (unsigned i = 0; i < count; i++)
		fprintf(out, "%s%s",
			!i		? ""
			: i + 1 < count ? ", "
					: " and ",
			experiment->probes[probes[i]].name);
	return fclose(out) == 0 ? text : NULL;
}

static void put_probe(struct page *page, const struct probe_spec *probe)
{
	char every[QUANTITY_TEXT_SIZE], timeout[QUANTITY_TEXT_SIZE];
	cleanup_free char *text = NULL;
	unsigned told = 0;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	fputs("asks", out);
	/* a URL says it already */
	if (!probe->subject_count || !strstr(probe->subject[0], "://"))
		fprintf(out, " %s", probe->ops->name);
	for (unsigned i = 0; i < probe->subject_count; i++)
		fprintf(out, " %s", probe->subject[i]);
	fprintf(out, " every %s and waits %s at most",
		quantity_format_duration(probe->every_ns, every),
		quantity_format_duration(probe->timeout_ns, timeout));
	for (unsigned i = 0; probe->expect.settings && i < probe->expect.count; i++)
		if (params_is_set(&probe->expect, i))
			fprintf(out, "%s %s %s", told++ ? "," : "; it is well with",
				probe->expect.table[i].name, params_text(&probe->expect, i));
	if (fclose(out) != 0)
		return;
	page_tab(page, INDENT);
	page_put(page, TONE_FAULT, "%s", probe->name);
	page_put(page, TONE_NORMAL, "  ");
	page_wrap(page, TONE_NORMAL, INDENT + 2, "%s", text);
}

/* "checkout and search must pass for 10s. cart must pass for 1m.": each has its own time. */
static void put_steady(struct page *page, const struct experiment *experiment)
{
	const struct experiment_requirement *steady = &experiment->steady_state;
	unsigned same[EXPERIMENT_MAX_PROBES];
	char time[QUANTITY_TEXT_SIZE];

	for (unsigned i = 0; i < steady->count; i++) {
		cleanup_free char *names = NULL;
		unsigned count = 0;
		bool is_told = false;

		for (unsigned j = 0; j < steady->count; j++)
			if (steady->each_ns[j] == steady->each_ns[i]) {
				is_told |= j < i;
				same[count++] = steady->probes[j];
			}
		if (is_told)
			continue;
		names = names_of(experiment, same, count);
		page_tab(page, INDENT);
		page_wrap(page, TONE_NORMAL, INDENT, "%s must pass for %s.", names ? names : "",
			  quantity_format_duration(steady->each_ns[i], time));
	}
	page_tab(page, INDENT);
	if (steady->within_ns)
		page_wrap(page, TONE_NORMAL, INDENT,
			  "That may take %s to begin. Otherwise nothing is injected (exit code 5).",
			  quantity_format_duration(steady->within_ns, time));
	else
		page_wrap(page, TONE_NORMAL, INDENT,
			  "Otherwise nothing is injected (exit code 5).");
}

static void put_before(struct page *page, const struct experiment *experiment)
{
	const struct experiment_requirement *first = &experiment->require_before;
	cleanup_free char *names = names_of(experiment, first->probes, first->count);

	put_heading(page, "Before");
	if (first->count) {
		page_tab(page, INDENT);
		page_wrap(page, TONE_NORMAL, INDENT,
			  "The first attempt of %s must pass, or it is refused (exit code 2).",
			  names ? names : "");
	}
	if (experiment->steady_state.count) {
		put_steady(page, experiment);
		return;
	}
	page_tab(page, INDENT);
	page_wrap(page, TONE_WARNING, INDENT,
		  "Nothing is asked first: the faults come whether the system is well or not.");
}

static void put_replay(struct page *page, const struct experiment *experiment)
{
	if (experiment->time_scale > 1) {
		page_tab(page, INDENT);
		page_wrap(page, TONE_NORMAL, INDENT,
			  "The times of the file are divided by %lld (time-scale).",
			  (long long)experiment->time_scale);
	}
	if (experiment->source) {
		page_tab(page, INDENT);
		page_wrap(page, TONE_NORMAL, INDENT, "As told in %s", experiment->source);
	}
}

static void put_followed(struct page *page, const struct experiment *experiment,
			 const struct experiment_step *step)
{
	const unsigned target = step->target;
	const struct params *params = &experiment->targets[target].params;

	if (experiment->targets[target].kind == TARGET_PROCESS && target_follows_groups(params)) {
		page_tab(page, INDENT + 7);
		page_wrap(page, TONE_NORMAL, INDENT + 7,
			  "When its control group was made again (by a restart), it is affected "
			  "again.");
	}
	if (experiment->targets[target].kind != TARGET_TRAFFIC || !target_follows(params))
		return;
	if (target_follows_names(params)) {
		page_tab(page, INDENT + 7);
		page_wrap(page, TONE_NORMAL, INDENT + 7,
			  "Its names are looked up again every %s, and it moves with their "
			  "addresses.",
			  params_text(params, TRAFFIC_FOLLOW_EVERY));
	}
	if (target_follows_groups(params)) {
		page_tab(page, INDENT + 7);
		page_wrap(
			page, TONE_NORMAL, INDENT + 7,
			params_is_set(params, TRAFFIC_CONTAINER)
				? "When the container was restarted in the same network namespace "
				  "(that of the machine, of a pod), it is affected again; in "
				  "another one, the run ends."
			: params_is_set(params, TRAFFIC_UNIT)
				? "When the unit was restarted, it is affected again."
				: "When the control group was restarted, it is affected again.");
	}
	if (target_follows_routes(params) && step->ops->needs_no_interface)
		return; /* it is met wherever they lead */
	if (target_follows_interfaces(params)) {
		page_tab(page, INDENT + 7);
		page_wrap(page, TONE_NORMAL, INDENT + 7,
			  target_follows_routes(params)
				  ? "When the routes to it lead by another interface, it moves "
				    "there."
				  : "Interfaces that appear meanwhile are affected as well; those "
				    "that go are let go.");
	}
}

/* What whoever uses the target feels; nothing where nothing is to be said beyond the summary. */
static void explain_effect(const struct experiment *experiment, const struct experiment_step *step,
			   char *out, size_t size)
{
	const struct experiment_target *target =
		step->target < experiment->target_count ? &experiment->targets[step->target] : NULL;
	size_t used;

	out[0] = '\0';
	if (target && target->kind == TARGET_TRAFFIC) {
		target_explain_share(&target->params, out, size);
		used = strlen(out);
		if (target_explain_tcp_flags(&target->params, out + used, size - used))
			return;
	}
	used = strlen(out);
	if (step->ops->explain)
		step->ops->explain(&step->params, out + used, size - used);
	used = strlen(out);
	if (step->ops->explain_target && target)
		step->ops->explain_target(&target->params, out + used, size - used);
}

/* A ramp that never comes to what was said. */
static void put_reach(struct page *page, const struct shape *shape)
{
	const int64_t most_ppb = shape->from_ppb > shape->to_ppb ? shape->from_ppb : shape->to_ppb;
	char text[QUANTITY_TEXT_SIZE];

	if (!shape->over_ns || most_ppb >= SHARE_ONE)
		return;
	page_tab(page, INDENT + 7);
	page_wrap(page, TONE_NORMAL, INDENT + 7, "The ramp goes no further than %s of that.",
		  quantity_format_share(most_ppb, text));
}

static void put_step(struct page *page, const struct experiment *experiment, unsigned index)
{
	const struct experiment_step *step = &experiment->steps[index];
	char at[32], lasts[QUANTITY_TEXT_SIZE], what[300], shape[200], feels[2048] = "";

	experiment_describe_step(experiment, index, what, sizeof(what));
	shape_describe(&step->shape, shape, sizeof(shape));
	page_tab(page, INDENT);
	page_put(page, TONE_TITLE, "%s", words_of_clock(step->at_ns, at, sizeof(at)));
	page_tab(page, INDENT + 7);
	if (step->for_ns)
		page_wrap(page, TONE_FAULT, INDENT + 7, "%s, for %s%s", what,
			  quantity_format_duration(step->for_ns, lasts),
			  strstr(what, shape) ? "" : shape);
	else
		page_wrap(page, TONE_FAULT, INDENT + 7, "%s", what);
	explain_effect(experiment, step, feels, sizeof(feels));
	page_tab(page, INDENT + 7);
	page_wrap(page, TONE_NORMAL, INDENT + 7, "%s", feels[0] ? feels : step->ops->summary);
	put_reach(page, &step->shape);
	if (step->ops->target_kind != TARGET_NONE)
		put_followed(page, experiment, step);
}

static void put_aborts(struct page *page, const struct experiment *experiment)
{
	put_heading(page, "It is stopped at once, and everything restored, when");
	for (unsigned i = 0; i < experiment->abort_count; i++) {
		const struct experiment_abort *abort = &experiment->aborts[i];
		const char *name = experiment->probes[abort->probe].name;
		char share[QUANTITY_TEXT_SIZE], over[QUANTITY_TEXT_SIZE];

		page_tab(page, INDENT);
		if (abort->fails)
			page_wrap(page, TONE_NORMAL, INDENT,
				  "- %s does not pass %u time%s in a row", name, abort->fails,
				  abort->fails == 1 ? "" : "s");
		else
			page_wrap(page, TONE_NORMAL, INDENT,
				  "- %s of the attempts of %s within %s do not pass",
				  quantity_format_share(abort->share_ppb, share), name,
				  quantity_format_duration(abort->over_ns, over));
	}
	page_tab(page, INDENT);
	page_wrap(page, TONE_NORMAL, INDENT,
		  "- somebody says so (Ctrl-C, squall stop, squall halt), or a process of squall "
		  "dies");
}

static void put_after(struct page *page, const struct experiment *experiment)
{
	const struct experiment_requirement *recovery = &experiment->recovery;
	cleanup_free char *names = names_of(experiment, recovery->probes, recovery->count);
	char within[QUANTITY_TEXT_SIZE], duration[QUANTITY_TEXT_SIZE];
	char hold[QUANTITY_TEXT_SIZE];

	put_heading(page, "Afterwards");
	page_tab(page, INDENT);
	page_wrap(page, TONE_NORMAL, INDENT,
		  "Everything is undone and read back from the kernel, whatever happened.");
	if (recovery->count) {
		page_tab(page, INDENT);
		page_wrap(page, TONE_NORMAL, INDENT,
			  "%s must pass again within %s%s%s; how long that took is measured.",
			  names ? names : "", quantity_format_duration(recovery->within_ns, within),
			  recovery->for_ns ? ", and go on for " : "",
			  recovery->for_ns ? quantity_format_duration(recovery->for_ns, hold) : "");
	}
	page_tab(page, INDENT);
	page_wrap(page, TONE_NORMAL, INDENT,
		  "At the latest after %s all is over, and no more than %u thing%s %s touched.",
		  quantity_format_duration(experiment->limits.duration_ns, duration),
		  experiment->limits.targets, experiment->limits.targets == 1 ? "" : "s",
		  experiment->limits.targets == 1 ? "is" : "are");
}

static void put_expectations(struct page *page, const struct experiment *experiment)
{
	for (unsigned i = 0; i < experiment->expectation_count; i++) {
		const struct experiment_expectation *want = &experiment->expectations[i];
		const char *probe = experiment->probes[want->probe].name;
		const char *step = want->step >= 0 ? experiment->steps[want->step].name : NULL;
		const char *of = step ? " of " : "", *name = step ? step : "";
		char text[QUANTITY_TEXT_SIZE];

		page_tab(page, INDENT);
		if (want->kind == EXPECTATION_DETECTED)
			page_wrap(page, TONE_NORMAL, INDENT,
				  "- %s sees it: fails within %s after the beginning%s%s", probe,
				  quantity_format_duration(want->within_ns, text), of, name);
		else if (want->kind == EXPECTATION_HOLDS)
			page_wrap(page, TONE_NORMAL, INDENT,
				  "- %s of the attempts of %s pass during the faults%s%s",
				  quantity_format_share(want->share_ppb, text), probe, of, name);
		else
			page_wrap(page, TONE_NORMAL, INDENT,
				  "- %s passes during the faults%s%s, and %s may fail",
				  experiment->probes[want->fallback].name, of, name, probe);
	}
}

/* What is judged by each of its attempts: what must be steady before, or else every probe, but for
 * those of which something else is expected. */
static char *names_of_judged(const struct experiment *experiment)
{
	const struct experiment_requirement *steady = &experiment->steady_state;
	unsigned judged[EXPERIMENT_MAX_PROBES], count = 0;

	for (unsigned i = 0; i < steady->count; i++)
		if (!expectation_has_probe(experiment, steady->probes[i]))
			judged[count++] = steady->probes[i];
	if (!steady->count)
		return strdup(experiment->expectation_count ? "any other probe" : "any probe");
	return count ? names_of(experiment, judged, count) : NULL;
}

static void put_verdict(struct page *page, const struct experiment *experiment)
{
	cleanup_free char *names = names_of_judged(experiment);

	put_heading(page, "It holds when");
	put_expectations(page, experiment);
	page_tab(page, INDENT);
	if (!experiment->probe_count) {
		page_wrap(page, TONE_WARNING, INDENT,
			  "Nobody watches: there is no probe, so it can only be done, not held.");
		return;
	}
	page_wrap(page, TONE_NORMAL, INDENT, "%s%s%s%severything is restored%s%s.",
		  experiment->expectation_count ? "- " : "", names ? "no attempt of " : "",
		  names ? names : "", names ? " fails while the faults last, " : "",
		  experiment->recovery.count ? ", recovery is in time" : "",
		  experiment->allow_idle ? "" : ", and every fault has hit something");
}

static void put_notifications(struct page *page, const struct experiment *experiment)
{
	if (!experiment->notification_count)
		return;
	put_heading(page, "Meanwhile others are told");
	for (unsigned i = 0; i < experiment->notification_count; i++) {
		const struct experiment_notification *one = &experiment->notifications[i];
		const char *name = format_notify[NOTIFY_PARAM_WEBHOOK + one->kind].name;
		char moments[100] = "";

		for (unsigned at = 0; format_notify_moments[at]; at++)
			if (one->moments & 1U << at)
				snprintf(moments + strlen(moments),
					 sizeof(moments) - strlen(moments), "%s%s",
					 moments[0] ? ", " : "", format_notify_moments[at]);
		page_tab(page, INDENT);
		/* the address of a webhook may be a secret */
		page_wrap(page, TONE_NORMAL, INDENT, "- %s%s%s: %s", name,
			  one->kind == NOTIFY_WEBHOOK ? "" : " ",
			  one->kind == NOTIFY_WEBHOOK
				  ? ""
				  : params_text(&one->params, NOTIFY_PARAM_WEBHOOK + one->kind),
			  moments);
	}
}

void explain_experiment(const struct experiment *experiment, struct page *page)
{
	page_wrap(page, TONE_TITLE, 0, "%s", experiment->title ? experiment->title : "");
	if (experiment->hypothesis)
		page_wrap(page, TONE_NORMAL, 0, "%s", experiment->hypothesis);
	if (experiment->probe_count) {
		put_heading(page, "What tells whether it is well");
		for (unsigned i = 0; i < experiment->probe_count; i++)
			put_probe(page, &experiment->probes[i]);
	}
	put_before(page, experiment);
	put_heading(page, "Then");
	put_replay(page, experiment);
	for (unsigned i = 0; i < experiment->step_count; i++)
		put_step(page, experiment, i);
	put_aborts(page, experiment);
	put_after(page, experiment);
	put_notifications(page, experiment);
	put_verdict(page, experiment);
}
