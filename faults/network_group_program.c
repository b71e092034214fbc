/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The program at the egress hook of a control group. It never stops a packet.
 */
#include "faults/network_group.h"

#include "faults/network_gate_writer.h"
#include "injector/kernel/bpf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/icmp.h>
#include <linux/if_ether.h>
#include <stddef.h>
#include <stdlib.h>

/* The key of a flow, below everything that the parser keeps on the stack. */
#define FLOW	   NETWORK_FLOW_KEY
#define FLOW_VALUE (-140)

#define FLOW_FIELD(field) (FLOW + (int)offsetof(struct network_flow, field))

_Static_assert(FLOW + (int)sizeof(struct network_flow) <= SERVICE, "beside the parser's places");

/* Its processes may be in other network namespaces as well, where the numbers of interfaces mean
 * others. Before Linux 6.16 the program cannot tell. */
static void write_place(struct gate_writer *w)
{
	const uint64_t cookie = w->state->record.namespace_cookie;
	struct bpf_builder *b = &w->builder;

	bpf_copy(b, R1, PACKET);
	bpf_call(b, BPF_FUNC_get_netns_cookie);
	bpf_set(b, R1, (uint32_t)(cookie >> 32));
	bpf_compute_value(b, BPF_LSH, R1, 32);
	bpf_set(b, R2, (uint32_t)cookie);
	bpf_compute(b, BPF_OR, R1, R2);
	bpf_jump_if_register(b, BPF_JNE, R0, R1, w->miss);
}

/* Only where a chain of ours takes it off again: on lo a mark would arrive with the packet. */
static void write_marking(struct gate_writer *w)
{
	const struct network_state *state = w->state;
	struct bpf_builder *b = &w->builder;

	bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, ifindex));
	bpf_write(b, BPF_W, STACK, SCRATCH, R1);
	gate_look_up(w, state->group->paths_map, SCRATCH);
	bpf_jump_if_null(b, R0, w->miss);
	bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, mark));
	bpf_set(b, R2, state->group->bit);
	bpf_compute(b, BPF_OR, R1, R2);
	bpf_write(b, BPF_W, PACKET, offsetof(struct __sk_buff, mark), R1);
}

void network_flow_write_key(struct gate_writer *w, int family, bool has_echo)
{
	const int words = family == AF_INET ? 1 : 4;
	struct bpf_builder *b = &w->builder;
	unsigned no_ports = bpf_label(b), cut_off = bpf_label(b), done = bpf_label(b);

	for (int at = 0; at < (int)sizeof(struct network_flow); at += 4)
		bpf_write_value(b, BPF_W, STACK, FLOW + at, 0);
	for (unsigned is_far = 0; is_far < 2; is_far++)
		for (int word = 0; word < words; word++) {
			bpf_read(b, BPF_W, R1, STACK,
				 gate_address_at(family, is_far == w->is_ingress) + word * 4);
			bpf_write(b, BPF_W, STACK,
				  (is_far ? FLOW_FIELD(far) : FLOW_FIELD(near)) + word * 4, R1);
		}
	bpf_copy(b, R1, PROTOCOL);
	bpf_compute_value(b, BPF_OR, R1, family << 8);
	bpf_write(b, BPF_W, STACK, FLOW_FIELD(protocol), R1);
	bpf_jump_if(b, BPF_JEQ, PORTS, 0, no_ports);
	for (unsigned is_far = 0; is_far < 2; is_far++) {
		bpf_read(b, BPF_H, R1, STACK, PORT + (is_far == w->is_ingress ? 0 : 2));
		bpf_write(b, BPF_H, STACK, is_far ? FLOW_FIELD(far_port) : FLOW_FIELD(near_port),
			  R1);
	}
	bpf_jump(b, done);
	bpf_place(b, no_ports);
	if (!has_echo) {
		bpf_place(b, done);
		return;
	}
	/* an echo has a number in the place where it does not hurt others */
	bpf_jump_if(b, BPF_JNE, PROTOCOL, family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6, done);
	bpf_compute_value(b, BPF_ADD, OFFSET, offsetof(struct icmphdr, un.echo.id));
	gate_fetch(w, false, SCRATCH, 2, cut_off);
	bpf_read(b, BPF_H, R1, STACK, SCRATCH);
	bpf_write(b, BPF_H, STACK, FLOW_FIELD(near_port), R1);
	bpf_place(b, cut_off);
	bpf_compute_value(b, BPF_SUB, OFFSET, offsetof(struct icmphdr, un.echo.id));
	bpf_place(b, done);
}

void network_flow_match(struct gate_writer *w, int family, int map_fd)
{
	network_flow_write_key(w, family, true);
	gate_look_up(w, map_fd, FLOW);
	bpf_jump_if_null(&w->builder, R0, w->miss);
}

static void write_remembering(struct gate_writer *w, int family)
{
	struct bpf_builder *b = &w->builder;

	if (family == AF_INET)
		gate_parse_ipv4(w);
	else
		gate_parse_ipv6(w);
	gate_parse_ports(w);
	network_flow_write_key(w, family, true);
	bpf_write_value(b, BPF_W, STACK, FLOW_VALUE, 1);
	bpf_set_map(b, R1, w->state->group->flows_map);
	bpf_copy(b, R2, STACK);
	bpf_compute_value(b, BPF_ADD, R2, FLOW);
	bpf_copy(b, R3, STACK);
	bpf_compute_value(b, BPF_ADD, R3, FLOW_VALUE);
	bpf_set(b, R4, BPF_ANY);
	bpf_call(b, BPF_FUNC_map_update_elem);
	bpf_jump(b, w->miss);
}

static void write_program(struct gate_writer *w, bool knows_place)
{
	struct bpf_builder *b = &w->builder;
	unsigned ipv6 = bpf_label(b);

	bpf_copy(b, PACKET, R1);
	bpf_write_value(b, BPF_W, STACK, SCRATCH, 0);
	gate_look_up(w, w->state->group->switch_map, SCRATCH);
	bpf_jump_if_null(b, R0, w->miss);
	bpf_read(b, BPF_W, R1, R0, 0);
	bpf_jump_if(b, BPF_JEQ, R1, 0, w->miss);
	if (knows_place)
		write_place(w);
	if (w->state->hook == NETWORK_TABLE) {
		write_marking(w);
	} else {
		bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, protocol));
		bpf_jump_if(b, BPF_JEQ, R1, htons(ETH_P_IPV6), ipv6);
		bpf_jump_if(b, BPF_JNE, R1, htons(ETH_P_IP), w->miss);
		write_remembering(w, AF_INET);
		bpf_place(b, ipv6);
		write_remembering(w, AF_INET6);
	}
	bpf_place(b, w->miss);
	bpf_set(b, R0, 1); /* pass */
	bpf_exit(b);
}

static int load(const struct network_state *state, bool knows_place, int *out_program_fd,
		struct error *err)
{
	struct gate_writer *w = calloc(1, sizeof(*w)); /* large for a stack */
	struct bpf_code code = {.name = state->group->program,
				.type = BPF_PROG_TYPE_CGROUP_SKB,
				.attach = BPF_CGROUP_INET_EGRESS};
	int result;

	if (!w)
		return error_errno(err, ENOMEM, "cannot write a BPF program");
	w->state = state;
	bpf_builder_init(&w->builder);
	w->miss = bpf_label(&w->builder);
	w->match = bpf_label(&w->builder);
	write_program(w, knows_place);
	result = bpf_builder_finish(&w->builder, &code, err);
	if (result == 0)
		result = bpf_load(&code, out_program_fd, err);
	bpf_builder_free(&w->builder);
	free(w);
	return result;
}

int network_group_load(const struct network_state *state, int *out_program_fd, struct error *err)
{
	if (state->record.namespace_cookie && load(state, true, out_program_fd, NULL) == 0)
		return 0;
	return load(state, false, out_program_fd, err);
}
