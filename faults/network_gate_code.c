/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The BPF programs behind and at the gate, with the constants of one path in them. Each family of
 * addresses has its own half of the program. Registers that outlive calls: the packet, its
 * transport protocol, where that begins, and whether it has ports here.
 */
#include "faults/network_after.h"
#include "faults/network_gate_writer.h"
#include "faults/network_group.h"
#include "faults/network_line.h"

#include <arpa/inet.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <stddef.h>
#include <string.h>

#define TCP_FLAGS_AT 13 /* in the TCP header */

static bool is_direct(const struct network_state *state)
{
	return state->way != NETWORK_NETEM;
}

/* 133-137: neighbour discovery (RFC 4861), see network_table.c. */
static void exclude_neighbours(struct gate_writer *w)
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

static void compare_address(struct gate_writer *w, int family, bool is_source,
			    const uint8_t *address, unsigned differs)
{
	struct bpf_builder *b = &w->builder;

	for (int word = 0; word < (family == AF_INET ? 1 : 4); word++) {
		uint32_t value;

		memcpy(&value, address + word * 4, sizeof(value));
		bpf_read(b, BPF_W, R1, STACK, gate_address_at(family, is_source) + word * 4);
		bpf_jump_if(b, BPF_JNE, R1, value, differs);
	}
}

static void exclude_connection(struct gate_writer *w, const struct session_connection *c)
{
	bool is_ingress = w->is_ingress;
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

static void match_protocol(struct gate_writer *w)
{
	uint8_t numbers[TRAFFIC_PROTOCOLS_MAX];
	unsigned count = target_protocols(w->params, numbers), same = bpf_label(&w->builder);

	for (unsigned i = 0; i < count; i++)
		bpf_jump_if(&w->builder, BPF_JEQ, PROTOCOL, numbers[i], same);
	if (count)
		bpf_jump(&w->builder, w->miss);
	bpf_place(&w->builder, same);
}

/* The flags of the TCP header, which a later fragment has not. The protocol is known. */
static void match_flags(struct gate_writer *w)
{
	struct bpf_builder *b = &w->builder;

	bpf_jump_if(b, BPF_JEQ, PORTS, 0, w->miss);
	bpf_compute_value(b, BPF_ADD, OFFSET, TCP_FLAGS_AT);
	gate_fetch(w, false, SCRATCH, 1, w->miss);
	bpf_read(b, BPF_B, R1, STACK, SCRATCH);
	bpf_compute_value(b, BPF_AND, R1, w->pick.tcp_flags.mask);
	if (w->pick.tcp_flags.is_exact)
		bpf_jump_if(b, BPF_JNE, R1, w->pick.tcp_flags.wanted, w->miss);
	else
		bpf_jump_if(b, BPF_JEQ, R1, 0, w->miss);
}

static void exclude_metadata(struct gate_writer *w, int family)
{
	const uint8_t *address;

	for (unsigned i = 0; (address = target_metadata_address(family, i)); i++) {
		unsigned others = bpf_label(&w->builder);

		compare_address(w, family, w->is_ingress, address, others);
		bpf_jump(&w->builder, w->miss);
		bpf_place(&w->builder, others);
	}
}

static void write_family(struct gate_writer *w, int family)
{
	struct bpf_builder *b = &w->builder;
	unsigned in_scope = bpf_label(b), wanted = bpf_label(b);

	if (!w->scope->local.has_everything &&
	    w->scope->local.addresses[family == AF_INET6] < 0) { /* none of this family is meant */
		bpf_jump(b, w->miss);
		return;
	}
	if (family == AF_INET)
		gate_parse_ipv4(w);
	else
		gate_parse_ipv6(w);
	if (family == AF_INET6 && !params_number(w->params, TRAFFIC_NEIGHBOURS, 0))
		exclude_neighbours(w);
	gate_parse_ports(w);
	if (w->state->group && w->is_ingress)
		network_flow_match(w, family, w->state->group->flows_map);
	if (target_spares_metadata(w->params))
		exclude_metadata(w, family);
	for (unsigned i = 0; i < w->state->control_count; i++)
		if (w->state->control[i].family == family)
			exclude_connection(w, &w->state->control[i]);
	gate_match_local(w, family);
	gate_match_set(w, family, &w->scope->except, w->miss, wanted);
	bpf_place(b, wanted);
	match_protocol(w);
	gate_match_set(w, family, &w->scope->to, in_scope, w->miss);
	if (!bpf_is_wanted(b, in_scope))
		return;
	bpf_place(b, in_scope);
	if (w->pick.has_share)
		gate_match_share(w, family);
	if (w->pick.after_bytes)
		network_after_match(w, family);
	if (w->pick.tcp_flags.mask)
		match_flags(w);
	bpf_jump(b, w->match);
}

/* Neither IPv4 nor IPv6: only when asked for, and when everything is meant. */
static bool takes_others(const struct gate_writer *w)
{
	uint8_t numbers[TRAFFIC_PROTOCOLS_MAX];

	return params_number(w->params, TRAFFIC_NEIGHBOURS, 0) && w->scope->to.has_everything &&
	       target_protocols(w->params, numbers) == 0 && !w->scope->local_class &&
	       w->scope->local.has_everything && network_pick_takes_not_ip(&w->pick);
}

static void match_vlan(struct gate_writer *w)
{
	struct bpf_builder *b = &w->builder;

	bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, vlan_present));
	bpf_jump_if(b, BPF_JEQ, R1, 0, w->miss);
	bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, vlan_proto));
	bpf_jump_if(b, BPF_JNE, R1, htons(ETH_P_8021Q), w->miss);
	bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, vlan_tci));
	bpf_compute32_value(b, BPF_AND, R1, 0x0fff);
	bpf_jump_if(b, BPF_JNE, R1, w->pick.vlan, w->miss);
}

/* The socket that sends it belongs to one of the groups. What comes in is looked up by its flow. */
static void match_group(struct gate_writer *w)
{
	struct bpf_builder *b = &w->builder;
	unsigned found = bpf_label(b);

	for (unsigned i = 0; i < w->state->group->target->group_count; i++) {
		bpf_copy(b, R1, PACKET);
		bpf_set_map(b, R2, w->state->group->groups_map);
		bpf_set(b, R3, i);
		bpf_call(b, BPF_FUNC_skb_under_cgroup);
		bpf_jump_if(b, BPF_JEQ, R0, 1, found);
	}
	bpf_jump(b, w->miss);
	bpf_place(b, found);
}

static void redirect_to_line(struct gate_writer *w)
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

static void take_marks_off(struct bpf_builder *b)
{
	unsigned others = bpf_label(b);

	bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, mark));
	bpf_compute32_value(b, BPF_AND, R1, NETWORK_MARK_BITS);
	bpf_jump_if(b, BPF_JNE, R1, NETWORK_MARK, others);
	bpf_set(b, R1, 0);
	bpf_write(b, BPF_W, PACKET, offsetof(struct __sk_buff, mark), R1);
	bpf_place(b, others);
}

/* Counts, loses, and hands on. */
static void write_action(struct gate_writer *w)
{
	struct bpf_builder *b = &w->builder;
	unsigned kept = bpf_label(b);

	bpf_write_value(b, BPF_W, STACK, SCRATCH, (int32_t)(w->at * 2));
	gate_look_up(w, w->maps.counters, SCRATCH);
	bpf_jump_if_null(b, R0, w->miss);
	bpf_copy(b, OFFSET, R0);
	bpf_set(b, R1, 1);
	bpf_add_atomic(b, OFFSET, offsetof(struct gate_count, hits), R1);
	if (network_loses_first(w->state)) { /* queues lose by themselves */
		bpf_write_value(b, BPF_W, STACK, SCRATCH, (int32_t)(w->at * 2 + 1));
		gate_look_up(w, w->maps.counters, SCRATCH);
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
		take_marks_off(b);
		if (!w->is_ingress) { /* up the stack all filters are skipped */
			bpf_set(b, R1, GATE_INDEX);
			bpf_write(b, BPF_W, PACKET, offsetof(struct __sk_buff, tc_index), R1);
		}
		bpf_set(b, R0, (uint32_t)-1); /* matches: the filter's action follows */
		bpf_exit(b);
	} else {
		redirect_to_line(w);
	}
}

/* What has been here already, and comes back: from a delay line of this rank or a higher one; from
 * an ifb, where only actions are skipped (skb_skip_tc_classify()), not the programs of filters. */
static void pass_again(struct gate_writer *w)
{
	struct bpf_builder *b = &w->builder;
	unsigned others = bpf_label(b);

	bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, tc_index));
	bpf_jump_if(b, BPF_JEQ, R1, GATE_INDEX, w->miss);
	bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, mark));
	bpf_jump_if(b, BPF_JLT, R1, NETWORK_MARK, others);
	bpf_jump_if(b, BPF_JLE, R1, network_mark(w->state), w->miss);
	bpf_place(b, others);
}

int gate_code_load(const struct network_state *state, unsigned at, const struct gate_scope *scope,
		   const struct target *target, struct gate_maps maps, int *out_program_fd,
		   struct error *err)
{
	struct gate_writer w = {.state = state,
				.is_ingress = state->paths[at].is_ingress,
				.scope = scope,
				.at = at,
				.maps = maps,
				.params = &target->params,
				.pick = network_pick_of(state, target)};
	struct bpf_builder *b = &w.builder;
	unsigned ipv6;
	int result;

	bpf_builder_init(b);
	w.miss = bpf_label(b);
	w.match = bpf_label(b);
	ipv6 = bpf_label(b);
	bpf_copy(b, PACKET, R1);
	pass_again(&w);
	if (state->group && !w.is_ingress)
		match_group(&w);
	if (w.pick.vlan)
		match_vlan(&w);
	bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, protocol));
	bpf_jump_if(b, BPF_JEQ, R1, htons(ETH_P_IPV6), ipv6);
	bpf_jump_if(b, BPF_JNE, R1, htons(ETH_P_IP), takes_others(&w) ? w.match : w.miss);
	write_family(&w, AF_INET);
	bpf_place(b, ipv6);
	write_family(&w, AF_INET6);
	if (bpf_is_wanted(b, w.match)) { /* no address of either side is of the same family */
		bpf_place(b, w.match);
		write_action(&w);
	}
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
	unsigned always;
	int result;

	/* If there were but one index it can be, the call would be a jump in the program's text,
	 * which the kernel patches under all processors each time a gate is opened or shut
	 * (prog_array_map_poke_run()). */
	bpf_builder_init(&builder);
	always = bpf_label(&builder);
	bpf_read(&builder, BPF_W, R0, R1, offsetof(struct __sk_buff, len));
	bpf_set(&builder, R3, at);
	bpf_jump_if(&builder, BPF_JNE, R0, 0, always);
	bpf_set(&builder, R3, UINT32_MAX); /* nobody's */
	bpf_place(&builder, always);
	bpf_set_map(&builder, R2, programs_map);
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
	bpf_copy(&builder, PACKET, R1);
	take_marks_off(&builder);
	bpf_read(&builder, BPF_W, R1, PACKET, offsetof(struct __sk_buff, tc_index));
	bpf_jump_if(&builder, BPF_JNE, R1, GATE_INDEX, others);
	bpf_set(&builder, R1, 0);
	bpf_write(&builder, BPF_W, PACKET, offsetof(struct __sk_buff, tc_index), R1);
	bpf_place(&builder, others);
	bpf_set(&builder, R0, (uint32_t)TC_ACT_UNSPEC);
	bpf_exit(&builder);
	result = bpf_builder_load(&builder, "squall_back", out_program_fd, err);
	bpf_builder_free(&builder);
	return result;
}
