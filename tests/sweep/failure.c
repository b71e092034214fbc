/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/failure.h"

#include "tests/support/squall_runner.h"
#include "tests/sweep/out_of_memory.h"
#include "tests/sweep/typed_undo.h"
#include "tests/sweep/world.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_NS ((is_emulated() ? 150 : 30) * NSEC_PER_SEC)

const char *const victim_names[VICTIM_COUNT] = {
	"squall restore",	  "the guardian at work",	 "the worker",
	"allocations of restore", "allocations of the guardian", "allocations of the worker"};

bool victim_is_memory(enum victim victim)
{
	return victim >= VICTIM_RESTORE_MEMORY;
}

/* One try, and where it is told and counted. */
struct trial {
	struct scene *scene;
	const struct subject *subject;
	const struct failure *failure;
	struct failure_tally *tally;
	struct allocations *allocations; /* shared with a squall that gets no memory; or NULL */
};

static void tell(const struct trial *trial, const struct trace_result *result, const char *what,
		 const char *detail)
{
	const struct failure *failure = trial->failure;
	const char *base = strrchr(trial->subject->experiment, '/');

	trial->tally->residues++;
	printf("# RESIDUE %s: %s, call %u (number %d) %s%s with %s: %s\n%s\n# it said:\n%s\n",
	       base ? base + 1 : trial->subject->experiment, victim_names[failure->victim],
	       failure->at, result->call, failure->is_refusal ? "is refused" : "fails",
	       failure->always ? " from then on" : "", strerrorname_np(failure->error), what,
	       detail, result->out);
}

/* ---- Failing ---- */

static void keep_calls(struct trace_plan *plan, const struct failure_calls *wanted)
{
	for (unsigned role = 0; wanted && role < ROLE_COUNT; role++)
		plan->calls[role] = wanted->calls[role];
}

/* The variable for out_of_memory.c. */
static void say_allocation(const struct failure *failure, char *out, size_t size)
{
	static const char *const roles[VICTIM_COUNT] = {
		[VICTIM_GUARDIAN_MEMORY] = "guardian:", [VICTIM_WORKER_MEMORY] = "worker:"};
	const char *role = roles[failure->victim];

	snprintf(out, size, "SQUALL_TEST_ALLOCATION=%s%u%s", role ? role : "", failure->at,
		 failure->always ? "+" : "");
}

/* The run, with the failure in it where it belongs. */
static void run_experiment(const struct trial *trial, const struct failure_calls *wanted,
			   struct trace_result *out)
{
	const struct failure *failure = trial->failure;
	bool is_restore =
		failure->victim == VICTIM_RESTORE || failure->victim == VICTIM_RESTORE_MEMORY;
	bool is_memory = victim_is_memory(failure->victim) && !is_restore;
	char binary[512], path[512], variable[64];
	char *words[] = {binary, (char[]){"run"}, (char[]){"--json"}, path, NULL};
	struct trace_plan plan = {.words = words,
				  .variable = trial->scene->variable,
				  .network = trial->scene->lab->near_fd,
				  .steps = trial->subject->steps,
				  .patience_ns = PATIENCE_NS};

	snprintf(binary, sizeof(binary), "%s",
		 is_memory ? world_built("tests/sweep/out_of_memory") : trial->subject->binary);
	snprintf(path, sizeof(path), "%s", trial->subject->experiment);
	if (is_restore)
		plan.hold_kills = ROLES_ALL;
	else if (failure->victim == VICTIM_GUARDIAN || failure->victim == VICTIM_GUARDIAN_MEMORY)
		plan.hold_kills = ROLE_BIT(ROLE_WORKER);
	if (is_memory) {
		say_allocation(failure, variable, sizeof(variable));
		plan.variable = variable;
	} else if (!is_restore) {
		plan.counted = failure->victim == VICTIM_GUARDIAN ? ROLE_GUARDIAN : ROLE_WORKER;
		plan.fail_errno = failure->error;
		plan.fails_always = failure->always;
		plan.refuses = failure->is_refusal;
		plan.at = failure->at;
	}
	keep_calls(&plan, wanted);
	scene_begin(trial->scene);
	if (trial->scene->has_late_link) {
		plan.first = scene_let_link_come;
		plan.of_first = trial->scene;
	}
	trace_run(&plan, out);
	scene_let_link_come(trial->scene);
	scene_end_clients(trial->scene);
}

/* What `squall restore` did with its own failure; the exit code, 128: it crashed. */
static int restore_with_failure(const struct trial *trial, const struct failure_calls *wanted,
				struct trace_result *out)
{
	const struct failure *failure = trial->failure;
	struct trace_plan plan = {.at = failure->at,
				  .fail_errno = failure->error,
				  .fails_always = failure->always,
				  .refuses = failure->is_refusal};
	char variable[64];

	keep_calls(&plan, wanted);
	if (failure->victim == VICTIM_RESTORE)
		return point_restore(trial->scene, trial->subject->binary, plan, out);
	say_allocation(failure, variable, sizeof(variable));
	plan = (struct trace_plan){.variable = variable};
	return point_restore(trial->scene, world_built("tests/sweep/out_of_memory"), plan, out);
}

/* ---- What came of it ---- */

/* What is left is inert, if anything: a group or interface that nobody uses, the folder of a run,
 * which the next command sweeps. */
static bool has_no_effect(const struct scene *scene, char **out_diff)
{
	struct machine_state now;
	bool is_same;

	machine_state_take(&now);
	is_same = machine_state_is_same(&scene->before, &now, STATE_HELD) &&
		  machine_state_is_same(&scene->before, &now, STATE_RECORDED);
	if (!is_same && out_diff)
		*out_diff = machine_state_diff(&scene->before, &now, 6);
	machine_state_free(&now);
	return is_same;
}

/* What an event of --json says to be left, or NULL. */
static const char *left_of(const json_t *event)
{
	const char *name = json_string_value(json_object_get(event, "event"));
	const char *why = json_string_value(json_object_get(event, "why"));

	if (name && strcmp(name, "left") == 0)
		return json_string_value(json_object_get(event, "text"));
	/* the worker has told nothing of it */
	return name && strcmp(name, "result") == 0 && why && strstr(why, "without proof") ? why
											  : NULL;
}

/* As lines, as without --json. */
static char *said_in_lines(const char *said)
{
	size_t size;
	char *copy = strdup(said), *lines = NULL, *rest;
	FILE *out = open_memstream(&lines, &size);

	if (!copy || !out)
		abort();
	for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		json_t *event = *line == '{' ? json_loads(line, 0, NULL) : NULL;
		const char *left = left_of(event);

		if (!event)
			fprintf(out, "%s\n", line);
		else if (left)
			fprintf(out, "left: %s\n", left);
		json_decref(event);
	}
	fclose(out);
	free(copy);
	return lines;
}

/* Exit code 6: it says what is left, and typing what it says undoes what has an effect. */
static void check_typed(const struct trial *trial, const struct trace_result *result)
{
	char *text = said_in_lines(result->out), *diff = NULL;
	char wrong[512];

	trial->tally->left++;
	if (!strstr(text, "left: "))
		tell(trial, result, "exit code 6, and nothing is said to be left", "");
	if (typed_undo(trial->scene, text, &trial->tally->typed, wrong, sizeof(wrong))) {
		trial->tally->undone++;
		if (!has_no_effect(trial->scene, &diff))
			tell(trial, result, "what it said to type was typed, and is not enough",
			     diff);
		free(diff);
	}
	if (wrong[0])
		tell(trial, result, "what it said is no command, and nothing excuses it", wrong);
	free(text);
}

/* After the failure: honest, and in the end restored. With a call that never works again something
 * inert may stay. */
static void judge(const struct trial *trial, int code, const struct trace_result *result)
{
	const struct failure *failure = trial->failure;
	/* a conductor whose worker was killed speaks for nobody's restore */
	bool may_need_restore =
		failure->victim == VICTIM_GUARDIAN || failure->victim == VICTIM_GUARDIAN_MEMORY;
	int64_t slack = is_emulated() ? 10 : 1;
	struct scene *scene = trial->scene;
	struct trace_result again;
	char *diff = NULL;
	bool is_same = scene_is_restored(scene, slack * NSEC_PER_SEC / 5, &diff);

	if (code >= 128 && !failure->is_start)
		tell(trial, result, "it crashed", strsignal(WTERMSIG(result->status)));
	if (!is_same && code == 0 && !may_need_restore &&
	    !(failure->always && has_no_effect(scene, NULL)))
		tell(trial, result, "it says all is well, and it is not", diff);
	free(diff);
	diff = NULL;
	if (code == 6)
		check_typed(trial, result);
	code = point_restore(scene, trial->subject->binary, (struct trace_plan){0}, &again);
	if (code != 0)
		tell(trial, &again, "the next squall restore failed", "");
	if (!scene_is_restored(scene, slack * NSEC_PER_SEC, &diff)) {
		tell(trial, result, "left behind", diff);
		scene_kill_strangers(scene);
		kill(scene->children[0], SIGCONT);
		scene_take_as_it_is(scene);
	}
	free(diff);
	free(again.out);
}

static int exit_code(const struct trace_result *result)
{
	if (result->status == -1 || !WIFEXITED(result->status))
		return 128;
	return WEXITSTATUS(result->status);
}

/* Counted from nothing, and seen by every process of the squall that gets no memory. */
static struct allocations *share_allocations(void)
{
	struct allocations *shared;
	int fd = open(ALLOCATIONS, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(*shared)) < 0)
		abort();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		abort();
	close(fd);
	return shared;
}

bool failure_try(struct scene *scene, const struct subject *subject, const struct failure *failure,
		 struct failure_calls *out, struct failure_tally *tally)
{
	const bool is_memory = victim_is_memory(failure->victim);
	const bool is_restore =
		failure->victim == VICTIM_RESTORE || failure->victim == VICTIM_RESTORE_MEMORY;
	struct trial trial = {scene, subject, failure, tally,
			      is_memory ? share_allocations() : NULL};
	struct trace_result run, restore;
	const struct trace_result *failed = &run;
	unsigned injected;
	int code;

	run_experiment(&trial, out, &run);
	code = exit_code(&run);
	if (is_restore) {
		code = restore_with_failure(&trial, out, &restore);
		failed = &restore;
	}
	injected = is_memory ? trial.allocations->has_failed : failed->failed + failed->refused;
	if (out) {
		memcpy(out->counts, failed->counts, sizeof(out->counts));
		memcpy(out->held_at, failed->held_at, sizeof(out->held_at));
		out->acts_after = failed->acts_after;
		out->code = code;
		out->allocations = is_memory ? (unsigned)trial.allocations->count : 0;
	}
	tally->injected += injected;
	tally->refused += failed->refused;
	judge(&trial, code, failed);
	free(run.out);
	if (is_restore)
		free(restore.out);
	if (is_memory)
		munmap(trial.allocations, sizeof(*trial.allocations));
	return injected > 0;
}
