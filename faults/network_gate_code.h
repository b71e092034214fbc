/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared by the parts of the program behind a gate: network_gate_parse.c (from a packet to its
 * headers on the stack), network_gate_match.c (is it meant?), network_gate_code.c (the whole, and
 * what becomes of it). Registers that outlive calls: the packet, its transport protocol, where that
 * begins, and whether it has ports here.
 */
#ifndef SQUALL_NETWORK_GATE_CODE_H
#define SQUALL_NETWORK_GATE_CODE_H

#include "faults/network_gate.h"
#include "injector/kernel/bpf_builder.h"

#include <netinet/in.h> /* before linux/: they share types */

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stddef.h>

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
	const struct network_path *path;
	const struct gate_scope *scope;
	unsigned at;
	int counters_map;
	const struct params *params; /* of the target */
	struct network_pick pick;
	unsigned miss, match; /* labels */
};

/* `size` bytes of the packet at OFFSET (or at its network header) to the stack. */
void gate_fetch(struct gate_writer *w, bool is_header, int to, unsigned size, unsigned failed);
/* R0 = what the map has for the key on the stack, or NULL. */
void gate_look_up(struct gate_writer *w, int map_fd, int key);

/* Header to the stack, PROTOCOL, OFFSET; PORTS says so far that the packet has its transport
 * header, ... */
void gate_parse_ipv4(struct gate_writer *w);
void gate_parse_ipv6(struct gate_writer *w);
/* ... then: and that it has ports. */
void gate_parse_ports(struct gate_writer *w);

/* On to w->miss when it is one that is left out, or not one that is meant. */
void gate_exclude_neighbours(struct gate_writer *w);
void gate_exclude_metadata(struct gate_writer *w, int family);
void gate_exclude_sessions(struct gate_writer *w, int family);
void gate_match_protocol(struct gate_writer *w);
void gate_match_local_port(struct gate_writer *w);
void gate_match_set(struct gate_writer *w, int family, const struct gate_set *set, unsigned found,
		    unsigned differs);
void gate_match_vlan(struct gate_writer *w);
void gate_pick_flow(struct gate_writer *w, int family);

#endif
