/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * In the header of ours the protocol says whether the frame had a VLAN tag beside it, and the
 * identification is that tag: the kernel takes such a tag for its own on the way.
 */
#include "faults/delay_hold_program.h"

#include "injector/kernel/bpf_builder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <stddef.h>
#include <string.h>

#define FIELD(name) (int)offsetof(struct __sk_buff, name)

/* Protocols for experiments and the reserved one (RFC 3692, IANA's "protocol-numbers"). */
enum { PLAIN = 253, WITH_VLAN, WITH_SERVICE_VLAN };

#define FRAME_MAX	(65535 - HOLD_WRAP_SIZE)
#define LIFETIME	64
#define SOURCE		0xc0000201 /* 192.0.2.1 and .2: nobody's (RFC 5737) */
#define DESTINATION	0xc0000202
#define DECAP_L3_IPV6	(1U << 8) /* BPF_F_ADJ_ROOM_DECAP_L3_IPV6 of <linux/bpf.h>, Linux 6.3 */
#define CSUM_NO_RESET	(1U << 5) /* BPF_F_ADJ_ROOM_NO_CSUM_RESET, 5.8 */
#define CHECKSUM_OFFSET 24

enum { R0 = BPF_REG_0, R1, R2, R3, R4, R5, PACKET, PROTOCOL, TAG, LENGTH, FRAME };

/* register = that byte of the packet; the stack's first bytes are the place for it */
static void read_byte(struct bpf_builder *b, unsigned offset)
{
	bpf_copy(b, R1, PACKET);
	bpf_set(b, R2, offset);
	bpf_copy(b, R3, FRAME);
	bpf_compute_value(b, BPF_ADD, R3, -8);
	bpf_set(b, R4, 1);
	bpf_call(b, BPF_FUNC_skb_load_bytes);
	bpf_read(b, BPF_B, R1, FRAME, -8);
}

static void check_segments(struct bpf_builder *b, unsigned pass)
{
	unsigned plain = bpf_label(b), ipv4 = bpf_label(b), check = bpf_label(b);

	bpf_read(b, BPF_W, R1, PACKET, FIELD(gso_size));
	bpf_jump_if(b, BPF_JEQ, R1, 0, plain);
	bpf_read(b, BPF_W, R1, PACKET, FIELD(protocol));
	bpf_jump_if(b, BPF_JEQ, R1, htons(ETH_P_IP), ipv4);
	bpf_jump_if(b, BPF_JNE, R1, htons(ETH_P_IPV6), pass);
	read_byte(b, ETH_HLEN + 6);
	bpf_jump(b, check);
	bpf_place(b, ipv4);
	read_byte(b, ETH_HLEN + 9);
	bpf_place(b, check);
	bpf_jump_if(b, BPF_JNE, R1, IPPROTO_TCP, pass);
	bpf_place(b, plain);
}

/* The sum over a whole packet, by the hardware that received it, would not hold any more. Other
 * packets have none: then the answer is negative, and else 32 bits. */
static void check_sum(struct bpf_builder *b, unsigned pass)
{
	bpf_copy(b, R1, PACKET);
	bpf_set(b, R2, 0);
	bpf_call(b, BPF_FUNC_csum_update);
	bpf_compute_value(b, BPF_RSH, R0, 32);
	bpf_jump_if(b, BPF_JEQ, R0, 0, pass);
}

static void take_vlan_tag(struct bpf_builder *b, unsigned pass)
{
	unsigned none = bpf_label(b), service = bpf_label(b), pop = bpf_label(b);

	bpf_set(b, PROTOCOL, PLAIN);
	bpf_set(b, TAG, 0);
	bpf_read(b, BPF_W, R1, PACKET, FIELD(vlan_present));
	bpf_jump_if(b, BPF_JEQ, R1, 0, none);
	bpf_read(b, BPF_W, TAG, PACKET, FIELD(vlan_tci));
	bpf_read(b, BPF_W, R1, PACKET, FIELD(vlan_proto));
	bpf_jump_if(b, BPF_JEQ, R1, htons(ETH_P_8021AD), service);
	bpf_set(b, PROTOCOL, WITH_VLAN);
	bpf_jump(b, pop);
	bpf_place(b, service);
	bpf_set(b, PROTOCOL, WITH_SERVICE_VLAN);
	bpf_place(b, pop);
	bpf_copy(b, R1, PACKET);
	bpf_call(b, BPF_FUNC_skb_vlan_pop);
	bpf_jump_if(b, BPF_JNE, R0, 0, pass);
	bpf_place(b, none);
}

/* The IPv4 checksum of our header: what is constant in it, and the rest in registers. */
static void sum_header(struct bpf_builder *b)
{
	const uint32_t constant = 0x4500 + (LIFETIME << 8) + (SOURCE >> 16) + (SOURCE & 0xffff) +
				  (DESTINATION >> 16) + (DESTINATION & 0xffff);

	bpf_set(b, R3, constant);
	bpf_compute(b, BPF_ADD, R3, LENGTH);
	bpf_compute(b, BPF_ADD, R3, TAG);
	bpf_compute(b, BPF_ADD, R3, PROTOCOL);
	for (unsigned i = 0; i < 2; i++) {
		bpf_copy(b, R2, R3);
		bpf_compute_value(b, BPF_RSH, R2, 16);
		bpf_compute_value(b, BPF_AND, R3, 0xffff);
		bpf_compute(b, BPF_ADD, R3, R2);
	}
	bpf_compute_value(b, BPF_XOR, R3, 0xffff);
	bpf_to_host(b, R3, 16);
	bpf_write(b, BPF_H, FRAME, -40 + CHECKSUM_OFFSET, R3);
}

static void write_half(struct bpf_builder *b, int offset, unsigned value)
{
	bpf_copy(b, R1, value);
	bpf_to_host(b, R1, 16); /* and back: it is the same */
	bpf_write(b, BPF_H, FRAME, offset, R1);
}

/* 40 bytes of the stack, of which the last two are not used: Ethernet's header ends where words do
 * not. */
static void write_wrap(struct bpf_builder *b, const uint8_t mac[ETH_ALEN])
{
	uint8_t fixed[40] = {0};
	const uint16_t type = htons(ETH_P_IP);
	const uint32_t ends[] = {htonl(SOURCE), htonl(DESTINATION)};

	memcpy(fixed, mac, ETH_ALEN);
	memcpy(fixed + ETH_ALEN, mac, ETH_ALEN);
	memcpy(fixed + 12, &type, sizeof(type));
	fixed[14] = 0x45;
	fixed[22] = LIFETIME;
	memcpy(fixed + 26, ends, sizeof(ends));
	for (int at = 0; at < 40; at += 4) {
		int32_t word;

		memcpy(&word, fixed + at, sizeof(word));
		bpf_write_value(b, BPF_W, FRAME, -40 + at, word);
	}
	write_half(b, -40 + 16, LENGTH);
	write_half(b, -40 + 18, TAG);
	bpf_write(b, BPF_B, FRAME, -40 + 23, PROTOCOL);
	sum_header(b);
}

static int load(struct bpf_builder *b, const char *name, int *out_program_fd, struct error *err)
{
	int result = bpf_builder_load(b, name, out_program_fd, err);

	bpf_builder_free(b);
	return result;
}

int hold_wrap_load(int index, const uint8_t mac[ETH_ALEN], int *out_program_fd, struct error *err)
{
	struct bpf_builder builder, *b = &builder;
	unsigned pass, drop;

	bpf_builder_init(b);
	pass = bpf_label(b);
	drop = bpf_label(b);
	bpf_copy(b, PACKET, R1);
	bpf_read(b, BPF_W, R1, PACKET, FIELD(len));
	bpf_jump_if(b, BPF_JGT, R1, FRAME_MAX, pass);
	check_segments(b, pass);
	check_sum(b, pass);
	take_vlan_tag(b, pass);
	bpf_read(b, BPF_W, LENGTH, PACKET, FIELD(len));
	bpf_compute_value(b, BPF_ADD, LENGTH, HOLD_WRAP_SIZE - ETH_HLEN);
	write_wrap(b, mac);
	bpf_copy(b, R1, PACKET);
	bpf_set(b, R2, HOLD_WRAP_SIZE);
	bpf_set(b, R3, 0);
	bpf_call(b, BPF_FUNC_skb_change_head);
	bpf_jump_if(b, BPF_JNE, R0, 0, drop);
	bpf_copy(b, R1, PACKET);
	bpf_set(b, R2, 0);
	bpf_copy(b, R3, FRAME);
	bpf_compute_value(b, BPF_ADD, R3, -40);
	bpf_set(b, R4, HOLD_WRAP_SIZE);
	bpf_set(b, R5, 0);
	bpf_call(b, BPF_FUNC_skb_store_bytes);
	bpf_jump_if(b, BPF_JNE, R0, 0, drop);
	bpf_set(b, R1, (uint32_t)index);
	bpf_set(b, R2, 0);
	bpf_call(b, BPF_FUNC_redirect); /* its answer is ours */
	bpf_exit(b);
	bpf_place(b, drop);
	bpf_set(b, R0, TC_ACT_SHOT);
	bpf_exit(b);
	bpf_place(b, pass);
	bpf_set(b, R0, (uint32_t)TC_ACT_UNSPEC);
	bpf_exit(b);
	return load(b, "hold_wrap", out_program_fd, err);
}

#define COPY_SIZE (HOLD_WRAP_SIZE + ETH_HLEN)

static void take_wrap_off(struct bpf_builder *b, uint32_t flags, unsigned drop)
{
	bpf_copy(b, R1, PACKET);
	bpf_set(b, R2, (uint32_t)-HOLD_WRAP_SIZE);
	bpf_set(b, R3, BPF_ADJ_ROOM_MAC);
	bpf_set(b, R4, BPF_F_ADJ_ROOM_FIXED_GSO | CSUM_NO_RESET | flags);
	bpf_call(b, BPF_FUNC_skb_adjust_room);
	bpf_jump_if(b, BPF_JNE, R0, 0, drop);
}

static void put_vlan_tag(struct bpf_builder *b)
{
	unsigned none = bpf_label(b), push = bpf_label(b);

	bpf_jump_if(b, BPF_JEQ, PROTOCOL, PLAIN, none);
	bpf_set(b, R2, htons(ETH_P_8021Q));
	bpf_jump_if(b, BPF_JEQ, PROTOCOL, WITH_VLAN, push);
	bpf_set(b, R2, htons(ETH_P_8021AD));
	bpf_place(b, push);
	bpf_copy(b, R1, PACKET);
	bpf_copy(b, R3, TAG);
	bpf_call(b, BPF_FUNC_skb_vlan_push);
	bpf_place(b, none);
}

static int load_unwrap(int *out_program_fd, struct error *err)
{
	struct bpf_builder builder, *b = &builder;
	unsigned drop, ipv6, off;

	bpf_builder_init(b);
	drop = bpf_label(b);
	ipv6 = bpf_label(b);
	off = bpf_label(b);
	bpf_copy(b, PACKET, R1);
	bpf_read(b, BPF_W, R1, PACKET, FIELD(protocol));
	bpf_jump_if(b, BPF_JNE, R1, htons(ETH_P_IP), drop);
	bpf_copy(b, R1, PACKET);
	bpf_set(b, R2, 0);
	bpf_copy(b, R3, FRAME);
	bpf_compute_value(b, BPF_ADD, R3, -COPY_SIZE);
	bpf_set(b, R4, COPY_SIZE);
	bpf_call(b, BPF_FUNC_skb_load_bytes);
	bpf_jump_if(b, BPF_JNE, R0, 0, drop);
	bpf_read(b, BPF_B, PROTOCOL, FRAME, -COPY_SIZE + 23);
	bpf_jump_if(b, BPF_JLT, PROTOCOL, PLAIN, drop);
	bpf_read(b, BPF_H, TAG, FRAME, -COPY_SIZE + 18);
	bpf_to_host(b, TAG, 16);
	bpf_read(b, BPF_H, R1, FRAME, -COPY_SIZE + HOLD_WRAP_SIZE + 12);
	bpf_jump_if(b, BPF_JEQ, R1, htons(ETH_P_IPV6), ipv6);
	take_wrap_off(b, 0, drop);
	bpf_jump(b, off);
	bpf_place(b, ipv6);
	take_wrap_off(b, DECAP_L3_IPV6, drop);
	bpf_place(b, off);
	bpf_copy(b, R1, PACKET);
	bpf_set(b, R2, 0);
	bpf_copy(b, R3, FRAME);
	bpf_compute_value(b, BPF_ADD, R3, -ETH_HLEN);
	bpf_set(b, R4, ETH_HLEN);
	bpf_set(b, R5, 0);
	bpf_call(b, BPF_FUNC_skb_store_bytes);
	bpf_jump_if(b, BPF_JNE, R0, 0, drop);
	put_vlan_tag(b);
	bpf_set(b, R0, TC_ACT_OK);
	bpf_exit(b);
	bpf_place(b, drop);
	bpf_set(b, R0, TC_ACT_SHOT);
	bpf_exit(b);
	return load(b, "hold_unwrap", out_program_fd, err);
}

/* An IPv6 packet, which is what older kernels cannot take out. */
static int try_unwrap(int program_fd, struct error *err)
{
	uint8_t frame[HOLD_WRAP_SIZE + ETH_HLEN + 40 + 8] = {0};
	const uint16_t outer = htons(ETH_P_IP), inner = htons(ETH_P_IPV6);
	uint32_t answer;
	int result;

	memcpy(frame + 12, &outer, sizeof(outer));
	frame[14] = 0x45;
	frame[23] = PLAIN;
	memcpy(frame + HOLD_WRAP_SIZE + 12, &inner, sizeof(inner));
	frame[HOLD_WRAP_SIZE + ETH_HLEN] = 0x60;
	result = bpf_try(program_fd, frame, sizeof(frame), &answer, err);
	if (result == 0 && answer != TC_ACT_OK)
		result = error_set(err, EOPNOTSUPP, "this kernel cannot take a frame out again");
	return result;
}

int hold_unwrap_load(int *out_program_fd, struct error *err)
{
	int result = load_unwrap(out_program_fd, err);

	return result < 0 ? result : try_unwrap(*out_program_fd, err);
}
