/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A one-way flow through a laboratory and what became of it: numbered datagrams, each stamped when
 * it is sent and, by the kernel, when it arrives, so that a receiver that gets no processor time
 * makes nothing late.
 */
#ifndef SQUALL_TESTS_NETLAB_FLOW_H
#define SQUALL_TESTS_NETLAB_FLOW_H

#include "tests/support/netlab.h"

#define NETLAB_FLOW_PORT 7100 /* where it goes to */

/* From near to far, from far to near, within near by its lo. */
enum netlab_course { NETLAB_OUT, NETLAB_BACK, NETLAB_LO };

struct netlab_flow {
	enum netlab_course course;
	bool is_six;	   /* IPv6 */
	bool is_elsewhere; /* NETLAB_BACK: the fault is where it comes from, in the far namespace */
	unsigned count;
	size_t size;	  /* bytes of payload, 64 at least */
	unsigned at_once; /* datagrams sent in a row, then a pause ... */
	unsigned pause_us;
	unsigned quiet_ms; /* nothing came for so long: it is over */
	unsigned segments; /* so many are handed to the stack as one (UDP_SEGMENT); 0: each alone */
	bool has_no_sum;   /* UDP without a checksum: damage arrives */
	uint8_t tos;	   /* of IPv6: the traffic class */
};

struct netlab_seen {
	unsigned arrived;    /* different ones, intact or not */
	unsigned duplicated; /* arrivals beyond the first */
	unsigned overtaken;  /* arrived after a later one */
	unsigned damaged;    /* one bit of the payload is wrong */
	unsigned garbled;    /* more than one bit: never right */
	unsigned marked;     /* ECN: congestion experienced */
	unsigned recoloured; /* another DSCP than it was sent with, or another ECN but a mark */
	unsigned bursts;     /* runs of lost ones */
	unsigned doubles;    /* runs of those that arrived more than once */
	unsigned overtakers; /* arrived before an earlier one */
	unsigned leaps;	     /* runs of these */
	double mean_ns, deviation_ns, least_ns;
	double *delays_ns;    /* of the first arrivals, ascending; owned */
	int64_t took_ns;      /* from the first arrival to the last */
	uint64_t fingerprint; /* of which arrived */
	struct evidence told; /* by the fault, while it was in force; of netlab_see() */
};

/* The far end of the flow as seen from near: what `to` of a fault names. */
const char *netlab_flow_peer(const struct netlab_flow *flow);
/* The near end. */
const char *netlab_flow_near(const struct netlab_flow *flow);
/* Caller: free(out->delays_ns). */
void netlab_flow_run(const struct netlab *lab, const struct netlab_flow *flow,
		     struct netlab_seen *out);
/* Share of delays below, 0 to 1. */
double netlab_seen_below(const struct netlab_seen *seen, double ns);
/* `count` of `of` is what a chance of `p` gives, by five standard errors; `spread` widens them for
 * what comes in bursts. */
void netlab_assert_share(unsigned count, unsigned of, double p, double spread);

#endif
