/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary, and what happens to traffic and to a paused process when its processes are
 * killed or stopped, one by one and together, or when its terminal goes away.
 */
#include "tests/support/children.h"
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

#include <cmocka.h>

#define CONDUCTOR 1
#define WORKER	  2
#define GUARDIAN  4

#define PROMPTLY_MS (is_emulated() ? 6000 : 1000)
/* silence of the conductor that is tolerated (2 s, REQUEST_SILENCE_NS), and the work after */
#define SILENCE_MS (2000 + PROMPTLY_MS)

static bool await_counting(int64_t most_ms)
{
	int64_t until_ns = clock_now_ns() + most_ms * NSEC_PER_MSEC;

	while (!child_counts())
		if (clock_now_ns() > until_ns)
			return false;
	return true;
}

/* A run that delays traffic and, from its second step on, holds `child` still. */
static struct squall *start_run(struct stage *stage, pid_t child)
{
	struct squall *squall;
	const char *path =
		stage_write(stage, "death.yaml",
			    "version: 1\n"
			    "title: killed in the middle\n"
			    "limits: {duration: 60s, targets: 3}\n"
			    "targets:\n"
			    "  far: {to: \"10.88.0.2:7001\"}\n"
			    "  child: {process: {pid: %d}}\n"
			    "method:\n"
			    "  - {at: 0s, for: 40s, network: {target: far, delay: 100ms}}\n"
			    "  - {at: 100ms, for: 30s, process: {target: child, action: pause}}\n",
			    child);

	squall = squall_start(stage, NULL, "run --json %s", path);
	squall_await_injected(squall);
	squall_await_nth(squall, "injected", 2);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 100);
	assert_false(child_counts());
	return squall;
}

static void hit(const struct squall *squall, unsigned whom, int signal)
{
	if (whom & GUARDIAN)
		assert_int_equal(kill(squall->guardian, signal), 0);
	if (whom & WORKER)
		assert_int_equal(kill(squall->worker, signal), 0);
	if (whom & CONDUCTOR)
		assert_int_equal(kill(squall->pid, signal), 0);
}

static void assert_restored(const struct stage *stage, const char *how, int64_t most_ms)
{
	int64_t start_ns = clock_now_ns();
	int64_t took_ms = stage_until_fast(stage, "10.88.0.2", NETLAB_PORT, most_ms);
	bool runs = await_counting(most_ms);

	printf("# %s: traffic as before after %lld ms, all after %lld ms\n", how,
	       (long long)took_ms, (long long)((clock_now_ns() - start_ns) / NSEC_PER_MSEC));
	if (!runs)
		fail_msg("%s: the paused process is still paused after %lld ms", how,
			 (long long)most_ms);
}

/* After the next command of any kind nothing is left, and after one that looks only, neither. */
static void assert_nothing_left(const struct squall *squall, struct stage *stage)
{
	assert_int_equal(squall_call(stage, NULL, "status"), 0);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	assert_true(process_await_gone(squall->worker, PROMPTLY_MS));
	assert_true(process_await_gone(squall->guardian, PROMPTLY_MS));
	stage_assert_clean(stage);
}

static void kill_some(struct stage *stage, unsigned whom, int exit_code, const char *how)
{
	pid_t child = stage_child(stage);
	struct squall *squall;

	squall = start_run(stage, child);
	hit(squall, whom, SIGKILL);
	assert_restored(stage, how, PROMPTLY_MS);
	squall_assert_exit(squall, exit_code);
	stage_await_finished(stage);
	assert_nothing_left(squall, stage);
}

static void test_kill_the_worker(void **state)
{
	kill_some(*state, WORKER, 4, "worker killed");
}

static void test_kill_the_guardian(void **state)
{
	kill_some(*state, GUARDIAN, 4, "guardian killed");
}

static void test_kill_the_conductor(void **state)
{
	kill_some(*state, CONDUCTOR, 128 + SIGKILL, "conductor killed");
}

static void test_kill_worker_and_conductor(void **state)
{
	kill_some(*state, WORKER | CONDUCTOR, 128 + SIGKILL, "worker and conductor killed");
}

/* Nobody is left to thaw the process: the next command does, whatever it is. Traffic is the
 * kernel's own matter. */
static void kill_all_then(struct stage *stage, const char *next)
{
	pid_t child = stage_child(stage);
	struct squall *squall;
	char run_id[16], result[64];
	int64_t took_ms;

	squall = start_run(stage, child);
	snprintf(run_id, sizeof(run_id), "%s", squall->run_id);
	/* stopped first: else one of them may act between the deaths of the others */
	hit(squall, GUARDIAN | WORKER | CONDUCTOR, SIGSTOP);
	hit(squall, GUARDIAN | WORKER | CONDUCTOR, SIGKILL);
	took_ms = stage_until_fast(stage, "10.88.0.2", NETLAB_PORT, PROMPTLY_MS);
	printf("# all killed: traffic as before after %lld ms\n", (long long)took_ms);
	squall_assert_exit(squall, 128 + SIGKILL);
	assert_true(process_await_gone(squall->worker, PROMPTLY_MS));
	assert_true(process_await_gone(squall->guardian, PROMPTLY_MS));
	assert_false(child_counts());
	snprintf(result, sizeof(result), "lib/squall/results/%s.json", run_id);
	assert_int_equal(access(stage_path(stage, result), F_OK), 0);
	assert_int_equal(squall_call(stage, NULL, "%s", next), 0);
	assert_true(await_counting(PROMPTLY_MS));
	/* with the room on the disk that was reserved for what nobody will write */
	assert_int_equal(access(stage_path(stage, result), F_OK), -1);
	stage_assert_clean(stage);
}

static void test_kill_all_then_restore(void **state)
{
	kill_all_then(*state, "restore");
}

static void test_kill_all_then_the_next_run(void **state)
{
	kill_all_then(*state, "inject --quiet network to=10.88.0.3:7001 delay=1ms for=100ms");
}

/* On the loopback interface settings of the kernel are changed, which outlive the worker. */
static void test_kill_the_worker_of_a_fault_on_loopback(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = squall_start(
		stage, NULL, "inject --json network to=127.0.0.1:7001 delay=100ms for=30s");

	squall_await_injected(squall);
	stage_assert_delay(stage, "127.0.0.1", NETLAB_PORT, 100);
	hit(squall, WORKER, SIGKILL);
	stage_until_fast(stage, "127.0.0.1", NETLAB_PORT, PROMPTLY_MS);
	squall_assert_exit(squall, 4);
	stage_await_finished(stage);
	stage_assert_clean(stage);
}

static void test_stop_the_worker(void **state)
{
	struct stage *stage = *state;
	pid_t child = stage_child(stage);
	struct squall *squall;
	json_t *stop;

	squall = start_run(stage, child);
	hit(squall, WORKER, SIGSTOP);
	assert_restored(stage, "worker stopped", PROMPTLY_MS);
	squall_assert_exit(squall, 4);
	stop = squall_event(squall, "stopping");
	assert_non_null(stop);
	/* not by nobody: its guardian has killed it */
	assert_non_null(strstr(json_string_value(json_object_get(stop, "text")),
			       "was stopped, and then killed"));
	assert_nothing_left(squall, stage);
}

static void test_stop_the_conductor(void **state)
{
	struct stage *stage = *state;
	pid_t child = stage_child(stage);
	struct squall *squall;

	squall = start_run(stage, child);
	hit(squall, CONDUCTOR, SIGSTOP);
	assert_restored(stage, "conductor stopped", SILENCE_MS);
	/* all is undone while it still stands; when it goes on it says what has happened */
	hit(squall, CONDUCTOR, SIGCONT);
	squall_assert_exit(squall, 4);
	assert_non_null(squall_event(squall, "restored"));
	assert_nothing_left(squall, stage);
}

/* A stopped guardian is as good as none, but the run ends by itself and waits for it no longer than
 * it must. */
static void test_stop_the_guardian(void **state)
{
	struct stage *stage = *state;
	pid_t child = stage_child(stage);
	struct squall *squall;

	squall = start_run(stage, child);
	hit(squall, GUARDIAN, SIGSTOP);
	squall_signal(squall, SIGINT);
	assert_restored(stage, "guardian stopped, then SIGINT", PROMPTLY_MS);
	squall_assert_exit(squall, 4);
	kill(squall->guardian, SIGCONT);
	assert_nothing_left(squall, stage);
}

/* ---- The terminal ---- */

/* Both ends; the child's one is not ours. */
static void open_terminal(int *out_master, int *out_slave)
{
	*out_master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(*out_master >= 0);
	assert_int_equal(grantpt(*out_master), 0);
	assert_int_equal(unlockpt(*out_master), 0);
	*out_slave = open(ptsname(*out_master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(*out_slave >= 0);
}

/* Reads what comes on a terminal until `text` was in it. */
static void await_on_terminal(int master, const char *text)
{
	int64_t until_ns = clock_now_ns() + STAGE_WAIT_MS * NSEC_PER_MSEC;
	static char seen[65536];
	size_t used = 0;

	fcntl(master, F_SETFL, O_NONBLOCK);
	while (clock_now_ns() < until_ns && used < sizeof(seen) - 1) {
		ssize_t got = read(master, seen + used, sizeof(seen) - 1 - used);

		used += got > 0 ? (size_t)got : 0;
		seen[used] = '\0';
		if (strstr(seen, text))
			return;
		if (got <= 0)
			pause_ms(2);
	}
	fail_msg("'%s' did not come on the terminal: %s", text, seen);
}

/* The live view is no stream of events: the fault is in force when it can be felt, again and again
 * (a busy machine may hold a packet once). */
static void await_delay(const struct stage *stage)
{
	int64_t until_ns = clock_now_ns() + STAGE_WAIT_MS * NSEC_PER_MSEC;

	for (unsigned in_row = 0; in_row < 4;) {
		int64_t took_ns = netlab_round_trip(stage->lab, "10.88.0.2", NETLAB_PORT, 1000);

		in_row = took_ns < 90 * NSEC_PER_MSEC ? 0 : in_row + 1;
		assert_true(clock_now_ns() < until_ns);
	}
}

static void test_terminal_that_goes_away(void **state)
{
	struct stage *stage = *state;
	struct squall_how how = {0};
	struct squall *squall;
	int master;

	open_terminal(&master, &how.terminal);
	squall = squall_start(stage, &how, "inject network to=10.88.0.2:7001 delay=100ms for=30s");
	close(how.terminal);
	await_delay(stage);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 100);
	close(master);
	printf("# terminal closed: traffic as before after %lld ms\n",
	       (long long)stage_until_fast(stage, "10.88.0.2", NETLAB_PORT, PROMPTLY_MS));
	squall_assert_exit(squall, 4);
	stage_assert_clean(stage);
}

/* Ctrl-C typed on the terminal. */
static void test_interrupt_from_the_terminal(void **state)
{
	struct stage *stage = *state;
	struct squall_how how = {0};
	struct squall *squall;
	int master;

	open_terminal(&master, &how.terminal);
	squall = squall_start(stage, &how, "inject network to=10.88.0.2:7001 delay=100ms for=30s");
	close(how.terminal);
	await_delay(stage);
	assert_int_equal(write(master, "\003", 1), 1);
	await_on_terminal(master, "INTERRUPTED");
	squall_assert_exit(squall, 4);
	stage_assert_clean(stage);
	close(master);
}

/* n ends what is in force and begins what comes next, q ends the run; the terminal is then as
 * before. */
static void test_keys_of_the_terminal(void **state)
{
	struct stage *stage = *state;
	struct squall_how how = {0};
	struct termios before, after;
	struct squall *squall;
	const char *path =
		stage_write(stage, "keys.yaml",
			    "version: 1\ntitle: keys\nlimits: {duration: 3min, targets: 2}\n"
			    "targets: {far: {to: \"10.88.0.2:7001\"}}\n"
			    "method:\n"
			    "  - {at: 0s, for: 30s, network: {target: far, delay: 100ms}}\n"
			    "  - {at: 1min, for: 30s, network: {target: far, delay: 100ms}}\n");
	int master;

	open_terminal(&master, &how.terminal);
	assert_int_equal(tcgetattr(master, &before), 0);
	squall = squall_start(stage, &how, "run %s", path);
	close(how.terminal);
	await_delay(stage);
	assert_int_equal(write(master, "\033[An", 4), 4); /* an arrow means nothing */
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 100);
	/* nobody has asked where the cursor is; the key behind it is heard */
	assert_int_equal(write(master, "\033[7;1Rn", 7), 7);
	stage_until_fast(stage, "10.88.0.2", NETLAB_PORT, STAGE_WAIT_MS);
	await_on_terminal(master, "restored");
	assert_int_equal(write(master, "n", 1), 1);
	await_delay(stage);
	assert_int_equal(write(master, "q", 1), 1);
	await_on_terminal(master, "INTERRUPTED");
	squall_assert_exit(squall, 4);
	assert_int_equal(tcgetattr(master, &after), 0);
	assert_int_equal(before.c_lflag, after.c_lflag);
	assert_memory_equal(before.c_cc, after.c_cc, sizeof(before.c_cc));
	stage_assert_clean(stage);
	close(master);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kill_the_worker),
		TEST(test_kill_the_guardian),
		TEST(test_kill_the_conductor),
		TEST(test_kill_worker_and_conductor),
		TEST(test_kill_all_then_restore),
		TEST(test_kill_all_then_the_next_run),
		TEST(test_kill_the_worker_of_a_fault_on_loopback),
		TEST(test_stop_the_worker),
		TEST(test_stop_the_conductor),
		TEST(test_stop_the_guardian),
		TEST(test_terminal_that_goes_away),
		TEST(test_interrupt_from_the_terminal),
		TEST(test_keys_of_the_terminal),
	};

	return STAGE_RUN(tests);
}
