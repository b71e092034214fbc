/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Containers found by name in the state files of their runtimes, which are written here as the
 * runtimes write them; the processes, control groups and network namespaces are real. And what must
 * not be believed.
 */
#include "tests/support/children.h"
#include "tests/support/netlab.h"

#include "faults/network.h"
#include "faults/target_group.h"
#include "faults/target_parts.h"
#include "injector/base/cleanup.h"
#include "injector/kernel/cgroup.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ID	 "d0c5e500112233445566778899aabbccddeeff00112233445566778899aabbcc"
#define OTHER_ID "d0c5e500112277445566778899aabbccddeeff00112233445566778899aabbcc"
#define LOST_MS	 150

struct room {
	struct netlab *lab;
	char files[64]; /* in the place of / */
	char group[128];
	pid_t process; /* in the far namespace, and in the group */
};

static void write_file(const struct room *room, const char *name, const char *format, ...)
{
	char path[512], text[1024];
	va_list arguments;
	FILE *file;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	snprintf(path, sizeof(path), "%s/%s", room->files, name);
	for (char *at = path + strlen(room->files) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
		*at = '/';
	}
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void write_docker(const struct room *room, const char *id, const char *name, pid_t pid)
{
	char path[256];

	snprintf(path, sizeof(path), "var/lib/docker/containers/%s/config.v2.json", id);
	write_file(room, path,
		   "{\"State\":{\"Running\":%s,\"Paused\":false,\"Pid\":%d},\"ID\":\"%s\","
		   "\"Name\":\"/%s\",\"Driver\":\"overlay2\"}",
		   pid ? "true" : "false", pid, id, name);
}

static pid_t start_process_at(int network, const char *group)
{
	int ready[2];
	char byte;
	pid_t child;

	assert_int_equal(pipe(ready), 0);
	/* as the first process of a container is */
	child = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		group_write(group, "cgroup.procs", "0");
		if (setsid() < 0 || setns(network, CLONE_NEWNET) < 0 ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return child;
}

static pid_t start_process(const struct netlab *lab, const char *group)
{
	return start_process_at(lab->far_fd, group);
}

static void assert_found(const struct room *room, const char *name)
{
	struct target_container found;
	struct error err = ERROR_INIT;

	if (target_container_find(name, &found, &err) < 0)
		fail_msg("%s: %s; %s", name, err.text, err.remedy);
	assert_int_equal(found.pid, room->process);
	assert_string_equal(found.id, ID);
	assert_string_equal(found.group, "/docker-" ID ".scope");
}

static void assert_not_found(const char *name, int code, const char *words)
{
	struct target_container found;
	struct error err = ERROR_INIT;

	assert_int_equal(target_container_find(name, &found, &err), -code);
	if (!strstr(err.text, words))
		fail_msg("'%s' instead of '%s'", err.text, words);
}

static void test_docker(void **state)
{
	struct room *room = *state;

	write_docker(room, ID, "shop", room->process);
	write_docker(room, OTHER_ID, "stopped", 0);
	assert_found(room, "shop");
	assert_found(room, "d0c5e5001122334");
	assert_not_found("stopped", ESRCH, "does not run");
	assert_not_found("sho", ENOENT, "no container 'sho'");
	assert_not_found("d0c5e5001122", ENOTUNIQ, "ambiguous");
}

static void test_podman(void **state)
{
	struct room *room = *state;

	write_file(room, "var/lib/containers/storage/overlay-containers/containers.json",
		   "[{\"id\":\"" OTHER_ID "\",\"names\":[\"old\"]},{\"id\":\"" ID
		   "\",\"names\":[\"shop\"],\"image\":\"1\"}]");
	write_file(room, "run/containers/storage/overlay-containers/" ID "/userdata/pidfile", "%d",
		   room->process);
	assert_found(room, "shop");
	assert_not_found("old", ESRCH, "does not run");
	/* podman leaves the file when the container has ended */
	write_file(room, "run/containers/storage/overlay-containers/" OTHER_ID "/userdata/pidfile",
		   "%d", 4194303);
	assert_not_found("old", ESRCH, "does not run");
}

static void test_patterns(void **state)
{
	struct room *room = *state;
	cleanup_free struct target_container *found = NULL;
	struct error err = ERROR_INIT;
	unsigned count = 0;

	write_docker(room, ID, "shop-1", room->process);
	write_docker(room, OTHER_ID, "shop-2", 0); /* does not run */
	if (target_containers_find("shop-*", &found, &count, &err) < 0)
		fail_msg("%s; %s", err.text, err.remedy);
	assert_int_equal(count, 1);
	assert_string_equal(found[0].name, "shop-1");
	assert_int_equal(found[0].pid, room->process);
	/* none twice */
	assert_int_equal(target_containers_find("sh?p-1", &found, &count, &err), 0);
	assert_int_equal(target_containers_find("shop-1", &found, &count, &err), 0);
	assert_int_equal(count, 1);
	assert_int_equal(target_containers_find("stall-*", &found, &count, &err), -ENOENT);
	assert_string_equal(err.text, "no container that runs matches 'stall-*'");
	/* whose file is older than itself keeps no other from being found */
	write_docker(room, OTHER_ID, "shop-2", getpid());
	assert_int_equal(target_containers_find("shop-*", &found, &count, &err), 0);
	assert_int_equal(count, 1);
}

static int resolve_processes(struct target *target, unsigned key, const char *text,
			     struct error *err)
{
	*target = (struct target){.kind = TARGET_PROCESS, .namespace_fd = -1};
	assert_int_equal(params_init(&target->params, process_params, NULL), 0);
	assert_int_equal(params_add(&target->params, key, text, 0, 0, NULL), 0);
	return target_resolve(target, 10, NULL, err);
}

/* The first process of a container is nobody's by accident. */
static void test_processes_of_a_container(void **state)
{
	struct room *room = *state;
	struct target target;
	struct error err = ERROR_INIT;
	char pid[16];

	write_docker(room, ID, "shop", room->process);
	snprintf(pid, sizeof(pid), "%d", room->process);
	assert_int_equal(resolve_processes(&target, PROCESS_PID, pid, &err), -EPERM);
	assert_non_null(strstr(err.text, "select it by `container`"));
	target_free(&target);
	if (resolve_processes(&target, PROCESS_CONTAINER, "sh*", &err) < 0)
		fail_msg("%s; %s", err.text, err.remedy);
	assert_int_equal(target.process_count, 1);
	assert_int_equal(target.processes[0].id.pid, room->process);
	assert_int_equal(target_process_recheck(&target.processes[0], &target, &err), 0);
	target_free(&target);
}

static void test_containerd(void **state)
{
	static const char task[] = "run/containerd/io.containerd.runtime.v2.task/k8s.io/" ID;
	struct room *room = *state;
	char path[256];

	snprintf(path, sizeof(path), "%s/config.json", task);
	write_file(
		room, path,
		"{\"ociVersion\":\"1.1.0\",\"annotations\":{\"io.kubernetes.cri.container-name\":"
		"\"shop\",\"io.kubernetes.cri.sandbox-name\":\"front-7f\"}}");
	snprintf(path, sizeof(path), "%s/init.pid", task);
	write_file(room, path, "%d", room->process);
	assert_found(room, "shop");
	assert_found(room, "front-7f/shop");
	assert_not_found("back/shop", ENOENT, "no container");
}

static void test_by_number_without_any_file(void **state)
{
	assert_found(*state, "d0c5e5001122");
}

static void test_what_is_not_believed(void **state)
{
	struct target_container found;
	struct error err = ERROR_INIT;
	struct room *room = *state;
	char path[512];

	/* it has outlived its container, and the number is another process' by now */
	write_docker(room, ID, "shop", getpid());
	assert_not_found("shop", ESTALE, "in no control group of the container");
	write_docker(room, ID, "shop", room->process);
	snprintf(path, sizeof(path), "%s/var/lib/docker/containers/" ID "/config.v2.json",
		 room->files);
	assert_int_equal(chown(path, 65534, 65534), 0);
	assert_not_found("shop", ENOENT, "only root can have written");
	assert_int_equal(chown(path, 0, 0), 0);
	assert_found(room, "shop");
	assert_int_equal(chmod(path, 0666), 0);
	assert_not_found("shop", ENOENT, "only root can have written");
	/* by its whole number in its own file alone, which there is none of */
	assert_int_equal(target_container_find(OTHER_ID, &found, &err), -ENOENT);
	assert_null(strstr(err.text, "only root can have written"));
	write_file(room, "var/lib/docker/containers/" OTHER_ID "/config.v2.json", "{\"State\":");
	assert_not_found("stopped", ENOENT, "no container");
}

/* The process is in the far namespace: that is where it is met, whoever else is there is not. */
static void test_a_network_fault_for_a_container(void **state)
{
	struct room *room = *state;
	struct netlab_fault fault;
	struct cgroup_mounts mounts;

	write_docker(room, ID, "shop", room->process);
	netlab_fault_start(
		NULL, &fault, "ccccc1",
		(const char *[]){"container", "shop", "to", "10.88.0.1", "loss", "100%", NULL});
	assert_non_null(strstr(fault.plan, "interface sqv1 egress, network namespace pid:"));
	assert_non_null(strstr(fault.plan, "docker-" ID ".scope (container shop)"));
	assert_non_null(strstr(fault.plan, "answers to ping, resets"));
	/* answers of the laboratory's server, which is in that namespace, but not in the group */
	assert_true(netlab_round_trip(room->lab, "10.88.0.2", NETLAB_PORT, 3000) >= 0);
	assert_int_equal(netlab_try("ip netns exec %s ping -c 1 -W 2 10.88.0.1", room->lab->far),
			 0);
	group_write(room->group, "cgroup.procs", "0");
	assert_int_not_equal(
		netlab_try("ip netns exec %s ping -c 1 -W 1 10.88.0.1", room->lab->far), 0);
	assert_int_equal(cgroup_find_mounts(&mounts, NULL), 0);
	group_write(mounts.unified, "cgroup.procs", "0");
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* One of two, drawn by the seed; both in one network namespace. */
static void assert_drawn(void)
{
	unsigned chosen[2] = {0};
	struct error err = ERROR_INIT;

	for (uint64_t seed = 0; seed < 40; seed++) {
		char last[80] = "";

		for (unsigned again = 0; again < 2; again++) {
			struct target target = {.kind = TARGET_TRAFFIC, .seed = seed};

			assert_int_equal(params_init(&target.params, traffic_params, &err), 0);
			params_add(&target.params, TRAFFIC_CONTAINER, "shop-*", 0, 0, &err);
			params_add(&target.params, TRAFFIC_CONTAINER_COUNT, "1", 0, 0, &err);
			params_add(&target.params, TRAFFIC_TO, "10.88.0.1", 0, 0, &err);
			if (target_resolve(&target, 10, NULL, &err) < 0)
				fail_msg("%s (%s)", err.text, err.remedy);
			assert_int_equal(target.group_count, 1);
			if (again)
				assert_string_equal(target.part_text, last);
			snprintf(last, sizeof(last), "%s", target.part_text);
			chosen[0] += strcmp(last, "shop-1") == 0;
			chosen[1] += strcmp(last, "shop-2") == 0;
			target_free(&target);
		}
	}
	assert_int_equal(chosen[0] + chosen[1], 80);
	assert_in_range(chosen[0], 12, 68);
}

static void assert_split(const char *name)
{
	struct target whole = {.kind = TARGET_TRAFFIC}, *parts;
	struct target_room room = {1, 1000};
	struct error err = ERROR_INIT;
	unsigned count;

	assert_int_equal(params_init(&whole.params, traffic_params, &err), 0);
	assert_int_equal(params_add(&whole.params, TRAFFIC_CONTAINER, name, 0, 0, &err), 0);
	assert_int_equal(target_split(&whole, NULL, &room, &parts, &count, &err), -E2BIG);
	assert_int_equal(room.values, 1);
	room.values = 5;
	if (target_split(&whole, NULL, &room, &parts, &count, &err) < 0)
		fail_msg("%s (%s)", err.text, err.remedy);
	assert_int_equal(count, 2);
	assert_int_equal(room.values, 3);
	assert_string_equal(parts[0].part_text, "shop-1");
	assert_string_equal(params_text(&parts[0].params, TRAFFIC_CONTAINER), ID);
	assert_string_equal(parts[1].part_text, "shop-2");
	assert_string_equal(params_text(&parts[1].params, TRAFFIC_CONTAINER), OTHER_ID);
	target_free(&parts[0]);
	target_free(&parts[1]);
	free(parts);
	target_free(&whole);
}

/* Several containers of one pod are one target; of different networks as many. */
static void test_a_network_fault_for_several_containers(void **state)
{
	struct room *room = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	char group[128];
	pid_t other;

	group_make("docker-" OTHER_ID ".scope", group);
	other = start_process(room->lab, group);
	write_docker(room, ID, "shop-1", room->process);
	write_docker(room, OTHER_ID, "shop-2", other);
	if (netlab_fault_plan(NULL, &fault, "ccccc1",
			      (const char *[]){"container", "shop-*", "to", "10.88.0.1", "loss",
					       "100%", NULL},
			      &err) < 0)
		fail_msg("%s (%s)", err.text, err.remedy);
	assert_non_null(strstr(fault.plan, "docker-" ID ".scope (container shop-*)"));
	assert_non_null(strstr(fault.plan, "docker-" OTHER_ID ".scope (container shop-*)"));
	assert_int_equal(fault.target.container_count, 2);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	assert_drawn();
	child_stop(other);
	other = start_process_at(room->lab->near_fd, group);
	write_docker(room, OTHER_ID, "shop-2", other);
	assert_split("shop-*");
	child_stop(other);
	group_remove(group);
}

static int setup(void **state)
{
	static struct room room;

	room = (struct room){.files = "/tmp/sqtc-XXXXXX"};
	assert_non_null(mkdtemp(room.files));
	assert_int_equal(chmod(room.files, 0755), 0);
	target_container_set_root(room.files);
	children_init();
	group_make("docker-" ID ".scope", room.group);
	netlab_setup((void **)&room.lab);
	room.process = start_process(room.lab, room.group);
	*state = &room;
	return 0;
}

static int teardown(void **state)
{
	struct room *room = *state;

	child_stop(room->process);
	group_remove(room->group);
	target_container_set_root(NULL);
	netlab_run("rm -r %s", room->files);
	return netlab_teardown((void **)&room->lab);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_docker),
		TEST(test_podman),
		TEST(test_containerd),
		TEST(test_patterns),
		TEST(test_processes_of_a_container),
		TEST(test_by_number_without_any_file),
		TEST(test_what_is_not_believed),
		TEST(test_a_network_fault_for_a_container),
		TEST(test_a_network_fault_for_several_containers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
