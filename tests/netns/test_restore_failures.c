/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything that can fail on the way back fails: each system call, netlink request (which the
 * kernel itself refuses) and allocation of `squall restore`, of the guardian at work and of the
 * worker, once or from then on. Whatever fails, restore goes on with the rest, never says that all
 * is well when it is not, and what it tells the user to type works when it is typed. In the end
 * nothing is left.
 *
 * Two things are let pass. When the loader of `squall restore` gets no memory it may end by a
 * signal: main() has not begun. And when a call never works again, restore may end with exit code 0
 * and leave what is inert (an empty group, an idle interface, a folder of a run), which the next
 * command sweeps: here the next `squall restore` must.
 *
 * Which failures are tried is chosen here, from what tests/sweep/recording.c says that there is;
 * one is tried, and judged, in tests/sweep/failure.c.
 *
 *   test_restore_failures [seconds N] [seed N]         a sample, drawn anew each time
 *   test_restore_failures full [share N] [NAME...]   every call, every error, or one in N
 */
#include "tests/support/squall_runner.h"
#include "tests/sweep/recording.h"
#include "tests/sweep/sweep_options.h"
#include "tests/sweep/typed_reasons.h"
#include "tests/sweep/typed_undo.h"
#include "tests/sweep/world.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define SAMPLE_SECONDS	 40
#define REFUSED_FOR_GOOD 2 /* of an experiment, at least */

static const int errors[] = {ENOMEM, EIO, EPERM, EBUSY, ENOBUFS};
#define ERRORS (sizeof(errors) / sizeof(*errors))
/* with which the kernel refuses netlink requests */
static const int refusals[] = {EBUSY, EPERM, ENOMEM};
#define REFUSALS (sizeof(refusals) / sizeof(*refusals))

static struct failure_tally tallies[VICTIM_COUNT];
static unsigned undone_though_refused; /* by what it said to type, with exit code 6 */

static bool try(struct scene *scene, const struct subject *subject, const struct failure *failure)
{
	return failure_try(scene, subject, failure, NULL, &tallies[failure->victim]);
}

/* ---- A sample ---- */

static unsigned draw(const struct recording *recording, enum victim victim)
{
	unsigned count = recording->seen.counts[recording_role(victim)];

	if (victim_is_memory(victim))
		return recording->seen.allocations
			       ? 1 + (unsigned)random() % recording->seen.allocations
			       : 0;
	/* behind the loading of libraries, where the work is */
	for (unsigned tries = 0; count && tries < 200; tries++) {
		unsigned at = 1 + (unsigned)random() % count;

		if (victim == VICTIM_RESTORE ? at < recording_main_begins(recording)
					     : victim == VICTIM_WORKER && at < count / 3)
			continue;
		if (at < TRACE_CALLS_MAX &&
		    trace_can_fail(recording->seen.calls[recording_role(victim)][at - 1]))
			return at;
	}
	return 0;
}

/* Exchanging a file, removing a copy, continuing a process, the kernel's tables: with one of them
 * gone for good something stays, and is undone by what is typed alone. */
static void fail_for_good(struct scene *scene, const struct subject *subject,
			  const struct recording *recording)
{
	static const int wanted[] = {SYS_renameat2, SYS_unlinkat,	 SYS_pidfd_send_signal,
				     SYS_umount2,   CALL_NETLINK_CHANGE, SYS_fchdir,
				     SYS_chroot};

	const unsigned most = is_emulated() ? 1 : sizeof(wanted) / sizeof(*wanted);

	for (unsigned i = 0; i < most; i++) {
		struct failure failure = {.victim = VICTIM_RESTORE, .error = EPERM, .always = true};

		failure.at = recording_first_call(recording, wanted[i]);
		if (failure.at)
			try(scene, subject, &failure);
	}
}

/* Some of what restore changes by netlink, drawn, is refused by the kernel from then on. What is
 * left then is undone by what it says to type: until one is. */
static void refuse_for_good(struct scene *scene, const struct subject *subject,
			    const struct recording *recording)
{
	struct failure_tally *tally = &tallies[VICTIM_RESTORE];
	unsigned last = recording_last(recording, VICTIM_RESTORE), tries = 0;
	unsigned first = last ? (unsigned)random() % last : 0;
	bool is_undone = false;

	for (unsigned i = 0; i < last && (tries < REFUSED_FOR_GOOD || !is_undone); i++) {
		struct failure failure = {.victim = VICTIM_RESTORE,
					  .at = 1 + (first + i) % last,
					  .error = EBUSY,
					  .is_refusal = true,
					  .always = true};
		struct failure_calls seen = {0};
		unsigned undone = tally->undone;

		if (!recording_is_change(recording, VICTIM_RESTORE, failure.at))
			continue;
		tries++;
		is_undone |= failure_try(scene, subject, &failure, &seen, tally) &&
			     seen.code == 6 && tally->undone > undone;
	}
	undone_though_refused += is_undone;
}

/* From the way back on: the setns(2) behind that of the first namespace that is entered. Nothing is
 * done in there any more, and the next restore, elsewhere, is whole. */
static void strand(struct scene *scene, const struct subject *subject,
		   const struct recording *recording)
{
	struct failure failure = {.victim = VICTIM_RESTORE, .error = EPERM, .always = true};
	const int *calls = recording->seen.calls[ROLE_CONDUCTOR];
	struct failure_calls seen = {0};

	failure.at = recording_first_call(recording, SYS_setns);
	if (!failure.at)
		return;
	do
		failure.at++;
	while (failure.at <= recording_last(recording, VICTIM_RESTORE) &&
	       calls[failure.at - 1] != SYS_setns);
	if (failure_try(scene, subject, &failure, &seen, &tallies[VICTIM_RESTORE]) &&
	    seen.code == 6 && seen.acts_after == 0)
		return;
	printf("# RESIDUE: %s: stranded in a namespace it ends with %d and has done %u things\n",
	       subject->experiment, seen.code, seen.acts_after);
	tallies[VICTIM_RESTORE].residues++;
}

static void fail_some(struct scene *scene, const struct subject *subject, int64_t until_ns)
{
	struct recording recordings[VICTIM_COUNT] = {0};

	recording_make(scene, subject, VICTIM_RESTORE, &tallies[VICTIM_RESTORE],
		       &recordings[VICTIM_RESTORE]);
	fail_for_good(scene, subject, &recordings[VICTIM_RESTORE]);
	strand(scene, subject, &recordings[VICTIM_RESTORE]);
	refuse_for_good(scene, subject, &recordings[VICTIM_RESTORE]);
	for (unsigned turn = (unsigned)random(), done = 0; !done || clock_now_ns() < until_ns;
	     turn++, done++) {
		struct failure failure = {.victim = turn % VICTIM_COUNT,
					  .error = errors[(unsigned)random() % ERRORS],
					  .always = random() & 1};

		/* a whole run, of seconds on an emulated machine: only of whose turn comes */
		if (!recordings[failure.victim].seen.calls[0])
			recording_make(scene, subject, failure.victim, &tallies[failure.victim],
				       &recordings[failure.victim]);
		failure.at = draw(&recordings[failure.victim], failure.victim);
		if (failure.at &&
		    recording_is_change(&recordings[failure.victim], failure.victim, failure.at)) {
			failure.is_refusal = random() & 1;
			failure.error = refusals[(unsigned)random() % REFUSALS];
		}
		if (failure.at)
			try(scene, subject, &failure);
	}
	for (enum victim victim = 0; victim < VICTIM_COUNT; victim++)
		recording_free(&recordings[victim]);
}

/* ---- All ---- */

static bool is_wanted_victim(const struct sweep_options *options, enum victim victim)
{
	return sweep_options_kind(options, victim_names[victim], victim_names, VICTIM_COUNT);
}

static bool is_start(const struct recording *recording, enum victim victim, unsigned at)
{
	return victim == VICTIM_RESTORE && at < recording_main_begins(recording);
}

/* Each call on the way back fails in each way, once and (one way, drawn) from then on. In one way
 * only, drawn: an allocation; what the loader does before `squall restore` itself begins; what
 * the worker does before everything is in force; what repeats itself in loops. */
static unsigned ways_to_fail(const struct recording *recording, enum victim victim, unsigned at)
{
	bool is_before = is_start(recording, victim, at) ||
			 (victim == VICTIM_WORKER && at <= recording->seen.held_at[ROLE_WORKER]);

	return victim_is_memory(victim) || is_before || !recording->is_first[at - 1] ? 1
										     : ERRORS + 1;
}

/* ... and a request that changes something is refused by the kernel, in each of its ways as well.
 */
static unsigned ways_of(const struct recording *recording, enum victim victim, unsigned at)
{
	unsigned ways = ways_to_fail(recording, victim, at);

	if (!recording_is_change(recording, victim, at))
		return ways;
	return ways + (ways > 1 ? REFUSALS + 1 : 1);
}

static struct failure make_failure(const struct recording *recording, enum victim victim,
				   unsigned at, unsigned way)
{
	unsigned ways = ways_to_fail(recording, victim, at);
	bool is_refusal = way >= ways;
	struct failure failure = {.victim = victim,
				  .at = at,
				  .is_refusal = is_refusal,
				  .is_start = is_start(recording, victim, at)};
	unsigned count = is_refusal ? REFUSALS : ERRORS;
	const int *from = is_refusal ? refusals : errors;

	way -= is_refusal ? ways : 0;
	if (ways > 1 && way < count) {
		failure.error = from[way];
		return failure;
	}
	failure.error = from[(unsigned)random() % count];
	failure.always = ways > 1 || random() & 1;
	return failure;
}

static bool can_fail(const struct sweep_options *options, const struct recording *recording,
		     enum victim victim, unsigned at)
{
	int call;

	if (victim_is_memory(victim))
		return options->call < 0;
	call = recording->seen.calls[recording_role(victim)][at - 1];
	return trace_can_fail(call) &&
	       (options->call < 0 || options->call == call ||
		(options->call == SYS_sendto && call == CALL_NETLINK_CHANGE));
}

static void fail_all_of(struct scene *scene, const struct subject *subject, enum victim victim,
			const struct sweep_options *options)
{
	struct recording recording = {0};
	unsigned last, number = (unsigned)random() % options->share;

	recording_make(scene, subject, victim, &tallies[victim], &recording);
	last = recording_last(&recording, victim);
	if (options->to && options->to <= last)
		last = options->to - 1;
	for (unsigned at = options->from; at <= last; at++) {
		if (!can_fail(options, &recording, victim, at))
			continue;
		for (unsigned way = 0, ways = ways_of(&recording, victim, at); way < ways; way++) {
			struct failure failure = make_failure(&recording, victim, at, way);

			/* not drawn each by itself: with one in five each call fails in some way */
			if (number++ % options->share)
				continue;
			if (!try(scene, subject, &failure))
				break;
			sweep_options_progress();
		}
	}
	recording_free(&recording);
}

/* "expected FAILURES CALLS STRIDE VICTIM", see scripts/sweep */
static void count_all_of(struct scene *scene, const struct subject *subject, enum victim victim,
			 const struct sweep_options *options)
{
	struct recording recording = {0};
	unsigned failures = 0, last;

	recording_make(scene, subject, victim, &tallies[victim], &recording);
	last = recording_last(&recording, victim);
	for (unsigned at = 1; at <= last; at++)
		if (can_fail(options, &recording, victim, at))
			failures += ways_of(&recording, victim, at);
	printf("expected %u %u 1 %s\n", failures / options->share, last, victim_names[victim]);
	recording_free(&recording);
}

static bool is_wanted(const struct sweep_options *options, const char *path)
{
	/* those with something to undo in every way */
	if (!options->is_full && !options->is_count && !*options->names && is_emulated())
		return strstr(path, "/all-together") || strstr(path, "/file-swap");
	if (!options->is_full && !options->is_count && !*options->names)
		return strstr(path, "all-together") || strstr(path, "/file") ||
		       strstr(path, "/user-file") || strstr(path, "/process-stop") ||
		       strstr(path, "/process-freeze") || strstr(path, "/network-loopback");
	return sweep_options_name(options, path);
}

static void go_through(struct scene *scene, const struct subject *subject,
		       const struct sweep_options *options)
{
	for (enum victim victim = 0; victim < VICTIM_COUNT; victim++)
		if (is_wanted_victim(options, victim) && options->is_count)
			count_all_of(scene, subject, victim, options);
		else if (is_wanted_victim(options, victim))
			fail_all_of(scene, subject, victim, options);
}

/* "totals FAILURES COMMANDS RESIDUES : VICTIM" is what scripts/sweep adds up. The residues. */
static unsigned print_tallies(int64_t start_ns)
{
	struct failure_tally all = {0};

	for (enum victim victim = 0; victim < VICTIM_COUNT; victim++) {
		const struct failure_tally *tally = &tallies[victim];

		printf("# %-24s %6u failures (%u refused by the kernel), %4u runs told of "
		       "something left, %4u commands "
		       "typed (%u runs undone by nothing else), %u residues\n",
		       victim_names[victim], tally->injected, tally->refused, tally->left,
		       tally->typed, tally->undone, tally->residues);
		printf("%sok %u - %s\n", tally->residues ? "not " : "", victim + 1,
		       victim_names[victim]);
		if (tally->injected)
			printf("# totals %u %u %u : %s\n", tally->injected, tally->typed,
			       tally->residues, victim_names[victim]);
		all.injected += tally->injected;
		all.refused += tally->refused;
		all.typed += tally->typed;
		all.residues += tally->residues;
	}
	typed_reasons_print();
	typed_print();
	printf("# failures injected: %u, refused by the kernel: %u, commands typed: %u, residues: "
	       "%u, in %lld s\n",
	       all.injected, all.refused, all.typed, all.residues,
	       (long long)((clock_now_ns() - start_ns) / NSEC_PER_SEC));
	return all.residues;
}

/* That nothing was left is no proof when nothing of that kind was tried. */
static void check_sample(const struct sweep_options *options)
{
	/* what fail_for_good() brings up each time; of a whole sweep scripts/sweep sees to all */
	static const char *const typed[] = {"kill", "mv", "rm", "umount", "systemctl", "setpriv"};
	unsigned refused = 0;

	for (enum victim victim = 0; victim < VICTIM_COUNT; victim++)
		refused += tallies[victim].refused;
	if (!tallies[VICTIM_RESTORE].undone) {
		printf("# RESIDUE: nothing that it said to type has undone a run\n");
		tallies[VICTIM_RESTORE].residues++;
	}
	for (unsigned i = 0; i < sizeof(typed) / sizeof(*typed); i++) {
		if (*options->names || is_emulated() || typed_was(typed[i]))
			continue;
		printf("# RESIDUE: nobody was told to type %s\n", typed[i]);
		tallies[VICTIM_RESTORE].residues++;
	}
	if (!*options->names && (!refused || !undone_though_refused)) {
		printf("# RESIDUE: %u netlink requests were refused by the kernel, and %u runs "
		       "undone by what was typed then\n",
		       refused, undone_though_refused);
		tallies[VICTIM_RESTORE].residues++;
	}
}

static int fail_everything(void *context)
{
	const struct sweep_options *options = context;
	int64_t start_ns = clock_now_ns(), end_ns = start_ns + options->seconds * NSEC_PER_SEC;
	cleanup_free char *binary = strdup(world_built("squall"));
	struct subject subject = {.binary = binary};
	struct scene scene = {0};
	unsigned residues;
	size_t wanted;
	glob_t found;

	srandom(options->seed);
	sweep_options_find(options, is_wanted, &found);
	wanted = found.gl_pathc;
	scene_make(&scene);
	printf("1..%u\n# seed %u\n", VICTIM_COUNT, options->seed);
	for (size_t i = 0; i < wanted; i++) {
		int64_t now_ns = clock_now_ns();

		subject.experiment = scene_write_experiment(&scene, found.gl_pathv[i]);
		subject.steps = scene_count_steps(found.gl_pathv[i]);
		if (!options->is_full && !options->is_count)
			fail_some(&scene, &subject,
				  now_ns + (end_ns - now_ns) / (int64_t)(wanted - i));
		else
			go_through(&scene, &subject, options);
	}
	if (!options->is_full && !options->is_count)
		check_sample(options);
	residues = print_tallies(start_ns);
	scene_kill_strangers(&scene);
	return residues != 0;
}

int main(int argc, char **argv)
{
	struct sweep_options options;

	sweep_options_read(argc, argv, SAMPLE_SECONDS, &options);
	return world_run(fail_everything, &options);
}
