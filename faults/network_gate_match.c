/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The scope in a program behind the gate: the addresses and ports of either side, looked up in the
 * trees of the step.
 */
#include "faults/network_gate_writer.h"

/* R0 = the port, near or far, is in the class that is on the stack; there are ports. */
static void look_up_port(struct gate_writer *w, bool is_far)
{
	struct bpf_builder *b = &w->builder;
	bool is_source = is_far == w->is_ingress;

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

/* The entry of the near or far address, in R0, or to `differs`. */
static void look_up_address(struct gate_writer *w, int family, int map_fd, bool is_far,
			    unsigned differs)
{
	const bool is_source = is_far == w->is_ingress;
	struct bpf_builder *b = &w->builder;

	bpf_write_value(b, BPF_W, STACK, PLACE, family == AF_INET ? 32 : 128);
	for (int word = 0; word < (family == AF_INET ? 1 : 4); word++) {
		bpf_read(b, BPF_W, R1, STACK, gate_address_at(family, is_source) + word * 4);
		bpf_write(b, BPF_W, STACK, PLACE + 4 + word * 4, R1);
	}
	gate_look_up(w, map_fd, PLACE);
	bpf_jump_if_null(b, R0, differs);
}

static void match_addresses(struct gate_writer *w, int family, int map_fd, unsigned found,
			    unsigned differs)
{
	struct bpf_builder *b = &w->builder;

	look_up_address(w, family, map_fd, true, differs);
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

void gate_match_local(struct gate_writer *w, int family)
{
	const unsigned at = family == AF_INET6;
	const struct gate_scope *scope = w->scope;
	struct bpf_builder *b = &w->builder;
	unsigned others = bpf_label(b);

	if (scope->except_local_class) {
		match_class(w, scope->except_local_class, false, others);
		bpf_jump(b, w->miss);
		bpf_place(b, others);
	}
	if (scope->except_local.addresses[at] >= 0) {
		others = bpf_label(b);
		look_up_address(w, family, scope->except_local.addresses[at], false, others);
		bpf_jump(b, w->miss);
		bpf_place(b, others);
	}
	if (scope->local_class)
		match_class(w, scope->local_class, false, w->miss);
	if (!scope->local.has_everything)
		look_up_address(w, family, scope->local.addresses[at], false, w->miss);
}
