/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/netlab_flow.h"

#include "injector/base/clock.h"

#include <math.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SLICE_MS 20

struct stamp {
	uint32_t number, check; /* check: the number, turned over */
	int64_t sent_ns;
};

struct run {
	const struct netlab_flow *flow;
	int from, to;
	unsigned *times; /* each arrived */
	unsigned *order; /* in which they did, first times; counted from 1 */
	unsigned last;	 /* of that */
	_Atomic bool is_sent;
	unsigned highest;
	struct netlab_seen seen;
};

static int64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

static bool is_from_near(const struct netlab_flow *flow)
{
	return flow->course != NETLAB_BACK;
}

static bool is_to_near(const struct netlab_flow *flow)
{
	return flow->course != NETLAB_OUT;
}

const char *netlab_flow_near(const struct netlab_flow *flow)
{
	if (flow->course == NETLAB_LO)
		return flow->is_six ? "::1" : "127.0.0.1";
	return flow->is_six ? "fd88::1" : "10.88.0.1";
}

const char *netlab_flow_peer(const struct netlab_flow *flow)
{
	if (flow->course == NETLAB_LO)
		return netlab_flow_near(flow);
	return flow->is_six ? "fd88::2" : "10.88.0.2";
}

/* One end of the flow. */
static int open_end(const struct netlab *lab, const struct netlab_flow *flow, bool is_near,
		    uint16_t port)
{
	int fd = netlab_socket(is_near ? lab->near_fd : lab->far_fd,
			       flow->is_six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0,
			       is_near ? netlab_flow_near(flow) : netlab_flow_peer(flow), port);
	int on = 1, large = 64 << 20, tos = flow->tos;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof(large));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof(large));
	setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	if (flow->is_six) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof(on));
		setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	} else {
		setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on));
		setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	}
	if (flow->has_no_sum && flow->is_six) { /* else both ends refuse it (RFC 8200) */
		setsockopt(fd, IPPROTO_UDP, UDP_NO_CHECK6_TX, &on, sizeof(on));
		setsockopt(fd, IPPROTO_UDP, UDP_NO_CHECK6_RX, &on, sizeof(on));
	} else if (flow->has_no_sum) {
		setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on));
	}
	return fd;
}

static void *send_all(void *context)
{
	struct run *run = context;
	const struct netlab_flow *flow = run->flow;
	struct sockaddr_storage to;
	const socklen_t length =
		netlab_address(is_to_near(flow) ? netlab_flow_near(flow) : netlab_flow_peer(flow),
			       NETLAB_FLOW_PORT, &to);
	const unsigned as_one = flow->segments ? flow->segments : 1;
	const int size = (int)flow->size;
	static unsigned char datagram[65536];

	memset(datagram, 0, sizeof(datagram));
	if (as_one > 1)
		assert_int_equal(setsockopt(run->from, SOL_UDP, UDP_SEGMENT, &size, sizeof(size)),
				 0);
	for (unsigned i = 0; i < flow->count; i++) {
		struct stamp stamp = {i, ~i, wall_ns()};

		memcpy(datagram + i % as_one * flow->size, &stamp, sizeof(stamp));
		if (i % as_one == as_one - 1 && sendto(run->from, datagram, flow->size * as_one, 0,
						       (struct sockaddr *)&to, length) < 0)
			break; /* then some are missing, and the test fails */
		if (flow->at_once && i % flow->at_once == flow->at_once - 1)
			usleep(flow->pause_us);
	}
	run->is_sent = true;
	return NULL;
}

static unsigned bits_wrong(const unsigned char *datagram, size_t size, const struct stamp *stamp)
{
	unsigned wrong = (unsigned)__builtin_popcount(stamp->number ^ ~stamp->check);

	for (size_t i = sizeof(*stamp); i < size; i++)
		wrong += (unsigned)__builtin_popcount(datagram[i]);
	return wrong;
}

static void take(struct run *run, const unsigned char *datagram, int64_t arrived_ns, int tos)
{
	struct netlab_seen *seen = &run->seen;
	struct stamp stamp;
	unsigned wrong;

	memcpy(&stamp, datagram, sizeof(stamp));
	wrong = bits_wrong(datagram, run->flow->size, &stamp);
	seen->damaged += wrong == 1;
	seen->garbled += wrong > 1;
	seen->marked += (tos & 3) == 3;
	seen->recoloured +=
		tos >> 2 != run->flow->tos >> 2 || ((tos & 3) != 3 && tos != run->flow->tos);
	if (stamp.number >= run->flow->count || stamp.number != ~stamp.check)
		return; /* the number itself is damaged */
	if (run->times[stamp.number]++) {
		seen->duplicated++;
		return;
	}
	run->order[stamp.number] = ++run->last;
	seen->overtaken += stamp.number < run->highest;
	run->highest = stamp.number > run->highest ? stamp.number : run->highest;
	/* a damaged time of sending says nothing; it may be any number */
	if (stamp.sent_ns <= arrived_ns && stamp.sent_ns > arrived_ns - 100 * NSEC_PER_SEC)
		seen->delays_ns[seen->arrived++] = (double)(arrived_ns - stamp.sent_ns);
}

/* One datagram; false: none came in time. */
static bool receive(struct run *run, int timeout_ms, int64_t *out_ns)
{
	static unsigned char datagram[65536];
	union {
		struct cmsghdr header;
		char room[256];
	} control;
	struct iovec vector = {datagram, sizeof(datagram)};
	struct msghdr message = {.msg_iov = &vector,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	struct pollfd polled = {.fd = run->to, .events = POLLIN};
	int64_t arrived_ns = wall_ns();
	int tos = 0;

	if (poll(&polled, 1, timeout_ms) <= 0)
		return false;
	if (recvmsg(run->to, &message, 0) != (ssize_t)run->flow->size)
		return true;
	for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at)) {
		struct timespec time;

		if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_TIMESTAMPNS) {
			memcpy(&time, CMSG_DATA(at), sizeof(time));
			arrived_ns = time.tv_sec * NSEC_PER_SEC + time.tv_nsec;
		} else if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_TOS) {
			tos = *CMSG_DATA(at);
		} else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_TCLASS) {
			memcpy(&tos, CMSG_DATA(at), sizeof(tos));
		}
	}
	take(run, datagram, arrived_ns, tos);
	*out_ns = arrived_ns;
	return true;
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return a < b ? -1 : a > b;
}

static void sum_up(struct run *run)
{
	struct netlab_seen *seen = &run->seen;
	double sum = 0, squares = 0;
	unsigned latest = 0;
	bool overtook = false;

	for (unsigned i = 0; i < seen->arrived; i++)
		sum += seen->delays_ns[i];
	seen->mean_ns = seen->arrived ? sum / seen->arrived : 0;
	for (unsigned i = 0; i < seen->arrived; i++)
		squares += pow(seen->delays_ns[i] - seen->mean_ns, 2);
	seen->deviation_ns = seen->arrived ? sqrt(squares / seen->arrived) : 0;
	qsort(seen->delays_ns, seen->arrived, sizeof(double), compare);
	seen->least_ns = seen->arrived ? seen->delays_ns[0] : 0;
	for (unsigned i = 0; i < run->flow->count; i++) {
		const bool overtakes = run->times[i] && run->order[i] < latest;

		latest = run->order[i] > latest ? run->order[i] : latest;
		seen->overtakers += overtakes;
		seen->leaps += overtakes && !overtook;
		overtook = overtakes;
		seen->bursts += !run->times[i] && (i == 0 || run->times[i - 1]);
		seen->doubles += run->times[i] > 1 && (i == 0 || run->times[i - 1] <= 1);
		seen->fingerprint = seen->fingerprint * 1099511628211ULL + run->times[i];
	}
}

void netlab_flow_run(const struct netlab *lab, const struct netlab_flow *flow,
		     struct netlab_seen *out)
{
	struct run run = {.flow = flow};
	int64_t first_ns = 0, last_ns = 0;
	pthread_t sender;

	run.times = calloc(flow->count, sizeof(*run.times));
	run.order = calloc(flow->count, sizeof(*run.order));
	run.seen.delays_ns = calloc(flow->count, sizeof(double));
	assert_true(run.times && run.order && run.seen.delays_ns);
	run.from = open_end(lab, flow, is_from_near(flow), 0);
	run.to = open_end(lab, flow, is_to_near(flow), NETLAB_FLOW_PORT);
	assert_int_equal(pthread_create(&sender, NULL, send_all, &run), 0);
	for (unsigned quiet_ms = 0; quiet_ms < flow->quiet_ms;) {
		if (receive(&run, SLICE_MS, &last_ns)) {
			first_ns = first_ns ? first_ns : last_ns;
			quiet_ms = 0;
		} else {
			quiet_ms += run.is_sent ? SLICE_MS : 0;
		}
	}
	pthread_join(sender, NULL);
	run.seen.took_ns = last_ns - first_ns;
	sum_up(&run);
	free(run.times);
	free(run.order);
	close(run.from);
	close(run.to);
	*out = run.seen;
}

double netlab_seen_below(const struct netlab_seen *seen, double ns)
{
	unsigned below = 0;

	while (below < seen->arrived && seen->delays_ns[below] < ns)
		below++;
	return seen->arrived ? (double)below / seen->arrived : 0;
}

void netlab_assert_share(unsigned count, unsigned of, double p, double spread)
{
	double error = 5 * spread * sqrt(p * (1 - p) / of);

	if (fabs((double)count / of - p) > error)
		fail_msg("%u of %u is not %.4f +- %.4f", count, of, p, error);
}
