/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The delay line: delay and jitter for kernels without netem. nftables forwards packets to a tap of
 * ours, threads read them, keep them for their time and write them back, and a BPF program at
 * the tap's own ingress hook sends them on where they were taken:
 *
 *   device, egress (or ingress) hook, our table: `meta mark M meta mark set 0 accept`, then
 *   `... fwd to TAP` -> thread -> TAP -> BPF: mark M, redirect to the device's egress (or ingress)
 *
 * Everything dies with the process: the tap is not persistent, nothing is pinned. NO FORK AFTER
 * delay_line_start(): a child would share the tap's descriptor and keep the device, with nobody
 * reading it, a black hole (CLOEXEC acts on exec only).
 *
 * A packet comes back with its bytes, VLAN tags, checksum and segmentation state as they were; UDP
 * datagrams of one flow that leave together come back as one packet that is cut into the same ones
 * (delay_merge.h). What the kernel knew about it besides is lost, unlike with netem on an ifb:
 *  - its socket: TCP small queues see the packet as sent at once (more is in flight, limited by the
 *    window alone), pacing by fq and SO_MAX_PACING_RATE end at the tap, owner and cgroup matches
 *    behind the hook no longer match;
 *  - mark and priority: filters by fwmark and SO_PRIORITY or net_prio classes of the device's own
 *    root qdisc see 0 (DSCP is in the packet and still works);
 *  - the hash and transmit queue: chosen again from the packet's headers;
 *  - timestamps: none on transmission (SO_TIMESTAMPING, PTP), new ones on reception;
 *  - a receive checksum verified by hardware is verified again in software;
 *  - capture: a packet at ingress is seen by tcpdump when it arrives and again when it comes back;
 *    merged datagrams are seen as one, and counted as one by the device;
 *  - its bytes are copied out of the kernel and in again, unless the kernel keeps them
 * (delay_hold.h: then the first of these points hold as well, and its segmentation state is
 * verified again);
 *  - the route of a packet on lo: IPv4 needs lo's route_localnet and accept_local (the caller's
 *    part), ::1 does not.
 */
#ifndef SQUALL_NETWORK_DELAY_LINE_H
#define SQUALL_NETWORK_DELAY_LINE_H

#include "faults/delay_payload.h"
#include "faults/delay_refuse.h"
#include "injector/base/error.h"
#include "injector/kernel/netem.h"

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

/* Packets waiting beyond this are dropped and counted; touched only as far as they need it. As many
 * bytes again may be in front of it, in the tap's rings (TAP_QUEUE), while its threads get no
 * processor time. */
#define DELAY_LINE_BYTES (256UL << 20)
/* The same of all lines of this process together, beyond two MiB of each thread. */
#define DELAY_LINES_BYTES (1UL << 30)

/* So much TCP a second (of what the stack hands down as one) is worth the way through the kernel's
 * own queue, if no more packets than that wait there. */
#define DELAY_LINE_HOLD_BYTES (100UL << 20)
#define DELAY_LINE_HOLD_MANY  8192

struct delay_line;
struct netlink;

struct delay_line_config {
	int namespace_fd; /* of the interface; -1: our own. Used during prepare only */
	int interface_index;
	bool is_ingress;		   /* false: egress */
	bool is_loopback;		   /* lo: egress only, ingress would delay twice */
	const struct netem_config *effect; /* copied, with its table */
	/* What the stack hands down as one is cut into packets of the wire before it comes here, */
	bool cuts_to_wire;
	/* It will never do more than delay them all by the same time: with much to carry it lets
	 * the kernel keep them (delay_hold.h). */
	bool only_delays;
	bool finishes_checksums; /* and their checksums are calculated */
	uint32_t mark;		 /* what a packet that the line gives to ingress carries; not 0 */
	/* also to egress: filters of tc meet it again there, chains of nf_tables do not */
	bool marks_leaving;
	/* A chain at the tap's ingress hook sends on what leaves, and not the program. */
	bool reenters;
	/* Such a packet keeps these bits of its mark, see delay_return.h: all in the upper half. A
	 * device without link-layer header has no place for them. */
	uint32_t carries;
	/* Threads, each with its own queue of the tap and the flows that fall to it; 0: as many as
	 * this machine has use for. More than one only where packets are decided on one by one: a
	 * rate, a model of losses, a correlation count on all packets in one row. TAP_QUEUES_MAX at
	 * most. */
	unsigned threads;
	/* Nothing comes through: answers leave by the other direction of the interface. */
	struct refusal refusal;
	struct delay_payload payload; /* what is not among it passes at once; copied */
	uint32_t segment; /* TCP leaves in pieces of so many bytes of data; 0: as it came */
	const char *name; /* of the tap; copied */
	uint64_t seed;	  /* of all that is random */
};

/* Opens everything that needs privileges or the namespace and loads the program; nothing is visible
 * on the machine. CAP_SYS_ADMIN (to enter the namespace), CAP_NET_ADMIN, CAP_BPF. The caller ends
 * it with delay_line_stop(). */
int delay_line_prepare(const struct delay_line_config *config, struct delay_line **out,
		       struct error *err);
/* Makes the tap and starts the threads; inert until a table forwards to it. CAP_NET_ADMIN, and
 * CAP_SYS_NICE for threads that stay exact on a busy machine (without it: an ordinary one). Open
 * the table's netlink socket after delay_line_prepare(): see tap_open(). After a failure only
 * delay_line_stop() is left to do. */
int delay_line_start(struct delay_line *line, struct error *err);
/* Ends the threads and closes the tap, which the kernel then removes; what still waits is lost.
 * Call after the table is gone and the line is empty. Also for a line not started, or NULL. */
void delay_line_stop(struct delay_line *line);

/* Of its tap. */
int delay_line_last_descriptor(const struct delay_line *line);
/* An interface of that number is its own. */
bool delay_line_owns(const struct delay_line *line, int index);
/* *out: the programs that take its packets in and send them on are still at the tap, and where the
 * kernel keeps them. `netlink`: of the tap's namespace. */
int delay_line_has_programs(const struct delay_line *line, struct netlink *netlink, bool *out,
			    struct error *err);
/* Name of the tap. */
const char *delay_line_device(const struct delay_line *line);

/* Changes a running line (or one not started). Without jitter no packet overtakes another, also
 * when the delay shrinks: what waits leaves as soon as the new delay allows, in order; what waits
 * for a rate keeps its time as long as there is one. For a soft end: set an empty effect, wait
 * until empty, then take the table away, wait until empty again, stop: nothing is lost. A packet
 * that is inside the line (tens of microseconds) when the table goes may be overtaken. */
void delay_line_set(struct delay_line *line, const struct netem_config *effect);

/* Call it now and then while the line works. True: it has had so much to carry since the last time
 * that the kernel had better keep it (delay_hold.h), and that has not been tried yet. */
bool delay_line_wants_hold(struct delay_line *line);
/* It could, with its effect and interface; nothing has been tried yet. */
bool delay_line_may_hold(const struct delay_line *line);
/* Name of the interface that comes about then, in the tap's namespace. */
void delay_line_hold_name(const struct delay_line *line, char out[IFNAMSIZ]);
/* Does it, once. Upon failure it goes on as it is. Needs CAP_SYS_ADMIN beside what it needs to
 * start. `alias`: of that interface. */
int delay_line_use_hold(struct delay_line *line, const char *alias, struct error *err);
bool delay_line_has_hold(const struct delay_line *line);

/* Nothing waits, neither in the queue nor in the tap. */
bool delay_line_is_empty(const struct delay_line *line);
/* Somebody removed the tap: its threads have ended, and a table that still forwards to it drops. */
bool delay_line_is_broken(const struct delay_line *line);

struct delay_line_counters {
	uint64_t bulk;		  /* bytes of TCP that the stack handed down as one */
	uint64_t kept;		  /* packets received, by the kernel */
	uint64_t received, sent;  /* packets as the stack made them, up to 64 KiB each */
	uint64_t lost;		  /* as asked for */
	struct netem_fates fates; /* the same */
	uint64_t dropped_full;	  /* the memory limit was reached */
	uint64_t dropped_error;	  /* the kernel could not hand it over or take it back */
	uint64_t dropped_device;  /* the tap's ring was full: the thread got no processor time */
	uint64_t spared;	  /* without the payload that is meant */
	uint64_t foreign; /* sent by the tap itself (DHCP clients and the like); not passed on */
	uint64_t queued;  /* waiting now */
	uint64_t memory;  /* bytes touched for them; looked at once a second */
	int64_t processor_ns; /* of the threads */
};
void delay_line_counters(const struct delay_line *line, struct delay_line_counters *out);
/* That alone, for which the kernel need not be asked about the tap. */
int64_t delay_line_processor_ns(const struct delay_line *line);

#endif
