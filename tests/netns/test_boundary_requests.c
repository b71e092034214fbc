/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every request that there is, and some that there are not, at every point of a run, from a
 * conductor under somebody else's control: nothing is injected that the approved plan does not
 * hold, and what is in force ends. The real worker and a real fault in a network of our own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "faults/target.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/experiment/shape.h"
#include "tests/support/hostile_peer.h"

#define UNKNOWN_TYPES 3 /* behind the last known one */
#define DESCRIPTORS   64

enum point { POINT_DEFINE, POINT_PLANNED, POINT_IN_FORCE, POINTS };

/* What a run needs and nothing more: the test's own word, not the worker's table. */
static const bool is_allowed[POINTS][REQUEST_COUNT] = {
	[POINT_DEFINE] = {[REQUEST_PING] = true,
			  [REQUEST_LIMITS] = true,
			  [REQUEST_TARGET] = true,
			  [REQUEST_TARGET_VALUE] = true,
			  [REQUEST_TARGET_HOST] = true,
			  [REQUEST_ADDRESSES] = true,
			  [REQUEST_STEP] = true,
			  [REQUEST_STEP_VALUE] = true,
			  [REQUEST_STEP_PULSES] = true,
			  [REQUEST_STEP_RAMP] = true,
			  [REQUEST_PLAN] = true},
	[POINT_PLANNED] = {[REQUEST_PING] = true, [REQUEST_ARM] = true},
	[POINT_IN_FORCE] = {[REQUEST_PING] = true,
			    [REQUEST_INJECT] = true,
			    [REQUEST_ADDRESSES] = true, /* of what is followed */
			    [REQUEST_END] = true,
			    [REQUEST_STOP] = true,
			    [REQUEST_FINISH] = true},
};

/* A worker that has come so far with an experiment of one step. */
static void come_to(struct peer *peer, enum point point)
{
	struct reply reply;

	peer_start(peer);
	if (point == POINT_DEFINE)
		return;
	peer_define_loss(peer, 0);
	if (point == POINT_IN_FORCE) {
		peer_inject(peer);
		return;
	}
	peer_say(peer, REQUEST_PLAN, 0, "", "", 0, 0);
	assert_true(peer_await(peer, REPLY_PLANNED, 5000, &reply));
}

static void test_each_request_has_its_time(void **state)
{
	struct peer peer;

	(void)state;
	for (enum point point = 0; point < POINTS; point++)
		for (unsigned type = 0; type < REQUEST_COUNT + UNKNOWN_TYPES; type++) {
			bool is_known = type < REQUEST_COUNT;

			if (is_known && is_allowed[point][type])
				continue;
			come_to(&peer, point);
			peer_say(&peer, (enum request_type)type, 0, "network", "1", 0, 0);
			peer_expect_refused(&peer,
					    is_known ? "not allowed at this point" : "not known");
		}
}

/* What is allowed, for a step or target that the plan does not have. */
static void test_what_is_not_in_the_plan_is_refused(void **state)
{
	static const unsigned indexes[] = {1, 255, 1U << 31, ~0U};
	static const struct {
		enum point point;
		enum request_type type;
	} with_index[] = {
		{POINT_DEFINE, REQUEST_TARGET},	     {POINT_DEFINE, REQUEST_TARGET_VALUE},
		{POINT_DEFINE, REQUEST_STEP},	     {POINT_DEFINE, REQUEST_STEP_VALUE},
		{POINT_DEFINE, REQUEST_STEP_PULSES}, {POINT_DEFINE, REQUEST_STEP_RAMP},
		{POINT_DEFINE, REQUEST_TARGET_HOST}, {POINT_DEFINE, REQUEST_ADDRESSES},
		{POINT_IN_FORCE, REQUEST_INJECT},    {POINT_IN_FORCE, REQUEST_END},
		{POINT_IN_FORCE, REQUEST_ADDRESSES},
	};
	struct peer peer;

	(void)state;
	for (unsigned i = 0; i < sizeof(with_index) / sizeof(*with_index); i++)
		for (unsigned k = 0; k < sizeof(indexes) / sizeof(*indexes); k++) {
			come_to(&peer, with_index[i].point);
			peer_say(&peer, with_index[i].type, indexes[k], "network", "1%", 1, 1);
			peer_expect_refused(&peer, "");
		}
}

static void test_a_step_is_injected_once(void **state)
{
	struct reply reply;
	struct peer peer;

	(void)state;
	come_to(&peer, POINT_IN_FORCE);
	assert_int_equal(peer_faults_in_force(), 1);
	peer_say(&peer, REQUEST_INJECT, 0, "", "", 0, 0);
	peer_expect_refused(&peer, "injected before");
	come_to(&peer, POINT_IN_FORCE);
	peer_say(&peer, REQUEST_END, 0, "", "", 0, 0);
	assert_true(peer_await(&peer, REPLY_RESTORED, 5000, &reply));
	assert_int_equal(peer_faults_in_force(), 0);
	peer_say(&peer, REQUEST_INJECT, 0, "", "", 0, 0);
	peer_expect_refused(&peer, "injected before");
}

/* The stop is on its way: what was sent behind it is void, and not executed later. */
static void test_nothing_is_injected_behind_a_stop(void **state)
{
	static const enum request_type stops[] = {REQUEST_STOP, REQUEST_FINISH};
	struct reply reply;
	struct peer peer;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		peer_start(&peer);
		peer_define_loss(&peer, 0);
		peer_say(&peer, REQUEST_PLAN, 0, "", "", 0, 0);
		peer_say(&peer, REQUEST_ARM, 0, "", "hostile", 0, 0);
		assert_true(peer_await(&peer, REPLY_PLANNED, 5000, &reply));
		assert_true(peer_await(&peer, REPLY_ARMED, 5000, &reply));
		peer_say(&peer, stops[i], 0, "", "enough", 0, 0);
		peer_say(&peer, REQUEST_INJECT, 0, "", "", 0, 0);
		peer_say(&peer, REQUEST_ARM, 0, "", "again", 0, 0);
		while (peer_hear(&peer, &reply) != REPLY_FINISHED)
			assert_int_not_equal(reply.type, REPLY_INJECTED);
		peer_expect_leaves(&peer);
	}
}

static void test_a_message_of_another_size_ends_everything(void **state)
{
	static const size_t sizes[] = {0,
				       1,
				       4,
				       sizeof(struct request) - 1,
				       sizeof(struct request) + 1,
				       8 * sizeof(struct request)};
	static const char bytes[8 * sizeof(struct request)];
	struct peer peer;

	(void)state;
	for (enum point point = 0; point < POINTS; point++)
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			come_to(&peer, point);
			(void)!send(peer.socket, bytes, sizes[i], MSG_NOSIGNAL);
			/* not because we leave: it is still open */
			peer_expect_exit(&peer);
			close(peer.socket);
		}
}

/* The strength of a fault and the times of its pulses, beyond what the tables allow. */
static void test_levels_out_of_range_are_refused(void **state)
{
	static const int64_t bad[][4] = {
		{NSEC_PER_SEC, -1, SHARE_ONE, 0},
		{NSEC_PER_SEC, 0, SHARE_ONE + 1, 0},
		{NSEC_PER_SEC, INT64_MIN, INT64_MAX, 0},
		{NSEC_PER_SEC, 0, 0, 0},
		{NSEC_PER_SEC, 0, SHARE_ONE, 1},
		{NSEC_PER_SEC, 0, SHARE_ONE, -1},
		{NSEC_PER_SEC, 0, SHARE_ONE, SHAPE_MAX_STAIRS + 1},
		{NSEC_PER_SEC, 0, SHARE_ONE, (1LL << 32) + 2},
		{0, 0, SHARE_ONE, 0},
		{-1, 0, SHARE_ONE, 0},
		{6 * NSEC_PER_SEC, 0, SHARE_ONE, 0}, /* longer than the step */
		{INT64_MAX, 0, SHARE_ONE, 0},
	};
	struct peer peer;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct request request = {.type = REQUEST_STEP_RAMP};

		memcpy(request.numbers, bad[i], sizeof(bad[i]));
		peer_start(&peer);
		peer_define_loss(&peer, 5 * NSEC_PER_SEC);
		peer_send(&peer, &request);
		peer_say(&peer, REQUEST_PLAN, 0, "", "", 0, 0);
		peer_expect_refused(&peer, "");
	}
}

static void test_limits_out_of_range_are_refused(void **state)
{
	static const int64_t bad[][2] = {
		{0, 1},
		{-1, 1},
		{INT64_MAX, 1},
		{INT64_MIN, 1},
		{NSEC_PER_SEC, 0},
		{NSEC_PER_SEC, -1},
		{NSEC_PER_SEC, 1LL << 32},
		{NSEC_PER_SEC, INT64_MAX},
	};
	struct peer peer;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		peer_start(&peer);
		peer_say(&peer, REQUEST_LIMITS, 0, "", "", bad[i][0], bad[i][1]);
		peer_expect_refused(&peer, "out of range");
	}
	/* none at all */
	peer_start(&peer);
	peer_say(&peer, REQUEST_TARGET, 0, "", "", TARGET_TRAFFIC, 0);
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "to", "127.0.0.9:9", 0, 0);
	peer_say(&peer, REQUEST_STEP, 0, "network", "", 0, 0);
	peer_say(&peer, REQUEST_STEP_VALUE, 0, "loss", "1%", 0, 0);
	peer_say(&peer, REQUEST_PLAN, 0, "", "", 0, 0);
	peer_expect_refused(&peer, "limits");
}

/* Whoever says that he is alive and never ends anything is overruled by the worker's own clock. */
static void test_the_deadline_comes_without_the_conductor(void **state)
{
	struct reply reply;
	struct peer peer;

	(void)state;
	peer_start(&peer);
	peer_say(&peer, REQUEST_LIMITS, 0, "", "", NSEC_PER_SEC, 4);
	peer_say(&peer, REQUEST_TARGET, 0, "", "", TARGET_TRAFFIC, 0);
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "to", "127.0.0.9:9", 0, 0);
	peer_say(&peer, REQUEST_STEP, 0, "network", "", 0, 0);
	peer_say(&peer, REQUEST_STEP_VALUE, 0, "loss", "1%", 0, 0);
	peer_inject(&peer);
	while (peer_hear(&peer, &reply) != REPLY_STOPPING)
		peer_say(&peer, REQUEST_PING, 0, "", "", 0, 0);
	assert_non_null(strstr(reply.text, "deadline"));
	peer_expect_leaves(&peer);
}

static unsigned count_descriptors(pid_t pid)
{
	char path[40];
	cleanup_dir DIR *dir = NULL;
	unsigned count = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		count++;
	return count;
}

static void send_with_descriptors(const struct peer *peer, int fd, unsigned count)
{
	struct request request = {.type = REQUEST_PING};
	struct iovec part = {.iov_base = &request, .iov_len = sizeof(request)};
	union {
		char space[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.space,
				 .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(count * sizeof(int));
	for (unsigned i = 0; i < count; i++)
		memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof(int));
	assert_int_equal(sendmsg(peer->socket, &message, MSG_NOSIGNAL), sizeof(request));
}

/* It could be held open, or made to run out of them. */
static void test_the_worker_takes_no_descriptors(void **state)
{
	struct reply reply;
	struct peer peer;
	unsigned before;
	int ends[2];

	(void)state;
	come_to(&peer, POINT_IN_FORCE);
	before = count_descriptors(peer.pid);
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	for (int i = 0; i < 20; i++)
		send_with_descriptors(&peer, ends[1], DESCRIPTORS);
	close(ends[1]);
	peer_say(&peer, REQUEST_END, 0, "", "", 0, 0); /* all of that was read before */
	assert_true(peer_await(&peer, REPLY_RESTORED, 5000, &reply));
	assert_in_range(count_descriptors(peer.pid), 1, before);
	/* nobody has it open any more */
	assert_int_equal(read(ends[0], &reply, 1), 0);
	close(ends[0]);
	peer_expect_leaves(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_request_has_its_time),
		cmocka_unit_test(test_what_is_not_in_the_plan_is_refused),
		cmocka_unit_test(test_a_step_is_injected_once),
		cmocka_unit_test(test_nothing_is_injected_behind_a_stop),
		cmocka_unit_test(test_a_message_of_another_size_ends_everything),
		cmocka_unit_test(test_levels_out_of_range_are_refused),
		cmocka_unit_test(test_limits_out_of_range_are_refused),
		cmocka_unit_test(test_the_deadline_comes_without_the_conductor),
		cmocka_unit_test(test_the_worker_takes_no_descriptors),
	};

	return cmocka_run_group_tests(tests, peer_group_setup, peer_group_teardown);
}
