/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Being told, instead of looking, that somebody may have changed what a fault hangs on: links,
 * qdiscs and filters by the announcements of rtnetlink, names of namespaces by inotify, the process
 * that keeps a namespace by its pidfd. What is told only makes network_check_in_force() look.
 *
 * nf_tables is not listened to. Nobody but its owner can change an owned table (nft_table_lookup(),
 * -EPERM), and what takes its hooks away is the end of a device or namespace, which is told here.
 * A listener would also make the kernel write one announcement for each element of a set that
 * anybody loads, 100,000 of them as well.
 */
#include "faults/network.h"
#include "faults/network_delay_line.h"
#include "faults/network_netem.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#define HEARD_AT_ONCE 16

/* One for each namespace in which steps of this process are in force. */
struct network_listener {
	struct namespace_id id;
	struct netlink *netlink;
	int pidfd; /* of the process that keeps it; -1: none does, or it has a name */
	unsigned users;
	struct network_listener *next;
};

static struct network_listener *listeners;
/* For the life of the process: somebody's loop watches it. */
static int epoll_fd = -1, names_fd = -1;

static int add(int fd, struct error *err)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0
		       ? 0
		       : error_errno(err, errno, "cannot watch a descriptor");
}

/* An instance for all namespaces: a user has 128 of them (inotify(7)). Where nobody has named a
 * namespace yet there is no directory, and nothing to lose. */
static int listen_to_names(struct error *err)
{
	cleanup_fd int fd = -1;
	int result;

	if (names_fd >= 0)
		return 0;
	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0 || inotify_add_watch(fd, NAMESPACE_NAMES,
					IN_DELETE | IN_MOVED_FROM | IN_UNMOUNT | IN_ONLYDIR) < 0)
		return error_errno(err, errno, "cannot watch " NAMESPACE_NAMES);
	result = add(fd, err);
	if (result == 0)
		names_fd = steal_fd(&fd);
	return result;
}

static void listen_to_process(struct network_listener *listener, pid_t pid)
{
	cleanup_fd int fd = proc_pidfd_open(pid);

	/* it may have ended just now: who looks next finds another one */
	if (fd >= 0 && namespace_is_of(pid, &listener->id) == 1 && add(fd, NULL) == 0)
		listener->pidfd = steal_fd(&fd);
}

static void forget(struct network_listener *listener)
{
	if (listener->pidfd >= 0)
		close(listener->pidfd);
	netlink_close(listener->netlink);
	free(listener);
}

static struct network_listener *find(const struct namespace_id *id)
{
	struct network_listener *at = listeners;

	while (at && !namespace_is_same(&at->id, id))
		at = at->next;
	return at;
}

static int listen_in(struct network_listener *listener, int namespace_fd, struct error *err)
{
	static const unsigned groups[] = {RTNLGRP_LINK, RTNLGRP_TC, 0};
	int result = netlink_open(namespace_fd, &listener->netlink, err);

	if (result == 0)
		result = netlink_listen(listener->netlink, groups, err);
	if (result == 0)
		result = add(netlink_descriptor(listener->netlink), err);
	return result;
}

static int join(struct network_state *state, int namespace_fd, struct error *err)
{
	struct network_listener *listener = find(&state->record.namespace_id);
	int result = 0;

	if (!listener) {
		listener = calloc(1, sizeof(*listener));
		if (!listener)
			return error_errno(err, ENOMEM, "cannot listen to the kernel");
		*listener = (struct network_listener){
			.id = state->record.namespace_id, .pidfd = -1, .next = listeners};
		result = listen_in(listener, namespace_fd, err);
		if (result < 0) {
			forget(listener);
			return result;
		}
		listeners = listener;
	}
	state->listener = listener;
	listener->users++;
	return 0;
}

/* What keeps the namespace there: its name, or else a process. */
static void listen_to_keeper(struct network_state *state)
{
	if (state->namespace_keeper && state->listener->pidfd < 0)
		listen_to_process(state->listener, state->namespace_keeper);
}

int network_listen(struct fault *fault, struct error *err)
{
	struct network_state *state = fault->state;
	const int namespace_fd = fault->target->namespace_fd;
	int result;

	state->fault = fault;
	if (epoll_fd < 0)
		epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		return error_errno(err, errno, "cannot listen to the kernel");
	result = state->listener ? 0 : join(state, namespace_fd, err);
	if (result < 0)
		return result;
	if (namespace_fd >= 0)
		listen_to_names(NULL); /* else a look at it now and then tells */
	/* What happened before there was a listener, nobody has told. */
	result = network_check_in_force(state, err);
	listen_to_keeper(state);
	return result < 0 ? result : epoll_fd;
}

void network_unlisten(struct network_state *state)
{
	struct network_listener *listener = state->listener;

	state->listener = NULL;
	if (!listener || --listener->users)
		return;
	for (struct network_listener **at = &listeners; *at; at = &(*at)->next)
		if (*at == listener) {
			*at = listener->next;
			break;
		}
	forget(listener);
}

static bool is_of_line(const struct network_state *state, int index)
{
	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].line && delay_line_owns(state->paths[i].line, index))
			return true;
	return false;
}

static bool is_of_path(const struct network_state *state, int index)
{
	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].index == index)
			return true;
	return false;
}

/* An ifb is known by its number, taps of a delay line begin with its name. */
static bool is_of_link(const struct network_state *state, const struct nlmsghdr *message)
{
	const struct ifinfomsg *header = NLMSG_DATA(message);
	const struct nlattr *table[IFLA_MAX + 1];
	char name[16];

	if (is_of_path(state, header->ifi_index) || network_netem_has(state, header->ifi_index))
		return true;
	netlink_attributes(message, sizeof(*header), table, IFLA_MAX);
	netlink_text(table[IFLA_IFNAME], name, sizeof(name));
	return strncmp(name, state->record.link, strlen(state->record.link)) == 0;
}

/* Who follows is concerned by all of them; one that went away is not the same when it is back. A
 * bridge says of a port that leaves it that it is deleted, in its own family. */
static bool is_followed_link(struct network_state *state, const struct nlmsghdr *message)
{
	const struct ifinfomsg *header = NLMSG_DATA(message);

	if (!state->follows_interfaces ||
	    (message->nlmsg_type != RTM_NEWLINK && message->nlmsg_type != RTM_DELLINK) ||
	    message->nlmsg_len < NLMSG_LENGTH(sizeof(*header)))
		return false;
	for (unsigned i = 0; i < state->path_count; i++)
		if (message->nlmsg_type == RTM_DELLINK && header->ifi_family == AF_UNSPEC &&
		    state->paths[i].index == header->ifi_index)
			state->paths[i].is_lost = true;
	return true;
}

static bool is_concerned(const struct network_state *state, const struct nlmsghdr *message)
{
	const bool is_long_enough = message->nlmsg_len >= NLMSG_LENGTH(sizeof(struct tcmsg));
	const struct tcmsg *tc = NLMSG_DATA(message);

	/* Linux 6.1 answers a question for a queue by announcing it to everybody (tc_get_qdisc(),
	 * qdisc_notify(); measured): who looks because he was told so would never stop. */
	if (message->nlmsg_type == RTM_NEWQDISC && netlink_is_own(state->route, message))
		return false;
	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return message->nlmsg_len >= NLMSG_LENGTH(sizeof(struct ifinfomsg)) &&
		       is_of_link(state, message);
	case RTM_NEWQDISC:
	case RTM_DELQDISC:
	case RTM_NEWTFILTER:
	case RTM_DELTFILTER:
	case RTM_DELCHAIN:
		return is_long_enough &&
		       (network_netem_has(state, tc->tcm_ifindex) ||
			is_of_line(state, tc->tcm_ifindex) ||
			(state->hook == NETWORK_GATE && is_of_path(state, tc->tcm_ifindex)));
	default:
		return false;
	}
}

static void touch_all(const struct network_listener *listener)
{
	for (struct network_state *at = network_first_live(); at; at = at->next)
		if (!listener || at->listener == listener)
			at->is_touched = true;
}

static void touch_after_loss(const struct network_listener *listener)
{
	touch_all(listener);
	for (struct network_state *at = network_first_live(); at; at = at->next)
		at->has_missed |= at->listener == listener;
}

static void touch_concerned(void *context, const struct nlmsghdr *message)
{
	for (struct network_state *at = network_first_live(); at; at = at->next)
		if (at->listener == context &&
		    (is_followed_link(at, message) || is_concerned(at, message)))
			at->is_touched = true;
}

static void read_names(void)
{
	char events[4096] __attribute__((aligned(8)));

	while (read(names_fd, events, sizeof(events)) > 0)
		;
	touch_all(NULL);
}

static void hear_descriptor(int fd)
{
	struct network_listener *at = listeners;

	if (fd == names_fd) {
		read_names();
		return;
	}
	while (at && fd != at->pidfd && fd != netlink_descriptor(at->netlink))
		at = at->next;
	if (!at)
		return;
	if (fd == at->pidfd) {
		close(at->pidfd);
		at->pidfd = -1;
		touch_all(at);
	} else if (netlink_hear(at->netlink, touch_concerned, at, NULL) < 0) {
		touch_after_loss(at); /* anything may have happened */
	}
}

static struct network_state *next_touched(void)
{
	struct network_state *at = network_first_live();

	while (at && !at->is_touched)
		at = at->next;
	return at;
}

void network_hear(void (*concerned)(void *context, struct fault *fault), void *context)
{
	struct epoll_event events[HEARD_AT_ONCE];
	struct network_state *state;
	int count = epoll_wait(epoll_fd, events, HEARD_AT_ONCE, 0);

	for (int i = 0; i < count; i++)
		hear_descriptor(events[i].data.fd);
	/* the list may change under whoever ends a fault */
	while ((state = next_touched())) {
		state->is_touched = false;
		if (state->phase != NETWORK_ACTIVE || !state->listener)
			continue;
		concerned(context, state->fault);
		if (state->phase == NETWORK_ACTIVE)
			listen_to_keeper(state);
	}
}
