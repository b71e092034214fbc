/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/scene.h"

#include "tests/support/children.h"
#include "tests/sweep/manager.h"
#include "tests/sweep/world.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/namespace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLSACT "clsact-"
#define HOLD   "hold-"
#define USERS  "user-"
#define USER   1 /* daemon; in Debian a user's number that is always the same */

#define LATE_LINK    "sqv0late"
#define LATE_PATTERN "sqv0*"

/* Few enough for all of them to be taken, and given back, in no time. */
#define LOCAL_PORTS "40000\t40063"

/* Somebody else's, which must be there unchanged at every moment that is looked at. */
static void make_foreign_state(const struct netlab *lab)
{
	netlab_run("tc -n %s qdisc replace dev sqv0 root handle 1: htb default 10", lab->near);
	netlab_run("tc -n %s class add dev sqv0 parent 1: classid 1:10 htb rate 10gbit", lab->near);
	netlab_run("ip netns exec %s nft add table inet theirs", lab->near);
	netlab_run("ip netns exec %s nft add chain inet theirs out { type filter hook output "
		   "priority 0 ; }",
		   lab->near);
	netlab_run("ip netns exec %s nft add rule inet theirs out tcp dport 9 drop", lab->near);
	netlab_run("ip -n %s link add sqtheirs type veth peer name sqtheirs2", lab->near);
	netlab_run("ip netns exec %s sysctl -qw net.ipv4.ip_local_port_range=" LOCAL_PORTS,
		   lab->near);
	/* who closes a connection first keeps its port for a minute (TIME_WAIT): that is TCP's, and
	 * the count of ports is of what is kept for longer */
	netlab_run("ip netns exec %s sysctl -qw net.ipv4.tcp_max_tw_buckets=0", lab->near);
}

/* The same addresses each time, and numbers that nobody else gets: it is a part of what is
 * compared. Only where it is asked for it goes and comes. Its other end stays down: with two the
 * kernel has routes in the order in which they were up. */
static void make_late_link(const struct netlab *lab)
{
	sigset_t beat, before;

	/* no beat of the tracer's in the midst of it */
	sigemptyset(&beat);
	sigaddset(&beat, SIGALRM);
	sigprocmask(SIG_BLOCK, &beat, &before);
	netlab_run("ip -n %s link add " LATE_LINK " index 1000000090 address 02:00:00:00:00:90 "
		   "type veth peer name sqlatepeer index 1000000091 address 02:00:00:00:00:91",
		   lab->near);
	netlab_run("ip -n %s link set " LATE_LINK " addrgenmode none up", lab->near);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Link-local addresses are tentative for a while, and change when they are not any more. */
static void await_addresses(const struct netlab *lab)
{
	const char *const names[] = {lab->near, lab->far};

	for (unsigned i = 0; i < 100; i++) {
		bool is_tentative = false;

		for (unsigned k = 0; k < 2; k++) {
			cleanup_free char *text =
				netlab_output("ip -n %s -6 address show tentative", names[k]);

			is_tentative |= text[0] != '\0';
		}
		if (!is_tentative)
			return;
		usleep(50000);
	}
}

static void make_file(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		abort();
}

/* What a service has read: somebody copies it, with its times. */
static void make_copy(const char *path, const char *text, uid_t owner)
{
	struct stat status;

	make_file(path, text);
	if (chown(path, owner, owner) < 0 || stat(SCENE_FOLDER "/service.conf", &status) < 0 ||
	    utimensat(AT_FDCWD, path, (struct timespec[]){status.st_atim, status.st_mtim}, 0) < 0)
		abort();
}

/* Of a server that speaks TLS. */
static void make_certificate(void)
{
	netlab_run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
		   "-nodes -days 2 -subj /CN=lab -keyout " SCENE_FOLDER
		   "/server.key -out " SCENE_FOLDER "/server.pem");
}

/* Before the children: those with mounts of their own see them. */
static void make_files(void)
{
	static const char text[] = "# a service's own file\nlisten 8080;\nworkers 4;\n";

	if (mkdir(SCENE_FOLDER, 0755) < 0)
		abort();
	make_file(SCENE_FOLDER "/service.conf", text);
	make_copy(SCENE_FOLDER "/loaded.conf", text, 0);
	make_copy(SCENE_FOLDER "/seen.conf", text, USER);
	make_certificate();
}

static int start_in_group(void *context, struct error *err)
{
	(void)err;
	return child_start(CHILD_SLEEPS, context);
}

static void make_children(struct scene *scene)
{
	char group[128], number[16];

	children_init();
	scene->children[0] = child_start(CHILD_COUNTS, NULL);
	scene->children[1] = child_start(CHILD_COUNTS_USR1, NULL);
	scene->children[SCENE_APART] = child_start(CHILD_SLEEPS_APART, NULL);
	scene->doomed = child_start(CHILD_SLEEPS, NULL);
	scene->children[SCENE_MANAGER] =
		manager_start(SCENE_FOLDER "/service.conf", SCENE_FOLDER "/loaded.conf");
	snprintf(number, sizeof(number), "%d\n", scene->children[1]);
	make_file(SCENE_FOLDER "/service.pid", number);
	if (!world_cgroups()[0]) {
		scene->children[2] = scene->children[3] = child_start(CHILD_SLEEPS, NULL);
		return;
	}
	group_make(SCENE_GROUP + 1, group);
	/* where squall runs: it looks for the way of their packets */
	for (unsigned i = 2; i < 4; i++)
		scene->children[i] =
			namespace_run(scene->lab->near_fd, start_in_group, group, NULL);
}

void scene_make(struct scene *scene)
{
	struct state_scope scope = {.namespace_count = 2,
				    .children = scene->children,
				    .child_count = SCENE_CHILDREN,
				    .folder = SCENE_FOLDER};
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	if (netlab_setup((void **)&scene->lab) != 0)
		abort();
	make_foreign_state(scene->lab);
	make_late_link(scene->lab);
	scene->is_link_there = true;
	make_files();
	make_children(scene);
	scope.doomed = scene->doomed;
	scope.namespaces[0] = scene->lab->near_fd;
	scope.namespaces[1] = scene->lab->far_fd;
	machine_state_scope(&scope);
	await_addresses(scene->lab);
	/* the first neighbour entries and routes */
	for (unsigned i = 0; i < 100 && !scene_is_traffic_well(scene); i++)
		usleep(10000);
	scene_take_as_it_is(scene);
}

void scene_take_as_it_is(struct scene *scene)
{
	machine_state_free(&scene->before);
	machine_state_take(&scene->before);
}

static void replace(struct scene *scene, const char *name, FILE *out)
{
	if (strcmp(name, "PID") == 0)
		fprintf(out, "%d", scene->children[0]);
	else if (strcmp(name, "SIGNALS") == 0)
		fprintf(out, "%d", scene->children[1]);
	else if (strcmp(name, "APART") == 0)
		fprintf(out, "%d", scene->children[SCENE_APART]);
	else if (strcmp(name, "DOOMED") == 0)
		fprintf(out, "%d", scene->doomed);
	else if (strcmp(name, "LATE") == 0)
		scene->has_late_link = fputs(LATE_PATTERN, out) >= 0;
	else if (strcmp(name, "CLIENTS") == 0)
		scene->has_clients = fputs("clients", out) >= 0;
	else if (strcmp(name, "NEAR") == 0)
		fputs(scene->lab->near, out);
	else if (strcmp(name, "FAR") == 0)
		fputs(scene->lab->far, out);
	else if (strcmp(name, "GROUP") == 0)
		fputs(SCENE_GROUP, out);
	else if (strcmp(name, "FOLDER") == 0)
		fputs(SCENE_FOLDER, out);
	else
		abort();
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

const char *scene_write_experiment(struct scene *scene, const char *path)
{
	static char copy[128], clsact[] = "SQUALL_HOOK=clsact", hold[] = "SQUALL_LINE=hold",
			       sudo[] = "SUDO_UID=1";
	cleanup_file FILE *in = fopen(path, "re"), *out = NULL;
	const char *base = strrchr(path, '/');
	char name[32];
	int c;

	snprintf(copy, sizeof(copy), "/run/%s", base ? base + 1 : path);
	out = fopen(copy, "we");
	if (!in || !out) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		abort();
	}
	scene->has_late_link = scene->has_clients = false;
	scene->variable = begins(copy, "/run/" CLSACT)	? clsact
			  : begins(copy, "/run/" HOLD)	? hold
			  : begins(copy, "/run/" USERS) ? sudo
							: NULL;
	while ((c = fgetc(in)) != EOF) {
		if (c == '@' && fscanf(in, "%31[A-Z]@", name) == 1)
			replace(scene, name, out);
		else
			fputc(c, out);
	}
	return copy;
}

void scene_begin(struct scene *scene)
{
	scene_reap(scene);
	if (kill(scene->doomed, 0) < 0 && child_start_with_number(scene->doomed) < 0)
		abort();
	scene_start_clients(scene);
	if (!scene->has_late_link)
		return;
	netlab_run("ip -n %s link delete " LATE_LINK, scene->lab->near);
	scene->is_link_there = false;
}

void scene_let_link_come(void *of_scene)
{
	struct scene *scene = of_scene;

	if (scene->is_link_there)
		return;
	make_late_link(scene->lab);
	scene->is_link_there = true;
}

unsigned scene_count_steps(const char *path)
{
	cleanup_file FILE *file = fopen(path, "re");
	unsigned count = 0;
	char line[512];

	while (file && fgets(line, sizeof(line), file))
		count += strncmp(line, "  - {at:", 8) == 0 || strncmp(line, "  - at:", 7) == 0;
	if (!count) { /* without it nobody would ever be held at full force */
		fprintf(stderr, "%s: no step begins with `at`\n", path);
		abort();
	}
	return count;
}

bool scene_is_traffic_well(const struct scene *scene)
{
	static const char *const addresses[] = {"10.88.0.2", "127.0.0.1"};

	for (unsigned i = 0; i < 2; i++) {
		int64_t took_ns = netlab_round_trip(scene->lab, addresses[i], NETLAB_PORT, 20);

		if (took_ns < 0)
			return false;
	}
	return true;
}

static bool is_ours(const struct scene *scene, pid_t pid)
{
	for (unsigned i = 0; i < SCENE_CHILDREN; i++)
		if (scene->children[i] == pid)
			return true;
	return pid <= 1 || pid == scene->doomed;
}

void scene_kill_strangers(const struct scene *scene)
{
	for (unsigned round = 0; round < 3; round++) {
		cleanup_dir DIR *dir = opendir("/proc");
		struct dirent *entry;

		while (dir && (entry = readdir(dir))) {
			pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

			if (pid > 1 && !is_ours(scene, pid))
				kill(pid, SIGKILL);
		}
		usleep(10000);
		scene_reap(scene);
	}
}

void scene_reap(const struct scene *scene)
{
	(void)scene;
	while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
		;
}

void scene_forget_results(void)
{
	cleanup_dir DIR *dir = opendir("/var/lib/squall/results");
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
}

static bool is_all_same(const struct scene *scene, const struct machine_state *now)
{
	for (unsigned part = 0; part < STATE_PARTS; part++)
		if (!machine_state_is_same(&scene->before, now, part))
			return false;
	return true;
}

bool scene_is_restored(struct scene *scene, int64_t most_ns, char **out)
{
	int64_t until_ns = clock_now_ns() + most_ns;

	for (;;) {
		struct machine_state now;
		bool is_same;

		scene_reap(scene);
		machine_state_take(&now);
		is_same = is_all_same(scene, &now);
		if (!is_same && clock_now_ns() > until_ns)
			*out = machine_state_diff(&scene->before, &now, 6);
		machine_state_free(&now);
		if (is_same)
			return true;
		if (clock_now_ns() > until_ns)
			return false;
		usleep(2000);
	}
}
