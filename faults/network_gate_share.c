/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Only a share of the flows, or of the far addresses: drawn by the program behind a gate of each
 * packet, and here of a connection that is known. Both mix the same words in the same order.
 */
#include "faults/network_gate_writer.h"

#include "injector/kernel/connection.h"

#include <arpa/inet.h>
#include <string.h>

/* Of 2^32; 100 % is not picked at all. */
static uint32_t limit_of(const struct network_pick *pick)
{
	return (uint32_t)(((uint64_t)pick->share << 32) / SHARE_ONE);
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

static void mix_address(struct gate_writer *w, int family, bool is_far)
{
	for (int word = 0; word < (family == AF_INET ? 1 : 4); word++) {
		bpf_read(&w->builder, BPF_W, R1, STACK,
			 gate_address_at(family, is_far == w->is_ingress) + word * 4);
		mix(w);
	}
}

/* Addresses and ports, near and far, in this order in both directions; and the protocol. */
static void mix_flow(struct gate_writer *w, int family)
{
	struct bpf_builder *b = &w->builder;
	unsigned no_ports = bpf_label(b), mixed = bpf_label(b);

	mix_address(w, family, false);
	mix_address(w, family, true);
	bpf_jump_if(b, BPF_JEQ, PORTS, 0, no_ports);
	for (unsigned is_far = 0; is_far < 2; is_far++) {
		bpf_read(b, BPF_H, R1, STACK, PORT + (is_far == w->is_ingress ? 0 : 2));
		mix(w);
	}
	bpf_jump(b, mixed);
	/* a later fragment of a flow that has some: which flow cannot be known */
	bpf_place(b, no_ports);
	for (unsigned i = 0; i < TRAFFIC_PROTOCOLS_MAX; i++)
		if (target_protocol_has_ports((uint8_t)i))
			bpf_jump_if(b, BPF_JEQ, PROTOCOL, i, w->miss);
	bpf_place(b, mixed);
	bpf_copy(b, R1, PROTOCOL);
	mix(w);
}

void gate_match_share(struct gate_writer *w, int family)
{
	struct bpf_builder *b = &w->builder;

	bpf_set(b, R3, w->pick.seed);
	if (w->pick.by_address) {
		mix_address(w, family, true);
		bpf_set(b, R1, family); /* neighbours differ in few bits: once more */
		mix(w);
	} else {
		mix_flow(w, family);
	}
	bpf_compute32(b, BPF_MOV, R2, R3);
	bpf_compute32_value(b, BPF_RSH, R2, 16);
	bpf_compute32(b, BPF_XOR, R3, R2);
	bpf_jump_if(b, BPF_JGE, R3, limit_of(&w->pick), w->miss);
}

/* What mix() writes: keep them alike. */
static uint32_t mixed(uint32_t hash, uint32_t word)
{
	word *= 0xcc9e2d51;
	hash ^= word << 15 | word >> 17;
	hash ^= hash >> 13;
	return hash * 0x85ebca6b;
}

static uint32_t address_mixed(uint32_t hash, int family, const uint8_t *address)
{
	uint32_t word;

	for (int i = 0; i < (family == AF_INET ? 1 : 4); i++) {
		memcpy(&word, address + i * 4UL, sizeof(word));
		hash = mixed(hash, word);
	}
	return hash;
}

bool gate_share_takes(const struct network_pick *pick, const struct connection *connection)
{
	const int family = connection->family;
	uint32_t hash = pick->seed;

	if (pick->by_address) {
		hash = address_mixed(hash, family, connection->remote);
		hash = mixed(hash, (uint32_t)family);
	} else {
		hash = address_mixed(hash, family, connection->local);
		hash = address_mixed(hash, family, connection->remote);
		hash = mixed(hash, htons(connection->local_port));
		hash = mixed(hash, htons(connection->remote_port));
		hash = mixed(hash, IPPROTO_TCP);
	}
	return (hash ^ hash >> 16) < limit_of(pick);
}
