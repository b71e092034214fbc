/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sockets that hold ports. See port.h.
 */
#include "faults/port.h"

#include "injector/base/clock.h"
#include "injector/base/thread.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define SPARE	   256 /* descriptors that the rest of the process needs */
#define AGAIN_MS   50  /* then ports that others gave back are taken, too */
#define AT_ONCE	   500 /* between two looks whether it is to end */
#define STACK_SIZE (128 << 10)
#define POLL_MS	   2

/* To all holds of this process: one in each network namespace, and other steps. */
static unsigned promised;

int port_hold_prepare(struct port_hold *hold, unsigned capacity, struct error *err)
{
	const rlim_t needed = (rlim_t)promised + capacity + SPARE;
	struct rlimit limit, wider;

	hold->fds = calloc(capacity, sizeof(*hold->fds));
	if (!hold->fds)
		return error_errno(err, ENOMEM, "%u ports", capacity);
	hold->capacity = capacity;
	promised += capacity;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return error_errno(err, errno, "limit of open files");
	if (limit.rlim_cur >= needed)
		return 0;
	wider = (struct rlimit){needed, limit.rlim_max > needed ? limit.rlim_max : needed};
	if (setrlimit(RLIMIT_NOFILE, &wider) == 0)
		return 0;
	error_errno(err, errno, "%u ports need as many descriptors, and %llu may be open", promised,
		    (unsigned long long)limit.rlim_cur);
	return error_remedy(err,
			    "ulimit -n %llu before, or narrow net.ipv4.ip_local_port_range there",
			    (unsigned long long)needed);
}

static socklen_t size_of(const struct port_place *place)
{
	return place->address.ss_family == AF_INET ? sizeof(struct sockaddr_in)
						   : sizeof(struct sockaddr_in6);
}

static int set_repair(int fd, int value)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* In the place's namespace, where the caller is. -EAFNOSUPPORT: no IPv6. */
static int open_socket(const struct port_place *place)
{
	const int on = 1, family = place->address.ss_family;
	int fd = socket(family,
			(place->protocol == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC,
			0);

	if (fd < 0)
		return -errno;
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	return fd;
}

/* In repair mode a port may be bound that somebody listens at, or whose last connections are in
 * TIME_WAIT (SK_FORCE_REUSE in inet_csk_get_port()); with its end the socket shares with nobody.
 * Where nobody was before, the kernel has noted that the port may be shared: listening, for a
 * moment, takes that back, else a service would get past bind() and fail in listen(). */
static int bind_tcp(int fd, const struct port_place *place)
{
	int result = set_repair(fd, 1);

	if (result == 0 && bind(fd, (const void *)&place->address, size_of(place)) < 0)
		result = -errno;
	if (result == 0)
		result = set_repair(fd, 0);
	if (result == 0 && listen(fd, 0) == 0)
		shutdown(fd, SHUT_RDWR);
	return result;
}

/* Without its consent: as a service would find it. */
static int bind_plain(int fd, const struct port_place *place)
{
	return bind(fd, (const void *)&place->address, size_of(place)) < 0 ? -errno : 0;
}

static unsigned port_of(const struct port_place *place)
{
	return ntohs(((const struct sockaddr_in *)&place->address)->sin_port);
}

struct occupying {
	struct port_hold *hold;
	bool is_in_use;
};

/* Is a listener there? Asked by binding as a service does that was just restarted. */
static int find_free(const struct port_place *place)
{
	const int on = 1;
	int fd = open_socket(place), result;

	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	result = bind_plain(fd, place);
	close(fd);
	return result;
}

static int occupy_one(struct occupying *occupying, const struct port_place *place, int *out_fd)
{
	const bool is_tcp = place->protocol == IPPROTO_TCP;
	int fd, result = 0;

	if (is_tcp && !occupying->is_in_use)
		result = find_free(place);
	if (result < 0)
		return result;
	fd = open_socket(place);
	if (fd < 0)
		return fd;
	result = is_tcp ? bind_tcp(fd, place) : bind_plain(fd, place);
	if (result < 0)
		close(fd);
	else
		*out_fd = fd;
	return result;
}

static int occupy_all(void *context, struct error *err)
{
	struct occupying *occupying = context;
	struct port_hold *hold = occupying->hold;

	for (unsigned i = 0; i < hold->place_count; i++) {
		const struct port_place *place = &hold->places[i];
		int result = occupy_one(occupying, place, &hold->fds[hold->held]);

		if (result == -EAFNOSUPPORT && place->address.ss_family == AF_INET6)
			continue;
		if (result < 0) {
			error_errno(err, -result, "%s port %u",
				    place->protocol == IPPROTO_TCP ? "TCP" : "UDP", port_of(place));
			return result != -EADDRINUSE
				       ? result
				       : error_remedy(err, "stop its service first, or with "
							   "TCP `in-use: true`");
		}
		atomic_fetch_add(&hold->held, 1);
	}
	return 0;
}

int port_hold_occupy(struct port_hold *hold, bool is_in_use, struct error *err)
{
	struct occupying occupying = {hold, is_in_use};
	int result = namespace_run(hold->namespace_fd, occupy_all, &occupying, err);

	if (result < 0)
		port_hold_end(hold);
	return result;
}

/* A connection that only this kernel knows of. -EADDRNOTAVAIL: none is left. */
static int take_one(const struct port_place *place)
{
	int fd = open_socket(place), result;

	if (fd < 0)
		return fd;
	result = set_repair(fd, 1);
	if (result == 0 && connect(fd, (const void *)&place->address, size_of(place)) < 0)
		result = -errno;
	if (result == 0)
		return fd;
	close(fd);
	return result;
}

static bool is_woken(const struct port_hold *hold, int timeout_ms)
{
	struct pollfd polled = {.fd = hold->wake_fd, .events = POLLIN};

	return poll(&polled, 1, timeout_ms) > 0;
}

/* What was taken last is given back first: of this place. */
static void give_back(struct port_hold *hold, unsigned count)
{
	while (count-- && hold->held > 0) {
		unsigned last = hold->held - 1;

		close(hold->fds[last]);
		atomic_store(&hold->held, last);
	}
}

/* Until the kernel says that none is left. 1: so it is; 0: it is to end; -errno. */
static int fill(struct port_hold *hold, const struct port_place *place)
{
	for (unsigned i = 1;; i++) {
		int fd = take_one(place);

		if (fd == -EADDRNOTAVAIL)
			return 1;
		if (fd < 0)
			return fd;
		if (hold->held == hold->capacity) { /* the range was made wider meanwhile */
			close(fd);
			return -ENOSPC;
		}
		hold->fds[hold->held] = fd;
		atomic_fetch_add(&hold->held, 1);
		if (i % AT_ONCE == 0 && is_woken(hold, 0))
			return 0;
	}
}

static int fill_all(void *context, struct error *err)
{
	struct port_hold *hold = context;
	int result = 1;

	(void)err;
	for (unsigned i = 0; result == 1 && i < hold->place_count; i++) {
		result = fill(hold, &hold->places[i]);
		if (result == 1) {
			give_back(hold, hold->leave);
			atomic_fetch_add(&hold->full, 1);
		}
	}
	/* what is left free on purpose is not to be taken again */
	while (result == 1 && !is_woken(hold, hold->leave ? -1 : AGAIN_MS))
		for (unsigned i = 0; result == 1 && i < hold->place_count && !hold->leave; i++)
			result = fill(hold, &hold->places[i]);
	return result < 0 ? result : 0;
}

static void *run(void *context)
{
	struct port_hold *hold = context;
	struct error why = ERROR_INIT;
	int result;

	prctl(PR_SET_NAME, "squall-ports");
	result = namespace_run(hold->namespace_fd, fill_all, hold, &why);
	if (result < 0)
		atomic_store(&hold->failure, -result);
	return NULL;
}

static int start_thread(struct port_hold *hold, struct error *err)
{
	int status;

	hold->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (hold->wake_fd < 0)
		return error_errno(err, errno, "eventfd");
	status = thread_start(&hold->thread, STACK_SIZE, run, hold);
	if (status)
		return error_errno(err, status, "cannot start a thread");
	hold->is_running = true;
	return 0;
}

int port_hold_exhaust(struct port_hold *hold, int64_t patience_ns, struct error *err)
{
	int64_t until_ns = clock_now_ns() + patience_ns;
	int result = start_thread(hold, err);

	while (result == 0 && !hold->failure && hold->full < hold->place_count &&
	       clock_now_ns() < until_ns)
		poll(NULL, 0, POLL_MS);
	if (result == 0 && hold->failure)
		result = error_errno(err, hold->failure, "after %u ports", hold->held);
	if (result < 0)
		port_hold_end(hold);
	return result;
}

void port_hold_end(struct port_hold *hold)
{
	const uint64_t one = 1;

	if (hold->is_running) {
		if (write(hold->wake_fd, &one, sizeof(one)) < 0)
			atomic_store(&hold->failure, errno); /* cannot be: the counter was 0 */
		pthread_join(hold->thread, NULL);
		hold->is_running = false;
	}
	if (hold->wake_fd > 0)
		close(hold->wake_fd);
	hold->wake_fd = 0;
	give_back(hold, hold->held);
	atomic_store(&hold->full, 0);
	atomic_store(&hold->failure, 0);
}

void port_hold_free(struct port_hold *hold)
{
	port_hold_end(hold);
	if (hold->fds)
		promised -= hold->capacity;
	free(hold->fds);
	hold->fds = NULL;
}
