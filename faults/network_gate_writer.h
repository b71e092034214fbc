/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the programs of a step have in common: registers that outlive calls, places on the stack,
 * and reading a packet's headers into them. Each family of addresses has its own half of a program.
 */
#ifndef SQUALL_NETWORK_GATE_WRITER_H
#define SQUALL_NETWORK_GATE_WRITER_H

#include "faults/network_gate.h"

#include "injector/kernel/bpf_builder.h"

enum {
	R0 = BPF_REG_0,
	R1 = BPF_REG_1,
	R2 = BPF_REG_2,
	R3 = BPF_REG_3,
	R4 = BPF_REG_4,
	R5 = BPF_REG_5,
	PACKET = BPF_REG_6,
	PROTOCOL = BPF_REG_7,
	OFFSET = BPF_REG_8,
	PORTS = BPF_REG_9,
	STACK = BPF_REG_10,
};

/* The stack, below its end. */
#define HEADER	-40 /* IP header */
#define PORT	-44 /* source and destination port */
#define SCRATCH -52 /* 8 bytes */
#define PLACE	-76 /* key of a tree of addresses: prefix length, address */
#define SERVICE -88 /* key of the tree of ports: prefix length, class, port */

#define SERVICE_BITS 48

struct gate_writer {
	struct bpf_builder builder;
	const struct network_state *state;
	bool is_ingress;
	const struct gate_scope *scope;
	unsigned at;
	struct gate_maps maps;
	const struct params *params; /* of the target */
	struct network_pick pick;
	unsigned miss, match; /* labels */
};

/* `size` bytes of the packet, at OFFSET or at its network header, to the stack. */
void gate_fetch(struct gate_writer *w, bool is_header, int to, unsigned size, unsigned failed);
/* R0 = address of the entry whose key is on the stack, or NULL. */
void gate_look_up(struct gate_writer *w, int map_fd, int key);
/* Header, PROTOCOL, OFFSET, and PORTS: the packet has its transport header; else to `miss`. */
void gate_parse_ipv4(struct gate_writer *w);
void gate_parse_ipv6(struct gate_writer *w);
/* Then PORTS says that it has ports, which are on the stack. */
void gate_parse_ports(struct gate_writer *w);
/* The far side is in the set, or not. */
void gate_match_set(struct gate_writer *w, int family, const struct gate_set *set, unsigned found,
		    unsigned differs);
/* The near side is left out, or is not meant: to `miss`. */
void gate_match_local(struct gate_writer *w, int family);
/* Only a share of the flows or of the far addresses; the rest to `miss`. */
void gate_match_share(struct gate_writer *w, int family);
/* Of source or destination in the header on the stack. */
int gate_address_at(int family, bool is_source);

#endif
