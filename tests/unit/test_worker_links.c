/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the worker tells of interfaces that come in mid-run, and when: not before every fault of the
 * target is on them. The kernel, the fault and the conductor are the test's own.
 */
#include "injector/run/worker_internal.h"

#include "faults/target_follow.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COMES(text, number) ((struct target_interface){.index = (number), .name = text})

static struct target_interface coming[4]; /* seen by the next look */
static unsigned coming_count;
static const int *answers; /* of the fault; the last one again and again */
static unsigned answer_count, asked;
static struct reply told[8];
static unsigned told_count;

int target_look_again(struct target *target, struct target_look *out, struct error *err)
{
	(void)target;
	(void)err;
	*out = (struct target_look){.appeared_count = coming_count};
	if (coming_count) {
		out->appeared = calloc(coming_count, sizeof(*coming));
		memcpy(out->appeared, coming, coming_count * sizeof(*coming));
	}
	coming_count = 0;
	return 0;
}

void worker_send(struct worker *worker, const struct reply *reply, int fd)
{
	(void)worker;
	(void)fd;
	assert_int_equal(reply->type, REPLY_FOLLOWED);
	assert_true(told_count < 8);
	told[told_count++] = *reply;
}

static int answer(struct fault *fault, int64_t until_ns, int *out_index, struct error *err)
{
	int result = answers[asked < answer_count ? asked : answer_count - 1];

	(void)until_ns;
	asked++;
	*out_index = 0;
	if (result >= 0)
		return result;
	*out_index = fault->target->interfaces[fault->target->interface_count - 1].index;
	return error_set(err, -result, "no");
}

static const struct fault_ops slow_fault = {.name = "slow", .follow_interfaces = answer};

static int set_up(void **state)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	worker->state = WORKER_ARMED;
	worker->targets = calloc(1, sizeof(*worker->targets));
	worker->links = calloc(1, sizeof(*worker->links));
	worker->steps = calloc(1, sizeof(*worker->steps));
	worker->target_count = worker->step_count = 1;
	worker->targets[0].links = (void *)worker; /* somebody can look */
	worker->steps[0] =
		(struct worker_step){.worker = worker,
				     .state = STEP_IN_FORCE,
				     .fault = {.ops = &slow_fault, .target = &worker->targets[0]}};
	assert_int_equal(loop_new(&worker->loop, NULL), 0);
	coming_count = asked = told_count = 0;
	*state = worker;
	return 0;
}

static int tear_down(void **state)
{
	struct worker *worker = *state;

	loop_timer_cancel(worker->loop, &worker->links[0].timer);
	loop_free(worker->loop);
	free(worker->targets[0].interfaces);
	free(worker->targets[0].passed_over);
	free(worker->steps);
	free(worker->links);
	free(worker->targets);
	free(worker);
	return 0;
}

static void follow(struct worker *worker, const int *list, unsigned count)
{
	answers = list;
	answer_count = count;
	worker_follow_interfaces(worker, &worker->targets[0]);
}

#define FOLLOW(worker, ...)                                                                        \
	do {                                                                                       \
		static const int list[] = {__VA_ARGS__};                                           \
		follow(worker, list, sizeof(list) / sizeof(*list));                                \
	} while (0)

static void assert_told(unsigned nth, bool is_changed, const char *text)
{
	assert_int_equal(told_count, nth);
	assert_int_equal(told[nth - 1].numbers[0], is_changed);
	assert_string_equal(told[nth - 1].text, text);
}

static void test_what_comes_is_told(void **state)
{
	struct worker *worker = *state;

	coming[coming_count++] = COMES("eth5", 5);
	coming[coming_count++] = COMES("eth6", 6);
	FOLLOW(worker, 0);
	assert_told(1, true, "affected as well from now on: eth5, eth6");
}

/* The fault lets another one go first, which takes so long that its time is over. */
static void test_what_comes_is_not_told_before_the_fault_is_on_it(void **state)
{
	struct worker *worker = *state;

	coming[coming_count++] = COMES("eth5", 5);
	FOLLOW(worker, 0, 1, 1, 0);
	assert_int_equal(asked, 2);
	assert_int_equal(told_count, 0);
	/* and it goes on at once, not when somebody looks */
	assert_int_equal(loop_turn(worker->loop, 0, NULL), 0);
	assert_int_equal(asked, 3);
	assert_int_equal(told_count, 0);
	assert_int_equal(loop_turn(worker->loop, 0, NULL), 0);
	assert_told(1, true, "affected as well from now on: eth5");
	assert_int_equal(worker->links[0].timer.heap_index, 0);
}

/* What leaves comes first, and takes so long that there is no time for what comes. */
static void test_what_there_was_no_time_for_is_looked_for_again(void **state)
{
	struct worker *worker = *state;

	coming[coming_count++] = COMES("eth5", 5);
	FOLLOW(worker, 1, 0);
	assert_int_equal(loop_turn(worker->loop, 0, NULL), 0);
	assert_int_equal(told_count, 0);
	coming[coming_count++] = COMES("eth5", 5);
	while (worker->links[0].timer.heap_index)
		assert_int_equal(loop_turn(worker->loop, NSEC_PER_SEC, NULL), 0);
	assert_told(1, true, "affected as well from now on: eth5");
}

static void test_what_is_refused_late_is_not_told_as_affected(void **state)
{
	struct worker *worker = *state;

	coming[coming_count++] = COMES("eth5", 5);
	FOLLOW(worker, 0, 1, -EOPNOTSUPP, 0);
	assert_int_equal(told_count, 0);
	assert_int_equal(loop_turn(worker->loop, 0, NULL), 0);
	assert_told(1, false, "eth5 has appeared and is left alone: no");
	assert_int_equal(worker->targets[0].interface_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_what_comes_is_told),
		TEST(test_what_comes_is_not_told_before_the_fault_is_on_it),
		TEST(test_what_there_was_no_time_for_is_looked_for_again),
		TEST(test_what_is_refused_late_is_not_told_as_affected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
