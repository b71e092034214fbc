/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A real nginx in a network namespace of its own, with clients: what a fault does to those who wait
 * for an answer, and how its processes are found by port.
 */
#include "tests/netns/process_bench.h"

#include "injector/kernel/namespace.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#define NAMED "/run/netns/sqpr-port"

static char home[64], group[128];
static pid_t nginx;
static int nginx_namespace = -1;

static void enter_new_namespace(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd;

	if (unshare(CLONE_NEWNET) < 0 || (fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0 ||
	    ioctl(fd, SIOCSIFFLAGS, &request) < 0) {
		perror("namespace");
		_exit(1);
	}
	close(fd);
}

static void write_config(void)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/nginx.conf", home);
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file,
		"daemon off; user www-data; worker_processes 2; pid %s/nginx.pid; error_log "
		"/dev/null crit;\n"
		"events {} http { access_log off; client_body_temp_path %s/body;\n"
		"proxy_temp_path %s/p; fastcgi_temp_path %s/f; uwsgi_temp_path %s/u;\n"
		"scgi_temp_path %s/s; server { listen 127.0.0.1:8080; listen [::1]:8081;\n"
		"location / { return 200 ok; } } }\n",
		home, home, home, home, home, home);
	fclose(file);
}

static int open_client(void *context, struct error *err)
{
	int *out = context;

	(void)err;
	*out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return *out < 0 ? -errno : 0;
}

/* A connection with a request sent; the answer is still to come. -1: refused. */
static int ask(void)
{
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(8080),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = -1;

	assert_int_equal(namespace_run(nginx_namespace, open_client, &fd, NULL), 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    write(fd, request, sizeof(request) - 1) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool is_answered(int fd, unsigned wait_ms)
{
	struct timeval timeout = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
	char answer[512];
	ssize_t got;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	got = read(fd, answer, sizeof(answer) - 1);
	answer[got > 0 ? got : 0] = '\0';
	return strncmp(answer, "HTTP/1.1 200", 12) == 0;
}

static bool answers(void)
{
	int fd = ask();
	bool answered = fd >= 0 && is_answered(fd, 1000);

	if (fd >= 0)
		close(fd);
	return answered;
}

static char *in_namespace(const char *selector)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s|namespace=pid:%d", selector, nginx);
	return text;
}

static unsigned count_workers(pid_t *out_first)
{
	struct bench bench;
	unsigned count = 0;

	if (select_processes(&bench, in_namespace("port=8080|command=worker process")) == 0) {
		count = bench.target.process_count;
		*out_first = bench.target.processes[0].id.pid;
	}
	release(&bench);
	return count;
}

static int start_nginx(void **state)
{
	char config[128];
	pid_t first;

	(void)state;
	/* workers outlive a master that is killed: the group holds them all */
	group_make("sqpr-nginx", group);
	strcpy(home, "/tmp/sqpr-nginx-XXXXXX");
	assert_non_null(mkdtemp(home));
	chmod(home, 0755);
	write_config();
	snprintf(config, sizeof(config), "%s/nginx.conf", home);
	nginx = fork();
	if (nginx == 0) {
		setsid();
		enter_new_namespace();
		group_write(group, "cgroup.procs", "0");
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("/usr/sbin/nginx", "nginx", "-p", home, "-c", config, (char *)NULL);
		_exit(127);
	}
	assert_true(nginx > 0);
	for (unsigned i = 0; i < 300; i++) {
		usleep(10000);
		if (nginx_namespace < 0 && child_wait_name(nginx, "nginx"))
			assert_int_equal(namespace_open_pid(nginx, &nginx_namespace, NULL), 0);
		if (nginx_namespace >= 0 && answers() && count_workers(&first) == 2)
			return 0;
	}
	fail_msg("nginx does not answer");
	return -1;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

static int stop_nginx(void **state)
{
	(void)state;
	group_write(group, "cgroup.freeze", "0");
	group_kill(group);
	waitpid(nginx, NULL, 0);
	group_remove(group);
	close(nginx_namespace);
	nginx_namespace = -1;
	return nftw(home, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void test_killed_worker_is_replaced(void **state)
{
	pid_t first = 0, victim, now = 0;
	struct bench bench;

	(void)state;
	assert_int_equal(count_workers(&first), 2);
	inject(&bench, in_namespace("port=8080|command=worker process|count=1"), "");
	assert_int_equal(bench.target.process_count, 1);
	assert_int_equal(evidence_of(&bench).hits, 1);
	print_message("%s\n", evidence_of(&bench).detail);
	victim = bench.target.processes[0].id.pid;
	assert_string_equal(bench.target.processes[0].name, "nginx");
	release(&bench);
	for (unsigned i = 0; i < 200 && count_workers(&now) != 2; i++)
		usleep(10000);
	assert_int_equal(count_workers(&now), 2);
	assert_int_not_equal(kill(victim, 0), 0);
	assert_true(answers());
}

static void test_paused_server_answers_afterwards(void **state)
{
	struct bench bench;
	int fd;

	(void)state;
	inject(&bench, in_namespace("port=8080"), "action=pause");
	assert_int_equal(bench.target.process_count, 3);
	/* the master first: it must not see its workers stop */
	assert_int_equal(bench.target.processes[0].id.pid, nginx);
	/* the kernel still accepts; nobody answers */
	fd = ask();
	assert_true(fd >= 0);
	assert_false(is_answered(fd, 300));
	end_fault(&bench);
	assert_true(is_answered(fd, 1000));
	close(fd);
	undo_all();
	assert_true(all_gone());
	assert_true(answers());
	release(&bench);
}

static void test_frozen_server_answers_afterwards(void **state)
{
	struct bench bench;
	int fd;

	(void)state;
	inject(&bench, "cgroup=/sqpr-nginx", "action=pause");
	assert_int_equal(group_value(group, "cgroup.freeze"), 1);
	assert_int_equal(evidence_of(&bench).hits, 3);
	fd = ask();
	assert_true(fd >= 0);
	assert_false(is_answered(fd, 300));
	undo_all();
	assert_true(is_answered(fd, 1000));
	close(fd);
	release(&bench);
}

static void test_pidfile_and_exe_of_nginx(void **state)
{
	char selector[128];
	struct bench bench;

	(void)state;
	snprintf(selector, sizeof(selector), "pidfile=%s/nginx.pid", home);
	must(&bench, select_processes(&bench, selector));
	assert_int_equal(bench.target.process_count, 1);
	assert_int_equal(bench.target.processes[0].id.pid, nginx);
	release(&bench);
	must(&bench, select_processes(&bench, in_namespace("exe=/usr/sbin/nginx|user=www-data|"
							   "port=8080-8081")));
	assert_int_equal(bench.target.process_count, 2);
	release(&bench);
}

/* --- ports --- */

static int listen_on(int family, int type, int protocol, uint16_t port)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	if (fd < 0 ||
	    bind(fd, family == AF_INET ? (struct sockaddr *)&four : (struct sockaddr *)&six,
		 family == AF_INET ? sizeof(four) : sizeof(six)) < 0)
		return -1;
	return type == SOCK_STREAM ? listen(fd, 1) : 0;
}

static pid_t start_listener(void)
{
	struct sockaddr_in other = {.sin_family = AF_INET,
				    .sin_port = htons(9),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int ready[2], fd;
	pid_t child;
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		setsid();
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		enter_new_namespace();
		if (listen_on(AF_INET, SOCK_STREAM, 0, 7001) < 0 ||
		    listen_on(AF_INET6, SOCK_STREAM, 0, 7002) < 0 ||
		    listen_on(AF_INET, SOCK_DGRAM, 0, 7003) < 0 ||
		    listen_on(AF_INET6, SOCK_DGRAM, 0, 7004) < 0)
			_exit(1);
		byte = listen_on(AF_INET, SOCK_STREAM, IPPROTO_MPTCP, 7005) == 0 ? 'm' : '-';
		/* a client's own port is no listening one */
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		listen_on(AF_INET, SOCK_DGRAM, 0, 7007);
		if (connect(fd, (struct sockaddr *)&other, sizeof(other)) < 0 ||
		    write(ready[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	if (byte != 'm')
		print_message("this kernel has no MPTCP\n");
	close(ready[0]);
	close(ready[1]);
	return byte == 'm' ? child : -child;
}

static void expect_owner(const char *ports, const char *namespace, pid_t owner)
{
	struct bench bench;
	char selector[128];
	int result;

	snprintf(selector, sizeof(selector), "port=%s|namespace=%s", ports, namespace);
	result = select_processes(&bench, selector);
	if (owner) {
		must(&bench, result);
		assert_int_equal(bench.target.process_count, 1);
		assert_int_equal(bench.target.processes[0].id.pid, owner);
	} else {
		assert_int_equal(result, -ENOENT);
		assert_non_null(strstr(bench.err.text, "nobody listens"));
	}
	release(&bench);
}

static void test_owner_of_a_port(void **state)
{
	pid_t child = start_listener();
	bool has_mptcp = child > 0;
	char by_process[32], own[32], path[64];

	(void)state;
	child = child > 0 ? child : -child;
	snprintf(by_process, sizeof(by_process), "pid:%d", child);
	expect_owner("7001", by_process, child);
	expect_owner("7002", by_process, child);
	expect_owner("7003", by_process, child);
	expect_owner("7004", by_process, child);
	if (has_mptcp)
		expect_owner("7005", by_process, child);
	expect_owner("7000-7003", by_process, child);
	expect_owner("7006", by_process, 0);
	snprintf(own, sizeof(own), "pid:%d", getpid());
	expect_owner("7001", own, 0);
	/* by the name that `ip netns` gives */
	mkdir("/run/netns", 0755);
	close(open(NAMED, O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
	snprintf(path, sizeof(path), "/proc/%d/ns/net", child);
	assert_int_equal(mount(path, NAMED, NULL, MS_BIND, NULL), 0);
	expect_owner("7001", "sqpr-port", child);
	umount2(NAMED, MNT_DETACH);
	unlink(NAMED);
	child_stop(child);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_killed_worker_is_replaced, start_nginx,
						stop_nginx),
		cmocka_unit_test_setup_teardown(test_paused_server_answers_afterwards, start_nginx,
						stop_nginx),
		cmocka_unit_test_setup_teardown(test_frozen_server_answers_afterwards, start_nginx,
						stop_nginx),
		cmocka_unit_test_setup_teardown(test_pidfile_and_exe_of_nginx, start_nginx,
						stop_nginx),
		cmocka_unit_test(test_owner_of_a_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_as_root(run);
}
