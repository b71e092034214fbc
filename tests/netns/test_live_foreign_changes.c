/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A run is alive, its fault in force, and somebody else takes the name that the fault knows: an
 * interface goes and another one comes by that name, a process dies and another one gets its
 * number, a group is made anew. When the run ends, by itself, what is not ours any more is as its
 * owner has made it, and nothing of ours is left. See test_foreign_changes.c for the dead ones.
 */
#include "tests/support/children.h"
#include "tests/support/squall_runner.h"
#include "tests/sweep/point.h"
#include "tests/sweep/world.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPERIMENT  "/run/live.yaml"
#define LIVE	    "sqlive"
#define PATIENCE_NS (150 * NSEC_PER_SEC)

/* Exit codes of squall(8) */
enum { HELD = 0, INTERRUPTED = 4 };

static unsigned number, failures;

static void report(bool is_good, const char *name)
{
	printf("%sok %u - %s\n", is_good ? "" : "not ", ++number, name);
	failures += !is_good;
}

/* One run of `text`. When its first step is in force, `change` is called. Its exit code. */
static int live_through(struct scene *scene, const char *text, char *variable,
			void (*change)(void *scene))
{
	char binary[512];
	char *words[] = {binary, (char[]){"run"}, (char[]){"--json"}, (char[]){EXPERIMENT}, NULL};
	struct trace_plan plan = {.words = words,
				  .variable = variable,
				  .network = scene->lab->near_fd,
				  .steps = 1,
				  .first = change,
				  .of_first = scene,
				  .patience_ns = PATIENCE_NS};
	struct trace_result result;
	cleanup_file FILE *file = fopen(EXPERIMENT, "we");
	int code;

	if (!file || fputs(text, file) < 0 || fflush(file) != 0)
		abort();
	snprintf(binary, sizeof(binary), "%s", world_built("squall"));
	trace_run(&plan, &result);
	code = result.status != -1 && WIFEXITED(result.status) ? WEXITSTATUS(result.status) : 128;
	printf("# exit code %d\n", code);
	if (!result.injected || code == 128)
		printf("%s\n", result.out);
	free(result.out);
	return code;
}

static bool is_as_before(struct scene *scene)
{
	char *diff = NULL;
	bool is_same = scene_is_restored(scene, (is_emulated() ? 10 : 1) * NSEC_PER_SEC, &diff);

	if (!is_same)
		printf("# RESIDUE not as its owner has made it:\n%s\n", diff);
	free(diff);
	return is_same;
}

/* ---- An interface ---- */

static void make_link(const struct scene *scene, unsigned index)
{
	netlab_run("ip -n %s link add " LIVE " index %u address 02:00:00:00:01:%02x type veth "
		   "peer name sqlive2 index %u address 02:00:00:00:02:%02x",
		   scene->lab->near, index, index % 100, index + 1, index % 100);
	netlab_run("ip -n %s link set " LIVE " addrgenmode none up", scene->lab->near);
}

/* With what a fault of ours would have there, too: a clsact, and a qdisc at its root. */
static void make_theirs(const struct scene *scene, unsigned index)
{
	make_link(scene, index);
	netlab_run("tc -n %s qdisc add dev " LIVE " root handle 7: htb default 1",
		   scene->lab->near);
	netlab_run("tc -n %s qdisc add dev " LIVE " clsact", scene->lab->near);
}

static void delete_link(const struct scene *scene)
{
	netlab_run("ip -n %s link delete " LIVE, scene->lab->near);
}

#define OURS   1000000010
#define THEIRS 1000000020

static void exchange_link(void *of_scene)
{
	struct scene *scene = of_scene;
	sigset_t beat, before;

	/* no beat of the tracer's in the midst of it */
	sigemptyset(&beat);
	sigaddset(&beat, SIGALRM);
	sigprocmask(SIG_BLOCK, &beat, &before);
	delete_link(scene);
	make_theirs(scene, THEIRS);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static bool leaves_another_interface_alone(struct scene *scene, const char *effect, char *variable)
{
	char text[512];
	bool is_good;

	snprintf(text, sizeof(text),
		 "version: 1\ntitle: Interface\nallow-idle: true\n"
		 "limits: {duration: 30s, targets: 8}\n"
		 "targets:\n  far: {to: [\"10.77.0.0/24\"], interface: " LIVE "}\n"
		 "method:\n  - {at: 0s, for: 2s, network: {target: far, direction: both, %s}}\n",
		 effect);
	make_theirs(scene, THEIRS);
	scene_take_as_it_is(scene);
	delete_link(scene);
	make_link(scene, OURS);
	is_good = live_through(scene, text, variable, exchange_link) == INTERRUPTED;
	is_good &= is_as_before(scene);
	delete_link(scene);
	scene_take_as_it_is(scene);
	return is_good;
}

/* ---- A process ---- */

/* Its owner has stopped it, and only he may continue it. */
static void exchange_process(void *of_scene)
{
	struct scene *scene = of_scene;
	pid_t old = scene->children[0];

	kill(old, SIGKILL);
	while (waitpid(old, NULL, 0) != old)
		;
	/* start times count hundredths of a second: not born in the same one */
	usleep(50000);
	if (child_start_with_number(old) != old)
		abort();
	kill(old, SIGSTOP);
	if (!child_wait_state(old, 'T'))
		abort();
}

static bool leaves_another_process_alone(struct scene *scene)
{
	pid_t pid = scene->children[0];
	char text[512];
	bool is_good;

	snprintf(text, sizeof(text),
		 "version: 1\ntitle: Process\nallow-idle: true\n"
		 "limits: {duration: 30s, targets: 8}\n"
		 "targets:\n  one: {process: {pid: %d}}\n"
		 "method:\n  - {at: 0s, for: 500ms, process: {target: one, action: pause}}\n",
		 (int)pid);
	is_good = live_through(scene, text, NULL, exchange_process) == HELD;
	is_good &= child_state(pid) == 'T' && access("/run/squall", F_OK) < 0;
	kill(pid, SIGCONT);
	is_good &= child_wait_state(pid, 'S');
	scene_take_as_it_is(scene);
	return is_good;
}

/* ---- A control group ---- */

static void group_path(char out[128])
{
	snprintf(out, 128, "%.60s%s", world_cgroups(), SCENE_GROUP);
}

/* Its owner has frozen it. */
static void exchange_group(void *of_scene)
{
	struct scene *scene = of_scene;
	char group[128];

	group_path(group);
	for (unsigned i = 2; i < 4; i++) {
		kill(scene->children[i], SIGKILL);
		while (waitpid(scene->children[i], NULL, 0) != scene->children[i])
			;
	}
	group_remove(group);
	group_make(SCENE_GROUP + 1, group);
	group_write(group, "cgroup.freeze", "1");
}

static bool leaves_another_group_alone(struct scene *scene)
{
	static const char text[] =
		"version: 1\ntitle: Group\nallow-idle: true\n"
		"limits: {duration: 30s, targets: 8}\n"
		"targets:\n  all: {process: {cgroup: " SCENE_GROUP "}}\n"
		"method:\n  - {at: 0s, for: 500ms, process: {target: all, action: pause}}\n";
	char group[128];
	bool is_good;

	group_path(group);
	is_good = live_through(scene, text, NULL, exchange_group) == HELD;
	is_good &= group_value(group, "cgroup.freeze") == 1 && access("/run/squall", F_OK) < 0;
	group_write(group, "cgroup.freeze", "0");
	return is_good;
}

/* ---- All ---- */

static int test(void *context)
{
	char clsact[] = "SQUALL_HOOK=clsact";
	struct scene scene = {0};

	(void)context;
	scene_make(&scene);
	printf("1..6\n");
	report(leaves_another_interface_alone(&scene, "delay: 300ms", NULL),
	       "another_interface_of_that_name_is_left_alone");
	report(leaves_another_interface_alone(&scene, "loss: 10%", NULL),
	       "another_interface_is_left_alone_by_loss");
	report(leaves_another_interface_alone(&scene, "delay: 300ms", clsact),
	       "another_interface_with_a_clsact_is_left_alone");
	report(leaves_another_interface_alone(&scene, "loss: 10%", clsact),
	       "another_interface_with_a_clsact_is_left_alone_by_loss");
	report(leaves_another_process_alone(&scene),
	       "another_process_of_that_number_stays_stopped");
	report(leaves_another_group_alone(&scene), "another_group_of_that_path_stays_frozen");
	scene_kill_strangers(&scene);
	return failures != 0;
}

int main(void)
{
	return world_run(test, NULL);
}
