/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See delay_thread.h. One turn: send what is due, read what came, sleep until the next of either.
 * Nothing in it allocates or locks for longer than a change of the delay takes.
 */
#include "faults/delay_thread.h"

#include "faults/delay_lane.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>

#define STACK_SIZE (128 << 10)

/* How often the thread looks at its share of a processor, and the shares (percent) at which it
 * becomes an ordinary thread and a real-time one again. */
#define SHARE_EVERY (100 * NSEC_PER_MSEC)
#define SHARE_HIGH  90
#define SHARE_LOW   80

/* To be woken for each packet of many costs more than the packet (more than a third of the
 * thread's own time under TCP was spent in poll(2), and the sender pays as much; in a virtual
 * machine 30 to 60 us of processor time a sleep were measured). So when at least NAP_FROM came or
 * left while it was awake, the thread sleeps a hundredth of the delay, whatever comes or is due.
 * Where the kernel keeps much TCP, waking up is most of what is left to do: there it is a fortieth.
 */
#define NAP_FROM      2
#define NAP_PART      100
#define NAP_HOLD_PART 40
#define NAP_MIN	      (20 * NSEC_PER_USEC)
#define NAP_MAX	      (200 * NSEC_PER_USEC)
#define NAP_HOLD_MAX  (500 * NSEC_PER_USEC)

/* Packets since it last slept. */
struct delay_turn {
	int received, sent;
};

/* What is large, and not always needed, is at the end. */
struct delay_thread {
	int wake_fd;

	pthread_t id;
	bool is_started;
	bool has_napped; /* the last time it slept */
	clockid_t processor_clock;

	pthread_mutex_t lock; /* config and tables */
	struct netem_config config;
	_Atomic bool is_changed, is_stopping;

	/* Written by the thread, read by others. */
	_Atomic uint64_t queued, memory;
	_Atomic uint64_t sleep_state; /* odd while it sleeps with an empty queue */
	_Atomic bool is_broken;

	struct delay_lane lane;
	struct netem_tables tables; /* of config */
};

static uint64_t get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void apply_change(struct delay_thread *thread)
{
	pthread_mutex_lock(&thread->lock);
	atomic_store(&thread->is_changed, false);
	delay_lane_set(&thread->lane, &thread->config, clock_now_ns());
	pthread_mutex_unlock(&thread->lock);
}

/* How long packets may wait unseen: 0 for those that come and leave one by one. */
static int64_t nap_of(const struct delay_thread *thread, const struct delay_turn *turn)
{
	const bool holds = thread->lane.held_count > 0;
	int64_t nap_ns = thread->lane.effect.config.delay_ns / (holds ? NAP_HOLD_PART : NAP_PART);
	int64_t longest_ns = holds ? NAP_HOLD_MAX : NAP_MAX;
	int most = turn->received > turn->sent ? turn->received : turn->sent;

	if (most < (thread->has_napped ? 1 : NAP_FROM) || nap_ns < NAP_MIN)
		return 0;
	return nap_ns < longest_ns ? nap_ns : longest_ns;
}

static int hold_fd(const struct delay_thread *thread)
{
	const struct packet_queue *hold = atomic_load(&thread->lane.hold);

	return hold ? hold->fd : -1;
}

/* Sleeps until one is due, memory may be given back, or the worker calls; also until a packet
 * comes, unless there are many: then for `nap_ns` whatever comes. */
static int wait_for_work(struct delay_thread *thread, int64_t until_ns, int64_t nap_ns)
{
	struct pollfd polled[] = {
		{.fd = nap_ns ? -1 : thread->lane.tap_fd, .events = POLLIN},
		{.fd = thread->wake_fd, .events = POLLIN},
		{.fd = nap_ns ? -1 : hold_fd(thread), .events = POLLIN},
	};
	bool is_idle = !delay_queue_count(thread->lane.queue);
	int64_t left_ns = until_ns - clock_now_ns();
	struct timespec timeout;
	uint64_t value;

	if (left_ns <= 0)
		return 0;
	if (nap_ns)
		left_ns = nap_ns;
	timeout = (struct timespec){.tv_sec = left_ns / NSEC_PER_SEC,
				    .tv_nsec = left_ns % NSEC_PER_SEC};
	if (is_idle)
		atomic_fetch_add(&thread->sleep_state, 1);
	thread->has_napped = nap_ns != 0;
	if (ppoll(polled, 3, until_ns == INT64_MAX && !nap_ns ? NULL : &timeout, NULL) < 0)
		polled[0].revents = polled[1].revents = 0;
	if (is_idle)
		atomic_fetch_add(&thread->sleep_state, 1);
	if (polled[1].revents & POLLIN && read(thread->wake_fd, &value, sizeof(value)) < 0)
		return 0;
	return polled[0].revents & (POLLERR | POLLNVAL) ? -EBADFD : 0;
}

struct share {
	int64_t looked_ns, used_ns;
	bool is_realtime;
};

static bool set_realtime(bool is_realtime)
{
	struct sched_param param = {.sched_priority = is_realtime ? 1 : 0};

	return !sched_setscheduler(0, is_realtime ? SCHED_RR : SCHED_OTHER, &param);
}

/* A busy machine would add milliseconds to each delay (measured at load 8 on two processors: p99 of
 * the error 2 to 40 ms as an ordinary thread, 0.3 ms as a real-time one; nice -20 did not help), so
 * the thread goes first, as netem's timers do. Unless it needs most of a processor: then everybody
 * else matters more, above all who is to abort the experiment. Without CAP_SYS_NICE it stays
 * ordinary. */
static void keep_share(struct share *share, int64_t now_ns)
{
	int64_t passed_ns = now_ns - share->looked_ns, used_ns, percent;
	struct timespec used;

	if (passed_ns < SHARE_EVERY)
		return;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	used_ns = used.tv_sec * NSEC_PER_SEC + used.tv_nsec;
	percent = (used_ns - share->used_ns) * 100 / passed_ns;
	share->looked_ns = now_ns;
	share->used_ns = used_ns;
	if (share->is_realtime && percent > SHARE_HIGH)
		share->is_realtime = !set_realtime(false);
	else if (!share->is_realtime && percent < SHARE_LOW)
		share->is_realtime = set_realtime(true);
}

static void *run(void *context)
{
	struct delay_thread *thread = context;
	struct share share = {0};
	int64_t trim_at_ns = INT64_MAX, next_ns, now_ns;
	struct delay_turn turn = {0};
	int received = 0, sent = 0;

	set_realtime(false); /* the worker's own priority is not for this */
	prctl(PR_SET_NAME, "squall-delay");
	prctl(PR_SET_TIMERSLACK, 1UL); /* the default of 50 us is half of all the error */
	while (!atomic_load(&thread->is_stopping)) {
		if (atomic_load(&thread->is_changed))
			apply_change(thread);
		now_ns = clock_now_ns();
		keep_share(&share, now_ns);
		sent = delay_lane_send(&thread->lane, now_ns);
		received = sent < 0 ? sent : delay_lane_receive(&thread->lane);
		if (received < 0)
			break;
		turn.received += received;
		turn.sent += sent;
		if (received && trim_at_ns == INT64_MAX)
			trim_at_ns = clock_now_ns() + DELAY_QUEUE_TRIM_EVERY;
		if (clock_now_ns() >= trim_at_ns) {
			trim_at_ns = delay_queue_trim(thread->lane.queue)
					     ? clock_now_ns() + DELAY_QUEUE_TRIM_EVERY
					     : INT64_MAX;
			atomic_store(&thread->memory, delay_queue_memory(thread->lane.queue) +
							      thread->lane.held_bytes);
		}
		atomic_store_explicit(&thread->queued, delay_queue_count(thread->lane.queue),
				      memory_order_relaxed);
		if (sent >= DELAY_LANE_BATCH || received >= DELAY_LANE_BATCH)
			continue;
		next_ns = delay_queue_next_ns(thread->lane.queue);
		if (wait_for_work(thread, next_ns < trim_at_ns ? next_ns : trim_at_ns,
				  nap_of(thread, &turn)) < 0)
			break;
		turn = (struct delay_turn){0};
	}
	if (!atomic_load(&thread->is_stopping))
		atomic_store(&thread->is_broken, true);
	return NULL;
}

int delay_thread_new(struct delay_budget *budget, uint64_t seed, struct delay_thread **out,
		     struct error *err)
{
	struct delay_thread *thread = calloc(1, sizeof(*thread));
	int status;

	if (!thread)
		return error_errno(err, ENOMEM, "thread of the delay line");
	pthread_mutex_init(&thread->lock, NULL);
	thread->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (thread->wake_fd < 0)
		status = error_errno(err, errno, "eventfd");
	else
		status = delay_lane_init(&thread->lane, budget, seed, err);
	if (status)
		delay_thread_free(thread);
	else
		*out = thread;
	return status;
}

int delay_thread_start(struct delay_thread *thread, int tap_fd, const struct tap *tap,
		       struct error *err)
{
	int status;

	thread->lane.tap_fd = tap_fd;
	thread->lane.tap = *tap;
	status = thread_start(&thread->id, STACK_SIZE, run, thread);
	if (status)
		return error_errno(err, status, "cannot start the thread of the delay line");
	thread->is_started = true;
	if (pthread_getcpuclockid(thread->id, &thread->processor_clock))
		thread->processor_clock = CLOCK_PROCESS_CPUTIME_ID;
	return 0;
}

static void wake(struct delay_thread *thread)
{
	uint64_t one = 1;

	/* can fail only when the counter is full, and then the thread is awake */
	if (write(thread->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void delay_thread_free(struct delay_thread *thread)
{
	if (!thread)
		return;
	if (thread->is_started) {
		atomic_store(&thread->is_stopping, true);
		wake(thread);
		pthread_join(thread->id, NULL);
	}
	cleanup_fd_at(&thread->wake_fd);
	delay_lane_free(&thread->lane);
	pthread_mutex_destroy(&thread->lock);
	free(thread);
}

void delay_thread_refuse(struct delay_thread *thread, const struct refusal *refusal)
{
	thread->lane.refusal = *refusal;
}

void delay_thread_pick(struct delay_thread *thread, const struct delay_payload *payload)
{
	thread->lane.payload = *payload;
}

void delay_thread_cut(struct delay_thread *thread, uint32_t segment)
{
	thread->lane.segment = segment;
}

void delay_thread_hold(struct delay_thread *thread, const struct packet_queue *hold)
{
	atomic_store(&thread->lane.hold, hold);
	wake(thread);
}

void delay_thread_set(struct delay_thread *thread, const struct netem_config *config)
{
	pthread_mutex_lock(&thread->lock);
	netem_copy(config, &thread->config, &thread->tables);
	atomic_store(&thread->is_changed, true);
	pthread_mutex_unlock(&thread->lock);
	if (thread->is_started)
		wake(thread);
}

/* Between its read and the queue a packet is seen by nobody: so only a thread that sleeps before
 * and after the look at the tap counts. */
bool delay_thread_is_empty(const struct delay_thread *thread)
{
	struct pollfd polled[] = {{.fd = thread->lane.tap_fd, .events = POLLIN},
				  {.fd = hold_fd(thread), .events = POLLIN}};
	uint64_t before = atomic_load(&thread->sleep_state);

	if (!thread->is_started || delay_thread_is_broken(thread))
		return true;
	if (!(before & 1) || poll(polled, 2, 0) != 0)
		return false;
	return atomic_load(&thread->sleep_state) == before;
}

bool delay_thread_is_broken(const struct delay_thread *thread)
{
	return atomic_load(&thread->is_broken);
}

bool delay_thread_is_crowded(const struct delay_thread *thread)
{
	return atomic_load_explicit(&thread->lane.is_crowded, memory_order_relaxed);
}

void delay_thread_counters(const struct delay_thread *thread, struct delay_thread_counters *out)
{
	const struct delay_lane *lane = &thread->lane;
	struct timespec used = {0};

	*out = (struct delay_thread_counters){
		.bulk = get(&lane->bulk),
		.kept = get(&lane->kept),
		.received = get(&lane->received),
		.sent = get(&lane->sent),
		.lost = get(&lane->lost),
		.fates = {.marked = get(&lane->marked),
			  .duplicated = get(&lane->duplicated),
			  .corrupted = get(&lane->corrupted),
			  .reordered = get(&lane->reordered)},
		.dropped_full = get(&lane->dropped_full),
		.dropped_error = get(&lane->dropped_error),
		.foreign = get(&lane->foreign),
		.spared = get(&lane->spared),
		.queued = get(&thread->queued),
		.memory = get(&thread->memory),
	};
	if (thread->is_started && !clock_gettime(thread->processor_clock, &used))
		out->processor_ns = used.tv_sec * NSEC_PER_SEC + used.tv_nsec;
}
