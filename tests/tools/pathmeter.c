/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * pathmeter CLIENT SERVER ADDRESS cost PACKETS | rate PACKETS-A-SECOND SECONDS DELAY_MS: what a
 * path costs small UDP packets, from the namespace CLIENT to the namespace SERVER.
 *
 * cost: sends them as fast as it can to a socket that nobody reads; the processor time of each,
 * which on a veth pair is that of the whole path. rate: sends that many a second, 50 us apart in
 * small bunches, and prints how many were lost or overtaken and by how much the others exceeded the
 * delay, from before the send call to the kernel's own time of receipt.
 */
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/namespace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define PORT	 9876
#define SIZE	 64
#define BUNCH_NS (50 * NSEC_PER_USEC)
#define BUNCH	 64
#define WAIT_NS	 (2 * NSEC_PER_SEC) /* for the last packets */

struct stamp {
	uint64_t number;
	int64_t sent_ns; /* wall time */
};

struct meter {
	int sender, receiver;
	uint64_t count;	    /* packets to send */
	int64_t *delays_ns; /* of those received, in their order */
	_Atomic uint64_t received;
	uint64_t overtaken;
	_Atomic bool is_over;
};

struct end {
	struct sockaddr_in address;
	bool is_server;
	int fd;
};

static int open_end(void *context, struct error *err)
{
	struct end *end = context;
	int large = 64 << 20, small = 1, yes = 1;

	end->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (end->fd < 0)
		return error_errno(err, errno, "socket");
	if (!end->is_server) {
		setsockopt(end->fd, SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof(large));
		return connect(end->fd, (struct sockaddr *)&end->address, sizeof(end->address))
			       ? error_errno(err, errno, "connect")
			       : 0;
	}
	setsockopt(end->fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof(large));
	setsockopt(end->fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof(yes));
	setsockopt(end->fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_usec = 50000},
		   sizeof(struct timeval));
	(void)small;
	return bind(end->fd, (struct sockaddr *)&end->address, sizeof(end->address))
		       ? error_errno(err, errno, "bind")
		       : 0;
}

static int open_in(const char *namespace, struct end *end, struct error *err)
{
	cleanup_fd int fd = -1;
	int status = namespace_open_name(namespace, &fd, err);

	return status ? status : namespace_run(fd, open_end, end, err);
}

static int64_t stamp_of(struct msghdr *message)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	struct timespec time;

	if (!header || header->cmsg_type != SCM_TIMESTAMPNS)
		return clock_wall_ns();
	memcpy(&time, CMSG_DATA(header), sizeof(time));
	return time.tv_sec * NSEC_PER_SEC + time.tv_nsec;
}

static void *receive_all(void *context)
{
	struct meter *meter = context;
	char control[BUNCH][CMSG_SPACE(sizeof(struct timespec))];
	struct stamp stamps[BUNCH];
	struct iovec parts[BUNCH];
	struct mmsghdr messages[BUNCH];
	uint64_t highest = 0;

	while (!meter->is_over) {
		int got;

		for (unsigned i = 0; i < BUNCH; i++) {
			parts[i] = (struct iovec){&stamps[i], sizeof(stamps[i])};
			messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i],
							      .msg_iovlen = 1,
							      .msg_control = control[i],
							      .msg_controllen = sizeof(control[i])};
		}
		got = recvmmsg(meter->receiver, messages, BUNCH, MSG_WAITFORONE, NULL);
		for (int i = 0; i < got && meter->received < meter->count; i++) {
			meter->overtaken += stamps[i].number < highest;
			if (stamps[i].number > highest)
				highest = stamps[i].number;
			meter->delays_ns[meter->received++] =
				stamp_of(&messages[i].msg_hdr) - stamps[i].sent_ns;
		}
	}
	return NULL;
}

static void send_bunch(const struct meter *meter, uint64_t first, unsigned count)
{
	unsigned char bytes[BUNCH][SIZE] = {0};
	struct iovec parts[BUNCH];
	struct mmsghdr messages[BUNCH] = {0};
	int64_t now_ns = clock_wall_ns();

	for (unsigned i = 0; i < count; i++) {
		struct stamp stamp = {first + i, now_ns};

		memcpy(bytes[i], &stamp, sizeof(stamp));
		parts[i] = (struct iovec){bytes[i], SIZE};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
	}
	for (unsigned done = 0; done < count;) {
		int sent = sendmmsg(meter->sender, messages + done, count - done, 0);

		done += sent > 0 ? (unsigned)sent : 1; /* refused: lost */
	}
}

/* What is behind is caught up with in full bunches. */
static void send_paced(const struct meter *meter, uint64_t a_second)
{
	int64_t started_ns = clock_now_ns();

	for (uint64_t sent = 0; sent < meter->count;) {
		uint64_t due =
			(uint64_t)((double)(clock_now_ns() - started_ns) / 1e9 * (double)a_second) +
			1;

		if (due > meter->count)
			due = meter->count;
		while (sent < due) {
			unsigned bunch = due - sent < BUNCH ? (unsigned)(due - sent) : BUNCH;

			send_bunch(meter, sent, bunch);
			sent += bunch;
		}
		nanosleep(&(struct timespec){.tv_nsec = BUNCH_NS}, NULL);
	}
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static double part(const struct meter *meter, double share, int64_t delay_ns)
{
	uint64_t at = (uint64_t)(share * (double)(meter->received - 1));

	return (double)(meter->delays_ns[at] - delay_ns) / 1e6;
}

static int measure_rate(struct meter *meter, uint64_t a_second, int64_t delay_ns)
{
	int64_t started_ns, sent_ns, until_ns;
	pthread_t thread;

	meter->delays_ns = calloc(meter->count, sizeof(*meter->delays_ns));
	if (!meter->delays_ns || pthread_create(&thread, NULL, receive_all, meter))
		return -ENOMEM;
	started_ns = clock_now_ns();
	send_paced(meter, a_second);
	sent_ns = clock_now_ns();
	until_ns = sent_ns + delay_ns + WAIT_NS;
	while (meter->received < meter->count && clock_now_ns() < until_ns)
		nanosleep(&(struct timespec){.tv_nsec = NSEC_PER_MSEC}, NULL);
	meter->is_over = true;
	pthread_join(thread, NULL);
	printf("sent_per_second=%.0f sent=%" PRIu64 " lost=%" PRIu64 " overtaken=%" PRIu64 " ",
	       (double)meter->count * 1e9 / (double)(sent_ns - started_ns), meter->count,
	       meter->count - meter->received, meter->overtaken);
	if (meter->received) {
		qsort(meter->delays_ns, meter->received, sizeof(*meter->delays_ns), compare);
		printf("least_ms=%.3f p50_ms=%.3f p90_ms=%.3f p99_ms=%.3f most_ms=%.3f",
		       part(meter, 0, delay_ns), part(meter, 0.5, delay_ns),
		       part(meter, 0.9, delay_ns), part(meter, 0.99, delay_ns),
		       part(meter, 1, delay_ns));
	}
	printf("\n");
	free(meter->delays_ns);
	return 0;
}

static int measure_cost(struct meter *meter)
{
	struct timespec before, after;
	int64_t used_ns;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	for (uint64_t sent = 0; sent < meter->count; sent += BUNCH)
		send_bunch(meter, sent, BUNCH);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	used_ns = (after.tv_sec - before.tv_sec) * NSEC_PER_SEC + after.tv_nsec - before.tv_nsec;
	printf("ns=%.1f\n", (double)used_ns / (double)meter->count);
	return 0;
}

int main(int argc, char **argv)
{
	struct end server = {.is_server = true, .fd = -1}, client = {.fd = -1};
	struct error err = ERROR_INIT;
	struct meter meter = {0};
	bool is_cost = argc == 6 && !strcmp(argv[4], "cost");
	int status;

	if (!is_cost && (argc != 8 || strcmp(argv[4], "rate"))) {
		fprintf(stderr,
			"usage: %s CLIENT SERVER ADDRESS cost PACKETS | rate "
			"PACKETS-A-SECOND SECONDS DELAY_MS\n",
			argv[0]);
		return 64;
	}
	client.address.sin_family = AF_INET;
	client.address.sin_port = htons(PORT);
	if (inet_pton(AF_INET, argv[3], &client.address.sin_addr) != 1) {
		fprintf(stderr, "pathmeter: '%s' is no address\n", argv[3]);
		return 64;
	}
	server.address = client.address;
	status = open_in(argv[2], &server, &err);
	if (!status)
		status = open_in(argv[1], &client, &err);
	if (status) {
		fprintf(stderr, "pathmeter: %s\n", err.text);
		return 1;
	}
	meter.sender = client.fd;
	meter.receiver = server.fd;
	meter.count = strtoull(argv[5], NULL, 10);
	if (is_cost)
		return measure_cost(&meter) < 0;
	meter.count *= strtoull(argv[6], NULL, 10);
	return measure_rate(&meter, strtoull(argv[5], NULL, 10),
			    (int64_t)(strtod(argv[7], NULL) * 1e6)) < 0;
}
