/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All of squall is killed in mid-run, and before anybody restores somebody else takes the names
 * that the journal knows: a process gets the number, a group the path, an interface the name. What
 * is not ours any more is not touched, and nothing of ours is left.
 */
#include "tests/support/children.h"
#include "tests/sweep/point.h"
#include "tests/sweep/world.h"

#include "injector/base/clock.h"

#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPERIMENTS "tests/sweep/experiments/"

static unsigned number, failures;

static void report(bool is_good, const char *name)
{
	printf("%sok %u - %s\n", is_good ? "" : "not ", ++number, name);
	failures += !is_good;
}

/* In full force, then everybody is dead. */
static bool leave_dead_run(struct scene *scene, const char *name, unsigned steps)
{
	char binary[512], path[128], source[256];
	char *words[] = {binary, (char[]){"run"}, (char[]){"--json"}, path, NULL};
	struct trace_plan plan = {.words = words,
				  .network = scene->lab->near_fd,
				  .steps = steps,
				  .hold_kills = ROLES_ALL,
				  .patience_ns = 150 * NSEC_PER_SEC};
	struct trace_result result;

	snprintf(source, sizeof(source), EXPERIMENTS "%s", name);
	snprintf(path, sizeof(path), "%s", scene_write_experiment(scene, source));
	snprintf(binary, sizeof(binary), "%s", world_built("squall"));
	plan.variable = scene->variable;
	scene_begin(scene);
	trace_run(&plan, &result);
	scene_end_clients(scene);
	if (!result.was_held)
		printf("%s\n", result.out);
	free(result.out);
	return result.was_held;
}

static bool restore(struct scene *scene)
{
	struct trace_result result;
	int code = point_restore(scene, world_built("squall"), (struct trace_plan){0}, &result);

	printf("# restore: %d %s\n", code, result.out);
	free(result.out);
	return code == 0 && access("/run/squall", F_OK) < 0;
}

/* Its owner has stopped it, and only he may continue it. */
static bool leaves_another_process_alone(struct scene *scene)
{
	pid_t old = scene->children[0];
	bool is_good;

	if (!leave_dead_run(scene, "process-stop.yaml", 1) || child_state(old) != 'T')
		return false;
	child_stop(old);
	/* start times count hundredths of a second: not born in the same one */
	usleep(50000);
	if (child_start_with_number(old) != old) {
		perror("clone3");
		return false;
	}
	kill(old, SIGSTOP);
	is_good = child_wait_state(old, 'T') && restore(scene) && child_state(old) == 'T';
	child_stop(old);
	return is_good;
}

static bool leaves_another_group_alone(struct scene *scene)
{
	char group[128];
	bool is_good;

	snprintf(group, sizeof(group), "%.60s%s", world_cgroups(), SCENE_GROUP);
	if (!leave_dead_run(scene, "process-freeze.yaml", 1) ||
	    group_value(group, "cgroup.freeze") != 1)
		return false;
	group_write(group, "cgroup.freeze", "0");
	child_stop(scene->children[2]);
	child_stop(scene->children[3]);
	group_remove(group);
	group_make(SCENE_GROUP + 1, group);
	group_write(group, "cgroup.freeze", "1");
	is_good = restore(scene) && group_value(group, "cgroup.freeze") == 1;
	group_write(group, "cgroup.freeze", "0");
	return is_good;
}

static bool leaves_another_interface_alone(struct scene *scene)
{
	const char *near = scene->lab->near;
	char name[32];
	glob_t found;
	bool is_good;

	if (!leave_dead_run(scene, "network-delay.yaml", 2) ||
	    glob("/run/squall/??????", 0, NULL, &found) != 0)
		return false;
	snprintf(name, sizeof(name), "sq%s-1", strrchr(found.gl_pathv[0], '/') + 1);
	globfree(&found);
	netlab_run("ip -n %s link delete %s", near, name);
	netlab_run("ip -n %s link add %s type veth peer name sqpeer", near, name);
	is_good = restore(scene) && netlab_try("ip -n %s link show %s", near, name) == 0;
	netlab_run("ip -n %s link delete %s", near, name);
	return is_good;
}

/* Ours by name and marks, but somebody works with it: it is still ours, and goes. */
static bool removes_its_own_though_edited(struct scene *scene)
{
	const char *near = scene->lab->near;
	char name[32];
	glob_t found;

	if (!leave_dead_run(scene, "network-delay.yaml", 2) ||
	    glob("/run/squall/??????", 0, NULL, &found) != 0)
		return false;
	snprintf(name, sizeof(name), "sq%s-1", strrchr(found.gl_pathv[0], '/') + 1);
	globfree(&found);
	netlab_run("ip -n %s link set %s mtu 1400 up", near, name);
	netlab_run("ip -n %s address add 192.0.2.1/32 dev %s", near, name);
	return restore(scene) && netlab_try("ip -n %s link show %s", near, name) != 0;
}

static int test(void *context)
{
	struct scene scene = {0};

	(void)context;
	scene_make(&scene);
	printf("1..4\n");
	report(leaves_another_interface_alone(&scene), "an_interface_of_that_name_is_left_alone");
	report(removes_its_own_though_edited(&scene), "an_interface_of_ours_that_was_edited_goes");
	report(leaves_another_process_alone(&scene), "a_process_of_that_number_is_left_alone");
	report(leaves_another_group_alone(&scene), "a_group_of_that_path_is_left_alone");
	scene_kill_strangers(&scene);
	return failures != 0;
}

int main(void)
{
	return world_run(test, NULL);
}
