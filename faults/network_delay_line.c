/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See network_delay_line.h. Two threads: the worker's (prepare, start, set, counters, stop) and the
 * line's own, which alone touches the queue. They share only what is atomic in struct delay_line,
 * the eventfd that wakes the line, and the tap's descriptor.
 */
#include "faults/network_delay_line.h"

#include "faults/delay_queue.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/bpf.h"
#include "injector/kernel/link.h"
#include "injector/kernel/namespace.h"
#include "injector/kernel/netlink.h"
#include "injector/kernel/qdisc.h"
#include "injector/kernel/tap.h"

#include <errno.h>
#include <linux/bpf.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "faults/bpf/delay_return.skel.h"
#pragma GCC diagnostic pop

/* Packets handled in one direction before the other gets its turn: neither may starve. */
#define BATCH	   64
#define STACK_SIZE (128 << 10)

/* Written by the line's thread, read by the worker's. */
struct published {
	_Atomic uint64_t received, sent, dropped_full, dropped_error, foreign, queued, memory;
	/* Odd while the thread sleeps with an empty queue. */
	_Atomic uint64_t sleep_state;
	_Atomic bool is_broken;
};

struct delay_line {
	int tap_fd, program_fd, ipv6_fd, wake_fd;
	struct netlink *netlink; /* in the interface's namespace */
	char name[IFNAMSIZ];
	struct tap tap;
	struct delay_queue *queue;

	pthread_t thread;
	bool is_started;
	clockid_t processor_clock;

	pthread_mutex_t lock; /* the two below */
	int64_t delay_ns, jitter_ns;
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
static bool is_foreign(const struct delay_line *line, const unsigned char *packet, size_t length)
{
	const unsigned char *source = packet + TAP_HEADER_SIZE + 6;

	return line->tap.kind == TAP_ETHERNET && length >= (size_t)TAP_HEADER_SIZE + 14 &&
	       !memcmp(source, line->tap.address, 6);
}

/* Reads until the tap is empty or the batch is full. Returns the packets read, or -errno. */
static int receive(struct delay_line *line)
{
	uint64_t received = 0, dropped = 0, foreign = 0;
	unsigned char discard[64]; /* the rest of a packet is dropped by the tap */
	int status = 0, count;

	for (count = 0; count < BATCH; count++) {
		void *room = delay_queue_reserve(line->queue);
		ssize_t length = read(line->tap_fd, room ? room : discard,
				      room ? TAP_HEADER_SIZE + TAP_FRAME_MAX : sizeof(discard));

		if (length < 0) {
			status = errno == EAGAIN || errno == EINTR ? 0 : -errno;
			break;
		}
		received++;
		if (!room)
			dropped++;
		else if (is_foreign(line, room, length))
			foreign++;
		else
			delay_queue_commit(line->queue, length, clock_now_ns());
	}
	if (count) {
		add(&line->published.received, received - foreign);
		add(&line->published.dropped_full, dropped);
		add(&line->published.foreign, foreign);
	}
	return status ? status : count;
}

/* Writes what is due. Returns the packets that left the queue, or -errno when the tap is gone. */
static int send_due(struct delay_line *line, int64_t now_ns)
{
	uint64_t sent = 0;
	const void *packet;
	size_t length;
	int count;

	for (count = 0; count < BATCH; count++) {
		packet = delay_queue_peek(line->queue, now_ns, &length);
		if (!packet)
			break;
		if (write(line->tap_fd, packet, length) == (ssize_t)length)
			sent++;
		else if (errno == EBADFD)
			return -EBADFD;
		delay_queue_pop(line->queue);
	}
	if (count) {
		add(&line->published.sent, sent);
		add(&line->published.dropped_error, count - sent);
	}
	return count;
}

static void apply_change(struct delay_line *line)
{
	pthread_mutex_lock(&line->lock);
	atomic_store(&line->is_changed, false);
	delay_queue_set(line->queue, line->delay_ns, line->jitter_ns, clock_now_ns());
	pthread_mutex_unlock(&line->lock);
}

/* Sleeps until a packet comes, one is due, memory may be given back, or the worker calls. */
static int wait_for_work(struct delay_line *line, int64_t until_ns)
{
	struct pollfd polled[] = {{.fd = line->tap_fd, .events = POLLIN},
				  {.fd = line->wake_fd, .events = POLLIN}};
	bool is_idle = !delay_queue_count(line->queue);
	int64_t left_ns = until_ns - clock_now_ns();
	struct timespec timeout = {.tv_sec = left_ns / NSEC_PER_SEC,
				   .tv_nsec = left_ns % NSEC_PER_SEC};
	uint64_t value;

	if (left_ns <= 0)
		return 0;
	if (is_idle)
		atomic_fetch_add(&line->published.sleep_state, 1);
	if (ppoll(polled, 2, until_ns == INT64_MAX ? NULL : &timeout, NULL) < 0)
		polled[0].revents = polled[1].revents = 0;
	if (is_idle)
		atomic_fetch_add(&line->published.sleep_state, 1);
	if (polled[1].revents & POLLIN && read(line->wake_fd, &value, sizeof(value)) < 0)
		return 0;
	return polled[0].revents & (POLLERR | POLLNVAL) ? -EBADFD : 0;
}

static void *run(void *context)
{
	struct delay_line *line = context;
	int64_t trim_at_ns = INT64_MAX, next_ns;
	int received = 0, sent = 0;

	prctl(PR_SET_NAME, "squall-delay");
	prctl(PR_SET_TIMERSLACK, 1UL); /* the default of 50 us is half of all the error */
	while (!atomic_load(&line->is_stopping)) {
		if (atomic_load(&line->is_changed))
			apply_change(line);
		sent = send_due(line, clock_now_ns());
		received = sent < 0 ? sent : receive(line);
		if (received < 0)
			break;
		if (received && trim_at_ns == INT64_MAX)
			trim_at_ns = clock_now_ns() + DELAY_QUEUE_TRIM_EVERY;
		if (clock_now_ns() >= trim_at_ns) {
			trim_at_ns = delay_queue_trim(line->queue)
					     ? clock_now_ns() + DELAY_QUEUE_TRIM_EVERY
					     : INT64_MAX;
			atomic_store(&line->published.memory, delay_queue_memory(line->queue));
		}
		atomic_store_explicit(&line->published.queued, delay_queue_count(line->queue),
				      memory_order_relaxed);
		if (sent == BATCH || received == BATCH)
			continue;
		next_ns = delay_queue_next_ns(line->queue);
		if (wait_for_work(line, next_ns < trim_at_ns ? next_ns : trim_at_ns) < 0)
			break;
	}
	if (!atomic_load(&line->is_stopping))
		atomic_store(&line->published.is_broken, true);
	return NULL;
}

struct inside {
	struct delay_line *line;
	int interface_index;
};

/* In the interface's namespace. */
static int open_inside(void *context, struct error *err)
{
	struct inside *inside = context;
	struct delay_line *line = inside->line;
	struct link link;
	int status = netlink_open(-1, &line->netlink, err);

	if (!status)
		status = link_get(line->netlink, inside->interface_index, &link, err);
	if (status)
		return status;
	line->tap.kind = tap_kind_for(link.type);
	status = tap_open(&line->tap_fd, err);
	return status ? status : tap_open_ipv6(&line->ipv6_fd, err);
}

static int load_program(const struct delay_line_config *config, int *out_fd, struct error *err)
{
	struct delay_return__rodata constants = {
		.return_index = config->interface_index,
		.return_flags = config->is_ingress ? BPF_F_INGRESS : 0,
		.return_mark = config->mark,
	};
	struct bpf_source source = {.program = "delay_return",
				    .constants = &constants,
				    .constants_size = sizeof(constants)};

	source.object = delay_return__elf_bytes(&source.object_size);
	return bpf_load(&source, out_fd, err);
}

static int check_config(const struct delay_line_config *config, struct error *err)
{
	if (config->delay_ns < 0 || config->jitter_ns < 0 || !config->mark ||
	    config->interface_index <= 0 || strlen(config->name) >= IFNAMSIZ)
		return error_set(err, EINVAL, "delay line '%s': delay, jitter, mark, or interface",
				 config->name);
	if (config->is_loopback && config->is_ingress)
		return error_set(err, EINVAL,
				 "delay line '%s': packets on lo are delayed at egress only",
				 config->name);
	return 0;
}

int delay_line_prepare(const struct delay_line_config *config, struct delay_line **out,
		       struct error *err)
{
	struct delay_line *line;
	struct inside inside;
	int status = check_config(config, err);

	if (status)
		return status;
	line = calloc(1, sizeof(*line));
	if (!line)
		return error_errno(err, ENOMEM, "delay line");
	line->tap_fd = line->program_fd = line->ipv6_fd = line->wake_fd = -1;
	pthread_mutex_init(&line->lock, NULL);
	memcpy(line->name, config->name, strlen(config->name));
	inside = (struct inside){line, config->interface_index};
	status = delay_queue_new(DELAY_LINE_BYTES, TAP_HEADER_SIZE + TAP_FRAME_MAX, config->seed,
				 &line->queue, err);
	if (!status)
		status = namespace_run(config->namespace_fd, open_inside, &inside, err);
	if (!status)
		status = load_program(config, &line->program_fd, err);
	if (!status) {
		line->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (line->wake_fd < 0)
			status = error_errno(err, errno, "eventfd");
	}
	if (status) {
		delay_line_stop(line);
		return error_prefix(err, "delay line");
	}
	delay_line_set(line, config->delay_ns, config->jitter_ns);
	*out = line;
	return 0;
}

static int start_thread(struct delay_line *line, struct error *err)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	int status;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	sigfillset(&all); /* signals are the worker's business */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	status = pthread_create(&line->thread, &attributes, run, line);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (status)
		return error_errno(err, status, "cannot start the thread of the delay line");
	line->is_started = true;
	if (pthread_getcpuclockid(line->thread, &line->processor_clock))
		line->processor_clock = CLOCK_PROCESS_CPUTIME_ID;
	return 0;
}

int delay_line_start(struct delay_line *line, struct error *err)
{
	int status = tap_create(line->tap_fd, line->name, line->tap.kind, &line->tap, err);

	if (!status)
		status = tap_configure(&line->tap, line->netlink, line->ipv6_fd, err);
	if (!status)
		status = qdisc_add_clsact(line->netlink, line->tap.index, err);
	if (!status)
		status = qdisc_add_bpf(line->netlink, line->tap.index, QDISC_INGRESS,
				       line->program_fd, "squall_delay_return", err);
	return status ? error_prefix(err, "delay line") : start_thread(line, err);
}

static void wake(struct delay_line *line)
{
	uint64_t one = 1;

	/* can fail only when the counter is full, and then the thread is awake */
	if (write(line->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void delay_line_stop(struct delay_line *line)
{
	if (!line)
		return;
	if (line->is_started) {
		atomic_store(&line->is_stopping, true);
		wake(line);
		pthread_join(line->thread, NULL);
	}
	cleanup_fd_at(&line->tap_fd);
	cleanup_fd_at(&line->program_fd);
	cleanup_fd_at(&line->ipv6_fd);
	cleanup_fd_at(&line->wake_fd);
	netlink_close(line->netlink);
	delay_queue_free(line->queue);
	pthread_mutex_destroy(&line->lock);
	free(line);
}

const char *delay_line_device(const struct delay_line *line)
{
	return line->name;
}

void delay_line_set(struct delay_line *line, int64_t delay_ns, int64_t jitter_ns)
{
	pthread_mutex_lock(&line->lock);
	line->delay_ns = delay_ns;
	line->jitter_ns = jitter_ns;
	atomic_store(&line->is_changed, true);
	pthread_mutex_unlock(&line->lock);
	if (line->is_started)
		wake(line);
}

/* Between its read and the queue a packet is seen by nobody: so only a thread that sleeps before
 * and after the look at the tap counts. */
bool delay_line_is_empty(const struct delay_line *line)
{
	struct pollfd polled = {.fd = line->tap_fd, .events = POLLIN};
	uint64_t before = atomic_load(&line->published.sleep_state);

	if (!line->is_started || delay_line_is_broken(line))
		return true;
	if (!(before & 1) || poll(&polled, 1, 0) != 0)
		return false;
	return atomic_load(&line->published.sleep_state) == before;
}

bool delay_line_is_broken(const struct delay_line *line)
{
	return atomic_load(&line->published.is_broken);
}

void delay_line_counters(const struct delay_line *line, struct delay_line_counters *out)
{
	const struct published *published = &line->published;
	struct timespec used = {0};
	struct link link;

	*out = (struct delay_line_counters){
		.received = get(&published->received),
		.sent = get(&published->sent),
		.dropped_full = get(&published->dropped_full),
		.dropped_error = get(&published->dropped_error),
		.foreign = get(&published->foreign),
		.queued = get(&published->queued),
		.memory = get(&published->memory),
	};
	if (!line->is_started)
		return;
	if (!clock_gettime(line->processor_clock, &used))
		out->processor_ns = used.tv_sec * NSEC_PER_SEC + used.tv_nsec;
	if (!link_get(line->netlink, line->tap.index, &link, NULL))
		out->dropped_device = link.tx_dropped;
}
