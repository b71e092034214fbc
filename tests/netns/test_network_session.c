/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The operator's own connection: it survives the partition of everything, unless he asks for it to
 * be affected; others, and a forged claim, do not. By both ways of taking packets out of an
 * interface. Each case in a child of its own: the connection is looked for among its ancestors and
 * in the namespace that it is in.
 */
#include "tests/support/netlab.h"
#include "tests/support/netlab_dial.h"

#include "faults/network.h"

#include <arpa/inet.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LOST_MS 150

struct session {
	const char *near, *far;
	const char *ancestor; /* holds the connection; NULL: SSH_CONNECTION names it */
	bool is_affected, allows_lockout;
};

static uint16_t own_port(int fd)
{
	struct sockaddr_in6 own; /* the port is at the same place in both */
	socklen_t length = sizeof(own);

	return getsockname(fd, (void *)&own, &length) < 0 ? 0 : ntohs(own.sin6_port);
}

static void limit_waiting(int fd, int ms)
{
	const struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

/* What the far side counted, and says once it has all. */
static bool is_answered(int fd, int ms)
{
	uint64_t total = 0;

	limit_waiting(fd, ms);
	return recv(fd, &total, sizeof(total), MSG_WAITALL) == sizeof(total) && total == 5;
}

/* Everything is cut; what becomes of the connection. The number of what was not as it should be. */
static int cut_everything(const struct netlab *lab, const struct session *session, int fd)
{
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(NULL, &fault, "ccccc3",
			      (const char *[]){"interface", "sqv0", "loss", "100%", "direction",
					       "both", "allow-lockout",
					       session->allows_lockout ? "true" : "false", NULL},
			      &err) < 0 ||
	    network_fault.inject(&fault.fault, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 10;
	}
	if (!strstr(fault.plan, "this session") != session->is_affected)
		return 11;
	if (!strstr(fault.plan, "not left out") == session->allows_lockout)
		return 12;
	if (send(fd, "hello", 5, 0) != 5 || shutdown(fd, SHUT_WR) < 0)
		return 13;
	if (is_answered(fd, session->is_affected ? 2 * LOST_MS : 3000) == session->is_affected)
		return 14;
	if (netlab_round_trip(lab, session->far, NETLAB_PORT, LOST_MS) >= 0)
		return 15;
	netlab_fault_finish(&fault, FAULT_END_NOW);
	/* it was the fault that kept it from being answered: afterwards it is */
	return session->is_affected && !is_answered(fd, 5000) ? 16 : 0;
}

static int session_child(const struct netlab *lab, const struct session *session)
{
	int fd = netlab_dial(lab->near_fd, session->far, NETLAB_PORT), status;
	char text[128];
	pid_t pid;

	if (fd < 0 || setns(lab->near_fd, CLONE_NEWNET) < 0)
		return 1;
	if (!session->ancestor) {
		snprintf(text, sizeof(text), "%s %d %s %u", session->far, NETLAB_PORT,
			 session->near, own_port(fd));
		setenv("SSH_CONNECTION", text, 1);
		return cut_everything(lab, session, fd);
	}
	unsetenv("SSH_CONNECTION");
	if (prctl(PR_SET_NAME, session->ancestor) < 0)
		return 2;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NAME, "a shell");
		_exit(cut_everything(lab, session, fd));
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

/* `ssh localhost`, or the end of a tunnel: what both ends send leaves by lo. */
static int local_session_child(const struct netlab *lab, const struct session *session)
{
	struct sockaddr_storage to;
	socklen_t length = netlab_address(session->far, 0, &to);
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	char text[128];
	int listener, far, near;

	if (setns(lab->near_fd, CLONE_NEWNET) < 0)
		return 1;
	listener = socket(to.ss_family, SOCK_STREAM, 0);
	near = socket(to.ss_family, SOCK_STREAM, 0);
	if (bind(listener, (void *)&to, length) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (void *)&to, &length) < 0 ||
	    connect(near, (void *)&to, length) < 0 || (far = accept(listener, NULL, NULL)) < 0)
		return 2;
	snprintf(text, sizeof(text), "%s %u %s %u", session->near, own_port(near), session->far,
		 own_port(far));
	setenv("SSH_CONNECTION", text, 1);
	if (netlab_fault_plan(NULL, &fault, "ccccc4",
			      (const char *[]){"to", session->far, "loss", "100%", NULL},
			      &err) < 0 ||
	    network_fault.inject(&fault.fault, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 3;
	}
	limit_waiting(near, 3000);
	limit_waiting(far, 3000);
	if (send(near, "key", 3, 0) != 3 || recv(far, text, 3, MSG_WAITALL) != 3)
		return 4;
	if (send(far, "echo", 4, 0) != 4 || recv(near, text, 4, MSG_WAITALL) != 4)
		return 5;
	netlab_fault_finish(&fault, FAULT_END_NOW);
	return 0;
}

/* What /proc says of the environment of this process is what stands here: as it was when the
 * program began. */
static char *block;
static size_t block_size;

static void say_environment(const char *text, size_t size, size_t at)
{
	memset(block, 0, block_size);
	memcpy(block + at, text, size);
}

/* The shell in a pane of tmux, and sudo, which takes the variable away. */
static int pane_child(const struct netlab *lab, const struct session *session)
{
	int fd = netlab_dial(lab->near_fd, session->far, NETLAB_PORT), status;
	char text[200] = "TERM=screen";
	size_t used = strlen(text) + 1;
	pid_t pid;

	if (fd < 0 || setns(lab->near_fd, CLONE_NEWNET) < 0)
		return 1;
	unsetenv("SSH_CONNECTION");
	snprintf(text + used, sizeof(text) - used, "SSH_CONNECTION=%s %d %s %u", session->far,
		 NETLAB_PORT, session->near, own_port(fd));
	used += strlen(text + used) + 1;
	say_environment(text, used, 0);
	pid = fork();
	if (pid == 0) { /* sudo */
		say_environment("TERM=screen", sizeof("TERM=screen"), 0);
		pid = fork();
		if (pid == 0)
			_exit(cut_everything(lab, session, fd));
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

/* How many connections are found below an ancestor that says this at that place. */
static int count_below(const struct netlab *lab, const char *text, size_t size, size_t at)
{
	struct session_connection found[4];
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (setns(lab->near_fd, CLONE_NEWNET) < 0 || unsetenv("SSH_CONNECTION") < 0)
			_exit(100);
		say_environment(text, size, at);
		pid = fork();
		if (pid == 0) {
			say_environment("", 0, 0);
			_exit((int)target_session_find(found, 4));
		}
		_exit(waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
									   : 101);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 102;
}

static void assert_succeeds(int (*child)(const struct netlab *, const struct session *),
			    const struct netlab *lab, struct session session)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(child(lab, &session));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define FOUR .near = "10.88.0.1", .far = "10.88.0.2"
#define SIX  .near = "fd88::1", .far = "fd88::2"

static void test_controlling_session_is_excluded(void **state)
{
	assert_succeeds(session_child, *state, (struct session){FOUR});
}

static void test_controlling_session_over_ipv6_is_excluded(void **state)
{
	assert_succeeds(session_child, *state, (struct session){SIX});
}

static void test_controlling_session_from_this_machine_is_excluded(void **state)
{
	assert_succeeds(local_session_child, *state,
			(struct session){.near = "127.0.0.1", .far = "127.0.0.1"});
	assert_succeeds(local_session_child, *state, (struct session){.near = "::1", .far = "::1"});
}

static void test_allowed_lockout_affects_the_session(void **state)
{
	const bool yes = true;

	assert_succeeds(session_child, *state,
			(struct session){FOUR, .is_affected = yes, .allows_lockout = yes});
	assert_succeeds(session_child, *state,
			(struct session){SIX, .is_affected = yes, .allows_lockout = yes});
}

/* OpenSSH calls the process that holds the connection sshd, since 9.8 sshd-session. */
static void test_session_of_an_sshd_that_we_descend_from_is_excluded(void **state)
{
	assert_succeeds(session_child, *state, (struct session){FOUR, .ancestor = "sshd"});
	assert_succeeds(session_child, *state, (struct session){SIX, .ancestor = "sshd-session"});
}

static void test_connections_of_other_ancestors_are_affected(void **state)
{
	assert_succeeds(session_child, *state,
			(struct session){FOUR, .ancestor = "sshdx", .is_affected = true});
}

static void test_forged_session_is_not_believed(void **state)
{
	struct session_connection found[4];

	(void)state;
	setenv("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22", 1);
	assert_int_equal(target_session_find(found, 4), 0);
	setenv("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22; drop", 1);
	assert_int_equal(target_session_find(found, 4), 0);
	unsetenv("SSH_CONNECTION");
}

static void test_session_that_an_ancestor_names_is_excluded(void **state)
{
	assert_succeeds(pane_child, *state, (struct session){FOUR});
	assert_succeeds(pane_child, *state, (struct session){SIX});
}

/* What a process of somebody else's says of its environment is his to choose. */
static void test_hostile_environment_of_an_ancestor(void **state)
{
	const struct netlab *lab = *state;
	int fd = netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT);
	char *huge = malloc(block_size), good[100], text[200];
	const unsigned port = own_port(fd);
	size_t size;

	assert_non_null(huge);
	assert_true(fd >= 0 && block_size > 400 << 10);
	snprintf(good, sizeof(good), "SSH_CONNECTION=10.88.0.2 %d 10.88.0.1 %u", NETLAB_PORT, port);
	size = strlen(good) + 1;
	assert_int_equal(count_below(lab, good, size, 0), 1);
	assert_int_equal(count_below(lab, good, size, 1000), 1);
	/* far behind it is not looked for */
	assert_int_equal(count_below(lab, good, size, block_size - size), 0);
	/* another one's; with something behind it; not a name of its own; no text of ours */
	snprintf(text, sizeof(text), "SSH_CONNECTION=10.88.0.2 %d 10.88.0.1 %u", NETLAB_PORT,
		 port ^ 1);
	assert_int_equal(count_below(lab, text, strlen(text) + 1, 0), 0);
	snprintf(text, sizeof(text), "%s ", good);
	assert_int_equal(count_below(lab, text, strlen(text) + 1, 0), 0);
	snprintf(text, sizeof(text), "X%s", good);
	assert_int_equal(count_below(lab, text, strlen(text) + 1, 0), 0);
	snprintf(text, sizeof(text), "SSH_CONNECTION=%%n%%s %d 10.88.0.1 %u", NETLAB_PORT, port);
	assert_int_equal(count_below(lab, text, strlen(text) + 1, 0), 0);
	/* one that never ends, and one that is cut off where reading ends */
	memset(huge, 'A', block_size);
	assert_int_equal(count_below(lab, huge, block_size, 0), 0);
	memcpy(huge, "SSH_CONNECTION=", strlen("SSH_CONNECTION="));
	assert_int_equal(count_below(lab, huge, block_size, 0), 0);
	free(huge);
	assert_int_equal(count_below(lab, good, size - 1, (256 << 10) - (size - 1)), 0);
	netlab_hang_up(fd);
}

#define SSH_NOTE "no controlling SSH connection found; "

static void assert_note(struct netlab *lab, const char *note, const char *key, const char *value)
{
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(lab, &fault, "ccccc5",
			      (const char *[]){"interface", "sqv0", "loss", "1%", key, value, NULL},
			      &err) < 0)
		fail_msg("%s", err.text);
	if (note && !strstr(fault.plan, note))
		fail_msg("%s: %s", key, fault.plan);
	if (!note && strstr(fault.plan, SSH_NOTE))
		fail_msg("%s: %s", key, fault.plan);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_sessions_of_others_are_told(void **state)
{
	struct netlab *lab = *state;
	struct sockaddr_storage to;
	int fds[2], daemon;

	daemon = netlab_socket(lab->near_fd, AF_INET, SOCK_STREAM, 0, "127.0.0.1", 22);
	assert_int_equal(listen(daemon, 1), 0);
	assert_note(lab, NULL, "to", "*");
	for (unsigned i = 0; i < 2; i++) {
		const char *far = i ? "fd88::2" : "10.88.0.2";
		socklen_t length = netlab_address(far, NETLAB_PORT, &to);

		fds[i] = netlab_socket(lab->near_fd, to.ss_family, SOCK_STREAM, 0,
				       i ? "fd88::1" : "10.88.0.1", 22);
		assert_int_equal(connect(fds[i], (void *)&to, length), 0);
		assert_note(lab,
			    i ? SSH_NOTE "2 established ones (port 22) are in scope"
			      : SSH_NOTE "1 established one (port 22) is in scope",
			    "to", "*");
	}
	assert_note(lab, SSH_NOTE "1 established", "to", "fd88::/64");
	assert_note(lab, SSH_NOTE "1 established", "except", "fd88::2");
	assert_note(lab, NULL, "to", "10.88.0.3");
	assert_note(lab, NULL, "protocol", "udp");
	assert_note(lab, NULL, "local-port", "80");
	assert_note(lab, NULL, "allow-lockout", "true");
	/* what comes from that port where nobody listens at it is no session */
	close(daemon);
	assert_note(lab, NULL, "to", "*");
	for (unsigned i = 0; i < 2; i++)
		netlab_hang_up(fds[i]);
}

static int use_table(void **state)
{
	(void)state;
	return unsetenv("SQUALL_HOOK");
}

static int use_filters(void **state)
{
	(void)state;
	return setenv("SQUALL_HOOK", "clsact", 1);
}

/* Room for what is said: the program begins anew, with a large environment. */
static void make_room(char **argv)
{
	char *pad;

	if (!getenv("SQUALL_TEST_ROOM0")) {
		pad = calloc(1, 100001);
		memset(pad, 'A', 100000);
		for (unsigned i = 0; i < 5; i++) {
			char name[32];

			snprintf(name, sizeof(name), "SQUALL_TEST_ROOM%u", i);
			setenv(name, pad, 1);
		}
		execv("/proc/self/exe", argv);
		exit(1);
	}
	block = environ[0];
	for (char **at = environ; *at; at++) {
		block_size = (size_t)(*at - block) + strlen(*at) + 1;
		*at = strdup(*at);
	}
}

int main(int argc, char **argv)
{
#define BOTH(test)                                                                                 \
	{#test, test, use_table, NULL, NULL},                                                      \
	{                                                                                          \
#test "_by_filters", test, use_filters, NULL, NULL                                 \
	}
	const struct CMUnitTest tests[] = {
		BOTH(test_controlling_session_is_excluded),
		BOTH(test_controlling_session_over_ipv6_is_excluded),
		BOTH(test_controlling_session_from_this_machine_is_excluded),
		BOTH(test_allowed_lockout_affects_the_session),
		BOTH(test_session_of_an_sshd_that_we_descend_from_is_excluded),
		BOTH(test_connections_of_other_ancestors_are_affected),
		BOTH(test_session_that_an_ancestor_names_is_excluded),
		cmocka_unit_test(test_hostile_environment_of_an_ancestor),
		BOTH(test_sessions_of_others_are_told),
		cmocka_unit_test(test_forged_session_is_not_believed),
	};

	(void)argc;
	make_room(argv);
	return cmocka_run_group_tests(tests, netlab_setup, netlab_teardown_ways);
}
