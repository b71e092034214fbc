/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Is a packet meant? What is left out, the sets of addresses and ports, a VLAN, a share of flows.
 */
#include "faults/network_gate_code.h"

#include <arpa/inet.h>
#include <linux/icmpv6.h>
#include <string.h>

/* 133-137: neighbour discovery (RFC 4861), see network_table.c. */
void gate_exclude_neighbours(struct gate_writer *w)
{
	struct bpf_builder *b = &w->builder;
	unsigned others = bpf_label(b);

	bpf_jump_if(b, BPF_JNE, PROTOCOL, IPPROTO_ICMPV6, others);
	bpf_jump_if(b, BPF_JEQ, PORTS, 0, others);
	gate_fetch(w, false, SCRATCH, 1, others);
	bpf_read(b, BPF_B, R1, STACK, SCRATCH);
	bpf_compute_value(b, BPF_SUB, R1, 133);
	bpf_jump_if(b, BPF_JLE, R1, 4, w->miss);
	bpf_place(b, others);
}

static int address_at(int family, bool is_source)
{
	if (family == AF_INET)
		return HEADER + (int)(is_source ? offsetof(struct iphdr, saddr)
						: offsetof(struct iphdr, daddr));
	return HEADER +
	       (int)(is_source ? offsetof(struct ipv6hdr, saddr) : offsetof(struct ipv6hdr, daddr));
}

static void compare_address(struct gate_writer *w, int family, bool is_source,
			    const uint8_t *address, unsigned differs)
{
	struct bpf_builder *b = &w->builder;

	for (int word = 0; word < (family == AF_INET ? 1 : 4); word++) {
		uint32_t value;

		memcpy(&value, address + word * 4, sizeof(value));
		bpf_read(b, BPF_W, R1, STACK, address_at(family, is_source) + word * 4);
		bpf_jump_if(b, BPF_JNE, R1, value, differs);
	}
}

static void exclude_connection(struct gate_writer *w, const struct network_connection *c)
{
	bool is_ingress = w->path->is_ingress;
	struct bpf_builder *b = &w->builder;
	uint16_t ports[2] = {htons(is_ingress ? c->remote_port : c->local_port),
			     htons(is_ingress ? c->local_port : c->remote_port)};
	unsigned others = bpf_label(b);
	uint32_t both;

	memcpy(&both, ports, sizeof(both));
	bpf_jump_if(b, BPF_JNE, PROTOCOL, IPPROTO_TCP, others);
	bpf_jump_if(b, BPF_JEQ, PORTS, 0, others);
	bpf_read(b, BPF_W, R1, STACK, PORT);
	bpf_jump_if(b, BPF_JNE, R1, both, others);
	compare_address(w, c->family, true, is_ingress ? c->remote : c->local, others);
	compare_address(w, c->family, false, is_ingress ? c->local : c->remote, others);
	bpf_jump(b, w->miss);
	bpf_place(b, others);
}

/* R0 = the port, near or far, is in the class that is on the stack; there are ports. */
static void look_up_port(struct gate_writer *w, bool is_far)
{
	struct bpf_builder *b = &w->builder;
	bool is_source = is_far == w->path->is_ingress;

	bpf_write_value(b, BPF_W, STACK, SERVICE, SERVICE_BITS);
	bpf_read(b, BPF_H, R1, STACK, PORT + (is_source ? 0 : 2));
	bpf_write(b, BPF_H, STACK, SERVICE + 8, R1);
	gate_look_up(w, w->scope->ports, SERVICE);
}

static void match_class(struct gate_writer *w, uint32_t class, bool is_far, unsigned differs)
{
	bpf_jump_if(&w->builder, BPF_JEQ, PORTS, 0, differs);
	bpf_write_value(&w->builder, BPF_W, STACK, SERVICE + 4, (int32_t) class);
	look_up_port(w, is_far);
	bpf_jump_if_null(&w->builder, R0, differs);
}

static void match_addresses(struct gate_writer *w, int family, int map_fd, unsigned found,
			    unsigned differs)
{
	struct bpf_builder *b = &w->builder;

	bpf_write_value(b, BPF_W, STACK, PLACE, family == AF_INET ? 32 : 128);
	for (int word = 0; word < (family == AF_INET ? 1 : 4); word++) {
		bpf_read(b, BPF_W, R1, STACK, address_at(family, w->path->is_ingress) + word * 4);
		bpf_write(b, BPF_W, STACK, PLACE + 4 + word * 4, R1);
	}
	gate_look_up(w, map_fd, PLACE);
	bpf_jump_if_null(b, R0, differs);
	bpf_read(b, BPF_W, R1, R0, 0);
	bpf_jump_if(b, BPF_JEQ, R1, 0, found);
	if (w->scope->ports >= 0) {
		bpf_jump_if(b, BPF_JEQ, PORTS, 0, differs);
		bpf_write(b, BPF_W, STACK, SERVICE + 4, R1);
		look_up_port(w, true);
		bpf_jump_if_null(b, R0, differs);
		bpf_jump(b, found);
	} else {
		bpf_jump(b, differs);
	}
}

void gate_match_set(struct gate_writer *w, int family, const struct gate_set *set, unsigned found,
		    unsigned differs)
{
	struct bpf_builder *b = &w->builder;
	int map_fd = set->addresses[family == AF_INET6];

	if (set->has_everything) {
		bpf_jump(b, found);
		return;
	}
	if (set->port_class) {
		unsigned next = bpf_label(b);

		match_class(w, set->port_class, true, next);
		bpf_jump(b, found);
		bpf_place(b, next);
	}
	if (map_fd >= 0)
		match_addresses(w, family, map_fd, found, differs);
	else
		bpf_jump(b, differs);
}

void gate_match_protocol(struct gate_writer *w)
{
	uint8_t numbers[TRAFFIC_PROTOCOLS_MAX];
	unsigned count = target_protocols(w->params, numbers), same = bpf_label(&w->builder);

	for (unsigned i = 0; i < count; i++)
		bpf_jump_if(&w->builder, BPF_JEQ, PROTOCOL, numbers[i], same);
	if (count)
		bpf_jump(&w->builder, w->miss);
	bpf_place(&w->builder, same);
}

/* R3 = a hash of R3 and R1: two steps of MurmurHash3 by Austin Appleby (public domain). */
static void mix(struct gate_writer *w)
{
	struct bpf_builder *b = &w->builder;

	bpf_compute32_value(b, BPF_MUL, R1, 0xcc9e2d51);
	bpf_compute32(b, BPF_MOV, R2, R1);
	bpf_compute32_value(b, BPF_RSH, R2, 17);
	bpf_compute32_value(b, BPF_LSH, R1, 15);
	bpf_compute32(b, BPF_OR, R1, R2);
	bpf_compute32(b, BPF_XOR, R3, R1);
	bpf_compute32(b, BPF_MOV, R2, R3);
	bpf_compute32_value(b, BPF_RSH, R2, 13);
	bpf_compute32(b, BPF_XOR, R3, R2);
	bpf_compute32_value(b, BPF_MUL, R3, 0x85ebca6b);
}

/* Only a share of the flows: near and far address and port, in this order in both directions. */
void gate_pick_flow(struct gate_writer *w, int family)
{
	struct bpf_builder *b = &w->builder;
	unsigned no_ports = bpf_label(b);

	bpf_set(b, R3, w->pick.seed);
	for (unsigned is_far = 0; is_far < 2; is_far++)
		for (int word = 0; word < (family == AF_INET ? 1 : 4); word++) {
			bpf_read(b, BPF_W, R1, STACK,
				 address_at(family, is_far == w->path->is_ingress) + word * 4);
			mix(w);
		}
	bpf_jump_if(b, BPF_JEQ, PORTS, 0, no_ports);
	for (unsigned is_far = 0; is_far < 2; is_far++) {
		bpf_read(b, BPF_H, R1, STACK, PORT + (is_far == w->path->is_ingress ? 0 : 2));
		mix(w);
	}
	bpf_place(b, no_ports);
	bpf_copy(b, R1, PROTOCOL);
	mix(w);
	bpf_compute32(b, BPF_MOV, R2, R3);
	bpf_compute32_value(b, BPF_RSH, R2, 16);
	bpf_compute32(b, BPF_XOR, R3, R2);
	/* share of 2^32; 100 % is not picked at all */
	bpf_jump_if(b, BPF_JGE, R3, (uint32_t)(((uint64_t)w->pick.share << 32) / SHARE_ONE),
		    w->miss);
}

void gate_exclude_metadata(struct gate_writer *w, int family)
{
	unsigned others = bpf_label(&w->builder);

	compare_address(w, family, w->path->is_ingress, target_metadata_address(family), others);
	bpf_jump(&w->builder, w->miss);
	bpf_place(&w->builder, others);
}

void gate_exclude_sessions(struct gate_writer *w, int family)
{
	for (unsigned i = 0; i < w->state->control_count; i++)
		if (w->state->control[i].family == family)
			exclude_connection(w, &w->state->control[i]);
}

void gate_match_local_port(struct gate_writer *w)
{
	if (w->scope->local_class)
		match_class(w, w->scope->local_class, false, w->miss);
}

void gate_match_vlan(struct gate_writer *w)
{
	struct bpf_builder *b = &w->builder;

	bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, vlan_present));
	bpf_jump_if(b, BPF_JEQ, R1, 0, w->miss);
	bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, vlan_tci));
	bpf_compute32_value(b, BPF_AND, R1, 0x0fff);
	bpf_jump_if(b, BPF_JNE, R1, w->pick.vlan, w->miss);
}
