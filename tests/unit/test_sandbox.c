/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The system call lists: what each process needs works, everything else answers EPERM or kills.
 * Each case runs in a process of its own. Who is allowed to call needs no root; giving up root
 * does, and is in tests/netns.
 */
#include "injector/base/clock.h"
#include "injector/kernel/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

typedef int (*sandbox_fn)(struct error *err);
typedef void (*case_fn)(void);

/* Of a run with every fault */
static int any_worker(struct error *err)
{
	return sandbox_worker(~0ULL, err);
}

static int any_guardian(struct error *err)
{
	return sandbox_guardian(~0ULL, err);
}

/* Ends the child: its line number is what fails */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			dprintf(STDERR_FILENO, "line %d: %s: %s\n", __LINE__, #condition,          \
				strerror(errno));                                                  \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* The wait status of a child that ran `fn` inside the sandbox */
static int run_inside(sandbox_fn sandbox, case_fn fn)
{
	pid_t child = fork();
	int status = -1;

	if (child == 0) {
		struct error err = ERROR_INIT;

		if (sandbox(&err) < 0) {
			dprintf(STDERR_FILENO, "%s\n", err.text);
			_exit(99);
		}
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static bool is_denied(long result)
{
	return result == -1 && errno == EPERM;
}

static void *set_flag(void *at)
{
	*(int *)at = 1;
	return NULL;
}

static void use_threads(void)
{
	pthread_t thread;
	int flag = 0;

	CHECK(pthread_create(&thread, NULL, set_flag, &flag) == 0);
	CHECK(pthread_join(thread, NULL) == 0 && flag == 1);
}

static void use_files(void)
{
	char path[] = "/tmp/squall-sandbox-XXXXXX", other[64], text[8];
	int fd = mkstemp(path);

	CHECK(fd >= 0 && write(fd, "hello", 5) == 5 && fsync(fd) == 0);
	CHECK(pread(fd, text, sizeof(text), 0) == 5 && close(fd) == 0);
	snprintf(other, sizeof(other), "%s.new", path);
	CHECK(rename(path, other) == 0 && unlink(other) == 0);
	CHECK(mkdir(path, 0700) == 0 && rmdir(path) == 0);
	CHECK((fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC)) >= 0);
	CHECK(read(fd, text, sizeof(text)) == sizeof(text));
}

static void store_result(void)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char text[8];

	CHECK(fd >= 0 && write(fd, "hello", 5) == 5 && ftruncate(fd, 4) == 0);
	CHECK(lseek(fd, 0, SEEK_SET) == 0 && read(fd, text, sizeof(text)) == 4 && close(fd) == 0);
	CHECK((fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC)) >= 0);
	CHECK(read(fd, text, sizeof(text)) == sizeof(text));
}

static void resolve(const char *host, int flags, int family)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags}, *found = NULL;
	int result = getaddrinfo(host, "80", &hints, &found);

	if (result)
		dprintf(STDERR_FILENO, "%s: %s\n", host, gai_strerror(result));
	CHECK(result == 0 && found);
	CHECK(family == AF_UNSPEC || found->ai_family == family);
	freeaddrinfo(found);
}

static void use_names(void)
{
	resolve("localhost", 0, AF_UNSPEC);
	resolve("localhost", AI_ADDRCONFIG, AF_UNSPEC);
	resolve("127.0.0.1", 0, AF_INET);
	resolve("::1", 0, AF_INET6);
	CHECK(getpwuid(0));
}

static void connect_to_itself(void)
{
	struct sockaddr_storage address = {.ss_family = AF_INET};
	socklen_t size = sizeof(address);
	int server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd poller = {.fd = server, .events = POLLIN};
	char byte = 'x';

	CHECK(server >= 0 && client >= 0);
	CHECK(bind(server, (struct sockaddr *)&address, sizeof(struct sockaddr_in)) == 0);
	CHECK(getsockname(server, (struct sockaddr *)&address, &size) == 0);
	CHECK(connect(client, (struct sockaddr *)&address, size) == 0);
	CHECK(send(client, &byte, 1, 0) == 1);
	CHECK(poll(&poller, 1, 2000) == 1 && recv(server, &byte, 1, 0) == 1);
	CHECK(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0) >= 0 || errno == EAFNOSUPPORT);
}

static void what_the_conductor_does(void)
{
	struct timespec pause = {.tv_nsec = 1000};
	struct winsize size;

	use_threads();
	store_result();
	use_names();
	connect_to_itself();
	CHECK(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC) >= 0);
	CHECK(nanosleep(&pause, NULL) == 0);
	CHECK(ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 || errno == ENOTTY);
	CHECK(isatty(STDIN_FILENO) || errno == ENOTTY || errno == EINVAL);
}

static void what_the_conductor_may_not(void)
{
	CHECK(is_denied(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)));
	CHECK(is_denied(socket(AF_PACKET, SOCK_RAW, 0)));
	CHECK(is_denied(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP)));
	CHECK(is_denied(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6)));
	CHECK(is_denied(socket(AF_ALG, SOCK_SEQPACKET, 0)));
	CHECK(is_denied(fork()));
	CHECK(is_denied(vfork()));
	CHECK(is_denied(syscall(SYS_clone, SIGCHLD | CLONE_NEWUSER, 0, 0, 0, 0)));
	CHECK(syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS);
	CHECK(is_denied(syscall(SYS_unshare, CLONE_NEWUSER)));
	CHECK(is_denied(syscall(SYS_setns, 0, CLONE_NEWNET)));
	CHECK(is_denied(syscall(SYS_bpf, 0, NULL, 0)));
	CHECK(is_denied(syscall(SYS_io_uring_setup, 1, NULL)));
	CHECK(is_denied(syscall(SYS_mount, "", "", "", 0, NULL)));
	CHECK(is_denied(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0)));
	CHECK(is_denied(syscall(SYS_userfaultfd, 0)));
	CHECK(is_denied(syscall(SYS_kill, getppid(), 0)));
	CHECK(is_denied(syscall(SYS_tgkill, getppid(), getppid(), 0)));
	CHECK(is_denied(syscall(SYS_setuid, getuid())));
	CHECK(is_denied(ioctl(STDIN_FILENO, TIOCSTI, "x")));
	CHECK(is_denied(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)));
	CHECK(is_denied(syscall(SYS_chmod, "/tmp", 0777)));
	CHECK(is_denied(fchmod(STDIN_FILENO, 0777)));
	CHECK(is_denied(rename("/nonexistent/a", "/nonexistent/b")));
	CHECK(is_denied(unlink("/nonexistent/a")));
	CHECK(is_denied(mkdir("/nonexistent/a", 0700)));
	CHECK(is_denied(rmdir("/nonexistent/a")));
	CHECK(is_denied(linkat(AT_FDCWD, "/nonexistent/a", AT_FDCWD, "/nonexistent/b", 0)));
	CHECK(is_denied(syscall(SYS_personality, 0)));
}

static void what_the_worker_does(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	use_threads();
	use_files();
	CHECK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE) >= 0);
	CHECK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER) >= 0 ||
	      errno == EPROTONOSUPPORT);
	CHECK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG) >= 0);
	CHECK(pidfd >= 0 && syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0);
	/* EPERM would be the filter's, EFAULT, EINVAL and EBADF are the kernel's own */
	CHECK(syscall(SYS_bpf, 99999, NULL, 0) == -1 && (errno == EINVAL || errno == EPERM));
	CHECK(syscall(SYS_setns, -1, CLONE_NEWNET) == -1 && errno == EBADF);
	syslog(LOG_DEBUG, "squall sandbox test");
}

static void what_the_worker_may_not(void)
{
	/* TCP and UDP are for answering DNS queries */
	CHECK(is_denied(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)));
	CHECK(is_denied(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6)));
	CHECK(is_denied(socket(AF_PACKET, SOCK_RAW, 0)));
	CHECK(is_denied(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT)));
	/* a file fault for one process tree enters its mount namespace */
	CHECK(is_denied(syscall(SYS_setns, -1, CLONE_NEWUSER)));
	CHECK(is_denied(syscall(SYS_setns, -1, CLONE_NEWPID)));
	CHECK(is_denied(syscall(SYS_setns, -1, 0)));
	CHECK(is_denied(syscall(SYS_kill, getppid(), 0)));
	CHECK(is_denied(fork()));
	CHECK(is_denied(syscall(SYS_setuid, getuid())));
	CHECK(is_denied(syscall(SYS_mount, "", "", "", 0, NULL)));
	CHECK(is_denied(syscall(SYS_pivot_root, "/", "/")));
	CHECK(is_denied(syscall(SYS_io_uring_setup, 1, NULL)));
}

static void what_the_guardian_does(void)
{
	use_files();
	CHECK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE) >= 0);
	CHECK(syscall(SYS_setns, -1, CLONE_NEWNET) == -1 && errno == EBADF);
	syslog(LOG_DEBUG, "squall sandbox test");
}

static void what_the_guardian_may_not(void)
{
	pthread_t thread;
	int flag;

	CHECK(pthread_create(&thread, NULL, set_flag, &flag) == EPERM);
	CHECK(is_denied(syscall(SYS_bpf, 0, NULL, 0)));
	CHECK(is_denied(socket(AF_INET, SOCK_STREAM, 0)));
	CHECK(is_denied(fork()));
}

static void test_what_is_needed_works(void **state)
{
	(void)state;
	assert_int_equal(run_inside(sandbox_conductor, what_the_conductor_does), 0);
	assert_int_equal(run_inside(any_worker, what_the_worker_does), 0);
	assert_int_equal(run_inside(any_guardian, what_the_guardian_does), 0);
}

static void test_everything_else_is_refused(void **state)
{
	(void)state;
	assert_int_equal(run_inside(sandbox_conductor, what_the_conductor_may_not), 0);
	assert_int_equal(run_inside(any_worker, what_the_worker_may_not), 0);
	assert_int_equal(run_inside(any_guardian, what_the_guardian_may_not), 0);
}

static void exec_something(void)
{
	execl("/bin/true", "true", (char *)NULL);
}

static void exec_a_descriptor(void)
{
	char *const arguments[] = {NULL};

	fexecve(open("/bin/true", O_RDONLY | O_CLOEXEC), arguments, arguments);
}

static void trace_somebody(void)
{
	syscall(SYS_ptrace, 16, getppid(), 0, 0);
}

static void load_a_module(void)
{
	syscall(SYS_finit_module, -1, "", 0);
}

static void load_a_kernel(void)
{
	syscall(SYS_kexec_load, 0, 0, NULL, 0);
}

static void test_exec_and_the_like_kill(void **state)
{
	static const sandbox_fn sandboxes[] = {sandbox_conductor, any_worker, any_guardian};
	static const case_fn cases[] = {exec_something, exec_a_descriptor, trace_somebody,
					load_a_module, load_a_kernel};

	(void)state;
	for (unsigned i = 0; i < sizeof(sandboxes) / sizeof(*sandboxes); i++)
		for (unsigned j = 0; j < sizeof(cases) / sizeof(*cases); j++) {
			int status = run_inside(sandboxes[i], cases[j]);

			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
		}
}

/* Leaving by the front door must still be possible: abort() raises a signal to itself. */
static void give_up(void)
{
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void test_abort_still_aborts(void **state)
{
	int status;

	(void)state;
	status = run_inside(any_worker, give_up);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* Nanoseconds that a fresh process takes to enter the sandbox */
static int64_t time_of(sandbox_fn sandbox)
{
	int64_t took = -1;
	int pipes[2];

	assert_int_equal(pipe(pipes), 0);
	if (fork() == 0) {
		int64_t from = clock_now_ns();
		int result = sandbox(NULL);

		took = result < 0 ? -1 : clock_now_ns() - from;
		_exit(write(pipes[1], &took, sizeof(took)) != sizeof(took));
	}
	assert_int_equal(read(pipes[0], &took, sizeof(took)), sizeof(took));
	wait(NULL);
	close(pipes[0]);
	close(pipes[1]);
	assert_true(took >= 0);
	return took;
}

static void test_the_filter_is_loaded_in_about_a_millisecond(void **state)
{
	static const sandbox_fn sandboxes[] = {sandbox_conductor, any_worker, any_guardian};
	static const char *const names[] = {"conductor", "worker", "guardian"};

	(void)state;
	for (unsigned at = 0; at < 3; at++) {
		int64_t best = INT64_MAX;

		for (unsigned round = 0; round < 10; round++) {
			int64_t took = time_of(sandboxes[at]);

			best = took < best ? took : best;
		}
		print_message("%s: %.2f ms\n", names[at], (double)best / NSEC_PER_MSEC);
		assert_true(best < 20 * NSEC_PER_MSEC); /* an emulated machine is slow */
	}
}

static int ask_with(const char *uid, const char *gid, struct invoking_user *out, struct error *err)
{
	uid ? setenv("SUDO_UID", uid, 1) : unsetenv("SUDO_UID");
	gid ? setenv("SUDO_GID", gid, 1) : unsetenv("SUDO_GID");
	return sandbox_invoking_user(out, err);
}

static void test_environment_is_not_believed_of_ordinary_users(void **state)
{
	struct invoking_user user;
	struct error err = ERROR_INIT;

	(void)state;
	if (getuid() == 0) {
		assert_int_equal(ask_with(NULL, NULL, &user, &err), 0);
		assert_int_equal(user.uid, 0);
		assert_int_not_equal(sandbox_conductor_user(&user).uid, 0);
		assert_int_not_equal(sandbox_conductor_user(&user).gid, 0);
		return;
	}
	assert_int_equal(ask_with("0", "0", &user, &err), 0);
	assert_int_equal(user.uid, getuid());
	assert_int_equal(sandbox_conductor_user(&user).uid, getuid());
	assert_int_equal(ask_with("garbage", "0", &user, &err), 0);
	assert_int_equal(user.uid, getuid());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_needed_works),
		cmocka_unit_test(test_everything_else_is_refused),
		cmocka_unit_test(test_exec_and_the_like_kill),
		cmocka_unit_test(test_abort_still_aborts),
		cmocka_unit_test(test_the_filter_is_loaded_in_about_a_millisecond),
		cmocka_unit_test(test_environment_is_not_believed_of_ordinary_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
