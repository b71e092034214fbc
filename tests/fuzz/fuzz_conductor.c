/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a worker may say, in any order and at any time, to the conductor of a whole experiment:
 * through a real socket, with timers, samples of probes, keys and the worker's death between the
 * words, and with everybody listening (result, --json, plain lines). Whatever it hears, the
 * conductor comes to an end once the worker is gone, with a verdict and a report.
 */
/* its handlers are its own business */
#include "injector/run/conductor.c" /* NOLINT(bugprone-suspicious-include) */

#include "tests/fuzz/fuzz_time.h"

#include "injector/experiment/yaml.h"
#include "injector/kernel/proc.h"
#include "injector/report/report.h"
#include "injector/run/define.h"

#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As long as it takes to give up a guardian, by looks of 10 ms and pings between them */
#define TIMERS_AT_THE_END 4000

enum action { ACTION_REPLY, ACTION_TIMER, ACTION_SAMPLE, ACTION_KEY, ACTION_COUNT };

static const char text[] =
	"version: 1\n"
	"title: Fuzzed\n"
	"hypothesis: It ends\n"
	"limits: {duration: 60s, targets: 8}\n"
	"targets:\n"
	"  far: {to: [\"10.88.0.2:7001\"]}\n"
	"  one: {process: {pid: 1}}\n"
	"probes:\n"
	"  page: {tcp: \"10.88.0.2:7001\", every: 1s}\n"
	"  other: {tcp: \"10.88.0.2:7002\", every: 1s}\n"
	"steady-state: {require: [page], for: 1s, within: 5s}\n"
	"abort-when: [{probe: page, fails: 3}]\n"
	"method:\n"
	"  - {at: 0s, for: 10s, network: {target: far, delay: 100ms}}\n"
	"  - {at: 1s, for: 8s, every: 2s, active: 1s, network: {target: far, loss: 50%}}\n"
	"  - {at: 3s, process: {target: one}}\n"
	"recovery: {require: [page], within: 5s, hold: 1s}\n";

static struct experiment *experiment;
static bool has_guardian, has_journal;

/* ---- What is not asked ---- */

int sandbox_conductor(struct error *err)
{
	(void)err;
	return 0;
}

int probe_scheduler_new(const struct probe_spec *specs, unsigned count, struct loop *loop,
			struct launcher *launcher, probe_sample_fn fn, void *context,
			struct probe_scheduler **out, struct error *err)
{
	(void)specs, (void)count, (void)loop, (void)launcher, (void)fn, (void)context, (void)err;
	*out = (struct probe_scheduler *)&experiment; /* nobody looks into it */
	return 0;
}

int probe_scheduler_start(struct probe_scheduler *scheduler, struct error *err)
{
	(void)scheduler, (void)err;
	return 0;
}

void probe_scheduler_stop(struct probe_scheduler *scheduler)
{
	(void)scheduler;
}

uint64_t probe_scheduler_skipped(const struct probe_scheduler *scheduler, unsigned probe)
{
	(void)scheduler, (void)probe;
	return 0;
}

void probe_scheduler_free(struct probe_scheduler *scheduler)
{
	(void)scheduler;
}

int proc_read_stat(pid_t pid, struct proc_stat *out)
{
	(void)pid;
	*out = (struct proc_stat){.state = 'R'};
	return 0;
}

int proc_is_same(const struct process_identity *identity)
{
	(void)identity;
	return has_guardian;
}

bool journal_exists(const char *run_id)
{
	require(strnlen(run_id, RUN_ID_SIZE) < RUN_ID_SIZE);
	return has_journal;
}

const char *journal_root_of(const char *run_id)
{
	(void)run_id;
	return JOURNAL_ROOT;
}

/* ---- The input ---- */

static const uint8_t *take(const uint8_t *data, const uint8_t *end, void *out, size_t size)
{
	size_t there = (size_t)(end - data) < size ? (size_t)(end - data) : size;

	memcpy(out, data, there);
	return data + there;
}

static const uint8_t *take_text(const uint8_t *data, const uint8_t *end, char *out, size_t most)
{
	uint8_t length = 0;

	data = take(data, end, &length, 1);
	return take(data, end, out, length < most ? length : most);
}

/* Type and index, which numbers come, the texts with their lengths. */
static const uint8_t *say(int socket, const uint8_t *data, const uint8_t *end)
{
	struct reply reply = {0};
	uint8_t head[3] = {0};

	data = take(data, end, head, sizeof(head));
	reply.type = head[0] & 0x3f;
	reply.index = head[1];
	for (unsigned i = 0; i < 4; i++) {
		int32_t small = 0;

		if (head[2] & 1 << i)
			data = take(data, end, &reply.numbers[i], sizeof(reply.numbers[i]));
		else if (head[2] & 0x10 << i) {
			data = take(data, end, &small, sizeof(small));
			reply.numbers[i] = small;
		}
	}
	data = take_text(data, end, reply.name, sizeof(reply.name));
	data = take_text(data, end, reply.text, sizeof(reply.text));
	require(reply_send(socket, &reply, head[0] & 0x40 ? STDIN_FILENO : -1, 0) == 0);
	return data;
}

static const uint8_t *sample(struct conductor *conductor, const uint8_t *data, const uint8_t *end)
{
	struct probe_sample made = {.started_ns = fake_now_ns, .value = 1};
	uint8_t head = 0;

	data = take(data, end, &head, 1);
	made.result = (enum probe_result)(head >> 1 & 3) % (PROBE_UNKNOWN + 1);
	made.latency_ns = made.result == PROBE_UNKNOWN ? -1 : (head >> 3) * NSEC_PER_MSEC;
	fake_now_ns += (head >> 3) * NSEC_PER_MSEC;
	made.known_ns = fake_now_ns;
	snprintf(made.reason, sizeof(made.reason), "as it was");
	timeline_on_sample(conductor, head & 1, &made);
	return data;
}

/* What it asks of the worker is what requests.h allows. */
static void hear_requests(int socket)
{
	struct request request;

	while (recv(socket, &request, sizeof(request), MSG_DONTWAIT) > 0)
		require(request.type < REQUEST_COUNT &&
			memchr(request.text, '\0', sizeof(request.text)));
}

static const uint8_t *act(struct conductor *conductor, int far, const uint8_t *data,
			  const uint8_t *end)
{
	uint8_t action = *data++;

	switch (action % ACTION_COUNT) {
	case ACTION_REPLY:
		data = say(far, data, end);
		if (!conductor->is_worker_gone)
			conductor_on_worker(conductor, EPOLLIN);
		break;
	case ACTION_TIMER:
		fake_timer_fire();
		break;
	case ACTION_SAMPLE:
		data = sample(conductor, data, end);
		break;
	case ACTION_KEY:
		on_key(conductor, action & 4 ? 'q' : 'n');
		break;
	}
	hear_requests(far);
	return data;
}

/* ---- A run ---- */

static void begin(struct conductor *conductor, int far)
{
	struct error err = ERROR_INIT;
	sigset_t before;

	sigprocmask(SIG_BLOCK, NULL, &before);
	require(prepare(conductor, &err) == 0);
	sigprocmask(SIG_SETMASK, &before, NULL);
	require(define_experiment(conductor->options.worker_socket, experiment, false, &err) == 0);
	conductor_request(conductor, REQUEST_PLAN, 0, NULL);
	conductor_request(conductor, REQUEST_ARM, 0, experiment->title);
	conductor_emit(conductor, (struct event){.kind = EVENT_PHASE});
	on_tick(conductor);
	hear_requests(far);
}

static void conclude(struct run_result *result, FILE *out)
{
	json_t *root;

	result_finish(result);
	require((unsigned)result->verdict <= 6);
	root = report_build(result);
	require(root != NULL);
	report_text(root, out, false, 80);
	json_decref(root);
}

static void finish(struct conductor *conductor)
{
	if (conductor->scheduler)
		probe_scheduler_free(conductor->scheduler);
	follow_free(conductor->follow);
	leave_loop(conductor);
	streak_free(&conductor->before);
	streak_free(&conductor->steady);
	streak_free(&conductor->recovery);
	abort_free(conductor->aborts);
	free(conductor->steps);
	if (conductor->result_fd >= 0)
		close(conductor->result_fd);
}

static int lowest_free(void)
{
	int fd = dup(STDIN_FILENO);

	close(fd);
	return fd;
}

static void play(const uint8_t *data, size_t size, FILE *out)
{
	struct view *json = NULL, *plain = NULL;
	struct run_result *result = NULL;
	struct error err = ERROR_INIT;
	int pair[2];

	require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	require(result_new(experiment, "", &result, &err) == 0);
	require(view_new(VIEW_JSON, experiment, NULL, out, &json, &err) == 0);
	require(view_new(VIEW_PLAIN, experiment, NULL, out, &plain, &err) == 0);

	struct conductor conductor = {
		.options = {.experiment = experiment,
			    .worker_socket = pair[0],
			    .worker = 1,
			    .command = -1,
			    .result = result,
			    .listeners = {result_listener(result), view_listener(json),
					  view_listener(plain)}},
		.experiment = experiment,
		.result = result,
		.signal_fd = -1,
		.result_fd = -1,
	};

	begin(&conductor, pair[1]);
	for (const uint8_t *at = data; at < data + size && !fake_is_stopped;)
		at = act(&conductor, pair[1], at, data + size);
	close(pair[1]); /* the worker is dead */
	if (!conductor.is_worker_gone)
		conductor_on_worker(&conductor, EPOLLIN | EPOLLHUP);
	for (unsigned i = 0; i < TIMERS_AT_THE_END && !fake_is_stopped; i++)
		require(fake_timer_fire());
	require(fake_is_stopped);
	finish(&conductor);
	conclude(result, out);
	view_free(json);
	view_free(plain);
	result_free(result);
	close(pair[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yaml_problems problems = {0};
	struct error err = ERROR_INIT;
	static FILE *out;
	int lowest;

	if (!out)
		out = fopen("/dev/null", "we");
	if (!experiment)
		require(yaml_parse_experiment(text, strlen(text), "fuzz", &experiment, &problems,
					      &err) == 0);
	if (!size)
		return 0;
	lowest = lowest_free();
	fake_time_begin();
	has_guardian = data[0] & 1;
	has_journal = data[0] & 2;
	play(data + 1, size - 1, out);
	require(lowest_free() == lowest); /* no descriptor is lost */
	return 0;
}
