/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random valid experiments of every kind of fault, up to three side by side, and random deaths: for
 * as long as asked. After each round `squall restore`, and the machine must be what it was at the
 * start. Beside them one run lasts all the time (tests/soak/long_run.h). At the end nothing has
 * grown: descriptors and memory of its processes, BPF objects, control groups, files, the kernel.
 *
 *   soak [MINUTES] [SEED]
 */
#include "tests/soak/experiment.h"
#include "tests/soak/growth.h"
#include "tests/soak/long_run.h"
#include "tests/soak/members.h"
#include "tests/support/children.h"
#include "tests/support/squall_runner.h"
#include "tests/sweep/machine_bpf.h"
#include "tests/sweep/point.h"
#include "tests/sweep/world.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define ROUND_MAX_NS (40 * NSEC_PER_SEC)
/* Of the time: what is learned once about the kernel, and its caches, have come then */
#define WARM_SHARE 0.2
/* A soak whose experiments are refused proves nothing */
#define REFUSED_MOST 20 /* in 100 */

struct options {
	double minutes;
	unsigned seed;
};

static struct tally {
	unsigned experiments, killed, stopped, undisturbed, refused, residues;
	unsigned steps[SOAK_KIND_COUNT];
} tally;

/* ---- Runs ---- */

struct run {
	pid_t conductor, victim;
	int64_t hit_ns;	 /* when somebody of it dies; 0: nobody */
	unsigned member; /* MEMBER_COUNT: all of them */
	int signal;
	int status;
	bool is_over, was_hit;
};

static void start(const struct scene *scene, struct run *run, unsigned slot)
{
	char path[64], log[64];

	run->victim = child_start(CHILD_SLEEPS, NULL);
	soak_experiment_write(scene, slot, run->victim, tally.steps);
	run->hit_ns = soak_pick(5) ? clock_now_ns() + (int64_t)soak_pick(400) * NSEC_PER_MSEC : 0;
	run->member = soak_pick(MEMBER_COUNT + 1);
	run->signal = soak_pick(10) ? SIGKILL : SIGSTOP;
	/* a stopped conductor is silent, and ends when it goes on */
	if (run->member == MEMBER_CONDUCTOR || run->member == MEMBER_COUNT)
		run->signal = SIGKILL;
	run->is_over = false;
	snprintf(path, sizeof(path), "/run/soak-%u.yaml", slot);
	snprintf(log, sizeof(log), "/run/soak-%u.log", slot);
	run->conductor = soak_start(scene->lab->near_fd, path, log);
}

static void hit(struct run *run)
{
	pid_t members[MEMBER_COUNT];

	members_find(run->conductor, members);
	run->hit_ns = 0;
	for (unsigned i = 0; i < MEMBER_COUNT; i++) {
		if (run->member != MEMBER_COUNT && run->member != i)
			continue;
		if (!members[i] || kill(members[i], run->signal) < 0)
			continue; /* not born yet, or gone */
		run->was_hit = true;
		tally.killed += run->signal == SIGKILL;
		tally.stopped += run->signal == SIGSTOP;
	}
}

static bool is_known(int status)
{
	/* verdicts but 6, or our own SIGKILL */
	return WIFEXITED(status) ? WEXITSTATUS(status) <= 5
				 : WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void show(unsigned slot)
{
	for (unsigned i = 0; i < 2; i++) {
		char *text = netlab_output("cat /run/soak-%u.%s", slot, i ? "log" : "yaml");

		printf("# %s\n", text);
		free(text);
	}
}

/* Two faults that cannot be in one place at a time, of one run or of two: the only reason why what
 * nobody has disturbed may be refused. */
static void count_refusal(const struct run *run, unsigned slot)
{
	static const char *const reasons[] = {" is held ", " a mount of its own",
					      "another run affects", "another run meets"};
	cleanup_free char *log = NULL;
	bool is_known = false;

	if (WEXITSTATUS(run->status) != 2 || run->was_hit)
		return;
	tally.refused++;
	log = netlab_output("grep -m 1 error /run/soak-%u.log", slot);
	for (unsigned i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		is_known |= strstr(log, reasons[i]) != NULL;
	if (is_known)
		return;
	printf("# RESIDUE: refused, though nobody was in the way:\n");
	show(slot);
	tally.residues++;
}

static void await_all(struct run *runs, unsigned count)
{
	int64_t until_ns = clock_now_ns() + ROUND_MAX_NS;
	unsigned left = count;

	while (left && clock_now_ns() < until_ns) {
		int status;
		pid_t pid;

		for (unsigned i = 0; i < count; i++)
			if (!runs[i].is_over && runs[i].hit_ns && clock_now_ns() > runs[i].hit_ns)
				hit(&runs[i]);
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			for (unsigned i = 0; i < count; i++)
				if (runs[i].conductor == pid) {
					runs[i].is_over = true;
					runs[i].status = status;
					left--;
				}
		pause_ms(1);
	}
	for (unsigned i = 0; i < count; i++) {
		tally.experiments++;
		if (runs[i].is_over && WIFEXITED(runs[i].status)) {
			tally.undisturbed += WEXITSTATUS(runs[i].status) == 0;
			count_refusal(&runs[i], i);
		}
	}
}

/* What squall says to type when a stopped worker has nobody to kill it any more. True: it was said,
 * and typed. */
static bool type_kill(unsigned slot)
{
	static const char words[] = "to end it: kill -9 ";
	char path[64], line[1024];
	cleanup_file FILE *log = NULL;
	bool is_typed = false;

	snprintf(path, sizeof(path), "/run/soak-%u.log", slot);
	log = fopen(path, "re");
	while (log && fgets(line, sizeof(line), log)) {
		const char *at = strstr(line, words);

		if (at)
			is_typed |= kill((pid_t)strtol(at + strlen(words), NULL, 10), SIGKILL) == 0;
	}
	return is_typed;
}

/* Exit code 6 is good where there was something to type. */
static bool is_good_end(const struct run *run, bool is_typed)
{
	return run->is_over && (is_known(run->status) || (is_typed && WIFEXITED(run->status) &&
							  WEXITSTATUS(run->status) == 6));
}

static void play_round(struct scene *scene)
{
	unsigned count = 1 + soak_pick(SOAK_SLOTS);
	struct run runs[SOAK_SLOTS] = {0};
	struct trace_result restore;
	char *diff = NULL;
	bool is_good = true;

	for (unsigned i = 0; i < count; i++)
		start(scene, &runs[i], i);
	await_all(runs, count);
	for (unsigned i = 0; i < count; i++)
		if (!is_good_end(&runs[i], type_kill(i))) {
			printf("# RESIDUE: a run %s (status %x)\n",
			       runs[i].is_over ? "ended as it should not" : "hangs",
			       runs[i].status);
			is_good = false;
		}
	for (unsigned i = 0; i < count; i++)
		child_stop(runs[i].victim); /* unless it was killed */
	/* a guardian that is stopped for good, and whose worker is dead, is passed by */
	if (point_restore(scene, world_built("squall"), (struct trace_plan){0}, &restore) != 0) {
		printf("# RESIDUE: squall restore: %s\n", restore.out);
		is_good = false;
	}
	free(restore.out);
	for (unsigned i = 0; i < count; i++)
		if (runs[i].signal == SIGSTOP) {
			scene_kill_strangers(scene);
			break;
		}
	if (!scene_is_restored(scene, 2 * NSEC_PER_SEC, &diff)) {
		printf("# RESIDUE: left behind:\n%s", diff);
		is_good = false;
	}
	free(diff);
	if (is_good)
		return;
	tally.residues++;
	for (unsigned i = 0; i < count; i++)
		show(i);
	scene_kill_strangers(scene);
	scene_take_as_it_is(scene);
}

/* ---- All of it ---- */

static void play_until(struct scene *scene, int64_t until_ns)
{
	while (clock_now_ns() < until_ns)
		play_round(scene);
}

static void show_tally(int64_t took_ns)
{
	unsigned steps = 0;

	for (unsigned i = 0; i < SOAK_KIND_COUNT; i++) {
		printf("%s%s %u", i ? ", " : "steps: ", soak_kind_names[i], tally.steps[i]);
		steps += tally.steps[i];
	}
	printf(", in all %u\n", steps);
	printf("experiments: %u (%u ended well, %u refused), processes killed: %u, stopped: %u, "
	       "residues: %u, in %lld s\n",
	       tally.experiments, tally.undisturbed, tally.refused, tally.killed, tally.stopped,
	       tally.residues, (long long)(took_ns / NSEC_PER_SEC));
}

static int soak(void *context)
{
	const struct options *options = context;
	int64_t start_ns = clock_now_ns(), lasts_ns = (int64_t)(options->minutes * 60e9);
	struct soak_sizes before, after;
	struct scene scene = {0};

	srandom(options->seed);
	scene_make(&scene);
	soak_experiment_prepare(&scene);
	scene_take_as_it_is(&scene);
	play_until(&scene, start_ns + (int64_t)((double)lasts_ns * WARM_SHARE));
	soak_sizes_take(&before);
	play_until(&scene, start_ns + lasts_ns);
	soak_sizes_take(&after);
	tally.residues += !soak_sizes_compare(&before, &after, tally.experiments);
	if (tally.refused * 100 > tally.experiments * REFUSED_MOST) {
		printf("# RESIDUE: more than %d in 100 experiments were refused\n", REFUSED_MOST);
		tally.residues++;
	}
	show_tally(clock_now_ns() - start_ns);
	scene_kill_strangers(&scene);
	return tally.residues != 0;
}

int main(int argc, char **argv)
{
	struct options options = {.minutes = argc > 1 ? strtod(argv[1], NULL) : 10,
				  .seed = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10)
						   : (unsigned)clock_wall_ns()};

	int code, long_code = -1;
	pid_t long_run;
	char *bpf;

	printf("seed %u, %.1f minutes\n", options.seed, options.minutes);
	machine_bpf_remember();
	long_run = long_run_start(options.minutes);
	code = world_run(soak, &options);
	while (long_run > 0 && waitpid(long_run, &long_code, 0) < 0 && errno == EINTR)
		;
	bpf = machine_bpf_left(60 * NSEC_PER_SEC); /* of both worlds */
	printf("%s%s\n", bpf ? "# RESIDUE: " : "BPF objects left: ", bpf ? bpf : "none");
	printf("%s\n", code || long_code || bpf ? "FAILED" : "nothing is left, nothing has grown");
	code = code || long_code || bpf;
	free(bpf);
	return code;
}
