/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything that can fail on the way back fails: each file operation, netlink request and
 * allocation of `squall restore`, of the guardian at work and of the worker, once or from then on.
 * Whatever fails, restore goes on with the rest, never says that all is well when it is not, and
 * what it tells the user to type works when it is typed. In the end nothing is left.
 *
 * Two things are let pass. When the loader of `squall restore` gets no memory it may end by a
 * signal: main() has not begun. And when a call never works again, restore may end with exit code 0
 * and leave what is inert (an empty group, an idle interface, a folder of a run), which the next
 * command sweeps: here the next `squall restore` must.
 *
 *   test_restore_failures [seconds N] [seed N]         a sample, drawn anew each time
 *   test_restore_failures full [share N] [NAME...]   every call, every error, or one in N
 */
#include "tests/support/squall_runner.h"
#include "tests/sweep/point.h"
#include "tests/sweep/repeats.h"
#include "tests/sweep/sweep_options.h"
#include "tests/sweep/typed_undo.h"
#include "tests/sweep/world.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SAMPLE_SECONDS	  20
#define ALLOCATIONS_USUAL 60 /* of one restore */
#define ALLOCATIONS_MAX	  10000
#define ALLOCATION	  "/run/allocation-failed"
#define PATIENCE_NS	  ((is_emulated() ? 150 : 30) * NSEC_PER_SEC)

/* Whose calls fail. */
enum victim { VICTIM_RESTORE, VICTIM_GUARDIAN, VICTIM_WORKER, VICTIM_ALLOCATION, VICTIM_COUNT };

static const char *const victim_names[VICTIM_COUNT] = {"squall restore", "the guardian at work",
						       "the worker", "allocations of restore"};
static const int errors[] = {ENOMEM, EIO, EPERM, EBUSY, ENOBUFS};
#define ERRORS (sizeof(errors) / sizeof(*errors))

struct count {
	unsigned injected; /* failures */
	unsigned left;	   /* runs that told of something left */
	unsigned typed;	   /* commands typed as told */
	unsigned undone;   /* runs whose every trace was to be undone so, and was */
	unsigned residues;
};

struct recording {
	int *calls[ROLE_COUNT];
	unsigned counts[ROLE_COUNT];
	unsigned held_at[ROLE_COUNT]; /* when everything was in force */
	bool *is_first;		      /* of the victim's; not a repeat */
};

struct trial {
	enum victim victim;
	unsigned at;
	int error;
	bool always;
	bool is_start; /* before main(): see main_begins() */
};

static char experiment[128];
static unsigned steps;
static struct count counts[VICTIM_COUNT];

static void tell(const struct trial *trial, const struct trace_result *result, const char *what,
		 const char *detail)
{
	const char *base = strrchr(experiment, '/');

	counts[trial->victim].residues++;
	printf("# RESIDUE %s: %s, call %u (number %d) fails%s with %s: %s\n%s# it said:\n%s\n",
	       base ? base + 1 : experiment, victim_names[trial->victim], trial->at, result->call,
	       trial->always ? " from then on" : "", strerrorname_np(trial->error), what, detail,
	       result->out);
}

/* ---- What is told to be typed ---- */

/* What has an effect is gone by typing alone; run folders are tidied up by the next restore. */
static void check_typed(struct scene *scene, const struct trial *trial,
			const struct trace_result *result)
{
	struct machine_state now;
	char *diff;

	machine_state_take(&now);
	counts[trial->victim].undone++;
	if (!machine_state_is_same(&scene->before, &now, STATE_HELD) ||
	    !machine_state_is_same(&scene->before, &now, STATE_RECORDED)) {
		diff = machine_state_diff(&scene->before, &now, 6);
		tell(trial, result, "what it said to type was typed, and is not enough", diff);
		free(diff);
	}
	machine_state_free(&now);
}

/* ---- One failure ---- */

/* The run, with the failure in it where it belongs. */
static void run_experiment(struct scene *scene, const struct trial *trial, int *const *calls,
			   struct trace_result *out)
{
	char binary[512];
	char *words[] = {binary, (char[]){"run"}, (char[]){"--json"}, experiment, NULL};
	struct trace_plan plan = {.words = words,
				  .network = scene->lab->near_fd,
				  .steps = steps,
				  .patience_ns = PATIENCE_NS,
				  .fail_errno = trial->error,
				  .fails_always = trial->always,
				  .at = trial->at};

	snprintf(binary, sizeof(binary), "%s", world_built("squall"));
	if (trial->victim == VICTIM_GUARDIAN) {
		plan.hold_kills = ROLE_BIT(ROLE_WORKER);
		plan.counted = ROLE_GUARDIAN;
	} else if (trial->victim == VICTIM_WORKER) {
		plan.counted = ROLE_WORKER;
	} else {
		plan.hold_kills = ROLES_ALL;
		plan.at = 0;
		plan.fail_errno = 0;
	}
	for (unsigned role = 0; calls && role < ROLE_COUNT; role++)
		plan.calls[role] = calls[role];
	trace_run(&plan, out);
}

/* What `squall restore` did with its own failure; the exit code, 128: it crashed. */
static int restore_with_failure(struct scene *scene, const struct trial *trial, int *const *calls,
				struct trace_result *out)
{
	struct trace_plan plan = {
		.at = trial->at, .fail_errno = trial->error, .fails_always = trial->always};
	char variable[64];

	for (unsigned role = 0; calls && role < ROLE_COUNT; role++)
		plan.calls[role] = calls[role];
	if (trial->victim != VICTIM_ALLOCATION)
		return point_restore(scene, world_built("squall"), plan, out);
	snprintf(variable, sizeof(variable), "SQUALL_TEST_ALLOCATION=%u", trial->at);
	unlink(ALLOCATION);
	plan = (struct trace_plan){.variable = variable};
	return point_restore(scene, world_built("tests/sweep/out_of_memory"), plan, out);
}

/* Nothing is left but what is inert: a group or interface that nobody uses, which the next command
 * sweeps. With a call that never works again it cannot be otherwise. */
static bool has_no_effect(const struct scene *scene)
{
	struct machine_state now;
	bool is_same;

	machine_state_take(&now);
	is_same = machine_state_is_same(&scene->before, &now, STATE_HELD) &&
		  machine_state_is_same(&scene->before, &now, STATE_RECORDED);
	machine_state_free(&now);
	return is_same;
}

/* After the failure: honest, and in the end restored. */
static void judge(struct scene *scene, const struct trial *trial, int code, bool may_need_restore,
		  const struct trace_result *result)
{
	int64_t slack = is_emulated() ? 10 : 1;
	struct trace_result again;
	char *diff = NULL;
	bool is_same = scene_is_restored(scene, slack * NSEC_PER_SEC / 5, &diff);

	if (code >= 128 && !trial->is_start)
		tell(trial, result, "it crashed", strsignal(WTERMSIG(result->status)));
	if (!is_same && code == 0 && !may_need_restore && !(trial->always && has_no_effect(scene)))
		tell(trial, result, "it says all is well, and it is not", diff);
	free(diff);
	diff = NULL;
	if (code == 6) {
		char *text = strdup(result->out);
		char wrong[512];

		counts[trial->victim].left++;
		if (!strstr(text, "left") && !strstr(text, "squall restore"))
			tell(trial, result, "exit code 6 without a word", "");
		if (typed_undo(scene, text, &counts[trial->victim].typed, wrong, sizeof(wrong)))
			check_typed(scene, trial, result);
		if (wrong[0])
			tell(trial, result, "what it said to type is no command", wrong);
		free(text);
	}
	code = point_restore(scene, world_built("squall"), (struct trace_plan){0}, &again);
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

/* False: that call never came. */
static bool try_one(struct scene *scene, const struct trial *trial, struct recording *out)
{
	struct trace_result run, restore;
	const struct trace_result *failed = &run;
	bool is_restore = trial->victim == VICTIM_RESTORE || trial->victim == VICTIM_ALLOCATION;
	bool was_hit;
	int code;

	run_experiment(scene, trial, out ? out->calls : NULL, &run);
	code = exit_code(&run);
	if (is_restore) {
		code = restore_with_failure(scene, trial, out ? out->calls : NULL, &restore);
		failed = &restore;
	}
	was_hit = trial->victim == VICTIM_ALLOCATION ? access(ALLOCATION, F_OK) == 0
						     : failed->failed > 0;
	if (out) {
		memcpy(out->counts, failed->counts, sizeof(out->counts));
		memcpy(out->held_at, failed->held_at, sizeof(out->held_at));
	}
	counts[trial->victim].injected +=
		trial->victim == VICTIM_ALLOCATION ? was_hit : failed->failed;
	/* a conductor whose worker was killed speaks for nobody's restore */
	judge(scene, trial, code, trial->victim == VICTIM_GUARDIAN, failed);
	free(run.out);
	if (is_restore)
		free(restore.out);
	return was_hit;
}

/* ---- Which ---- */

static enum role role_of(enum victim victim)
{
	return victim == VICTIM_GUARDIAN ? ROLE_GUARDIAN
	       : victim == VICTIM_WORKER ? ROLE_WORKER
					 : ROLE_CONDUCTOR;
}

/* Undisturbed: the calls that there are. The guardian is recorded with what it does in its work. */
static void record(struct scene *scene, enum victim victim, struct recording *out)
{
	struct trial trial = {.victim = victim, .at = POINT_NEVER, .error = EIO};
	unsigned chosen;

	for (unsigned role = 0; role < ROLE_COUNT; role++)
		out->calls[role] = calloc(TRACE_CALLS_MAX, sizeof(int));
	try_one(scene, &trial, out);
	out->is_first = calls_without_repeats(out->calls[role_of(victim)],
					      out->counts[role_of(victim)], &chosen);
}

static void forget(struct recording *recording)
{
	free(recording->is_first);
	for (unsigned role = 0; role < ROLE_COUNT; role++)
		free(recording->calls[role]);
}

/* The first call of that number of `squall restore`, from 1; 0: there is none. */
static unsigned first_call(const struct recording *recording, int number)
{
	const int *calls = recording->calls[ROLE_CONDUCTOR];
	unsigned count = recording->counts[ROLE_CONDUCTOR];

	for (unsigned at = 0; at < count && at < TRACE_CALLS_MAX; at++)
		if (calls[at] == number)
			return at + 1;
	return 0;
}

/* The loader asks where its heap ends with its first brk(2), main() with the second: see
 * prefault_program(). A loader that gets no memory ends by a signal, which is not ours to mend, and
 * by then nothing is done. */
static unsigned main_begins(const struct recording *recording)
{
	const int *calls = recording->calls[ROLE_CONDUCTOR];
	unsigned loader = first_call(recording, SYS_brk);

	for (unsigned at = loader; loader && at < recording->counts[ROLE_CONDUCTOR]; at++)
		if (calls[at] == SYS_brk)
			return at + 1;
	return 0;
}

static unsigned draw(const struct recording *recording, enum victim victim)
{
	unsigned count = recording->counts[role_of(victim)];

	if (victim == VICTIM_ALLOCATION)
		return 1 + (unsigned)random() % ALLOCATIONS_USUAL;
	/* behind the loading of libraries, where the work is */
	for (unsigned tries = 0; count && tries < 200; tries++) {
		unsigned at = 1 + (unsigned)random() % count;

		if (victim == VICTIM_RESTORE ? at < main_begins(recording)
					     : victim == VICTIM_WORKER && at < count / 3)
			continue;
		if (at < TRACE_CALLS_MAX &&
		    trace_can_fail(recording->calls[role_of(victim)][at - 1]))
			return at;
	}
	return 0;
}

/* Exchanging a file, continuing a process, the kernel's tables: with one of them gone for good
 * something stays, and is undone by what is typed alone. */
static void fail_for_good(struct scene *scene, const struct recording *recording)
{
	static const int wanted[] = {SYS_renameat2, SYS_pidfd_send_signal, SYS_sendmsg};

	const unsigned most = is_emulated() ? 1 : sizeof(wanted) / sizeof(*wanted);

	for (unsigned i = 0; i < most; i++) {
		struct trial trial = {.victim = VICTIM_RESTORE, .error = EPERM, .always = true};

		trial.at = first_call(recording, wanted[i]);
		if (trial.at)
			try_one(scene, &trial, NULL);
	}
}

static void fail_some(struct scene *scene, int64_t until_ns)
{
	struct recording recordings[VICTIM_COUNT] = {0};

	record(scene, VICTIM_RESTORE, &recordings[VICTIM_RESTORE]);
	fail_for_good(scene, &recordings[VICTIM_RESTORE]);
	for (unsigned turn = (unsigned)random(), done = 0; !done || clock_now_ns() < until_ns;
	     turn++, done++) {
		struct trial trial = {.victim = turn % VICTIM_COUNT,
				      .error = errors[(unsigned)random() % ERRORS],
				      .always = random() & 1};

		/* a whole run, of seconds on an emulated machine: only of whose turn comes */
		if (trial.victim != VICTIM_ALLOCATION && !recordings[trial.victim].calls[0])
			record(scene, trial.victim, &recordings[trial.victim]);
		trial.at = draw(&recordings[trial.victim], trial.victim);
		if (trial.at)
			try_one(scene, &trial, NULL);
	}
	for (enum victim victim = 0; victim < VICTIM_COUNT; victim++)
		forget(&recordings[victim]);
}

static bool is_wanted_victim(const struct sweep_options *options, enum victim victim)
{
	return sweep_options_kind(options, victim_names[victim], victim_names, VICTIM_COUNT);
}

static bool is_start(const struct recording *recording, enum victim victim, unsigned at)
{
	return victim == VICTIM_RESTORE && at < main_begins(recording);
}

/* Each call on the way back fails in each way, once and (one way, drawn) from then on. In one way
 * only, drawn: an allocation; what the loader does before `squall restore` itself begins; what
 * the worker does before everything is in force; what repeats itself in loops. */
static unsigned ways_of(const struct recording *recording, enum victim victim, unsigned at)
{
	bool is_before = is_start(recording, victim, at) ||
			 (victim == VICTIM_WORKER && at <= recording->held_at[ROLE_WORKER]);

	return victim == VICTIM_ALLOCATION || is_before || !recording->is_first[at - 1]
		       ? 1
		       : ERRORS + 1;
}

static struct trial make_trial(const struct recording *recording, enum victim victim, unsigned at,
			       unsigned way, unsigned ways)
{
	struct trial trial = {.victim = victim,
			      .at = at,
			      .error = errors[way % ERRORS],
			      .is_start = is_start(recording, victim, at)};

	if (way < ERRORS && ways > 1)
		return trial;
	trial.error = errors[(unsigned)random() % ERRORS];
	trial.always = ways > 1 || random() & 1;
	return trial;
}

static bool can_fail(const struct recording *recording, enum victim victim, unsigned at)
{
	return victim == VICTIM_ALLOCATION ||
	       trace_can_fail(recording->calls[role_of(victim)][at - 1]);
}

static unsigned last_of(const struct recording *recording, enum victim victim)
{
	unsigned count = recording->counts[role_of(victim)];

	if (victim == VICTIM_ALLOCATION)
		return ALLOCATIONS_MAX;
	return count < TRACE_CALLS_MAX ? count : TRACE_CALLS_MAX - 1;
}

static void fail_all_of(struct scene *scene, enum victim victim,
			const struct sweep_options *options)
{
	struct recording recording = {0};
	unsigned last, number = (unsigned)random() % options->share;

	record(scene, victim, &recording);
	last = last_of(&recording, victim);
	if (options->to && options->to <= last)
		last = options->to - 1;
	for (unsigned at = options->from; at <= last; at++) {
		if (!can_fail(&recording, victim, at))
			continue;
		for (unsigned way = 0, ways = ways_of(&recording, victim, at); way < ways; way++) {
			struct trial trial = make_trial(&recording, victim, at, way, ways);

			/* not drawn each by itself: with one in five each call fails in some way */
			if (number++ % options->share)
				continue;
			if (try_one(scene, &trial, NULL)) {
				sweep_options_progress();
				continue;
			}
			if (victim == VICTIM_ALLOCATION)
				last = at;
			break;
		}
	}
	forget(&recording);
}

/* "expected FAILURES CALLS STRIDE VICTIM", see scripts/sweep */
static void count_all_of(struct scene *scene, enum victim victim,
			 const struct sweep_options *options)
{
	struct recording recording = {0};
	unsigned failures = 0, last;

	record(scene, victim, &recording);
	last = victim == VICTIM_ALLOCATION ? ALLOCATIONS_USUAL : last_of(&recording, victim);
	for (unsigned at = 1; at <= last; at++)
		if (can_fail(&recording, victim, at))
			failures += ways_of(&recording, victim, at);
	printf("expected %u %u 1 %s\n", failures / options->share, last, victim_names[victim]);
	forget(&recording);
}

static bool is_wanted(const struct sweep_options *options, const char *path)
{
	/* those with something to undo in every way */
	if (!options->is_full && !options->is_count && !*options->names && is_emulated())
		return strstr(path, "/all-together") || strstr(path, "/file-swap");
	if (!options->is_full && !options->is_count && !*options->names)
		return strstr(path, "/all-together") || strstr(path, "/file") ||
		       strstr(path, "/process-stop");
	return sweep_options_name(options, path);
}

static void prepare(const struct scene *scene, const char *path)
{
	snprintf(experiment, sizeof(experiment), "%s", scene_write_experiment(scene, path));
	steps = scene_count_steps(path);
}

static void go_through(struct scene *scene, const struct sweep_options *options)
{
	for (enum victim victim = 0; victim < VICTIM_COUNT; victim++)
		if (is_wanted_victim(options, victim) && options->is_count)
			count_all_of(scene, victim, options);
		else if (is_wanted_victim(options, victim))
			fail_all_of(scene, victim, options);
}

static int fail_everything(void *context)
{
	const struct sweep_options *options = context;
	int64_t start_ns = clock_now_ns(), end_ns = start_ns + options->seconds * NSEC_PER_SEC;
	struct scene scene = {0};
	struct count all = {0};
	size_t wanted;
	glob_t found;

	srandom(options->seed);
	sweep_options_find(options, is_wanted, &found);
	wanted = found.gl_pathc;
	scene_make(&scene);
	printf("1..%u\n# seed %u\n", VICTIM_COUNT, options->seed);
	for (size_t i = 0; i < wanted; i++) {
		int64_t now_ns = clock_now_ns();

		prepare(&scene, found.gl_pathv[i]);
		if (!options->is_full && !options->is_count)
			fail_some(&scene, now_ns + (end_ns - now_ns) / (int64_t)(wanted - i));
		else
			go_through(&scene, options);
	}
	if (!options->is_full && !options->is_count && !counts[VICTIM_RESTORE].undone) {
		printf("# RESIDUE: nothing that it said to type has undone a run\n");
		counts[VICTIM_RESTORE].residues++;
	}
	for (enum victim victim = 0; victim < VICTIM_COUNT; victim++) {
		const struct count *count = &counts[victim];

		printf("# %-24s %6u failures, %4u runs told of something left, %4u commands "
		       "typed (%u runs undone by nothing else), %u residues\n",
		       victim_names[victim], count->injected, count->left, count->typed,
		       count->undone, count->residues);
		printf("%sok %u - %s\n", count->residues ? "not " : "", victim + 1,
		       victim_names[victim]);
		if (count->injected)
			printf("# totals %u %u %u : %s\n", count->injected, count->typed,
			       count->residues, victim_names[victim]);
		all.injected += count->injected;
		all.typed += count->typed;
		all.residues += count->residues;
	}
	printf("# failures injected: %u, commands typed: %u, residues: %u, in %lld s\n",
	       all.injected, all.typed, all.residues,
	       (long long)((clock_now_ns() - start_ns) / NSEC_PER_SEC));
	scene_kill_strangers(&scene);
	return all.residues != 0;
}

int main(int argc, char **argv)
{
	struct sweep_options options;

	sweep_options_read(argc, argv, SAMPLE_SECONDS, &options);
	return world_run(fail_everything, &options);
}
