/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Network interfaces over rtnetlink. Indexes and names are those of the conversation's namespace.
 */
#ifndef SQUALL_LINK_H
#define SQUALL_LINK_H

#include "injector/base/error.h"
#include "injector/kernel/netlink.h"

#include <stdbool.h>
#include <stdint.h>

#define LINK_ADDRESS_SIZE 32 /* the longest hardware address that the kernel has */

struct link {
	int index;
	char name[16];
	char alias[256];
	char kind[16]; /* "ifb", "veth", ...; empty for hardware and lo */
	uint32_t group, mtu, tx_queue_length;
	int lower; /* the one it is made on (VLAN, macvlan); of veth its peer, maybe elsewhere; 0 */
	int master;			    /* bridge or bond that it is a port of; 0 */
	uint32_t flags;			    /* IFF_* */
	uint16_t type;			    /* ARPHRD_* */
	uint8_t address[LINK_ADDRESS_SIZE]; /* of the hardware; zeros: none */
	uint64_t rx_packets, rx_dropped, tx_packets, tx_dropped;
};

/* Creates an ifb, down: then it drops what is forwarded to it without a word. -EEXIST if the name
 * is taken. The alias needs a second message (IFLA_IFALIAS is ignored at creation); when that fails
 * the ifb is deleted again. */
int link_create_ifb(struct netlink *netlink, const char *name, uint32_t group, const char *alias,
		    int *out_index, struct error *err);

/* A pair of interfaces, down, that hand each other what is sent; the peer in another network
 * namespace. Neither asks for addresses, by ARP or by IPv6. */
struct veth {
	const char *name, *peer_name;
	int peer_namespace_fd;
	uint32_t mtu;
	uint32_t segments_max; /* the largest packet of segmentation offload (Linux 6.3) */
	const uint8_t *address, *peer_address; /* Ethernet's */
};
int link_create_veth(struct netlink *netlink, const struct veth *veth, const char *alias,
		     int *out_index, struct error *err);

/* -ENODEV if there is none. */
int link_find(struct netlink *netlink, const char *name, struct link *out, struct error *err);
int link_get(struct netlink *netlink, int index, struct link *out, struct error *err);
/* -ENODEV if it is gone already. */
int link_delete(struct netlink *netlink, int index, struct error *err);

/* Zero means unchanged. */
struct link_change {
	bool up;
	uint32_t mtu, tx_queue_length, group;
};
int link_change(struct netlink *netlink, int index, const struct link_change *change,
		struct error *err);

typedef void (*link_fn)(void *context, const struct link *link);
int link_each(struct netlink *netlink, link_fn fn, void *context, struct error *err);

/* One IPv4 setting of an interface (IPV4_DEVCONF_* of <linux/ip.h>), as in
 * /proc/sys/net/ipv4/conf/IF/, but in the conversation's namespace. */
int link_get_ipv4(struct netlink *netlink, int index, unsigned setting, uint32_t *out,
		  struct error *err);
int link_set_ipv4(struct netlink *netlink, int index, unsigned setting, uint32_t value,
		  struct error *err);

#endif
