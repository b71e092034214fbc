/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <string.h>

/* include/net/tcp_states.h. Of the open ones, listeners and what only waits for its end are left
 * out. */
enum { ESTABLISHED = 1, SYN_SENT = 2, FIN_WAIT1 = 4, FIN_WAIT2 = 5, CLOSE_WAIT = 8, LISTEN = 10 };
#define OPEN_STATES                                                                                \
	(1U << ESTABLISHED | 1U << SYN_SENT | 1U << FIN_WAIT1 | 1U << FIN_WAIT2 | 1U << CLOSE_WAIT)

/* idiag_timer of what the kernel keeps in mind of a connection that its owner has closed, and
 * which it lists in the state it had, FIN_WAIT2: it belongs to nobody, and cannot be ended by force
 * (tcp_abort(), -EOPNOTSUPP; inet_twsk_diag_fill()). */
#define TIMER_TIME_WAIT 3

#define CGROUP_ID 21 /* INET_DIAG_CGROUP_ID of kernel 5.8; older headers lack it */

struct walk {
	connection_fn fn;
	void *context;
	int result;
};

static void copy_address(const struct inet_diag_msg *entry, const __be32 *from, uint8_t out[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (entry->idiag_family == AF_INET6 && memcmp(from, mapped, sizeof(mapped)) == 0)
		memcpy(out, from + 3, 4);
	else
		memcpy(out, from, entry->idiag_family == AF_INET ? 4 : 16);
}

static bool is_mapped(const struct inet_diag_msg *entry)
{
	return entry->idiag_family == AF_INET6 && entry->id.idiag_dst[0] == 0 &&
	       entry->id.idiag_dst[1] == 0 && entry->id.idiag_dst[2] == htonl(0xffff);
}

static uint64_t cgroup_of(const struct nlmsghdr *reply)
{
	const struct nlattr *attributes[CGROUP_ID + 1];
	const void *data;
	uint64_t id = 0;

	netlink_attributes(reply, sizeof(struct inet_diag_msg), attributes, CGROUP_ID);
	data = netlink_data(attributes[CGROUP_ID], sizeof(id));
	if (data)
		memcpy(&id, data, sizeof(id));
	return id;
}

static void take(void *context, const struct nlmsghdr *reply)
{
	const struct inet_diag_msg *entry = NLMSG_DATA(reply);
	struct walk *walk = context;
	struct connection found = {0};

	if (walk->result != 0 || reply->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    reply->nlmsg_len < NLMSG_LENGTH(sizeof(*entry)) ||
	    entry->idiag_timer == TIMER_TIME_WAIT)
		return;
	found.socket_family = entry->idiag_family;
	found.family = is_mapped(entry) ? AF_INET : entry->idiag_family;
	copy_address(entry, entry->id.idiag_src, found.local);
	copy_address(entry, entry->id.idiag_dst, found.remote);
	found.local_port = ntohs(entry->id.idiag_sport);
	found.remote_port = ntohs(entry->id.idiag_dport);
	found.inode = entry->idiag_inode;
	found.id = entry->id;
	found.cgroup = cgroup_of(reply);
	walk->result = walk->fn(walk->context, &found);
}

static void begin(struct netlink_request *request, uint16_t type, uint16_t flags, uint8_t family,
		  uint32_t states, const struct inet_diag_sockid *id)
{
	struct inet_diag_req_v2 header = {
		.sdiag_family = family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = states};

	if (id)
		header.id = *id;
	netlink_begin(request, type, flags, &header, sizeof(header));
}

static int list(struct netlink *netlink, uint32_t states, uint16_t local_port, struct walk *walk,
		struct error *err)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	const struct inet_diag_sockid id = {.idiag_sport = htons(local_port)};

	for (unsigned i = 0; i < 2 && walk->result == 0; i++) {
		struct netlink_request request;
		int result;

		begin(&request, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, families[i], states, &id);
		result = netlink_call(netlink, &request, take, walk, err);
		if (result == -ENOENT && families[i] == AF_INET6)
			continue; /* a kernel without IPv6 */
		if (result < 0) {
			error_prefix(err, "cannot list the TCP connections");
			return result == -ENOENT ? error_remedy(err, "modprobe tcp_diag") : result;
		}
	}
	return walk->result;
}

int connection_each(struct netlink *netlink, connection_fn fn, void *context, struct error *err)
{
	struct walk walk = {.fn = fn, .context = context};

	return list(netlink, OPEN_STATES, 0, &walk, err);
}

static int found_one(void *context, const struct connection *connection)
{
	(void)context, (void)connection;
	return 1;
}

int connection_is_awaited(struct netlink *netlink, uint16_t local_port, struct error *err)
{
	struct walk walk = {.fn = found_one};

	return list(netlink, 1U << LISTEN, local_port, &walk, err);
}

int connection_destroy(struct netlink *netlink, const struct connection *connection,
		       struct error *err)
{
	struct netlink_request request;

	begin(&request, SOCK_DESTROY, 0, connection->socket_family, OPEN_STATES, &connection->id);
	return netlink_call(netlink, &request, NULL, NULL, err);
}

int connection_try_destroy(struct netlink *netlink, struct error *err)
{
	/* port 0 is nobody's */
	const struct connection none = {.socket_family = AF_INET};
	int result = connection_destroy(netlink, &none, err);

	if (result == -EOPNOTSUPP)
		error_set(err, EOPNOTSUPP,
			  "the kernel cannot end connections (CONFIG_INET_DIAG_DESTROY)");
	return result == -ENOENT ? 0 : result;
}
