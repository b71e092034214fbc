/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See delay_thread.h. One turn: send what is due, read what came, sleep until the next of either.
 * Nothing in it allocates or locks for longer than a change of the delay takes.
 */
#include "faults/delay_thread.h"

#include "faults/delay_effect.h"
#include "faults/delay_packet.h"
#include "faults/delay_queue.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>

/* Packets handled in one direction before the other gets its turn: neither may starve. */
#define BATCH	   64
#define STACK_SIZE (128 << 10)

/* How often the thread looks at its share of a processor, and the shares (percent) at which it
 * becomes an ordinary thread and a real-time one again. */
#define SHARE_EVERY (100 * NSEC_PER_MSEC)
#define SHARE_HIGH  80
#define SHARE_LOW   60

/* Written by the thread, read by others. */
struct published {
	_Atomic uint64_t received, sent, lost, marked, duplicated, corrupted;
	_Atomic uint64_t dropped_full, dropped_error, foreign, queued, memory;
	/* Odd while the thread sleeps with an empty queue. */
	_Atomic uint64_t sleep_state;
	_Atomic bool is_broken;
};

struct delay_thread {
	int tap_fd; /* not owned */
	int wake_fd;
	struct tap tap;
	struct delay_queue *queue;
	struct delay_effect effect;
	struct refusal refusal;
	unsigned char spare[TAP_HEADER_SIZE + TAP_FRAME_MAX]; /* while a packet is doubled */

	pthread_t id;
	bool is_started;
	bool had_rate;
	clockid_t processor_clock;

	pthread_mutex_t lock; /* the two below */
	struct netem_config config;
	struct netem_table table; /* of config */
	_Atomic bool is_changed, is_stopping;
	struct published published;
};

static void add(_Atomic uint64_t *counter, uint64_t count)
{
	/* one writer: a plain addition that no reader sees half done */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + count,
			      memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Sent by the tap's own stack or by somebody who uses it as an interface, not forwarded to it. */
static bool is_foreign(const struct delay_thread *thread, const unsigned char *packet,
		       size_t length)
{
	const unsigned char *source = packet + TAP_HEADER_SIZE + 6;

	return thread->tap.kind == TAP_ETHERNET && length >= (size_t)TAP_HEADER_SIZE + 14 &&
	       !memcmp(source, thread->tap.address, 6);
}

/* A packet in the reserved room gets its time. */
static void admit(struct delay_thread *thread, const void *packet, size_t length, int64_t now_ns)
{
	struct delay_due due =
		delay_effect_due(&thread->effect, delay_packet_wire_length(packet, length), now_ns,
				 delay_queue_last_ns(thread->queue));

	delay_queue_commit(thread->queue, length, now_ns, due.at_ns, due.is_ordered);
}

static bool is_full(const struct delay_thread *thread)
{
	return thread->effect.config.limit &&
	       delay_queue_count(thread->queue) >= thread->effect.config.limit;
}

/* Lost, marked, damaged or let in: what the reserved room holds. A copy of a packet is decided on
 * anew, as netem does. */
static void decide(struct delay_thread *thread, void *packet, size_t length, int64_t now_ns)
{
	struct delay_effect *effect = &thread->effect;

	if (delay_effect_loses(effect)) {
		if (!effect->config.has_ecn ||
		    !delay_packet_mark(packet, length, thread->tap.kind)) {
			add(&thread->published.lost, 1);
			return;
		}
		add(&thread->published.marked, 1);
	}
	if (delay_effect_corrupts(effect)) {
		delay_packet_damage(packet, length,
				    delay_effect_below(effect, delay_packet_bits(length)));
		add(&thread->published.corrupted, 1);
	}
	if (is_full(thread))
		add(&thread->published.dropped_full, 1);
	else
		admit(thread, packet, length, now_ns);
}

static void take_in(struct delay_thread *thread, unsigned char *packet, size_t length)
{
	int64_t now_ns = clock_now_ns();
	void *copy;

	if (thread->refusal.is_on) {
		length = delay_refuse(packet, length, thread->tap.kind, &thread->refusal);
		if (!length)
			return; /* it is lost without a word */
	}

	if (delay_effect_duplicates(&thread->effect)) {
		add(&thread->published.duplicated, 1);
		memcpy(thread->spare, packet, length);
		decide(thread, packet, length, now_ns);
		copy = delay_queue_reserve(thread->queue);
		if (!copy) {
			add(&thread->published.dropped_full, 1);
			return;
		}
		memcpy(copy, thread->spare, length);
		packet = copy;
	}
	decide(thread, packet, length, now_ns);
}

/* Reads until the tap is empty or the batch is full. Returns the packets read, or -errno. */
static int receive(struct delay_thread *thread)
{
	uint64_t received = 0, dropped = 0, failed = 0, foreign = 0;
	unsigned char discard[64]; /* the rest of a packet is dropped by the tap */
	int status = 0, count;

	for (count = 0; count < BATCH; count++) {
		void *room = delay_queue_reserve(thread->queue);
		ssize_t length = read(thread->tap_fd, room ? room : discard,
				      room ? TAP_HEADER_SIZE + TAP_FRAME_MAX : sizeof(discard));

		if (length < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (length < 0 && (errno == EBADFD || errno == EBADF)) {
			status = -errno;
			break;
		}
		received++;
		if (length < 0)
			failed++; /* the tap could not express it, and has thrown it away */
		else if (!room)
			dropped++;
		else if (is_foreign(thread, room, (size_t)length))
			foreign++;
		else
			take_in(thread, room, (size_t)length);
	}
	if (count) {
		add(&thread->published.received, received - foreign);
		add(&thread->published.dropped_full, dropped);
		add(&thread->published.dropped_error, failed);
		add(&thread->published.foreign, foreign);
	}
	return status ? status : count;
}

/* Writes what is due. Returns the packets that left the queue, or -errno when the tap is gone. */
static int send_due(struct delay_thread *thread, int64_t now_ns)
{
	uint64_t sent = 0;
	const void *packet;
	ssize_t written;
	size_t length;
	int count;

	for (count = 0; count < BATCH; count++) {
		packet = delay_queue_peek(thread->queue, now_ns, &length);
		if (!packet)
			break;
		written = write(thread->tap_fd, packet, length);
		if (written < 0 && errno == EBADFD)
			return -EBADFD;
		sent += written == (ssize_t)length;
		delay_queue_pop(thread->queue);
	}
	if (count) {
		add(&thread->published.sent, sent);
		add(&thread->published.dropped_error, count - sent);
	}
	return count;
}

static void apply_change(struct delay_thread *thread)
{
	int64_t before_ns = delay_effect_longest_ns(&thread->effect), after_ns;

	pthread_mutex_lock(&thread->lock);
	atomic_store(&thread->is_changed, false);
	delay_effect_set(&thread->effect, &thread->config);
	pthread_mutex_unlock(&thread->lock);
	after_ns = delay_effect_longest_ns(&thread->effect);
	/* What waits for a rate must not leave in a burst; without one it may. */
	if (!thread->effect.config.rate_bytes && (after_ns < before_ns || thread->had_rate))
		delay_queue_hasten(thread->queue, after_ns, clock_now_ns());
	thread->had_rate = thread->effect.config.rate_bytes != 0;
}

/* Sleeps until a packet comes, one is due, memory may be given back, or the worker calls. */
static int wait_for_work(struct delay_thread *thread, int64_t until_ns)
{
	struct pollfd polled[] = {{.fd = thread->tap_fd, .events = POLLIN},
				  {.fd = thread->wake_fd, .events = POLLIN}};
	bool is_idle = !delay_queue_count(thread->queue);
	int64_t left_ns = until_ns - clock_now_ns();
	struct timespec timeout = {.tv_sec = left_ns / NSEC_PER_SEC,
				   .tv_nsec = left_ns % NSEC_PER_SEC};
	uint64_t value;

	if (left_ns <= 0)
		return 0;
	if (is_idle)
		atomic_fetch_add(&thread->published.sleep_state, 1);
	if (ppoll(polled, 2, until_ns == INT64_MAX ? NULL : &timeout, NULL) < 0)
		polled[0].revents = polled[1].revents = 0;
	if (is_idle)
		atomic_fetch_add(&thread->published.sleep_state, 1);
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
	int received = 0, sent = 0;

	set_realtime(false); /* the worker's own priority is not for this */
	prctl(PR_SET_NAME, "squall-delay");
	prctl(PR_SET_TIMERSLACK, 1UL); /* the default of 50 us is half of all the error */
	while (!atomic_load(&thread->is_stopping)) {
		if (atomic_load(&thread->is_changed))
			apply_change(thread);
		now_ns = clock_now_ns();
		keep_share(&share, now_ns);
		sent = send_due(thread, now_ns);
		received = sent < 0 ? sent : receive(thread);
		if (received < 0)
			break;
		if (received && trim_at_ns == INT64_MAX)
			trim_at_ns = clock_now_ns() + DELAY_QUEUE_TRIM_EVERY;
		if (clock_now_ns() >= trim_at_ns) {
			trim_at_ns = delay_queue_trim(thread->queue)
					     ? clock_now_ns() + DELAY_QUEUE_TRIM_EVERY
					     : INT64_MAX;
			atomic_store(&thread->published.memory, delay_queue_memory(thread->queue));
		}
		atomic_store_explicit(&thread->published.queued, delay_queue_count(thread->queue),
				      memory_order_relaxed);
		if (sent == BATCH || received == BATCH)
			continue;
		next_ns = delay_queue_next_ns(thread->queue);
		if (wait_for_work(thread, next_ns < trim_at_ns ? next_ns : trim_at_ns) < 0)
			break;
	}
	if (!atomic_load(&thread->is_stopping))
		atomic_store(&thread->published.is_broken, true);
	return NULL;
}

int delay_thread_new(size_t limit_bytes, uint64_t seed, struct delay_thread **out,
		     struct error *err)
{
	struct delay_thread *thread = calloc(1, sizeof(*thread));
	int status;

	if (!thread)
		return error_errno(err, ENOMEM, "thread of the delay line");
	pthread_mutex_init(&thread->lock, NULL);
	thread->tap_fd = -1;
	thread->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (thread->wake_fd < 0)
		status = error_errno(err, errno, "eventfd");
	else
		status = delay_queue_new(limit_bytes, TAP_HEADER_SIZE + TAP_FRAME_MAX,
					 &thread->queue, err);
	delay_effect_init(&thread->effect, seed);
	if (status)
		delay_thread_free(thread);
	else
		*out = thread;
	return status;
}

int delay_thread_start(struct delay_thread *thread, int tap_fd, const struct tap *tap,
		       struct error *err)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	int status;

	thread->tap_fd = tap_fd;
	thread->tap = *tap;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	sigfillset(&all); /* signals are the worker's business */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	status = pthread_create(&thread->id, &attributes, run, thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
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
	delay_queue_free(thread->queue);
	pthread_mutex_destroy(&thread->lock);
	free(thread);
}

void delay_thread_refuse(struct delay_thread *thread, const struct refusal *refusal)
{
	thread->refusal = *refusal;
}

void delay_thread_set(struct delay_thread *thread, const struct netem_config *config)
{
	pthread_mutex_lock(&thread->lock);
	thread->config = *config;
	if (config->table) {
		thread->table = *config->table;
		thread->config.table = &thread->table;
	}
	atomic_store(&thread->is_changed, true);
	pthread_mutex_unlock(&thread->lock);
	if (thread->is_started)
		wake(thread);
}

/* Between its read and the queue a packet is seen by nobody: so only a thread that sleeps before
 * and after the look at the tap counts. */
bool delay_thread_is_empty(const struct delay_thread *thread)
{
	struct pollfd polled = {.fd = thread->tap_fd, .events = POLLIN};
	uint64_t before = atomic_load(&thread->published.sleep_state);

	if (!thread->is_started || delay_thread_is_broken(thread))
		return true;
	if (!(before & 1) || poll(&polled, 1, 0) != 0)
		return false;
	return atomic_load(&thread->published.sleep_state) == before;
}

bool delay_thread_is_broken(const struct delay_thread *thread)
{
	return atomic_load(&thread->published.is_broken);
}

void delay_thread_counters(const struct delay_thread *thread, struct delay_thread_counters *out)
{
	const struct published *published = &thread->published;
	struct timespec used = {0};

	*out = (struct delay_thread_counters){
		.received = get(&published->received),
		.sent = get(&published->sent),
		.lost = get(&published->lost),
		.marked = get(&published->marked),
		.duplicated = get(&published->duplicated),
		.corrupted = get(&published->corrupted),
		.dropped_full = get(&published->dropped_full),
		.dropped_error = get(&published->dropped_error),
		.foreign = get(&published->foreign),
		.queued = get(&published->queued),
		.memory = get(&published->memory),
	};
	if (thread->is_started && !clock_gettime(thread->processor_clock, &used))
		out->processor_ns = used.tv_sec * NSEC_PER_SEC + used.tv_nsec;
}
