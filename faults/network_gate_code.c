/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The BPF programs behind and at the gate, with the constants of one path in them. Each family of
 * addresses has its own half of the program. Registers that outlive calls: the packet, its
 * transport protocol, where that begins, and whether it has ports here.
 */
#include "faults/network_gate.h"

#include "injector/kernel/bpf_builder.h"

#include <arpa/inet.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <stddef.h>
#include <string.h>

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

struct writer {
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

static bool is_direct(const struct network_state *state)
{
	return state->way != NETWORK_NETEM;
}

/* `size` bytes of the packet at OFFSET (or at its network header) to the stack. */
static void fetch(struct writer *w, bool is_header, int to, unsigned size, unsigned failed)
{
	struct bpf_builder *b = &w->builder;

	bpf_copy(b, R1, PACKET);
	if (is_header)
		bpf_set(b, R2, 0);
	else
		bpf_copy(b, R2, OFFSET);
	bpf_copy(b, R3, STACK);
	bpf_compute_value(b, BPF_ADD, R3, to);
	bpf_set(b, R4, size);
	bpf_set(b, R5, BPF_HDR_START_NET);
	bpf_call(b, BPF_FUNC_skb_load_bytes_relative);
	bpf_jump_if(b, BPF_JNE, R0, 0, failed);
}

static void look_up(struct writer *w, int map_fd, int key)
{
	bpf_set_map(&w->builder, R1, map_fd);
	bpf_copy(&w->builder, R2, STACK);
	bpf_compute_value(&w->builder, BPF_ADD, R2, key);
	bpf_call(&w->builder, BPF_FUNC_map_lookup_elem);
}

static void parse_ipv4(struct writer *w)
{
	struct bpf_builder *b = &w->builder;
	unsigned whole = bpf_label(b), done = bpf_label(b);

	fetch(w, true, HEADER, sizeof(struct iphdr), w->miss);
	bpf_read(b, BPF_B, PROTOCOL, STACK, HEADER + (int)offsetof(struct iphdr, protocol));
	bpf_read(b, BPF_B, OFFSET, STACK, HEADER);
	bpf_compute_value(b, BPF_AND, OFFSET, 15);
	bpf_compute_value(b, BPF_LSH, OFFSET, 2);
	bpf_read(b, BPF_H, R1, STACK, HEADER + (int)offsetof(struct iphdr, frag_off));
	bpf_to_host(b, R1, 16);
	bpf_compute_value(b, BPF_AND, R1, 0x1fff);
	bpf_jump_if(b, BPF_JEQ, R1, 0, whole);
	bpf_set(b, PORTS, 0); /* a later fragment: no transport header */
	bpf_jump(b, done);
	bpf_place(b, whole);
	bpf_set(b, PORTS, 1);
	bpf_place(b, done);
}

/* One extension header further, or to `done`. */
static void parse_extension(struct writer *w, unsigned done)
{
	struct bpf_builder *b = &w->builder;
	unsigned eights = bpf_label(b), fragment = bpf_label(b), fours = bpf_label(b),
		 whole = bpf_label(b), next = bpf_label(b);

	bpf_jump_if(b, BPF_JEQ, PROTOCOL, IPPROTO_HOPOPTS, eights);
	bpf_jump_if(b, BPF_JEQ, PROTOCOL, IPPROTO_ROUTING, eights);
	bpf_jump_if(b, BPF_JEQ, PROTOCOL, IPPROTO_DSTOPTS, eights);
	bpf_jump_if(b, BPF_JEQ, PROTOCOL, IPPROTO_FRAGMENT, fragment);
	bpf_jump_if(b, BPF_JEQ, PROTOCOL, IPPROTO_AH, fours);
	bpf_jump(b, done);
	bpf_place(b, eights);
	fetch(w, false, SCRATCH, 2, w->miss);
	bpf_read(b, BPF_B, PROTOCOL, STACK, SCRATCH);
	bpf_read(b, BPF_B, R1, STACK, SCRATCH + 1);
	bpf_compute_value(b, BPF_ADD, R1, 1);
	bpf_compute_value(b, BPF_LSH, R1, 3);
	bpf_compute(b, BPF_ADD, OFFSET, R1);
	bpf_jump(b, next);
	bpf_place(b, fours);
	fetch(w, false, SCRATCH, 2, w->miss);
	bpf_read(b, BPF_B, PROTOCOL, STACK, SCRATCH);
	bpf_read(b, BPF_B, R1, STACK, SCRATCH + 1);
	bpf_compute_value(b, BPF_ADD, R1, 2);
	bpf_compute_value(b, BPF_LSH, R1, 2);
	bpf_compute(b, BPF_ADD, OFFSET, R1);
	bpf_jump(b, next);
	bpf_place(b, fragment);
	fetch(w, false, SCRATCH, 4, w->miss);
	bpf_read(b, BPF_B, PROTOCOL, STACK, SCRATCH);
	bpf_read(b, BPF_H, R1, STACK, SCRATCH + 2);
	bpf_to_host(b, R1, 16);
	bpf_compute_value(b, BPF_ADD, OFFSET, 8);
	bpf_compute_value(b, BPF_RSH, R1, 3);
	bpf_jump_if(b, BPF_JEQ, R1, 0, whole);
	bpf_set(b, PORTS, 0);
	bpf_jump(b, done);
	bpf_place(b, whole);
	bpf_place(b, next);
}

static void parse_ipv6(struct writer *w)
{
	struct bpf_builder *b = &w->builder;
	unsigned done = bpf_label(b);

	fetch(w, true, HEADER, sizeof(struct ipv6hdr), w->miss);
	bpf_read(b, BPF_B, PROTOCOL, STACK, HEADER + (int)offsetof(struct ipv6hdr, nexthdr));
	bpf_set(b, OFFSET, sizeof(struct ipv6hdr));
	bpf_set(b, PORTS, 1);
	for (unsigned i = 0; i < 6; i++) /* more than anybody sends */
		parse_extension(w, done);
	bpf_place(b, done);
}

/* PORTS says so far that the packet has its transport header, then: and that it has ports. */
static void parse_ports(struct writer *w)
{
	struct bpf_builder *b = &w->builder;
	unsigned has_ports = bpf_label(b), none = bpf_label(b), done = bpf_label(b);

	bpf_jump_if(b, BPF_JEQ, PORTS, 0, done);
	for (unsigned i = 0; i < TRAFFIC_PROTOCOLS_MAX; i++)
		if (target_protocol_has_ports((uint8_t)i))
			bpf_jump_if(b, BPF_JEQ, PROTOCOL, i, has_ports);
	bpf_jump(b, none);
	bpf_place(b, has_ports);
	fetch(w, false, PORT, 4, none);
	bpf_set(b, PORTS, 1);
	bpf_jump(b, done);
	bpf_place(b, none);
	bpf_set(b, PORTS, 0);
	bpf_place(b, done);
}

/* 133-137: neighbour discovery (RFC 4861), see network_table.c. */
static void exclude_neighbours(struct writer *w)
{
	struct bpf_builder *b = &w->builder;
	unsigned others = bpf_label(b);

	bpf_jump_if(b, BPF_JNE, PROTOCOL, IPPROTO_ICMPV6, others);
	bpf_jump_if(b, BPF_JEQ, PORTS, 0, others);
	fetch(w, false, SCRATCH, 1, others);
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

static void compare_address(struct writer *w, int family, bool is_source, const uint8_t *address,
			    unsigned differs)
{
	struct bpf_builder *b = &w->builder;

	for (int word = 0; word < (family == AF_INET ? 1 : 4); word++) {
		uint32_t value;

		memcpy(&value, address + word * 4, sizeof(value));
		bpf_read(b, BPF_W, R1, STACK, address_at(family, is_source) + word * 4);
		bpf_jump_if(b, BPF_JNE, R1, value, differs);
	}
}

static void exclude_connection(struct writer *w, const struct network_connection *c)
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
static void look_up_port(struct writer *w, bool is_far)
{
	struct bpf_builder *b = &w->builder;
	bool is_source = is_far == w->path->is_ingress;

	bpf_write_value(b, BPF_W, STACK, SERVICE, SERVICE_BITS);
	bpf_read(b, BPF_H, R1, STACK, PORT + (is_source ? 0 : 2));
	bpf_write(b, BPF_H, STACK, SERVICE + 8, R1);
	look_up(w, w->scope->ports, SERVICE);
}

static void match_class(struct writer *w, uint32_t class, bool is_far, unsigned differs)
{
	bpf_jump_if(&w->builder, BPF_JEQ, PORTS, 0, differs);
	bpf_write_value(&w->builder, BPF_W, STACK, SERVICE + 4, (int32_t) class);
	look_up_port(w, is_far);
	bpf_jump_if_null(&w->builder, R0, differs);
}

static void match_addresses(struct writer *w, int family, int map_fd, unsigned found,
			    unsigned differs)
{
	struct bpf_builder *b = &w->builder;

	bpf_write_value(b, BPF_W, STACK, PLACE, family == AF_INET ? 32 : 128);
	for (int word = 0; word < (family == AF_INET ? 1 : 4); word++) {
		bpf_read(b, BPF_W, R1, STACK, address_at(family, w->path->is_ingress) + word * 4);
		bpf_write(b, BPF_W, STACK, PLACE + 4 + word * 4, R1);
	}
	look_up(w, map_fd, PLACE);
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

static void match_set(struct writer *w, int family, const struct gate_set *set, unsigned found,
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

static void match_protocol(struct writer *w)
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
static void mix(struct writer *w)
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
static void pick_flow(struct writer *w, int family)
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

static void exclude_metadata(struct writer *w, int family)
{
	unsigned others = bpf_label(&w->builder);

	compare_address(w, family, w->path->is_ingress, target_metadata_address(family), others);
	bpf_jump(&w->builder, w->miss);
	bpf_place(&w->builder, others);
}

static void write_family(struct writer *w, int family)
{
	struct bpf_builder *b = &w->builder;
	unsigned in_scope = bpf_label(b), wanted = bpf_label(b);

	if (family == AF_INET)
		parse_ipv4(w);
	else
		parse_ipv6(w);
	if (family == AF_INET6 && !params_number(w->params, TRAFFIC_NEIGHBOURS, 0))
		exclude_neighbours(w);
	parse_ports(w);
	if (target_spares_metadata(w->params))
		exclude_metadata(w, family);
	for (unsigned i = 0; i < w->state->control_count; i++)
		if (w->state->control[i].family == family)
			exclude_connection(w, &w->state->control[i]);
	match_set(w, family, &w->scope->except, w->miss, wanted);
	bpf_place(b, wanted);
	match_protocol(w);
	if (w->scope->local_class)
		match_class(w, w->scope->local_class, false, w->miss);
	match_set(w, family, &w->scope->to, in_scope, w->miss);
	if (!bpf_is_wanted(b, in_scope))
		return;
	bpf_place(b, in_scope);
	if (w->pick.has_share)
		pick_flow(w, family);
	bpf_jump(b, w->match);
}

/* Neither IPv4 nor IPv6: only when asked for, and when everything is meant. */
static bool takes_others(const struct writer *w)
{
	uint8_t numbers[TRAFFIC_PROTOCOLS_MAX];

	return params_number(w->params, TRAFFIC_NEIGHBOURS, 0) && w->scope->to.has_everything &&
	       target_protocols(w->params, numbers) == 0 && !w->scope->local_class &&
	       !w->pick.has_share;
}

static void match_vlan(struct writer *w)
{
	struct bpf_builder *b = &w->builder;

	bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, vlan_present));
	bpf_jump_if(b, BPF_JEQ, R1, 0, w->miss);
	bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, vlan_tci));
	bpf_compute32_value(b, BPF_AND, R1, 0x0fff);
	bpf_jump_if(b, BPF_JNE, R1, w->pick.vlan, w->miss);
}

static void redirect_to_line(struct writer *w)
{
	struct bpf_builder *b = &w->builder;
	int device = 0;

	if (network_line_device(w->state, w->at, &device, NULL) < 0) {
		bpf_jump(b, w->miss);
		return;
	}
	bpf_set(b, R1, (uint32_t)device);
	bpf_set(b, R2, 0);
	bpf_call(b, BPF_FUNC_redirect); /* its answer is ours */
	bpf_exit(b);
}

/* Counts, loses, and hands on. */
static void write_action(struct writer *w)
{
	struct bpf_builder *b = &w->builder;
	unsigned kept = bpf_label(b);

	bpf_write_value(b, BPF_W, STACK, SCRATCH, (int32_t)(w->at * 2));
	look_up(w, w->counters_map, SCRATCH);
	bpf_jump_if_null(b, R0, w->miss);
	bpf_copy(b, OFFSET, R0);
	bpf_set(b, R1, 1);
	bpf_add_atomic(b, OFFSET, offsetof(struct gate_count, hits), R1);
	if (network_loses_first(w->state)) { /* queues lose by themselves */
		bpf_write_value(b, BPF_W, STACK, SCRATCH, (int32_t)(w->at * 2 + 1));
		look_up(w, w->counters_map, SCRATCH);
		bpf_jump_if_null(b, R0, w->miss);
		bpf_read(b, BPF_DW, PORTS, R0, offsetof(struct gate_setting, loss));
		bpf_call(b, BPF_FUNC_get_prandom_u32);
		bpf_jump_if_register(b, BPF_JGE, R0, PORTS, kept);
		bpf_set(b, R1, 1);
		bpf_add_atomic(b, OFFSET, offsetof(struct gate_count, lost), R1);
		if (w->state->way == NETWORK_LINE) {
			redirect_to_line(w);
		} else {
			/* "Stolen" and not "shot": what the wire loses nobody is told */
			bpf_set(b, R0, TC_ACT_STOLEN);
			bpf_exit(b);
		}
		bpf_place(b, kept);
		bpf_jump(b, w->miss);
		return;
	}
	if (w->state->way == NETWORK_NETEM) {
		bpf_set(b, R0, (uint32_t)-1); /* matches: the filter's action follows */
		bpf_exit(b);
	} else {
		redirect_to_line(w);
	}
}

int gate_code_load(const struct network_state *state, unsigned at, const struct gate_scope *scope,
		   const struct target *target, int counters_map, int *out_program_fd,
		   struct error *err)
{
	struct writer w = {.state = state,
			   .path = &state->paths[at],
			   .scope = scope,
			   .at = at,
			   .counters_map = counters_map,
			   .params = &target->params,
			   .pick = network_pick_of(target)};
	struct bpf_builder *b = &w.builder;
	unsigned ipv6;
	int result;

	bpf_builder_init(b);
	w.miss = bpf_label(b);
	w.match = bpf_label(b);
	ipv6 = bpf_label(b);
	bpf_copy(b, PACKET, R1);
	bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, mark));
	bpf_jump_if(b, BPF_JEQ, R1, NETWORK_MARK, w.miss); /* back from a delay line */
	/* Back from our ifb it is classified once more, only the action is skipped
	 * (skb_skip_tc_classify()): it would be counted twice. */
	if (state->way == NETWORK_NETEM) {
		bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, ingress_ifindex));
		bpf_jump_if(b, BPF_JEQ, R1, (uint32_t)state->ifb_index, w.miss);
	}
	if (w.pick.vlan)
		match_vlan(&w);
	bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, protocol));
	bpf_jump_if(b, BPF_JEQ, R1, htons(ETH_P_IPV6), ipv6);
	bpf_jump_if(b, BPF_JNE, R1, htons(ETH_P_IP), takes_others(&w) ? w.match : w.miss);
	write_family(&w, AF_INET);
	bpf_place(b, ipv6);
	write_family(&w, AF_INET6);
	bpf_place(b, w.match);
	write_action(&w);
	bpf_place(b, w.miss);
	bpf_set(b, R0, is_direct(state) ? (uint32_t)TC_ACT_UNSPEC : 0);
	bpf_exit(b);
	result = bpf_builder_load(b, "squall_scope", out_program_fd, err);
	bpf_builder_free(b);
	return result;
}

int gate_code_load_gate(int programs_map, unsigned at, bool is_direct_action, int *out_program_fd,
			struct error *err)
{
	struct bpf_builder builder;
	int result;

	bpf_builder_init(&builder);
	bpf_set_map(&builder, R2, programs_map);
	bpf_set(&builder, R3, at);
	bpf_call(&builder, BPF_FUNC_tail_call); /* comes back only if there is nothing */
	bpf_set(&builder, R0, is_direct_action ? (uint32_t)TC_ACT_UNSPEC : 0);
	bpf_exit(&builder);
	result = bpf_builder_load(&builder, "squall_gate", out_program_fd, err);
	bpf_builder_free(&builder);
	return result;
}

int gate_code_load_back(int *out_program_fd, struct error *err)
{
	struct bpf_builder builder;
	unsigned others;
	int result;

	bpf_builder_init(&builder);
	others = bpf_label(&builder);
	bpf_read(&builder, BPF_W, R2, R1, offsetof(struct __sk_buff, mark));
	bpf_jump_if(&builder, BPF_JNE, R2, NETWORK_MARK, others);
	bpf_set(&builder, R2, 0);
	bpf_write(&builder, BPF_W, R1, offsetof(struct __sk_buff, mark), R2);
	bpf_place(&builder, others);
	bpf_set(&builder, R0, (uint32_t)TC_ACT_UNSPEC);
	bpf_exit(&builder);
	result = bpf_builder_load(&builder, "squall_back", out_program_fd, err);
	bpf_builder_free(&builder);
	return result;
}
