/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A tap (or tun) device of our own: never persistent, so the kernel removes it when its last
 * descriptor closes, however the process ends. A forked child shares the descriptor and keeps the
 * device alive (CLOEXEC acts on exec only): no fork while one is attached.
 */
#ifndef SQUALL_TAP_H
#define SQUALL_TAP_H

#include "injector/base/error.h"
#include "injector/kernel/netlink.h"

#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdbool.h>

/* Each packet read or written begins with this header (host byte order). */
#define TAP_HEADER_SIZE ((int)sizeof(struct virtio_net_hdr))
/* The largest packet behind it: 64 KiB of segmentation offload or of lo's MTU, its link-layer
 * header and two VLAN tags. */
#define TAP_FRAME_MAX (65536 + 14 + 8)
/* Only who sends by an address of the device itself asks for it: what is redirected to it or
 * written into it is as large as it is. Below 1280 the kernel gives a device no IPv6, with which it
 * would solicit routers and report groups (ipv6_add_dev(), net/ipv6/addrconf.c; RFC 8200, 5). That
 * needs no /proc/sys/net, where a name is looked up among those of all namespaces, one by one, and
 * which is read-only in most containers. The least that there is (ETH_MIN_MTU). */
#define TAP_MTU 68
/* Packets its rings hold together while nobody reads; 20 ms of 200,000 a second. In the kernel, up
 * to 64 KiB each. */
#define TAP_QUEUE 4096
/* Descriptors that one tap may have. */
#define TAP_QUEUES_MAX 8

enum tap_kind {
	TAP_ETHERNET, /* packets begin with an Ethernet header */
	TAP_IP,	      /* packets begin with the IP header: for devices without link-layer header */
};

/* How packets come: as large as the stack made them; cut to the interface's packets; and with their
 * checksums finished. */
enum tap_offload { TAP_WHOLE, TAP_CUT, TAP_FINISHED };

/* Opens the clone device; the namespace this thread is in now is the one the device will be in.
 * -ENOENT, -ENODEV: the kernel or the container has none (the error says what to do). The
 * descriptor is non-blocking. Open it before the socket of the table that forwards to it, so that
 * it has the lower number: at the death of a process the kernel releases its files last number
 * first (task_work_run() is last in, first out), and the table goes first. The other way round,
 * packets are lost until the table has gone as well (measured: 15 ms). */
int tap_open(int *out_fd, struct error *err);

struct tap {
	enum tap_kind kind;
	enum tap_offload offload;
	unsigned queues;
	int index;
	char name[IFNAMSIZ];
	unsigned tag;		   /* bytes that its owner has put on each packet */
	unsigned char address[6];  /* TAP_ETHERNET: its own MAC, random */
	bool has_udp_segmentation; /* the kernel takes packets of many UDP datagrams (6.2) */
};

/* Makes the device, down, index not filled in; -EBUSY if the name is taken (of an attached or a
 * persistent device). With several descriptors (TAP_QUEUES_MAX at most) each gets the packets of
 * some of the flows, always the same, as long as what is written into it is what was read from it
 * (tun_automq_select_queue() in drivers/net/tun.c). Fragments have no ports and may be of another
 * descriptor than whole packets between the same two. Needs CAP_NET_ADMIN in the namespace's user
 * namespace. */
int tap_create(const int *fds, unsigned count, const char *name, enum tap_kind kind,
	       enum tap_offload offload, struct tap *out, struct error *err);

/* Fills in the index and takes the tap's queue away. It stays down: a queueing discipline that is
 * changed on a device that is up waits for an RCU grace period, of a millisecond on a busy machine
 * (dev_deactivate_many() in net/sched/sch_generic.c). `netlink` is in the tap's namespace. */
int tap_configure(struct tap *tap, struct netlink *netlink, struct error *err);
/* Sets MTU and queue length, no ARP, and up, in this order (do_setlink(), net/core/rtnetlink.c), so
 * that it never has a word of its own: when all else is in place. */
int tap_bring_up(const struct tap *tap, struct netlink *netlink, struct error *err);

/* What a device needs so that its packets can come back to it. `type` is ARPHRD_*. */
enum tap_kind tap_kind_for(unsigned type);

#endif
