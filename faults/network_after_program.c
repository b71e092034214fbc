/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * after-bytes where packets are taken out by tc filters: each flow has its bytes in a map.
 */
#include "faults/network_after.h"

#include "faults/network_gate_writer.h"
#include "faults/network_group.h"
#include "injector/kernel/bpf.h"

#include <stddef.h>

/* Below the key of the flow (network_group_program.c). */
#define COUNT (-152)

int network_after_new_map(const struct network_state *state, int *out_map_fd, struct error *err)
{
	const struct bpf_map_shape shape = {.name = "squall_bytes",
					    .type = BPF_MAP_TYPE_LRU_HASH,
					    .key_size = sizeof(struct network_flow),
					    .value_size = sizeof(uint64_t),
					    .entries = NETWORK_AFTER_MAP};

	if (state->after_bytes)
		return bpf_map_new(&shape, out_map_fd, err);
	*out_map_fd = -1;
	return 0;
}

/* What has ports and does not show them here, a later fragment: which flow cannot be known. */
static void pass_fragments(struct gate_writer *w)
{
	struct bpf_builder *b = &w->builder;
	unsigned known = bpf_label(b);

	bpf_jump_if(b, BPF_JNE, PORTS, 0, known);
	for (unsigned i = 0; i < TRAFFIC_PROTOCOLS_MAX; i++)
		if (target_protocol_has_ports((uint8_t)i))
			bpf_jump_if(b, BPF_JEQ, PROTOCOL, i, w->miss);
	bpf_place(b, known);
}

void network_after_match(struct gate_writer *w, int family)
{
	struct bpf_builder *b = &w->builder;
	unsigned found = bpf_label(b), absent = bpf_label(b);

	pass_fragments(w);
	network_flow_write_key(w, family, false);
	gate_look_up(w, w->maps.after, NETWORK_FLOW_KEY);
	bpf_jump_if_null(b, R0, absent);
	bpf_jump(b, found);
	bpf_place(b, absent);
	bpf_write_value(b, BPF_DW, STACK, COUNT, 0);
	bpf_set_map(b, R1, w->maps.after);
	bpf_copy(b, R2, STACK);
	bpf_compute_value(b, BPF_ADD, R2, NETWORK_FLOW_KEY);
	bpf_copy(b, R3, STACK);
	bpf_compute_value(b, BPF_ADD, R3, COUNT);
	bpf_set(b, R4, BPF_NOEXIST); /* another processor may have been faster */
	bpf_call(b, BPF_FUNC_map_update_elem);
	gate_look_up(w, w->maps.after, NETWORK_FLOW_KEY);
	bpf_jump_if_null(b, R0, w->miss);
	bpf_place(b, found);
	bpf_read(b, BPF_W, R1, PACKET, offsetof(struct __sk_buff, len));
	bpf_read(b, BPF_DW, R2, R0, 0);
	bpf_add_atomic(b, R0, 0, R1);
	bpf_compute(b, BPF_ADD, R2, R1);
	bpf_set(b, R3, (uint32_t)(w->pick.after_bytes >> 32));
	bpf_compute_value(b, BPF_LSH, R3, 32);
	bpf_set(b, R1, (uint32_t)w->pick.after_bytes);
	bpf_compute(b, BPF_OR, R3, R1);
	bpf_jump_if_register(b, BPF_JLE, R2, R3, w->miss);
}
