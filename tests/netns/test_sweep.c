/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Kills and stops squall's processes at the entry of every system call of whole experiments, and
 * sees the machine restored. Without arguments a sample, drawn anew each time, as tests; `make
 * sweep` tries every point.
 *
 *   test_sweep [seconds N] [kind WORD] [NAME...]   a sample (of "stop the worker" and such)
 *   test_sweep full [share N] [at N] [NAME...]     everything, or one point in N, or the one
 *   test_sweep count [share N] [NAME...]           how many points that would be
 *   test_sweep check                               whether it would see a mistake
 *
 * Experiments: tests/sweep/experiments/, one file each: a new fault adds one. See
 * tests/sweep/sweep_options.h.
 */
#include "tests/support/squall_runner.h"
#include "tests/sweep/machine_bpf.h"
#include "tests/sweep/point.h"
#include "tests/sweep/repeats.h"
#include "tests/sweep/sweep_options.h"
#include "tests/sweep/world.h"

#include "injector/base/cleanup.h"

#include <linux/bpf.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAMPLE_SECONDS 60
#define MUTANT_TRIES   12
#define RESTORE_CALLS  200 /* about so many, of which many look at the journal only */
#define STOP_STRIDE    16
#define BPF_NS	       (NSEC_PER_SEC / 2) /* the kernel frees it a moment later */
#define MISSES_MAX     3		  /* the number of calls differs a little from run to run */

struct tally {
	struct account accounts[DISTURBANCES];
	int64_t started_ns;
};

static unsigned failed_tests, test_number;

static void report(bool is_good, const char *name)
{
	printf("%sok %u - %s\n", is_good ? "" : "not ", ++test_number, name);
	failed_tests += !is_good;
}

/* ---- Which points ---- */

struct recording {
	int *calls[ROLE_COUNT];
	unsigned counts[ROLE_COUNT];
};

static unsigned choose_point(const struct recording *recording, const struct disturbance *how)
{
	unsigned count = recording->counts[how->counted], at = 0;

	if (!count)
		return 0;
	/* every second one near something telling */
	for (unsigned tries = 0; tries < 64; tries++) {
		at = 1 + (unsigned)random() % count;
		if (tries == 0 && random() & 1)
			break;
		if (at < TRACE_CALLS_MAX && call_is_telling(recording->calls[how->counted][at - 1]))
			break;
	}
	return at + (unsigned)(random() & 1);
}

/* What is in neither list of repeats.c would be taken for a repeat unseen. */
static void check_lists(const struct recording *recording)
{
	for (unsigned role = 0; role < ROLE_COUNT; role++) {
		int call = call_of_no_list(recording->calls[role], recording->counts[role]);
		cleanup_free char *name =
			call < 0 ? NULL : seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);

		if (call < 0)
			continue;
		printf("# the %s calls %s (number %d): tests/sweep/repeats.c does not say whether "
		       "it is telling\n",
		       role_names[role], name ? name : "something", call);
		failed_tests++;
	}
}

/* A run that nobody disturbs: how many calls there are, and nothing is left of it either. */
static void record(struct scene *scene, const struct subject *subject,
		   const struct disturbance *how, struct recording *out)
{
	struct account account = {0};

	for (unsigned role = 0; role < ROLE_COUNT; role++) {
		out->calls[role] = calloc(TRACE_CALLS_MAX, sizeof(int));
		if (!out->calls[role])
			abort();
	}
	point_try(scene, subject, how, POINT_NEVER, out->calls, &account, out->counts);
	check_lists(out);
	failed_tests += account.residues;
}

/* ---- Telling ---- */

static struct account sum(const struct tally *tally)
{
	struct account all = {0};

	for (unsigned i = 0; i < DISTURBANCES; i++) {
		const struct account *one = &tally->accounts[i];

		all.points += one->points;
		all.in_force += one->in_force;
		all.by_restore += one->by_restore;
		all.by_hand += one->by_hand;
		all.repeated += one->repeated;
		all.deferred += one->deferred;
		all.residues += one->residues;
		if (one->slowest_ns > all.slowest_ns)
			all.slowest_ns = one->slowest_ns;
	}
	return all;
}

static void print_account(const char *name, const struct account *account)
{
	printf("# %-50s %6u points, %6u in force, %5u tidied by squall restore, effect gone "
	       "within %lld ms, %u residues%s%s\n",
	       name, account->points, account->in_force, account->by_restore,
	       (long long)(account->slowest_ns / NSEC_PER_MSEC), account->residues,
	       account->by_hand ? " (a process stopped for good is killed by hand, as squall says)"
				: "",
	       account->repeated ? " (some tried again: a busy machine)" : "");
}

/* "totals POINTS IN-FORCE RESIDUES REPEATED SLOWEST-MS : KIND" is what scripts/sweep adds up. */
static void print_tally(const struct tally *tally)
{
	struct account all = sum(tally);

	for (unsigned i = 0; i < DISTURBANCES; i++) {
		const struct account *one = &tally->accounts[i];

		if (!one->points && !one->residues)
			continue;
		print_account(disturbances[i].name, one);
		printf("# totals %u %u %u %u %lld : %s\n", one->points, one->in_force,
		       one->residues, one->repeated, (long long)(one->slowest_ns / NSEC_PER_MSEC),
		       disturbances[i].name);
	}
	printf("# points tried: %u, with a fault in force: %u, residues: %u, in %lld s\n",
	       all.points, all.in_force, all.residues,
	       (long long)((clock_now_ns() - tally->started_ns) / NSEC_PER_SEC));
}

/* ---- Sweeping ---- */

static struct subject make_subject(struct scene *scene, const char *path, const char *binary)
{
	struct subject subject = {.steps = scene_count_steps(path)};

	subject.experiment = scene_write_experiment(scene, path);
	subject.binary = strdup(world_built(binary));
	return subject;
}

static bool is_wanted_kind(const struct sweep_options *options, unsigned kind)
{
	const char *names[DISTURBANCES];

	for (unsigned i = 0; i < DISTURBANCES; i++)
		names[i] = disturbances[i].name;
	return sweep_options_kind(options, names[kind], names, DISTURBANCES);
}

/* Stops take seconds of silence each, and most calls are the same to who looks on. */
static unsigned stride_of(const struct sweep_options *options, const struct disturbance *how)
{
	return options->share * (how->signal == SIGSTOP ? STOP_STRIDE : 1);
}

static void forget(struct recording *recording)
{
	for (unsigned role = 0; role < ROLE_COUNT; role++)
		free(recording->calls[role]);
}

static void sweep_kind(struct scene *scene, const struct subject *subject,
		       const struct sweep_options *options, const struct disturbance *how,
		       struct account *account)
{
	unsigned misses = 0, stride = stride_of(options, how), chosen, most;
	struct recording recording = {0};
	bool *is_chosen;

	record(scene, subject, how, &recording);
	/* if every run took more calls than the one before, this would never end */
	most = recording.counts[how->counted] * 2 + 1000;
	is_chosen = calls_without_repeats(recording.calls[how->counted],
					  recording.counts[how->counted], &chosen);
	for (unsigned at = options->from + (options->is_one ? 0 : (unsigned)random() % stride);
	     misses < MISSES_MAX && (!options->to || at < options->to); at += stride) {
		bool was_hit;

		/* not tried: what repeats itself */
		if (stride == 1 && !options->is_one && at <= recording.counts[how->counted] &&
		    !is_chosen[at - 1])
			continue;
		was_hit = point_try(scene, subject, how, at, NULL, account, NULL);
		misses = was_hit ? 0 : misses + 1;
		if (was_hit)
			sweep_options_progress();
		if (was_hit && at > most) {
			printf("# RESIDUE %s: %u calls, and %u when nobody disturbs it\n",
			       how->name, at, recording.counts[how->counted]);
			account->residues++;
			break;
		}
		if (options->is_one)
			break;
	}
	free(is_chosen);
	forget(&recording);
}

static void sweep_all(struct scene *scene, const struct subject *subject,
		      const struct sweep_options *options, struct tally *tally)
{
	for (unsigned i = 0; i < DISTURBANCES; i++)
		if (is_wanted_kind(options, i))
			sweep_kind(scene, subject, options, &disturbances[i], &tally->accounts[i]);
}

/* "expected POINTS CALLS STRIDE KIND": each once undisturbed, for the calls that there are. */
static void count_all(struct scene *scene, const struct subject *subject,
		      const struct sweep_options *options)
{
	for (unsigned i = 0; i < DISTURBANCES; i++) {
		const struct disturbance *how = &disturbances[i];
		unsigned stride = stride_of(options, how), chosen, calls;
		struct recording recording = {0};

		if (!is_wanted_kind(options, i))
			continue;
		record(scene, subject, how, &recording);
		calls = recording.counts[how->counted];
		free(calls_without_repeats(recording.calls[how->counted], calls, &chosen));
		printf("expected %u %u %u %s\n", stride == 1 ? chosen : calls / stride, calls,
		       stride, how->name);
		forget(&recording);
	}
}

/* Alone on the machine, or nearly: a program or map that stays is told with its point. */
static void note_bpf(const struct subject *subject, const struct disturbance *how, unsigned at)
{
	char where[120];

	snprintf(where, sizeof(where), "%s: %s at call %u", strrchr(subject->experiment, '/') + 1,
		 how->name, at);
	machine_bpf_note(where, BPF_NS);
}

static void sweep_some(struct scene *scene, const struct subject *subject,
		       const struct sweep_options *options, int64_t until_ns, struct tally *tally)
{
	/* the kinds of recording: undisturbed, after the worker's death, after everybody's */
	struct recording recordings[3] = {0};

	record(scene, subject, &disturbances[0], &recordings[0]);
	if (!is_emulated())
		record(scene, subject, &disturbances[4], &recordings[1]);
	recordings[2].counts[ROLE_CONDUCTOR] = RESTORE_CALLS;
	recordings[2].calls[ROLE_CONDUCTOR] = calloc(TRACE_CALLS_MAX, sizeof(int));
	for (unsigned i = (unsigned)random() % DISTURBANCES, done = 0;
	     !done || clock_now_ns() < until_ns; i = (i + 1) % DISTURBANCES) {
		const struct disturbance *how = &disturbances[i];
		unsigned kind = how->kills_restore ? 2 : how->hold_kills ? 1 : 0, at;

		/* seconds each */
		if (!strstr(how->name, options->kind) ||
		    (how->signal == SIGSTOP && !options->kind[0] && random() % 6))
			continue;
		at = choose_point(&recordings[kind], how);
		if (!at || !point_try(scene, subject, how, at, NULL, &tally->accounts[i], NULL))
			continue;
		done++;
		note_bpf(subject, how, at);
	}
	for (unsigned kind = 0; kind < 3; kind++)
		forget(&recordings[kind]);
}

/* A fault that acts before it writes must be caught, or nothing here means anything. */
static bool catches_a_mutant(struct scene *scene)
{
	struct subject subject = make_subject(scene, "tests/sweep/experiments/process-stop.yaml",
					      "tests/sweep/mutant");
	struct disturbance behind_signal = disturbances[0];
	struct account account = {0};

	/* several of them only look whether the process is there */
	behind_signal.behind_call = SYS_pidfd_send_signal;
	subject.is_quiet = true;
	for (unsigned at = 1; at <= MUTANT_TRIES && !account.residues; at++)
		point_try(scene, &subject, &behind_signal, at, NULL, &account, NULL);
	printf("# a squall that acts before it writes: caught after %u points\n", account.points);
	return account.residues > 0;
}

/* One that stays is seen, and its point is named. */
static bool tells_of_bpf(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
	cleanup_fd int fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	cleanup_free char *left = NULL;

	machine_bpf_note("the self-check", 0);
	left = machine_bpf_left(0);
	return fd >= 0 && left && strstr(left, "since the self-check");
}

static bool is_wanted(const struct sweep_options *options, const char *path)
{
	/* minutes for each on an emulated machine: what depends on its kernel */
	if (is_emulated() && !options->is_full && !*options->names)
		return strstr(path, "/network-delay") || strstr(path, "/clsact-network-delay");
	return sweep_options_name(options, path);
}

static bool sweep_experiment(struct scene *scene, const struct sweep_options *options,
			     const char *path, int64_t until_ns, struct tally *tally)
{
	struct subject subject = make_subject(scene, path, "squall");
	struct tally here = {.started_ns = clock_now_ns()};
	unsigned failed_before = failed_tests;
	struct account all;

	subject.defers = options->defers;
	if (options->is_full)
		sweep_all(scene, &subject, options, &here);
	else
		sweep_some(scene, &subject, options, until_ns, &here);
	all = sum(&here);
	print_account(strrchr(path, '/') + 1, &all);
	for (unsigned i = 0; i < DISTURBANCES; i++) {
		struct tally both = {.accounts = {tally->accounts[i], here.accounts[i]}};

		tally->accounts[i] = sum(&both);
	}
	return !all.residues &&
	       (all.points || all.deferred || options->share > 1 || options->from > 1) &&
	       failed_tests == failed_before;
}

/* Those of others on this machine go, too, within the time of a test. */
static bool no_bpf_is_left(void)
{
	cleanup_free char *left = machine_bpf_left(60 * NSEC_PER_SEC);

	if (left)
		printf("# RESIDUE %s\n", left);
	return !left;
}

static int count_experiments(struct scene *scene, const struct sweep_options *options,
			     const glob_t *found)
{
	for (size_t i = 0; i < found->gl_pathc; i++) {
		struct subject subject = make_subject(scene, found->gl_pathv[i], "squall");

		count_all(scene, &subject, options);
	}
	scene_kill_strangers(scene);
	return failed_tests != 0;
}

/* That the sweep can see depends neither on the kernel nor on which share of the work this is. */
static bool has_self_check(const struct sweep_options *options)
{
	return options->is_check || (!is_emulated() && !options->kind[0]);
}

/* One of many that work side by side would see the programs of the others. */
static bool is_alone(const struct sweep_options *options)
{
	return !options->is_full || !options->kind[0];
}

static int sweep(void *context)
{
	const struct sweep_options *options = context;
	struct tally tally = {.started_ns = clock_now_ns()};
	struct scene scene = {0};
	uint32_t newest[MACHINE_BPF_KINDS];
	size_t wanted;
	glob_t found;

	srandom(options->seed);
	sweep_options_find(options, is_wanted, &found);
	wanted = options->is_check ? 0 : found.gl_pathc;
	if (options->is_bpf) {
		machine_bpf_since(options->bpf);
		report(no_bpf_is_left(), "no_bpf_object_is_left");
		return failed_tests != 0;
	}
	machine_bpf_remember();
	if (options->is_check) {
		machine_bpf_newest(newest);
		printf("# bpf programs %u maps %u links %u\n", newest[0], newest[1], newest[2]);
	}
	scene_make(&scene);
	if (options->is_count)
		return count_experiments(&scene, options, &found);
	printf("1..%zu\n# seed %u\n", wanted + (has_self_check(options) ? 3 : 1), options->seed);
	if (has_self_check(options)) {
		report(tells_of_bpf(), "bpf_object_is_told_with_its_point");
		report(catches_a_mutant(&scene), "mutant_is_caught");
	}
	for (size_t i = 0; i < wanted; i++) {
		/* what is left of the time is shared by those that are left */
		int64_t now_ns = clock_now_ns(),
			end_ns = tally.started_ns + options->seconds * NSEC_PER_SEC;
		int64_t until_ns = now_ns + (end_ns - now_ns) / (int64_t)(wanted - i);

		report(sweep_experiment(&scene, options, found.gl_pathv[i], until_ns, &tally),
		       strrchr(found.gl_pathv[i], '/') + 1);
	}
	if (is_alone(options))
		report(no_bpf_is_left(), "no_bpf_object_is_left");
	print_tally(&tally);
	scene_kill_strangers(&scene);
	return failed_tests != 0;
}

int main(int argc, char **argv)
{
	struct sweep_options options;

	sweep_options_read(argc, argv, SAMPLE_SECONDS, &options);
	return world_run(sweep, &options);
}
