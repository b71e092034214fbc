/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tcpmeter CLIENT SERVER TESTED OTHER tcp|packet PAIRS: what traffic to the address TESTED costs
 * beside that to OTHER, from the namespace CLIENT to the namespace SERVER.
 *
 * A machine is faster in one second than in the next by more than what is looked for. So the same
 * two threads take turns between both addresses in slices of some 3 ms, in the order
 * TESTED OTHER OTHER TESTED, and only neighbours are compared. tcp: one connection to each, a
 * slice is so many bytes from the first send() until the last has been received; "ratio=", of the
 * speeds, and "cost=", the same of what both threads have used of their processors, which other
 * people's work on the machine disturbs less. packet: small UDP packets that nobody reads; "more=",
 * processor time of one in ns, and "other=".
 */
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/namespace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT	     9877
#define BUFFER	     (128 << 10)
#define SLICE_NS     (3 * NSEC_PER_MSEC)
#define TRY_BYTES    (16ULL << 20)
#define PACKETS	     2000 /* of a slice */
#define PACKET_SIZE  64
#define WAIT_SECONDS 5

/* [0] TESTED, [1] OTHER */
struct meter {
	struct sockaddr_in addresses[2];
	bool is_tcp;
	int type, listener, senders[2], receivers[2];
	uint64_t bytes; /* of a slice */
	unsigned turns;
	int ready, done; /* eventfds: the receiver begins with a turn, and has ended it */
	_Atomic int turn;
	_Atomic bool is_broken;
};

static const unsigned order[4] = {0, 1, 1, 0};

static int open_server(void *context, struct error *err)
{
	struct meter *meter = context;
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int yes = 1;

	meter->listener = socket(AF_INET, meter->type | SOCK_CLOEXEC, 0);
	if (meter->listener < 0 ||
	    setsockopt(meter->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
	    bind(meter->listener, (struct sockaddr *)&any, sizeof(any)) < 0 ||
	    (meter->is_tcp && listen(meter->listener, 2) < 0))
		return error_errno(err, errno, "server");
	return 0;
}

static int open_client(void *context, struct error *err)
{
	const struct timeval patience = {.tv_sec = WAIT_SECONDS};
	struct meter *meter = context;

	for (unsigned i = 0; i < 2; i++) {
		meter->senders[i] = socket(AF_INET, meter->type | SOCK_CLOEXEC, 0);
		if (meter->senders[i] < 0 ||
		    connect(meter->senders[i], (struct sockaddr *)&meter->addresses[i],
			    sizeof(meter->addresses[i])) < 0)
			return error_errno(err, errno, "connect");
		if (!meter->is_tcp)
			continue;
		meter->receivers[i] = accept4(meter->listener, NULL, NULL, SOCK_CLOEXEC);
		if (meter->receivers[i] < 0)
			return error_errno(err, errno, "accept");
		setsockopt(meter->senders[i], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		setsockopt(meter->receivers[i], SOL_SOCKET, SO_RCVTIMEO, &patience,
			   sizeof(patience));
	}
	return 0;
}

static int open_in(const char *namespace, int (*fn)(void *, struct error *), struct meter *meter,
		   struct error *err)
{
	cleanup_fd int fd = -1;
	int status = namespace_open_name(namespace, &fd, err);

	return status ? status : namespace_run(fd, fn, meter, err);
}

/* Each end its own, where there are two. */
static void take_processor(unsigned number)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(number, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static bool tell(int fd)
{
	const uint64_t one = 1;

	return write(fd, &one, sizeof(one)) == sizeof(one);
}

static bool await(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

static void *receive_turns(void *context)
{
	static char buffer[BUFFER];
	struct meter *meter = context;

	take_processor(1);
	while (await(meter->ready) && meter->turn >= 0) {
		uint64_t left = meter->bytes;

		while (left > 0) {
			ssize_t got = recv(meter->receivers[meter->turn], buffer,
					   left < BUFFER ? left : BUFFER, 0);

			if (got <= 0) {
				meter->is_broken = true;
				break;
			}
			left -= (uint64_t)got;
		}
		tell(meter->done);
	}
	return NULL;
}

static int64_t time_bytes(struct meter *meter, unsigned which)
{
	static char buffer[BUFFER];
	int64_t started_ns = clock_now_ns();
	uint64_t left = meter->bytes;

	meter->turn = (int)which;
	tell(meter->ready);
	while (left > 0) {
		ssize_t sent = send(meter->senders[which], buffer, left < BUFFER ? left : BUFFER,
				    MSG_NOSIGNAL);

		if (sent <= 0) {
			meter->is_broken = true;
			return 1;
		}
		left -= (uint64_t)sent;
	}
	await(meter->done);
	return clock_now_ns() - started_ns;
}

static int64_t used_ns(clockid_t clock)
{
	struct timespec used;

	clock_gettime(clock, &used);
	return used.tv_sec * NSEC_PER_SEC + used.tv_nsec;
}

static int64_t time_packets(struct meter *meter, unsigned which)
{
	const char packet[PACKET_SIZE] = {0};
	int64_t started_ns = used_ns(CLOCK_THREAD_CPUTIME_ID);

	for (unsigned i = 0; i < PACKETS; i++)
		if (send(meter->senders[which], packet, sizeof(packet), 0) < 0)
			meter->is_broken = true;
	return used_ns(CLOCK_THREAD_CPUTIME_ID) - started_ns;
}

/* How many bytes a slice has. */
static void settle(struct meter *meter)
{
	int64_t took_ns = 0;

	meter->bytes = TRY_BYTES;
	for (unsigned turn = 0; turn < 4 && !meter->is_broken; turn++)
		took_ns = time_bytes(meter, order[turn]);
	if (took_ns > 0)
		meter->bytes = (uint64_t)((double)TRY_BYTES * SLICE_NS / (double)took_ns) + 1;
}

static void measure_tcp(struct meter *meter, unsigned pairs)
{
	int64_t took_ns[2], cost_ns[2];

	settle(meter);
	for (unsigned i = 0; i < pairs * 2 && !meter->is_broken; i++) {
		const unsigned which = order[i % 4];

		cost_ns[which] = used_ns(CLOCK_PROCESS_CPUTIME_ID);
		took_ns[which] = time_bytes(meter, which);
		cost_ns[which] = used_ns(CLOCK_PROCESS_CPUTIME_ID) - cost_ns[which];
		if (i % 2)
			printf("ratio=%.5f cost=%.5f\n", (double)took_ns[1] / (double)took_ns[0],
			       (double)cost_ns[1] / (double)cost_ns[0]);
	}
}

static void measure_packets(struct meter *meter, unsigned pairs)
{
	int64_t used[2];

	for (unsigned i = 0; i < pairs * 2 && !meter->is_broken; i++) {
		const unsigned which = order[i % 4];

		used[which] = time_packets(meter, which);
		if (i % 2)
			printf("more=%.2f other=%.2f\n", (double)(used[0] - used[1]) / PACKETS,
			       (double)used[1] / PACKETS);
	}
}

static int run(struct meter *meter, unsigned pairs)
{
	pthread_t receiver;

	meter->ready = eventfd(0, EFD_CLOEXEC);
	meter->done = eventfd(0, EFD_CLOEXEC);
	if (meter->is_tcp && pthread_create(&receiver, NULL, receive_turns, meter))
		return 1;
	take_processor(0);
	if (meter->is_tcp)
		measure_tcp(meter, pairs);
	else
		measure_packets(meter, pairs);
	if (meter->is_tcp) {
		meter->turn = -1;
		tell(meter->ready);
		pthread_join(receiver, NULL);
	}
	if (meter->is_broken)
		fprintf(stderr, "tcpmeter: a connection broke\n");
	return meter->is_broken;
}

int main(int argc, char **argv)
{
	struct meter meter = {.type = SOCK_DGRAM};
	struct error err = ERROR_INIT;

	if (argc != 7 || (strcmp(argv[5], "tcp") && strcmp(argv[5], "packet"))) {
		fprintf(stderr, "usage: %s CLIENT SERVER TESTED OTHER tcp|packet PAIRS\n", argv[0]);
		return 64;
	}
	meter.is_tcp = !strcmp(argv[5], "tcp");
	if (meter.is_tcp)
		meter.type = SOCK_STREAM;
	for (unsigned i = 0; i < 2; i++) {
		meter.addresses[i].sin_family = AF_INET;
		meter.addresses[i].sin_port = htons(PORT);
		if (inet_pton(AF_INET, argv[3 + i], &meter.addresses[i].sin_addr) != 1) {
			fprintf(stderr, "tcpmeter: '%s' is no address\n", argv[3 + i]);
			return 64;
		}
	}
	if (open_in(argv[2], open_server, &meter, &err) ||
	    open_in(argv[1], open_client, &meter, &err)) {
		fprintf(stderr, "tcpmeter: %s\n", err.text);
		return 1;
	}
	return run(&meter, (unsigned)strtoul(argv[6], NULL, 10));
}
