/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Queueing disciplines and classifiers, by raw attributes, on devices that we own. Nothing here may
 * be called for a user's device except the functions that only read, and those for filters: adding
 * or removing a qdisc there, clsact too, loses packets.
 */
#ifndef SQUALL_QDISC_H
#define SQUALL_QDISC_H

#include "injector/base/error.h"
#include "injector/kernel/netem.h"
#include "injector/kernel/netlink.h"

#include <linux/pkt_sched.h> /* TC_H_* */
#include <stdbool.h>
#include <stdint.h>

#define QDISC_HANDLE(major) ((uint32_t)(major) << 16)

/* tbf that does not limit but cuts segmentation-offload packets into wire packets of at most
 * `max_packet` bytes (link-layer header included); its child goes to parent handle|1. */
int qdisc_add_segmenter(struct netlink *netlink, int index, uint32_t handle, uint32_t max_packet,
			struct error *err);
int qdisc_change_segmenter(struct netlink *netlink, int index, uint32_t handle, uint32_t max_packet,
			   struct error *err);
/* A tbf that limits; its child goes to parent handle|1. */
struct qdisc_rate {
	uint64_t bytes;	   /* a second; 0: does not limit */
	uint32_t burst;	   /* bytes; larger packets are cut, or dropped where they cannot be */
	uint32_t limit;	   /* bytes that wait in it while it has no child */
	uint16_t overhead; /* bytes counted in addition for each packet */
	/* A second, smaller bucket, by which the burst leaves: bytes a second, more than `bytes`;
	 * 0: there is none. And what it holds: as `burst`. */
	uint64_t peak_bytes;
	uint32_t peak_burst;
};
int qdisc_add_rate(struct netlink *netlink, int index, uint32_t parent, uint32_t handle,
		   const struct qdisc_rate *rate, struct error *err);
int qdisc_change_rate(struct netlink *netlink, int index, uint32_t parent, uint32_t handle,
		      const struct qdisc_rate *rate, struct error *err);

struct qdisc {
	int index;
	uint32_t parent, handle;
	char kind[16];
	uint32_t waiting; /* packets in it */
	uint32_t dropped;
	uint64_t sent;	/* packets */
	bool has_fates; /* netem tells what it did to them (Linux 7.2: struct tc_netem_xstats) */
	struct netem_fates fates;
};
/* The qdisc at `parent` (TC_H_ROOT: the root); -ENOENT if there is none. */
int qdisc_get(struct netlink *netlink, int index, uint32_t parent, struct qdisc *out,
	      struct error *err);
typedef void (*qdisc_fn)(void *context, const struct qdisc *qdisc);
/* All of one interface (index > 0) or of all (0). */
int qdisc_each(struct netlink *netlink, int index, qdisc_fn fn, void *context, struct error *err);

/* clsact, for filters. It deactivates the device for a moment: what waits in its root qdisc is lost
 * (measured); so on a user's device only where nf_tables has no egress hook. */
int qdisc_add_clsact(struct netlink *netlink, int index, struct error *err);
/* With all filters in it. */
int qdisc_delete_clsact(struct netlink *netlink, int index, struct error *err);

enum qdisc_hook { QDISC_INGRESS, QDISC_EGRESS };
#define FILTER_NAME_SIZE 48
struct bpf_filter {
	enum qdisc_hook hook;
	uint16_t priority; /* the smaller, the earlier; among equal ones the newer is first */
	int program_fd;	   /* not taken over: the filter keeps the program alive */
	const char *name;
	int redirect_index; /* where it sends what the program matches; 0: direct-action */
};
/* A cls_bpf filter at the device's clsact. */
int filter_add_bpf(struct netlink *netlink, int index, const struct bpf_filter *filter,
		   struct error *err);

struct filter {
	uint32_t parent, handle, priority;
	uint32_t info; /* priority and protocol as the kernel wants them back */
	char kind[16];
	char name[FILTER_NAME_SIZE]; /* of a bpf filter */
	bool is_direct_action;	     /* bpf that decides itself */
	bool has_actions;	     /* or a kind of which nothing is known here */
};
typedef void (*filter_fn)(void *context, const struct filter *filter);
/* Filters at a clsact hook of an interface, anybody's. No clsact: none, and 0. */
int filter_each(struct netlink *netlink, int index, enum qdisc_hook hook, filter_fn fn,
		void *context, struct error *err);
/* The same at any qdisc of it, by its handle. */
int filter_each_of(struct netlink *netlink, int index, uint32_t handle, filter_fn fn, void *context,
		   struct error *err);
/* The bpf filter of that name at a clsact hook; *out_found false: there is none. */
int filter_find(struct netlink *netlink, int index, enum qdisc_hook hook, const char *name,
		struct filter *out, bool *out_found, struct error *err);
/* One that filter_each() found. -ENOENT: gone already. */
int filter_delete(struct netlink *netlink, int index, const struct filter *filter,
		  struct error *err);

#endif
