/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a conductor in the hands of an attacker may send while the experiment is defined: any
 * sequence of requests, through a real socket, into the worker's own handlers. Everything up to the
 * plan, which looks at the machine. Whatever comes, the worker keeps its limits.
 */
#include "injector/experiment/model.h"
#include "injector/run/worker_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct request_rule rules[REQUEST_COUNT] = {
	[REQUEST_LIMITS] = {"limits", WORKER_DEFINE, worker_on_limits},
	[REQUEST_TARGET] = {"target", WORKER_DEFINE, worker_on_target},
	[REQUEST_TARGET_VALUE] = {"target-value", WORKER_DEFINE, worker_on_target_value},
	[REQUEST_STEP] = {"step", WORKER_DEFINE, worker_on_step},
	[REQUEST_STEP_VALUE] = {"step-value", WORKER_DEFINE, worker_on_step_value},
	[REQUEST_STEP_PULSES] = {"step-pulses", WORKER_DEFINE, worker_on_step_pulses},
	[REQUEST_STEP_RAMP] = {"step-ramp", WORKER_DEFINE, worker_on_step_ramp},
	[REQUEST_TARGET_HOST] = {"target-host", WORKER_DEFINE, worker_on_target_host},
	[REQUEST_ADDRESSES] = {"addresses", WORKER_DEFINE, worker_on_addresses},
};

static void require(int condition)
{
	if (!condition)
		abort();
}

static void check(const struct worker *worker)
{
	require(worker->limits.duration_ns >= 0);
	for (unsigned i = 0; i < worker->step_count; i++) {
		const struct worker_step *step = &worker->steps[i];

		require(step->target < worker->target_count);
		require(step->fault.ops && step->for_ns >= 0);
		if (step->fault.ops->check)
			step->fault.ops->check(&step->params, NULL);
	}
}

static void worker_end(struct worker *worker)
{
	for (unsigned i = 0; i < worker->step_count; i++)
		params_free(&worker->steps[i].params);
	for (unsigned i = 0; i < worker->target_count; i++)
		target_free(&worker->targets[i]);
	free(worker->steps);
	free(worker->targets);
	free(worker->links);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct worker worker = {.state = WORKER_DEFINE, .conductor_pidfd = -1, .signal_fd = -1};
	const uint8_t *end = data + size;
	struct error err = ERROR_INIT;
	struct request sent, got;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	while (data < end) {
		data = read_request(data, end, &sent);
		require(request_send(pair[0], &sent, &err) == 0);
		require(request_receive(pair[1], &got, &err) == 1);
		require(memcmp(&sent, &got, sizeof(got)) == 0);
		if (request_check(rules, &got, worker.state, &err) < 0 ||
		    rules[got.type].handle(&worker, &got, &err) < 0)
			break; /* which ends the run */
		check(&worker);
	}
	worker_end(&worker);
	close(pair[0]);
	close(pair[1]);
	return 0;
}
