/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The worst applies, in this order:
 *
 *   6  something is left on the machine: somebody must act, whatever else is true
 *   2  refused, or the first injection failed: nothing was done, so nothing can be said
 *   3  an abort condition fired: harm was seen. Before 4: that somebody also pressed Ctrl-C in the
 * same moment does not make the harm unseen 4  stopped from outside, or a later injection failed:
 * the method did not run to its end, so the hypothesis is open, and a probe that had already
 * deviated is named in the sentence 5  not in steady state before: nothing was injected 1  the
 * hypothesis failed: a probe deviated, a fault did not bite, recovery was too slow, or the command
 * of `run -- COMMAND` failed 0  none of these
 */
#include "injector/run/verdict.h"

#include "injector/base/quantity.h"

#include <stdio.h>
#include <string.h>

const char *const verdict_names[] = {
	[VERDICT_HELD] = "held",
	[VERDICT_FAILED] = "failed",
	[VERDICT_REFUSED] = "refused",
	[VERDICT_ABORTED] = "aborted",
	[VERDICT_INTERRUPTED] = "interrupted",
	[VERDICT_NOT_STEADY] = "not-steady",
	[VERDICT_NOT_RESTORED] = "not-restored",
};

static unsigned count_steps(const struct run_result *result,
			    bool (*is)(const struct run_result *result, unsigned step))
{
	unsigned count = 0;

	for (unsigned i = 0; i < result->experiment->step_count; i++)
		count += is(result, i);
	return count;
}

static bool was_injected(const struct run_result *result, unsigned step)
{
	return result->steps[step].was_injected;
}

/* The first step for which `is` holds, as people know it; "" when there is none. */
static const char *first_step(const struct run_result *result,
			      bool (*is)(const struct run_result *result, unsigned step))
{
	for (unsigned i = 0; i < result->experiment->step_count; i++)
		if (is(result, i))
			return result->steps[i].text;
	return "";
}

static bool is_left(const struct run_result *result, char *why, size_t size)
{
	unsigned told = result->left_count + result->left_lost;
	unsigned unproven = count_steps(result, result_is_unrestored);

	if (told)
		snprintf(why, size, "%u change%s could not be undone; see below",
			 told > unproven ? told : unproven, told > 1 || unproven > 1 ? "s" : "");
	else if (unproven)
		snprintf(why, size,
			 "%u fault%s ended without proof that everything is undone (%s); "
			 "run 'squall restore'",
			 unproven, unproven == 1 ? "" : "s",
			 first_step(result, result_is_unrestored));
	return told || unproven;
}

static bool is_judged_by_attempts(const struct run_result *result, unsigned probe)
{
	return result_is_required(result, probe) &&
	       !expectation_has_probe(result->experiment, probe);
}

/* "alarm did not see it within 30s" */
static bool is_unexpected(const struct run_result *result, char *why, size_t size)
{
	unsigned unmet = 0, first = 0;

	for (unsigned i = 0; i < result->experiment->expectation_count; i++)
		if (!result->expectations[i].is_met && !unmet++)
			first = i;
	if (unmet)
		snprintf(why, size, "%s%s", result->expectations[first].text,
			 unmet > 1 ? "; and other expectations were not met" : "");
	return unmet > 0;
}

/* "checkout failed 12 of 340 attempts during the faults (status 503)" */
static bool deviates(const struct run_result *result, char *why, size_t size)
{
	const struct experiment *experiment = result->experiment;
	unsigned others = 0, worst = 0, worst_bad = 0;
	size_t used;

	for (unsigned i = 0; i < experiment->probe_count; i++) {
		const struct probe_window *during = &result->probes[i][WINDOW_DURING];
		unsigned bad = during->failed + during->unknown;

		if (!is_judged_by_attempts(result, i) || !bad)
			continue;
		others += worst_bad > 0;
		if (bad > worst_bad) {
			worst = i;
			worst_bad = bad;
		}
	}
	if (!worst_bad)
		return false;
	snprintf(why, size, "probe %s %s %u of %u attempts during the faults",
		 experiment->probes[worst].name,
		 result->probes[worst][WINDOW_DURING].failed ? "failed" : "could not be made in",
		 worst_bad, result->probes[worst][WINDOW_DURING].attempts);
	used = strlen(why);
	if (result->last_reasons[worst][0])
		used += (size_t)snprintf(why + used, size - used, " (%s)",
					 result->last_reasons[worst]);
	if (others && used < size)
		snprintf(why + used, size - used, "; so did %u other probe%s", others,
			 others == 1 ? "" : "s");
	return true;
}

/* A probe that was never asked while the faults lasted says nothing about the hypothesis. */
static bool is_unasked(const struct run_result *result, char *why, size_t size)
{
	const struct experiment *experiment = result->experiment;
	bool lasting = false;

	for (unsigned i = 0; i < experiment->step_count; i++)
		lasting |= result->steps[i].was_injected && !run_is_instant(experiment, i);
	for (unsigned i = 0; i < experiment->probe_count; i++) {
		unsigned during = result->probes[i][WINDOW_DURING].attempts;
		unsigned after = result->probes[i][WINDOW_AFTER].attempts;

		if (!is_judged_by_attempts(result, i) || during || (!lasting && after))
			continue;
		snprintf(why, size,
			 "probe %s made no attempt during the faults: they were shorter than its "
			 "interval (set a shorter 'every')",
			 experiment->probes[i].name);
		return true;
	}
	return false;
}

static bool is_idle(const struct run_result *result, char *why, size_t size)
{
	unsigned idle = count_steps(result, result_is_idle);

	if (count_steps(result, was_injected) == 0) {
		snprintf(why, size, "no fault was injected");
		return true;
	}
	if (idle == 1)
		snprintf(why, size, "a fault did not bite: %s; nothing was hit",
			 first_step(result, result_is_idle));
	else if (idle)
		snprintf(why, size,
			 "%u faults did not bite, the first of them: %s; nothing was hit", idle,
			 first_step(result, result_is_idle));
	return idle > 0;
}

static bool is_slow(const struct run_result *result, char *why, size_t size)
{
	char within[QUANTITY_TEXT_SIZE];

	if (!result->experiment->recovery.count || result->is_recovered)
		return false;
	snprintf(why, size, "not recovered within %s%s%s",
		 quantity_format_duration(result->experiment->recovery.within_ns, within),
		 result->recovery[0] ? ": " : "", result->recovery);
	return true;
}

static bool has_failed(const struct run_result *result, bool allow_idle, char *why, size_t size)
{
	if (deviates(result, why, size) || is_unexpected(result, why, size) ||
	    is_slow(result, why, size))
		return true;
	if (result->command_status > 0) {
		if (result->command_end[0])
			snprintf(why, size, "the command failed: %s", result->command_end);
		else
			snprintf(why, size, "the command failed with status %d",
				 result->command_status);
		return true;
	}
	return (!allow_idle && is_idle(result, why, size)) || is_unasked(result, why, size);
}

/* What ended the run early; VERDICT_HELD when nothing did. */
static enum verdict stopped(const struct run_result *result, char *why, size_t size)
{
	unsigned injected = count_steps(result, was_injected);
	const char *reason =
		result->stop_reason[0] ? result->stop_reason : stop_cause_names[result->stop_cause];
	char deviation[256];

	if (result->stop_cause == STOP_REFUSED ||
	    (result->stop_cause == STOP_INJECT_FAILED && !injected)) {
		snprintf(why, size, "%s; nothing was injected", reason);
		return VERDICT_REFUSED;
	}
	if (result->breach[0] || result->stop_cause == STOP_BREACH) {
		snprintf(why, size, "an abort condition fired: %s",
			 result->breach[0] ? result->breach : reason);
		return VERDICT_ABORTED;
	}
	if (result->stop_cause == STOP_NOT_STEADY) {
		snprintf(why, size, "not in steady state before: %s; nothing was injected", reason);
		return VERDICT_NOT_STEADY;
	}
	if (result->stop_cause == STOP_NONE)
		return VERDICT_HELD;
	if (!injected)
		snprintf(why, size, "%s; nothing was injected", reason);
	else if (deviates(result, deviation, sizeof(deviation)))
		snprintf(why, size, "%s; until then, %s", reason, deviation);
	else
		snprintf(why, size, "%s", reason);
	return VERDICT_INTERRUPTED;
}

static void say_held(const struct run_result *result, char *why, size_t size)
{
	unsigned required = 0, injected = count_steps(result, was_injected);
	unsigned idle = count_steps(result, result_is_idle);
	bool lasting = false;
	char took[QUANTITY_TEXT_SIZE];
	size_t used;

	for (unsigned i = 0; i < result->experiment->probe_count; i++)
		required += is_judged_by_attempts(result, i);
	for (unsigned i = 0; i < result->experiment->step_count; i++)
		lasting |= was_injected(result, i) && !run_is_instant(result->experiment, i);
	if (!injected)
		snprintf(why, size, "no fault was injected");
	else if (!required && result->experiment->expectation_count)
		snprintf(why, size, "everything expected was seen");
	else if (!required)
		snprintf(why, size, "%u fault%s injected%s; no probe watched%s", injected,
			 injected == 1 ? "" : "s", lasting ? " and undone" : "",
			 idle == injected ? ", and nothing was hit"
			 : idle		  ? ", and not every fault hit something"
					  : "");
	else
		snprintf(why, size, "every attempt passed during the faults%s",
			 result->experiment->expectation_count ? ", and all else was as expected"
							       : "");
	used = strlen(why);
	if (result->is_recovered && result->recovery_ns >= 0 && used < size)
		snprintf(why + used, size - used, "; recovered in %s",
			 quantity_format_latency(result->recovery_ns, took));
}

enum verdict verdict_decide(const struct run_result *result, bool allow_idle, char *out_why,
			    size_t size)
{
	enum verdict verdict;

	if (is_left(result, out_why, size))
		return VERDICT_NOT_RESTORED;
	verdict = stopped(result, out_why, size);
	if (verdict != VERDICT_HELD)
		return verdict;
	if (has_failed(result, allow_idle, out_why, size))
		return VERDICT_FAILED;
	say_held(result, out_why, size);
	return VERDICT_HELD;
}
