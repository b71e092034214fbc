/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a conductor in the hands of an attacker may send, from the first word to the last: any
 * sequence of requests, through a real socket, into the worker's own table, in every state, with
 * timers, deaths and failures between them. The faults keep their parameters and act on nothing
 * (tests/fuzz/fuzz_worker.h). Whatever comes, the worker keeps its limits, and at the end nothing
 * is in force.
 */
/* its handlers are its own business */
#include "injector/run/worker.c" /* NOLINT(bugprone-suspicious-include) */

#include "tests/fuzz/fuzz_worker.h"

#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum action {
	ACTION_TIMER,	/* the next one that is due */
	ACTION_ANSWERS, /* which of the calls to come fail */
	ACTION_CONDUCTOR_DIES,
	ACTION_GUARDIAN_DIES,
	ACTION_COUNT,
};

static void check(const struct worker *worker)
{
	require(worker->limits.duration_ns >= 0);
	for (unsigned i = 0; i < worker->step_count; i++) {
		const struct worker_step *step = &worker->steps[i];

		require(step->target < worker->target_count);
		require(step->fault.ops && step->for_ns >= 0);
		require(!fake_in_force[i] || step->state == STEP_IN_FORCE ||
			step->state == STEP_ENDING || worker->left_count);
		require(!fake_in_force[i] || worker->state == WORKER_ARMED ||
			worker->state == WORKER_STOPPING);
		require(step->injections <= SHAPE_MAX_INJECTIONS);
	}
}

static const uint8_t *take(const uint8_t *data, const uint8_t *end, void *out, size_t size)
{
	size_t there = (size_t)(end - data) < size ? (size_t)(end - data) : size;

	memcpy(out, data, there);
	return data + there;
}

/* A request in few bytes: type, index, flags, four numbers, name and text with their lengths; so
 * that the fuzzer need not find 500 zeros. */
static const uint8_t *read_request(const uint8_t *data, const uint8_t *end, struct request *out)
{
	uint8_t head[3] = {0}, length = 0;

	memset(out, 0, sizeof(*out));
	data = take(data, end, head, sizeof(head));
	out->type = head[0] & 0x7f;
	out->index = head[1] == 0xff ? UINT32_MAX : head[1];
	for (unsigned i = 0; i < 4; i++) {
		int32_t small = 0;

		if (head[2] & 1 << i)
			data = take(data, end, &out->numbers[i], sizeof(out->numbers[i]));
		else if (head[2] & 0x10 << i) {
			data = take(data, end, &small, sizeof(small));
			out->numbers[i] = small;
		}
	}
	data = take(data, end, &length, 1);
	data = take(data, end, out->name, length & 63);
	data = take(data, end, &length, 1);
	return take(data, end, out->text, length);
}

static const uint8_t *act(struct worker *worker, const uint8_t *data, const uint8_t *end)
{
	switch (*data++ % ACTION_COUNT) {
	case ACTION_TIMER:
		fake_timer_fire();
		break;
	case ACTION_ANSWERS:
		return take(data, end, &fake_failures, sizeof(fake_failures));
	case ACTION_CONDUCTOR_DIES:
		if (!worker->is_conductor_lost)
			on_conductor_death(worker, 0);
		break;
	case ACTION_GUARDIAN_DIES:
		if (worker->has_guardian && worker->journal)
			on_guardian_event(worker, 0);
		break;
	}
	return data;
}

/* As worker_main() does behind the conversation. */
static void finish(struct worker *worker)
{
	fake_failures = 0;
	worker_stop(worker, STOP_REQUEST, "the input is over");
	for (unsigned i = 0; i < 1000 && !fake_is_stopped; i++)
		require(fake_timer_fire());
	leave(worker);
	for (unsigned i = 0; i < worker->step_count; i++)
		require(!fake_in_force[i]);
	for (unsigned i = 0; i < worker->step_count; i++)
		params_free(&worker->steps[i].params);
	for (unsigned i = 0; i < worker->target_count; i++)
		target_free(&worker->targets[i]);
	free(worker->steps);
	free(worker->targets);
	free(worker->links);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct worker worker = {.state = WORKER_DEFINE,
				.conductor_pidfd = -1,
				.signal_fd = -1,
				.has_guardian = true,
				.run_id = "fuzzed",
				.guardian.pidfd = -1};
	const uint8_t *end = data + size;
	struct error err = ERROR_INIT;
	struct request sent;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	fake_begin(&worker);
	worker.options.socket = pair[1];
	worker.env.run_id = worker.run_id;
	require(worker_make_room(&worker, &err) == 0);
	while (data < end && !fake_is_stopped) {
		if (*data & 0x80) {
			data = act(&worker, data, end);
		} else {
			data = read_request(data, end, &sent);
			require(request_send(pair[0], &sent, &err) == 0);
			if (!worker.is_conductor_lost)
				on_request(&worker, EPOLLIN);
			else
				require(recv(pair[1], &sent, sizeof(sent), 0) > 0);
		}
		check(&worker);
	}
	finish(&worker);
	close(pair[0]);
	close(pair[1]);
	return 0;
}
