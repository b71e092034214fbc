/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/soak/long_run.h"

#include "tests/soak/members.h"
#include "tests/sweep/scene.h"
#include "tests/sweep/world.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/journal/journal.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPERIMENT "/run/long.yaml"
#define LOG	   "/run/long.log"
#define LINK	   "sqflap"

/* 320 are possible in one experiment, of six steps here */
#define PULSES_OF_A_STEP 50
#define PULSE_LEAST_NS	 (600 * NSEC_PER_MSEC)

#define LOOK_EVERY_MS 50
/* What is the most in the first window is what the second may have. Each has a dozen pulses of
 * every step in it. */
#define FIRST_FROM  10
#define FIRST_TO    30
#define SECOND_FROM 80
/* Beyond that: what happens to be open in one window and not in the other; what a run may keep: the
 * worker reads its journal as a whole (JOURNAL_CAPACITY records), the conductor has a history
 * (injector/run/history.h); each has its end. So a long soak finds smaller leaks than a short one.
 */
#define DESCRIPTORS_MORE 4
static const long memory_more_kib[MEMBER_COUNT] = {
	[MEMBER_CONDUCTOR] = 1024,
	[MEMBER_WORKER] = JOURNAL_CAPACITY * sizeof(struct journal_record) / 1024,
	[MEMBER_GUARDIAN] = 128,
	[MEMBER_LAUNCHER] = 128,
};

struct most {
	long descriptors, memory_kib;
};

struct growth {
	struct most first[MEMBER_COUNT], second[MEMBER_COUNT];
	unsigned looks;
};

static void write_experiment(const struct scene *scene, int64_t lasts_ns, int64_t every_ns)
{
	cleanup_file FILE *out = fopen(EXPERIMENT, "we");
	long long for_ms = lasts_ns / NSEC_PER_MSEC, every_ms = every_ns / NSEC_PER_MSEC;
	const char *const pulses[] = {
		"network: {target: other, partition: drop}",
		"dns: {target: server, domain: lab, answer: nxdomain}",
		"http: {target: web, answer: 503}",
		"connect: {target: all, error: ECONNREFUSED}",
		"file: {target: config, corrupt-bytes: 3}",
		"process: {target: one, action: pause}",
	};

	if (!out)
		abort();
	fprintf(out,
		"version: 1\ntitle: long\nallow-idle: true\n"
		"limits: {duration: %llds, targets: 32}\n"
		"targets:\n"
		"  far: {to: [\"10.88.0.2:7001\"]}\n"
		"  other: {to: [\"10.88.0.3\"]}\n"
		"  web: {to: [\"[fd88::2]:7001\"]}\n"
		"  server: {to: [\"10.88.0.2\"]}\n"
		"  links: {interface: \"sqf*\", follow: true}\n"
		"  all: {process: {cgroup: " SCENE_GROUP "}}\n"
		"  one: {process: {pid: %d}}\n"
		"  config: {file: {path: " SCENE_FOLDER "/service.conf}}\n"
		"probes:\n"
		"  port: {tcp: \"10.88.0.2:7001\", every: 100ms, timeout: 1s}\n"
		"  relayed: {tcp: \"[fd88::2]:7001\", every: 1s, timeout: 1s}\n"
		"  refused: {tcp: \"10.88.0.1:9\", every: 100ms, timeout: 1s}\n"
		"  page: {http: \"http://127.0.0.1:7001/\", every: 200ms, timeout: 50ms}\n"
		"  backlog: {command: [/bin/echo, \"5\"], every: 250ms, expect: {output: \"< "
		"3\"}}\n"
		"  workers: {process: soak, every: 200ms, expect: {count: \">= 2\"}}\n"
		"  cpu: {pressure: cpu, every: 200ms, expect: {some-avg10: \"< 100\"}}\n"
		"steady-state: {require: [port, relayed], for: 1s}\n" /* the others are meant to
									 fail */
		"method:\n"
		/* downwards: what waits in it needs memory, at first the most */
		"  - {at: 0s, for: %lldms, ramp: {from: 100%%, to: 20%%, over: %lldms}, "
		"network: {target: far, delay: 30ms, jitter: 3ms}}\n"
		"  - {at: 0s, for: %lldms, network: {target: links, delay: 1ms}}\n",
		for_ms / 1000 + 60, scene->children[0], for_ms, for_ms, for_ms);
	for (unsigned i = 0; i < sizeof(pulses) / sizeof(*pulses); i++)
		fprintf(out, "  - {at: %lldms, for: %lldms, every: %lldms, active: %lldms, %s}\n",
			every_ms * i / 10, for_ms - every_ms, every_ms, every_ms / 3, pulses[i]);
}

static long count_descriptors(pid_t pid)
{
	char path[64];
	cleanup_dir DIR *dir = NULL;
	long count = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && readdir(dir))
		count++;
	return count - 2; /* . and .. */
}

/* Its own: what it shares with the program's file is the kernel's to keep or drop. */
static long memory_of(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return soak_number(path, "RssAnon:") + soak_number(path, "RssShmem:");
}

static void look(pid_t conductor, struct most most[MEMBER_COUNT])
{
	pid_t pids[MEMBER_COUNT];

	members_find(conductor, pids);
	for (unsigned i = 0; i < MEMBER_COUNT; i++) {
		long descriptors = pids[i] ? count_descriptors(pids[i]) : 0;
		long memory_kib = pids[i] ? memory_of(pids[i]) : 0;

		if (descriptors > most[i].descriptors)
			most[i].descriptors = descriptors;
		if (memory_kib > most[i].memory_kib)
			most[i].memory_kib = memory_kib;
	}
}

/* An interface that the run follows. */
static void flap(const struct scene *scene, bool *is_there)
{
	if (*is_there)
		netlab_try("ip -n %s link del " LINK, scene->lab->near);
	else
		netlab_try("ip -n %s link add " LINK " up type veth peer name " LINK "2",
			   scene->lab->near);
	*is_there = !*is_there;
}

/* Until it is over; its status. */
static int watch(const struct scene *scene, pid_t conductor, int64_t lasts_ns, int64_t every_ns,
		 struct growth *growth)
{
	int64_t start_ns = clock_now_ns(), flap_ns = start_ns + every_ns, give_up_ns;
	bool has_link = true;
	int status = -1;

	give_up_ns = start_ns + lasts_ns + 90 * NSEC_PER_SEC;
	for (;;) {
		int64_t now_ns = clock_now_ns();
		int64_t percent = (now_ns - start_ns) * 100 / lasts_ns;
		pid_t pid;

		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == conductor)
				return status;
		if (now_ns > give_up_ns)
			return -1;
		if (now_ns > flap_ns && percent < 95) {
			flap(scene, &has_link);
			flap_ns = now_ns + every_ns;
		}
		if (percent >= FIRST_FROM && percent < FIRST_TO)
			look(conductor, growth->first);
		else if (percent >= SECOND_FROM && percent < 100)
			look(conductor, growth->second);
		growth->looks++;
		usleep(LOOK_EVERY_MS * 1000);
	}
}

static bool has_grown(const struct growth *growth)
{
	bool is_bad = false;

	for (unsigned i = 0; i < MEMBER_COUNT; i++) {
		const struct most *first = &growth->first[i], *second = &growth->second[i];
		bool is_there = first->descriptors > 0 && second->descriptors > 0;
		bool is_more = second->descriptors > first->descriptors + DESCRIPTORS_MORE ||
			       second->memory_kib > first->memory_kib + memory_more_kib[i];

		printf("long run, %s: descriptors %ld -> %ld, memory %ld -> %ld KiB\n",
		       member_names[i], first->descriptors, second->descriptors, first->memory_kib,
		       second->memory_kib);
		if (!is_there)
			printf("# RESIDUE: the long run's %s was not seen\n", member_names[i]);
		else if (is_more)
			printf("# RESIDUE: the long run's %s has grown (allowed: %d descriptors, "
			       "%ld KiB)\n",
			       member_names[i], DESCRIPTORS_MORE, memory_more_kib[i]);
		is_bad |= !is_there || is_more;
	}
	return is_bad;
}

static int inside(void *context)
{
	int64_t lasts_ns = (int64_t)(*(const double *)context * 60e9);
	int64_t every_ns = lasts_ns / PULSES_OF_A_STEP;
	cleanup_free char *diff = NULL;
	struct growth growth = {0};
	struct scene scene = {0};
	pid_t conductor;
	bool is_bad;
	int status;

	if (every_ns < PULSE_LEAST_NS)
		every_ns = PULSE_LEAST_NS;
	scene_make(&scene);
	netlab_run("ip -n %s link add " LINK " up type veth peer name " LINK "2", scene.lab->near);
	write_experiment(&scene, lasts_ns, every_ns);
	conductor = soak_start(scene.lab->near_fd, EXPERIMENT, LOG);
	status = watch(&scene, conductor, lasts_ns, every_ns, &growth);
	netlab_try("ip -n %s link del " LINK, scene.lab->near);
	is_bad = has_grown(&growth);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		cleanup_free char *log = netlab_output("tail -n 15 " LOG);

		printf("# RESIDUE: the long run ended with status %x\n# %s\n", status, log);
		is_bad = true;
	}
	if (!scene_is_restored(&scene, 2 * NSEC_PER_SEC, &diff)) {
		printf("# RESIDUE: the long run left behind:\n%s", diff);
		is_bad = true;
	}
	scene_kill_strangers(&scene);
	return is_bad;
}

int long_run_start(double minutes)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int code = world_run(inside, &minutes);

		fflush(stdout);
		_exit(code);
	}
	return pid;
}
