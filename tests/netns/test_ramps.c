/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Ramps as the worker drives them: a fault of the test's own notes every strength that it is given.
 * The conductor may be silent or lost meanwhile; it has no part in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults/fault.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/journal/journal.h"
#include "injector/run/event.h"
#include "injector/run/requests.h"
#include "injector/run/worker.h"

#define NOTES 4096

/* Shared with the worker, which runs the fault. */
static struct notebook {
	struct {
		int64_t at_ns, level_ppb;
	} notes[NOTES];
	unsigned count;
	bool is_in_force, refuses;
} * book;

static void note(const struct fault *fault)
{
	if (book->count < NOTES) {
		book->notes[book->count].at_ns = clock_now_ns();
		book->notes[book->count++].level_ppb = fault->level_ppb;
	}
}

static int do_plan(struct fault *fault, struct plan *plan, struct error *err)
{
	(void)fault, (void)plan, (void)err;
	return 0;
}

static int do_inject(struct fault *fault, struct error *err)
{
	(void)err;
	note(fault);
	fault->effect_started_ns = clock_now_ns();
	book->is_in_force = true;
	return 0;
}

static int do_set_level(struct fault *fault, struct error *err)
{
	if (book->refuses)
		return error_set(err, EIO, "it is stuck");
	note(fault);
	return 0;
}

static int do_end(struct fault *fault, enum fault_end how, int64_t *out_again_ns, struct error *err)
{
	(void)how, (void)err;
	fault->effect_ended_ns = clock_now_ns();
	*out_again_ns = 0;
	book->is_in_force = false;
	return 0;
}

static int do_undo(const struct journal_record *record, struct error *err)
{
	(void)record, (void)err;
	return 0;
}

static const struct param rising_params[] = {{0}};
static const struct fault_ops rising_fault = {
	.name = "rising",
	.params = rising_params,
	.target_kind = TARGET_TRAFFIC,
	.plan = do_plan,
	.inject = do_inject,
	.set_level = do_set_level,
	.end = do_end,
	.undo = do_undo,
};
static const struct fault_ops *const all_faults[] = {&rising_fault, NULL};

/* In place of the library's. */
const struct fault_ops *const *fault_all(void)
{
	return all_faults;
}

const struct fault_ops *fault_find(const char *name)
{
	return strcmp(name, rising_fault.name) == 0 ? &rising_fault : NULL;
}

struct peer {
	int socket;
	pid_t pid, guardian;
};

static void transmit(const struct peer *peer, const struct request *request)
{
	assert_int_equal(send(peer->socket, request, sizeof(*request), MSG_NOSIGNAL),
			 sizeof(*request));
}

static void ask(const struct peer *peer, enum request_type type)
{
	const struct request request = {.type = type};

	transmit(peer, &request);
}

static void await(const struct peer *peer, enum reply_type type, struct reply *out)
{
	struct pollfd waiting = {.fd = peer->socket, .events = POLLIN};
	int64_t limit_ns = clock_now_ns() + 10 * NSEC_PER_SEC;
	int fd;

	while (clock_now_ns() < limit_ns) {
		/* as the conductor does: it is there */
		if (poll(&waiting, 1, 100) == 0) {
			ask(peer, REQUEST_PING);
			continue;
		}
		if (reply_receive(peer->socket, out, &fd, NULL) != 1)
			break;
		if (fd >= 0)
			close(fd);
		if (out->type == type)
			return;
		if (out->type == REPLY_REFUSED)
			fail_msg("%s", out->text);
	}
	fail_msg("no reply of type %d", type);
}

/* One step of `for_ns` with a ramp (and pulses), in force when it returns. */
static void begin(struct peer *peer, int64_t for_ns, const int64_t ramp[4], const int64_t pulses[3])
{
	struct request limits = {.type = REQUEST_LIMITS, .numbers = {30 * NSEC_PER_SEC, 4, 1}};
	struct request target = {.type = REQUEST_TARGET, .numbers = {TARGET_TRAFFIC}};
	struct request value = {.type = REQUEST_TARGET_VALUE, .name = "to", .text = "127.0.0.9"};
	struct request step = {.type = REQUEST_STEP, .name = "rising", .numbers = {0, for_ns}};
	struct request shape = {.type = REQUEST_STEP_RAMP};
	struct request pulse = {.type = REQUEST_STEP_PULSES};
	const struct worker_options options = {.conductor = getpid()};
	struct worker_family family;
	struct error err = ERROR_INIT;
	struct reply reply;

	memset(book, 0, sizeof(*book));
	if (worker_start(&options, &family, &err) < 0)
		fail_msg("%s", err.text);
	*peer = (struct peer){family.socket, family.worker, family.guardian};
	memcpy(shape.numbers, ramp, sizeof(shape.numbers));
	transmit(peer, &limits);
	transmit(peer, &target);
	transmit(peer, &value);
	transmit(peer, &step);
	transmit(peer, &shape);
	if (pulses) {
		memcpy(pulse.numbers, pulses, 3 * sizeof(*pulses));
		transmit(peer, &pulse);
	}
	ask(peer, REQUEST_PLAN);
	ask(peer, REQUEST_ARM);
	await(peer, REPLY_ARMED, &reply);
	ask(peer, REQUEST_INJECT);
	await(peer, REPLY_INJECTED, &reply);
}

static void finish(struct peer *peer)
{
	struct reply reply;
	int status;

	ask(peer, REQUEST_FINISH);
	await(peer, REPLY_FINISHED, &reply);
	close(peer->socket);
	assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
	waitpid(peer->guardian, NULL, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_false(book->is_in_force);
}

/* Every strength is the one that belongs to its moment, give or take a late timer. */
static void assert_even(int64_t over_ns, int64_t late_ns)
{
	int64_t began_ns = book->notes[0].at_ns, before = -1;

	for (unsigned i = 0; i < book->count; i++) {
		int64_t since_ns = book->notes[i].at_ns - began_ns;
		int64_t right = (int64_t)((__int128)SHARE_ONE * since_ns / over_ns);
		int64_t slack = (int64_t)((__int128)SHARE_ONE * late_ns / over_ns);
		int64_t level = book->notes[i].level_ppb;

		assert_true(level > before || i == 0);
		assert_true(level <= right + slack / 10 && level >= right - slack);
		before = level;
	}
	assert_int_equal(before, SHARE_ONE);
}

static void test_a_ramp_rises_evenly_and_arrives(void **state)
{
	static const int64_t ramp[4] = {NSEC_PER_SEC, 0, SHARE_ONE, 0};
	struct reply reply;
	struct peer peer;

	(void)state;
	begin(&peer, 3 * NSEC_PER_SEC, ramp, NULL);
	await(&peer, REPLY_LEVEL, &reply);
	assert_int_equal(reply.numbers[0], SHARE_ONE);
	assert_int_equal(book->notes[0].level_ppb, 0);
	assert_in_range(book->count, 3, 12);
	assert_even(NSEC_PER_SEC, 500 * NSEC_PER_MSEC);
	finish(&peer);
}

/* Neither hears nor says anything while the ramp goes on, for as long as that is allowed. */
static void test_a_silent_conductor_does_not_bend_it(void **state)
{
	static const int64_t ramp[4] = {NSEC_PER_SEC, 0, SHARE_ONE, 0};
	struct reply reply;
	struct peer peer;

	(void)state;
	begin(&peer, 1200 * NSEC_PER_MSEC, ramp, NULL);
	usleep(1500000);
	assert_false(book->is_in_force); /* its end came, too */
	assert_even(NSEC_PER_SEC, 500 * NSEC_PER_MSEC);
	await(&peer, REPLY_RESTORED, &reply);
	finish(&peer);
}

static void test_stairs_are_climbed_one_by_one(void **state)
{
	static const int64_t ramp[4] = {600 * NSEC_PER_MSEC, SHARE_ONE, SHARE_ONE / 2, 2};
	struct reply reply;
	struct peer peer;

	(void)state;
	begin(&peer, 3 * NSEC_PER_SEC, ramp, NULL);
	await(&peer, REPLY_LEVEL, &reply);
	await(&peer, REPLY_LEVEL, &reply);
	assert_int_equal(book->count, 3);
	assert_int_equal(book->notes[0].level_ppb, SHARE_ONE);
	assert_int_equal(book->notes[1].level_ppb, SHARE_ONE / 4 * 3);
	assert_int_equal(book->notes[2].level_ppb, SHARE_ONE / 2);
	assert_true(book->notes[1].at_ns - book->notes[0].at_ns >= 299 * NSEC_PER_MSEC);
	finish(&peer);
}

/* The ramp belongs to the step: each pulse begins where it has got to. */
static void test_pulses_grow_with_the_ramp(void **state)
{
	static const int64_t ramp[4] = {1200 * NSEC_PER_MSEC, 0, SHARE_ONE, 3};
	static const int64_t pulses[3] = {400 * NSEC_PER_MSEC, 100 * NSEC_PER_MSEC, 4};
	struct reply reply;
	struct peer peer;

	(void)state;
	begin(&peer, 0, ramp, pulses);
	for (unsigned i = 1; i < 4; i++)
		await(&peer, REPLY_INJECTED, &reply);
	do
		await(&peer, REPLY_RESTORED, &reply);
	while (reply.numbers[1]);
	assert_int_equal(book->count, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(book->notes[i].level_ppb, i * (SHARE_ONE / 3),
				i * (SHARE_ONE / 3) + 1);
	finish(&peer);
}

static void test_a_strength_that_cannot_be_set_ends_the_run(void **state)
{
	static const int64_t ramp[4] = {5 * NSEC_PER_SEC, 0, SHARE_ONE, 0};
	struct reply reply;
	struct peer peer;

	(void)state;
	begin(&peer, 10 * NSEC_PER_SEC, ramp, NULL);
	book->refuses = true;
	await(&peer, REPLY_STOPPING, &reply);
	assert_int_equal(reply.numbers[0], STOP_FAULT_LOST);
	assert_non_null(strstr(reply.text, "stuck"));
	assert_false(book->is_in_force);
	await(&peer, REPLY_FINISHED, &reply);
	close(peer.socket);
	waitpid(peer.pid, NULL, 0);
	waitpid(peer.guardian, NULL, 0);
}

static void test_after_a_stop_nothing_rises(void **state)
{
	static const int64_t ramp[4] = {5 * NSEC_PER_SEC, 0, SHARE_ONE, 0};
	struct reply reply;
	struct peer peer;
	unsigned count;

	(void)state;
	begin(&peer, 10 * NSEC_PER_SEC, ramp, NULL);
	usleep(300000);
	ask(&peer, REQUEST_STOP);
	await(&peer, REPLY_STOPPED, &reply);
	assert_false(book->is_in_force);
	count = book->count;
	usleep(300000);
	assert_int_equal(book->count, count);
	await(&peer, REPLY_FINISHED, &reply);
	close(peer.socket);
	waitpid(peer.pid, NULL, 0);
	waitpid(peer.guardian, NULL, 0);
}

static int enter(void **state)
{
	static char root[] = "/run/squall-ramps-XXXXXX";

	(void)state;
	book = mmap(NULL, sizeof(*book), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (book == MAP_FAILED || !mkdtemp(root))
		return -1;
	journal_set_root(root);
	return 0;
}

static int leave(void **state)
{
	(void)state;
	rmdir(journal_root()); /* gone already when the last run left */
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_ramp_rises_evenly_and_arrives),
		cmocka_unit_test(test_a_silent_conductor_does_not_bend_it),
		cmocka_unit_test(test_stairs_are_climbed_one_by_one),
		cmocka_unit_test(test_pulses_grow_with_the_ramp),
		cmocka_unit_test(test_a_strength_that_cannot_be_set_ends_the_run),
		cmocka_unit_test(test_after_a_stop_nothing_rises),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
