/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The BPF programs behind and at the gate, with the constants of one path in them. Each family of
 * addresses has its own half of the program.
 */
#include "faults/network_gate_code.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

static bool is_direct(const struct network_state *state)
{
	return state->way != NETWORK_NETEM;
}

static void write_family(struct gate_writer *w, int family)
{
	struct bpf_builder *b = &w->builder;
	unsigned in_scope = bpf_label(b), wanted = bpf_label(b);

	if (family == AF_INET)
		gate_parse_ipv4(w);
	else
		gate_parse_ipv6(w);
	if (family == AF_INET6 && !params_number(w->params, TRAFFIC_NEIGHBOURS, 0))
		gate_exclude_neighbours(w);
	gate_parse_ports(w);
	if (target_spares_metadata(w->params))
		gate_exclude_metadata(w, family);
	gate_exclude_sessions(w, family);
	gate_match_set(w, family, &w->scope->except, w->miss, wanted);
	bpf_place(b, wanted);
	gate_match_protocol(w);
	gate_match_local_port(w);
	gate_match_set(w, family, &w->scope->to, in_scope, w->miss);
	if (!bpf_is_wanted(b, in_scope))
		return;
	bpf_place(b, in_scope);
	if (w->pick.has_share)
		gate_pick_flow(w, family);
	bpf_jump(b, w->match);
}

/* Neither IPv4 nor IPv6: only when asked for, and when everything is meant. */
static bool takes_others(const struct gate_writer *w)
{
	uint8_t numbers[TRAFFIC_PROTOCOLS_MAX];

	return params_number(w->params, TRAFFIC_NEIGHBOURS, 0) && w->scope->to.has_everything &&
	       target_protocols(w->params, numbers) == 0 && !w->scope->local_class &&
	       !w->pick.has_share;
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

/* Counts, loses, and hands on. */
static void write_action(struct gate_writer *w)
{
	struct bpf_builder *b = &w->builder;
	unsigned kept = bpf_label(b);

	bpf_write_value(b, BPF_W, STACK, SCRATCH, (int32_t)(w->at * 2));
	gate_look_up(w, w->counters_map, SCRATCH);
	bpf_jump_if_null(b, R0, w->miss);
	bpf_copy(b, OFFSET, R0);
	bpf_set(b, R1, 1);
	bpf_add_atomic(b, OFFSET, offsetof(struct gate_count, hits), R1);
	if (network_loses_first(w->state)) { /* queues lose by themselves */
		bpf_write_value(b, BPF_W, STACK, SCRATCH, (int32_t)(w->at * 2 + 1));
		gate_look_up(w, w->counters_map, SCRATCH);
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
		if (!w->path->is_ingress) { /* up the stack all filters are skipped */
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
		   const struct target *target, int counters_map, int *out_program_fd,
		   struct error *err)
{
	struct gate_writer w = {.state = state,
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
	pass_again(&w);
	if (w.pick.vlan)
		gate_match_vlan(&w);
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
	bpf_copy(&builder, PACKET, R1);
	take_marks_off(&builder);
	others = bpf_label(&builder);
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
