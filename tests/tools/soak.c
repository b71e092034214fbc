/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random valid experiments, up to three side by side, and random deaths: for as long as asked.
 * After each round `squall restore`, and the machine must be what it was at the start. At the end
 * nothing has grown: descriptors, memory, BPF objects, control groups, files.
 *
 *   soak [MINUTES] [SEED]
 */
#include "tests/support/squall_runner.h"
#include "tests/sweep/point.h"
#include "tests/sweep/world.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define SIDE_BY_SIDE 3
#define STEPS_MAX    4
#define ROUND_MAX_NS (40 * NSEC_PER_SEC)

struct options {
	double minutes;
	unsigned seed;
};

static struct tally {
	unsigned experiments, killed, stopped, undisturbed, refused, residues;
} tally;

static unsigned pick(unsigned below)
{
	return (unsigned)random() % below;
}

/* ---- Experiments ---- */

static void write_network(FILE *out, unsigned at_ms)
{
	static const char *const effects[] = {
		"delay: 30ms", "delay: 80ms, jitter: 10ms", "loss: 100%",
		"loss: 3%",    "delay: 20ms, loss: 50%",    "delay: 300ms, loss: 1%",
	};
	static const char *const directions[] = {"", ", direction: both", ", direction: egress",
						 ", direction: ingress"};
	bool is_self = pick(4) == 0;

	fprintf(out, "  - {at: %ums, for: %ums, network: {target: %s, %s%s}}\n", at_ms,
		20 + pick(200),
		is_self	  ? "self"
		: pick(2) ? "far"
			  : "net",
		effects[pick(6)], is_self ? "" : directions[pick(4)]);
}

static void write_process(FILE *out, unsigned at_ms)
{
	switch (pick(3)) {
	case 0:
		fprintf(out, "  - {at: %ums, for: %ums, process: {target: one, action: pause}}\n",
			at_ms, 10 + pick(150));
		break;
	case 1:
		fprintf(out, "  - {at: %ums, for: %ums, process: {target: all, action: pause}}\n",
			at_ms, 10 + pick(150));
		break;
	case 2:
		fprintf(out, "  - {at: %ums, process: {target: signals, signal: USR1}}\n", at_ms);
		break;
	}
}

/* Every target is used: what is not is an error. */
static void write_targets(FILE *out, const struct scene *scene, const char *method)
{
	const struct {
		const char *name, *format;
		int number;
	} targets[] = {
		{"far", "to: [\"10.88.0.2:7001\"]", 0},
		{"net", "to: [\"10.88.0.0/24\", \"fd88::/64\"]", 0},
		{"self", "to: [\"127.0.0.1:7001\"]", 0},
		{"one", "process: {pid: %d}", scene->children[0]},
		{"signals", "process: {pid: %d}", scene->children[1]},
		{"all", "process: {cgroup: " SCENE_GROUP "}", 0},
	};

	for (unsigned i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
		char use[32];

		snprintf(use, sizeof(use), "target: %s,", targets[i].name);
		if (!strstr(method, use))
			continue;
		fprintf(out, "  %s: {", targets[i].name);
		/* formats of this table alone */
		if (targets[i].number)
			fprintf(out, "process: {pid: %d}", targets[i].number);
		else
			fputs(targets[i].format, out);
		fputs("}\n", out);
	}
}

static void write_experiment(const struct scene *scene, unsigned slot, char path[64])
{
	char *method = NULL;
	size_t size;
	FILE *steps = open_memstream(&method, &size), *out;
	unsigned count = 1 + pick(STEPS_MAX), at_ms = 0;

	for (unsigned i = 0; i < count; i++) {
		if (pick(3))
			write_network(steps, at_ms);
		else
			write_process(steps, at_ms);
		at_ms += pick(80);
	}
	fclose(steps);
	snprintf(path, 64, "/run/soak-%u.yaml", slot);
	out = fopen(path, "we");
	fprintf(out, "version: 1\ntitle: soak\nallow-idle: true\n"
		     "limits: {duration: 20s, targets: 32}\ntargets:\n");
	write_targets(out, scene, method);
	fprintf(out, "method:\n%s", method);
	fclose(out);
	free(method);
}

/* ---- Runs ---- */

struct run {
	pid_t conductor;
	char path[64];
	int64_t hit_ns; /* when somebody of it dies; 0: nobody */
	unsigned victim;
	int signal;
	int status;
	bool is_over;
};

static void start(const struct scene *scene, struct run *run, unsigned slot)
{
	write_experiment(scene, slot, run->path);
	run->hit_ns = pick(5) ? clock_now_ns() + (int64_t)pick(400) * NSEC_PER_MSEC : 0;
	run->victim = pick(ROLE_LAUNCHER + 1U);
	run->signal = pick(10) ? SIGKILL : SIGSTOP;
	run->is_over = false;
	fflush(stdout);
	run->conductor = fork();
	if (run->conductor == 0) {
		char log[64];
		int out;
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setsid();
		snprintf(log, sizeof(log), "/run/soak-%u.log", slot);
		out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (setns(scene->lab->near_fd, CLONE_NEWNET) < 0 || dup2(out, 1) < 0 ||
		    dup2(out, 2) < 0)
			_exit(98);
		execl(world_built("squall"), "squall", "run", "--json", run->path, NULL);
		_exit(99);
	}
}

/* The worker is the conductor's child, the guardian the worker's. */
static pid_t find_child(pid_t parent, const char *name)
{
	char path[64], text[256] = "", comm[PROC_COMM_SIZE];
	cleanup_fd int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return 0;
	for (char *rest, *word = strtok_r(text, " ", &rest); word;
	     word = strtok_r(NULL, " ", &rest)) {
		pid_t pid = (pid_t)strtol(word, NULL, 10);

		if (proc_read_comm(pid, comm, sizeof(comm)) == 0 && strcmp(comm, name) == 0)
			return pid;
	}
	return 0;
}

static void hit(struct run *run)
{
	pid_t worker = find_child(run->conductor, "squall-worker");
	pid_t guardian = find_child(run->conductor, "squall-guardian");
	const pid_t one[] = {run->conductor, worker, guardian};

	run->hit_ns = 0;
	tally.killed += run->signal == SIGKILL;
	tally.stopped += run->signal == SIGSTOP;
	if (run->victim == ROLE_LAUNCHER) { /* all of them */
		for (unsigned i = 0; i < 3; i++)
			if (one[i])
				kill(one[i], SIGKILL);
	} else if (one[run->victim]) {
		/* a stopped conductor is silent, and ends when it goes on */
		kill(one[run->victim], run->victim == ROLE_CONDUCTOR ? SIGKILL : run->signal);
	}
}

static bool is_known(int status)
{
	/* verdicts but 6, or our own SIGKILL */
	return WIFEXITED(status) ? WEXITSTATUS(status) <= 5
				 : WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
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
			tally.refused += WEXITSTATUS(runs[i].status) == 2;
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

static void show(unsigned count)
{
	for (unsigned slot = 0; slot < count; slot++)
		for (unsigned i = 0; i < 2; i++) {
			char *text = netlab_output("cat /run/soak-%u.%s", slot, i ? "log" : "yaml");

			printf("# %s\n", text);
			free(text);
		}
}

static void play_round(struct scene *scene)
{
	unsigned count = 1 + pick(SIDE_BY_SIDE);
	struct run runs[SIDE_BY_SIDE] = {0};
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
	show(count);
	scene_kill_strangers(scene);
	scene_take_as_it_is(scene);
}

/* ---- Growth ---- */

struct sizes {
	unsigned descriptors;
	long memory_kib, groups;
	unsigned files;
};

static long read_number(const char *path, const char *key)
{
	cleanup_file FILE *file = fopen(path, "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			return strtol(line + strlen(key), NULL, 10);
	return 0;
}

static unsigned count_lines(const char *command)
{
	cleanup_free char *text = netlab_output("%s", command);
	unsigned count = 0;

	for (const char *at = text; (at = strchr(at, '\n')); at++)
		count++;
	return count;
}

static struct sizes measure(void)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/cgroup.stat", world_cgroups());
	return (struct sizes){
		.descriptors = count_lines("find /proc/1/fd -type l"),
		.memory_kib = read_number("/proc/1/status", "VmRSS:"),
		.groups = read_number(path, "nr_descendants "),
		.files = count_lines("find /run/squall /var/lib/squall -not -path */results/*"),
	};
}

static int soak(void *context)
{
	const struct options *options = context;
	struct scene scene = {0};
	struct sizes before, after;
	int64_t start_ns, until_ns;
	cleanup_free char *bpf = NULL;

	srandom(options->seed);
	machine_state_remember_bpf();
	scene_make(&scene);
	printf("seed %u, %.1f minutes\n", options->seed, options->minutes);
	play_round(&scene); /* what is learned once about the kernel stays */
	before = measure();
	start_ns = clock_now_ns();
	until_ns = start_ns + (int64_t)(options->minutes * 60e9);
	while (clock_now_ns() < until_ns)
		play_round(&scene);
	after = measure();
	bpf = machine_state_bpf_left(60 * NSEC_PER_SEC);
	if (bpf) {
		printf("# RESIDUE: %s\n", bpf);
		tally.residues++;
	}
	printf("descriptors %u -> %u, groups %ld -> %ld, files %u -> %u, memory of this test %ld "
	       "-> "
	       "%ld KiB\n",
	       before.descriptors, after.descriptors, before.groups, after.groups, before.files,
	       after.files, before.memory_kib, after.memory_kib);
	if (after.descriptors > before.descriptors || after.groups > before.groups ||
	    after.files > before.files) {
		printf("# RESIDUE: something has grown\n");
		tally.residues++;
	}
	printf("experiments: %u (%u ended well, %u refused), processes killed: %u, stopped: %u, "
	       "residues: %u, in %lld s\n",
	       tally.experiments, tally.undisturbed, tally.refused, tally.killed, tally.stopped,
	       tally.residues, (long long)((clock_now_ns() - start_ns) / NSEC_PER_SEC));
	scene_kill_strangers(&scene);
	return tally.residues != 0;
}

int main(int argc, char **argv)
{
	struct options options = {.minutes = argc > 1 ? strtod(argv[1], NULL) : 10,
				  .seed = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10)
						   : (unsigned)clock_wall_ns()};

	return world_run(soak, &options);
}
