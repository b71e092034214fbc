/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Connection tracking: where did somebody mean to go whose packets were redirected to us? And that
 * it forgets them when we are gone.
 */
#ifndef SQUALL_CONNTRACK_H
#define SQUALL_CONNTRACK_H

#include "injector/base/error.h"
#include "injector/kernel/netlink.h"

#include <netinet/in.h>
#include <stdbool.h>

/* A flow as the one sees it who answers it. */
struct conntrack_flow {
	uint8_t protocol;		/* IPPROTO_TCP, IPPROTO_UDP */
	uint16_t zone;			/* 0: the usual one */
	struct sockaddr_storage local;	/* where it arrives: our socket */
	struct sockaddr_storage remote; /* who sends */
};

/* The address that the sender meant, over netlink_open_netfilter(). -ENOENT: not known, that is,
 * nothing was redirected. */
int conntrack_original(struct netlink *netlink, const struct conntrack_flow *flow,
		       struct sockaddr_storage *out, struct error *err);

/* The same flow as it is on the way, where rules translate one of its addresses or ports: `local`
 * what the network takes us for, `remote` where the packets go. -ENOENT: not known. */
int conntrack_outside(struct netlink *netlink, const struct conntrack_flow *flow,
		      struct conntrack_flow *out, struct error *err);

/* How many flows there are in its namespace, those included that are not listed yet. Listing them
 * walks a table of all namespaces, lock by lock, for milliseconds; the count is at hand
 * (nf_conntrack_count()). None where the kernel has no connection tracking to talk to. */
int conntrack_count(struct netlink *netlink, uint32_t *out, struct error *err);

/* Forgets every flow in the usual zone that was redirected to `local`, an address and port of ours
 * on which nobody listens any more: who comes from the same port to the same place would be led
 * there again, for as long as the kernel remembers (ten seconds to days). -ETIMEDOUT: there are so
 * many that it is given up after two seconds. Where the kernel has no connection tracking to talk
 * to there is none. */
int conntrack_forget(struct netlink *netlink, uint8_t protocol,
		     const struct sockaddr_storage *local, struct error *err);
/* Is there none such any more? */
int conntrack_has_forgotten(struct netlink *netlink, uint8_t protocol,
			    const struct sockaddr_storage *local, bool *out, struct error *err);

#endif
