/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A one-way flow through a laboratory and what became of it: numbered datagrams from near to far,
 * each stamped when it is sent and, by the kernel, when it arrives, so that a receiver that gets no
 * processor time makes nothing late.
 */
#ifndef SQUALL_TESTS_NETLAB_FLOW_H
#define SQUALL_TESTS_NETLAB_FLOW_H

#include "tests/support/netlab.h"

struct netlab_flow {
	unsigned count;
	size_t size;	  /* bytes of payload, 64 at least */
	unsigned at_once; /* datagrams sent in a row, then a pause ... */
	unsigned pause_us;
	unsigned quiet_ms; /* nothing came for so long: it is over */
	unsigned segments; /* so many are handed to the stack as one (UDP_SEGMENT); 0, 1: one by one
			    */
	bool has_no_sum;   /* UDP without a checksum: damage arrives */
	uint8_t tos;
};

struct netlab_seen {
	unsigned arrived;    /* different ones, intact or not */
	unsigned duplicated; /* arrivals beyond the first */
	unsigned overtaken;  /* arrived after a later one */
	unsigned damaged;    /* one bit of the payload is wrong */
	unsigned garbled;    /* more than one bit: never right */
	unsigned marked;     /* ECN: congestion experienced */
	unsigned bursts;     /* runs of lost ones */
	double mean_ns, deviation_ns, least_ns;
	double *delays_ns;    /* of the first arrivals, ascending; owned */
	int64_t took_ns;      /* from the first arrival to the last */
	uint64_t fingerprint; /* of which arrived */
};

/* Caller: free(out->delays_ns). */
void netlab_flow_run(const struct netlab *lab, const struct netlab_flow *flow,
		     struct netlab_seen *out);
/* Share of delays below, 0 to 1. */
double netlab_seen_below(const struct netlab_seen *seen, double ns);

#endif
