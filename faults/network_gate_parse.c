/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading a packet: headers and extension headers, up to the ports.
 */
#include "faults/network_gate_writer.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stddef.h>

/* `size` bytes of the packet at OFFSET (or at its network header) to the stack. */
void gate_fetch(struct gate_writer *w, bool is_header, int to, unsigned size, unsigned failed)
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

void gate_look_up(struct gate_writer *w, int map_fd, int key)
{
	bpf_set_map(&w->builder, R1, map_fd);
	bpf_copy(&w->builder, R2, STACK);
	bpf_compute_value(&w->builder, BPF_ADD, R2, key);
	bpf_call(&w->builder, BPF_FUNC_map_lookup_elem);
}

void gate_parse_ipv4(struct gate_writer *w)
{
	struct bpf_builder *b = &w->builder;
	unsigned whole = bpf_label(b), done = bpf_label(b);

	gate_fetch(w, true, HEADER, sizeof(struct iphdr), w->miss);
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

/* Behind a header that says its own length, in units of `1 << shift` bytes beyond the first `more`,
 * and on to `next`. */
static void skip_header(struct gate_writer *w, unsigned more, unsigned shift, unsigned next)
{
	struct bpf_builder *b = &w->builder;

	gate_fetch(w, false, SCRATCH, 2, w->miss);
	bpf_read(b, BPF_B, PROTOCOL, STACK, SCRATCH);
	bpf_read(b, BPF_B, R1, STACK, SCRATCH + 1);
	bpf_compute_value(b, BPF_ADD, R1, (int32_t)more);
	bpf_compute_value(b, BPF_LSH, R1, (int32_t)shift);
	bpf_compute(b, BPF_ADD, OFFSET, R1);
	bpf_jump(b, next);
}

/* One extension header further, or to `done`. */
static void parse_extension(struct gate_writer *w, unsigned done)
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
	skip_header(w, 1, 3, next);
	bpf_place(b, fours);
	skip_header(w, 2, 2, next);
	bpf_place(b, fragment);
	gate_fetch(w, false, SCRATCH, 4, w->miss);
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

void gate_parse_ipv6(struct gate_writer *w)
{
	struct bpf_builder *b = &w->builder;
	unsigned done = bpf_label(b);

	gate_fetch(w, true, HEADER, sizeof(struct ipv6hdr), w->miss);
	bpf_read(b, BPF_B, PROTOCOL, STACK, HEADER + (int)offsetof(struct ipv6hdr, nexthdr));
	bpf_set(b, OFFSET, sizeof(struct ipv6hdr));
	bpf_set(b, PORTS, 1);
	for (unsigned i = 0; i < 6; i++) /* more than anybody sends */
		parse_extension(w, done);
	bpf_place(b, done);
}

/* PORTS says so far that the packet has its transport header, then: and that it has ports. */
void gate_parse_ports(struct gate_writer *w)
{
	struct bpf_builder *b = &w->builder;
	unsigned has_ports = bpf_label(b), none = bpf_label(b), done = bpf_label(b);

	bpf_jump_if(b, BPF_JEQ, PORTS, 0, done);
	for (unsigned i = 0; i < TRAFFIC_PROTOCOLS_MAX; i++)
		if (target_protocol_has_ports((uint8_t)i))
			bpf_jump_if(b, BPF_JEQ, PROTOCOL, i, has_ports);
	bpf_jump(b, none);
	bpf_place(b, has_ports);
	gate_fetch(w, false, PORT, 4, none);
	bpf_set(b, PORTS, 1);
	bpf_jump(b, done);
	bpf_place(b, none);
	bpf_set(b, PORTS, 0);
	bpf_place(b, done);
}

int gate_address_at(int family, bool is_source)
{
	if (family == AF_INET)
		return HEADER + (int)(is_source ? offsetof(struct iphdr, saddr)
						: offsetof(struct iphdr, daddr));
	return HEADER +
	       (int)(is_source ? offsetof(struct ipv6hdr, saddr) : offsetof(struct ipv6hdr, daddr));
}
