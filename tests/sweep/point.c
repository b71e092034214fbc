/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/point.h"

#include "tests/support/squall_runner.h"
#include "tests/sweep/world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define TRIES	  3
#define SETTLE_NS (1 * NSEC_PER_SEC)
/* The effect is gone by then, without anybody's help; of a run that goes on, by its planned end. */
#define EFFECT_NS   (1 * NSEC_PER_SEC)
#define PLANNED_NS  (4 * NSEC_PER_SEC)
#define PATIENCE_NS ((is_emulated() ? 150 : 30) * NSEC_PER_SEC)

/* A stopped worker is noticed after 0.6 seconds of silence (GUARDIAN_STOPPED_NS); behind a stopped
 * guardian the run ends as planned. */
const struct disturbance disturbances[DISTURBANCES] = {
	{.name = "kill the worker",
	 .counted = ROLE_WORKER,
	 .victims = ROLE_BIT(ROLE_WORKER),
	 .signal = SIGKILL,
	 .has_survivor = true},
	{.name = "kill the guardian",
	 .counted = ROLE_GUARDIAN,
	 .victims = ROLE_BIT(ROLE_GUARDIAN),
	 .signal = SIGKILL,
	 .has_survivor = true},
	{.name = "kill the conductor",
	 .counted = ROLE_CONDUCTOR,
	 .victims = ROLE_BIT(ROLE_CONDUCTOR),
	 .signal = SIGKILL,
	 .has_survivor = true},
	{.name = "kill all", .counted = ROLE_WORKER, .victims = ROLES_ALL, .signal = SIGKILL},
	{.name = "kill the worker, then the guardian at work",
	 .counted = ROLE_GUARDIAN,
	 .victims = ROLE_BIT(ROLE_GUARDIAN),
	 .signal = SIGKILL,
	 .hold_kills = ROLE_BIT(ROLE_WORKER)},
	{.name = "kill all, then squall restore",
	 .counted = ROLE_CONDUCTOR,
	 .victims = ROLES_ALL,
	 .signal = SIGKILL,
	 .hold_kills = ROLES_ALL,
	 .kills_restore = true},
	{.name = "stop the worker",
	 .counted = ROLE_WORKER,
	 .victims = ROLE_BIT(ROLE_WORKER),
	 .signal = SIGSTOP,
	 .has_survivor = true},
	{.name = "stop the guardian",
	 .counted = ROLE_GUARDIAN,
	 .victims = ROLE_BIT(ROLE_GUARDIAN),
	 .signal = SIGSTOP,
	 .has_survivor = true,
	 .goes_on = true},
	/* asleep as long as nothing is wrong: calls of its own there are few */
	{.name = "kill the guardian asleep",
	 .counted = ROLE_WORKER,
	 .victims = ROLE_BIT(ROLE_GUARDIAN),
	 .signal = SIGKILL,
	 .has_survivor = true},
	{.name = "stop the guardian asleep",
	 .counted = ROLE_WORKER,
	 .victims = ROLE_BIT(ROLE_GUARDIAN),
	 .signal = SIGSTOP,
	 .has_survivor = true,
	 .goes_on = true},
};

struct judge {
	struct scene *scene;
	const struct disturbance *how;
	const struct trace_result *result;
	int64_t gone_ns; /* when the effect was seen to be gone; 0: not yet */
};

static bool is_effect_gone(const struct judge *judge, const struct machine_state *now)
{
	const struct machine_state *before = &judge->scene->before;

	return machine_state_is_same(before, now, STATE_HELD) &&
	       (!judge->how->has_survivor || machine_state_is_same(before, now, STATE_RECORDED)) &&
	       scene_is_traffic_well(judge->scene);
}

static bool watch(void *context)
{
	struct judge *judge = context;
	struct machine_state now;
	int64_t looked_ns;

	scene_let_link_come(judge->scene);
	scene_end_clients(judge->scene);
	looked_ns = clock_now_ns();
	machine_state_take(&now);
	if (is_effect_gone(judge, &now))
		judge->gone_ns = looked_ns;
	machine_state_free(&now);
	return !judge->gone_ns;
}

static void tell(const struct subject *subject, const struct disturbance *how, unsigned at,
		 const struct trace_result *result, const char *what, const char *detail)
{
	const char *base = strrchr(subject->experiment, '/');

	if (subject->is_quiet)
		return;
	printf("# RESIDUE %s: %s at call %u (number %d, %u faults in force): %s\n%s",
	       base ? base + 1 : subject->experiment, how->name, at, result->call, result->injected,
	       what, detail);
	printf("#   squall said:\n%s\n", result->out);
}

int point_restore(struct scene *scene, const char *program, struct trace_plan plan,
		  struct trace_result *out)
{
	char binary[512];
	char *words[] = {binary, (char[]){"restore"}, NULL};

	snprintf(binary, sizeof(binary), "%s", program);
	plan.words = words;
	plan.network = scene->lab->near_fd;
	plan.counted = ROLE_CONDUCTOR;
	plan.patience_ns = PATIENCE_NS;
	trace_run(&plan, out);
	return WIFEXITED(out->status) ? WEXITSTATUS(out->status) : 128;
}

/* A worker that is stopped before its guardian is born, or after it has left, is killed by nobody:
 * the conductor has no rights to. It says so; here is who does as it says. */
static bool type_kill(const struct trace_result *result)
{
	static const char words[] = "to end it: kill -9 ";
	const char *at = strstr(result->out, words);

	return at && kill((pid_t)strtol(at + strlen(words), NULL, 10), SIGKILL) == 0;
}

struct outcome {
	struct trace_result result, restore;
	bool is_late, is_left, is_deferred, needed_restore, by_hand, was_hit;
	int64_t took_ns;
};

static void run_experiment(struct scene *scene, const struct subject *subject,
			   const struct disturbance *how, unsigned at, int *const *calls,
			   struct judge *judge, struct trace_result *out)
{
	char binary[512], path[512];
	char *words[] = {binary, (char[]){"run"}, (char[]){"--json"}, path, NULL};
	struct trace_plan plan = {.words = words,
				  .variable = scene->variable,
				  .network = scene->lab->near_fd,
				  .steps = subject->steps,
				  .hold_kills = how->hold_kills,
				  .counted = how->counted,
				  .at = how->kills_restore ? 0 : at,
				  .behind_call = how->behind_call,
				  .victims = how->victims,
				  .signal = how->signal,
				  .watch = watch,
				  .context = judge,
				  .patience_ns = PATIENCE_NS};

	for (unsigned role = 0; calls && role < ROLE_COUNT; role++)
		plan.calls[role] = calls[role];
	snprintf(binary, sizeof(binary), "%s", subject->binary);
	snprintf(path, sizeof(path), "%s", subject->experiment);
	*judge = (struct judge){.scene = scene, .how = how, .result = out};
	scene_begin(scene);
	if (scene->has_late_link) {
		plan.first = scene_let_link_come;
		plan.of_first = scene;
	}
	trace_run(&plan, out);
	scene_let_link_come(scene);
	scene_end_clients(scene);
}

/* From the death on: the effect within its limit, all else at the latest after a restore. */
static void judge_outcome(struct scene *scene, const struct subject *subject,
			  const struct disturbance *how, unsigned at, int *const *calls,
			  struct judge *judge, struct outcome *outcome)
{
	struct trace_result *result = &outcome->result;
	int64_t slack = is_emulated() ? 10 : 1;
	int64_t limit_ns = slack * (how->goes_on ? PLANNED_NS : EFFECT_NS);
	char *diff = NULL;

	while (result->was_hit && !judge->gone_ns && clock_now_ns() < result->hit_ns + limit_ns)
		if (watch(judge))
			usleep(1000);
	if (result->was_hit && !judge->gone_ns)
		watch(judge);
	outcome->took_ns = judge->gone_ns ? judge->gone_ns - result->hit_ns : INT64_MAX;
	outcome->is_late = result->was_hit && outcome->took_ns > limit_ns;
	outcome->was_hit = result->was_hit;
	if (how->kills_restore) {
		struct trace_plan plan = {.at = at, .victims = ROLES_ALL, .signal = SIGKILL};

		if (calls)
			plan.calls[ROLE_CONDUCTOR] = calls[ROLE_CONDUCTOR];
		point_restore(scene, subject->binary, plan, &outcome->restore);
		outcome->was_hit = outcome->restore.was_hit;
		result->call = outcome->restore.call;
		free(outcome->restore.out);
		outcome->restore.out = NULL;
	}
	outcome->by_hand = type_kill(result);
	/* where nobody is left to undo anything there is nothing to wait for */
	if (!scene_is_restored(scene, how->has_survivor ? 50 * NSEC_PER_MSEC : 0, &diff)) {
		struct trace_result again;
		int code = point_restore(scene, subject->binary, (struct trace_plan){0}, &again);

		free(diff);
		diff = NULL;
		outcome->needed_restore = true;
		if (code != 0)
			tell(subject, how, at, result, "squall restore failed", again.out);
		outcome->is_left = code != 0;
		free(again.out);
		outcome->is_left |= !scene_is_restored(scene, slack * SETTLE_NS, &diff);
	}
	if (result->is_stuck || outcome->is_left)
		tell(subject, how, at, result, result->is_stuck ? "processes hang" : "left behind",
		     diff ? diff : "");
	outcome->is_left |= result->is_stuck;
	free(diff);
}

/* A run that nobody disturbs must end as it should. */
static bool is_good_end(const struct subject *subject, const struct disturbance *how,
			const struct trace_result *result)
{
	return result->was_hit || (how->hold_kills && result->was_held) ||
	       (WIFEXITED(result->status) && WEXITSTATUS(result->status) == 0 &&
		result->injected >= subject->steps);
}

static void add_up(struct account *account, const struct outcome *outcome)
{
	if (outcome->is_deferred) {
		account->deferred++;
		return;
	}
	account->residues += outcome->is_left || outcome->is_late;
	if (!outcome->was_hit)
		return;
	account->points++;
	account->in_force += outcome->result.injected > 0;
	account->by_restore += outcome->needed_restore;
	account->by_hand += outcome->by_hand;
	if (outcome->took_ns != INT64_MAX && outcome->took_ns > account->slowest_ns)
		account->slowest_ns = outcome->took_ns;
}

bool point_try(struct scene *scene, const struct subject *subject, const struct disturbance *how,
	       unsigned at, int *const *calls, struct account *account,
	       unsigned out_counts[ROLE_COUNT])
{
	struct outcome outcome = {0};
	bool is_good = false;

	for (unsigned attempt = 1; attempt <= TRIES; attempt++) {
		struct judge judge;

		outcome = (struct outcome){0};
		run_experiment(scene, subject, how, at, how->kills_restore ? NULL : calls, &judge,
			       &outcome.result);
		judge_outcome(scene, subject, how, at, calls, &judge, &outcome);
		if (out_counts)
			memcpy(out_counts,
			       how->kills_restore ? outcome.restore.counts : outcome.result.counts,
			       sizeof(outcome.result.counts));
		is_good = is_good_end(subject, how, &outcome.result);
		if (!outcome.is_left && !is_good && attempt == TRIES) {
			tell(subject, how, at, &outcome.result, "the run itself failed", "");
			outcome.is_left = true;
		}
		if (outcome.is_left) {
			scene_kill_strangers(scene);
			free(outcome.result.out);
			point_restore(scene, subject->binary, (struct trace_plan){0},
				      &outcome.result);
			kill(scene->children[0], SIGCONT);
			scene_take_as_it_is(scene);
		} else if (outcome.is_late && attempt == TRIES && subject->defers) {
			printf("# LATE %u %s\n", at, how->name);
			outcome.is_deferred = true;
		} else if (outcome.is_late && attempt == TRIES) {
			tell(subject, how, at, &outcome.result, "the effect lasted too long", "");
		}
		free(outcome.result.out);
		outcome.result.out = NULL;
		if (outcome.is_left || (!outcome.is_late && is_good))
			break;
		account->repeated++;
	}
	add_up(account, &outcome);
	scene_forget_results();
	return outcome.was_hit;
}
