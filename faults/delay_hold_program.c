/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Between the Ethernet header and the packet's own IP header comes an IPv4 header of ours, of which
 * that one is the options: so what the kernel takes for the transport header is the right one, in
 * there and afterwards. (Some kernels drop segmentation offload whose transport header they cannot
 * read, and drivers use it.) Options are looked at behind the queue, where the packet never gets.
 *
 *   Ethernet: to our veth, from the packet's sender   IPv4: protocol    253, and whether there is a
 *                                                                       VLAN tag, which the kernel
 *                                                                       would take for its own
 *                                                     identification    that tag
 *                                                     source, destination   whom the packet is for
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

#define WRAP_SIZE     20
#define FRAME_MAX     250000 /* below what our veth takes in one */
#define SINGLE_MAX    16000  /* bpf_skb_change_head() takes no more without segmentation */
#define MORE_COME     0x3fff /* of an IPv4 header: it is a fragment */
#define LIFETIME      64
#define IPV4_SIZE     20
#define IPV6_SIZE     40
#define DECAP_L3_IPV6 (1U << 8) /* BPF_F_ADJ_ROOM_DECAP_L3_IPV6 of <linux/bpf.h>, Linux 6.3 */
#define CSUM_NO_RESET (1U << 5) /* BPF_F_ADJ_ROOM_NO_CSUM_RESET, 5.8 */

enum { R0 = BPF_REG_0, R1, R2, R3, R4, R5, PACKET, PROTOCOL, TAG, LENGTH, FRAME };

/* On the stack, while a frame is wrapped: a header is at an address where its words are whole, so
 * that of Ethernet begins in the midst of one. */
enum { INNER = -IPV6_SIZE, OUTER = INNER - WRAP_SIZE, ETHERNET = OUTER - ETH_HLEN, OLD = -96 };
/* And while it is unwrapped. */
enum { CAME = -40, CAME_OUTER = CAME + ETH_HLEN, NEW = -56 };

static void load_bytes(struct bpf_builder *b, unsigned from, int to, unsigned size)
{
	bpf_copy(b, R1, PACKET);
	bpf_set(b, R2, from);
	bpf_copy(b, R3, FRAME);
	bpf_compute_value(b, BPF_ADD, R3, to);
	bpf_set(b, R4, size);
	bpf_call(b, BPF_FUNC_skb_load_bytes);
}

static void store_bytes(struct bpf_builder *b, int from, unsigned size, unsigned drop)
{
	bpf_copy(b, R1, PACKET);
	bpf_set(b, R2, 0);
	bpf_copy(b, R3, FRAME);
	bpf_compute_value(b, BPF_ADD, R3, from);
	bpf_set(b, R4, size);
	bpf_set(b, R5, 0);
	bpf_call(b, BPF_FUNC_skb_store_bytes);
	bpf_jump_if(b, BPF_JNE, R0, 0, drop);
}

/* Stack to stack; an Ethernet address. */
static void copy_address(struct bpf_builder *b, int to, int from)
{
	for (int at = 0; at < ETH_ALEN; at += 2) {
		bpf_read(b, BPF_H, R1, FRAME, from + at);
		bpf_write(b, BPF_H, FRAME, to + at, R1);
	}
}

/* Of a flow all packets go one way or the other, or they would overtake each other: so what it is
 * decides, and not how it comes. */
static void check_is_tcp(struct bpf_builder *b, unsigned inner_size, unsigned pass)
{
	load_bytes(b, ETH_HLEN, INNER, inner_size);
	bpf_jump_if(b, BPF_JNE, R0, 0, pass);
	if (inner_size == IPV6_SIZE) {
		bpf_read(b, BPF_B, R1, FRAME, INNER + 6);
		bpf_jump_if(b, BPF_JNE, R1, IPPROTO_TCP, pass);
		return;
	}
	bpf_read(b, BPF_B, R1, FRAME, INNER);
	bpf_jump_if(b, BPF_JNE, R1, 0x45, pass);
	bpf_read(b, BPF_B, R1, FRAME, INNER + 9);
	bpf_jump_if(b, BPF_JNE, R1, IPPROTO_TCP, pass);
	bpf_read(b, BPF_H, R1, FRAME, INNER + 6);
	bpf_jump_if(b, BPF_JSET, R1, htons(MORE_COME), pass);
}

static void check_size(struct bpf_builder *b, unsigned pass)
{
	unsigned fits = bpf_label(b);

	bpf_read(b, BPF_W, R1, PACKET, FIELD(len));
	bpf_jump_if(b, BPF_JGT, R1, FRAME_MAX, pass);
	bpf_jump_if(b, BPF_JLE, R1, SINGLE_MAX, fits);
	bpf_read(b, BPF_W, R1, PACKET, FIELD(gso_size));
	bpf_jump_if(b, BPF_JEQ, R1, 0, pass);
	bpf_place(b, fits);
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

static void take_vlan_tag(struct bpf_builder *b, unsigned drop)
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
	bpf_jump_if(b, BPF_JNE, R0, 0, drop);
	bpf_place(b, none);
}

/* What is handed on as one has the length 0, as it may be more than 16 bits (iph_totlen() in
 * include/linux/ip.h, Linux 6.3). */
static void find_length(struct bpf_builder *b)
{
	unsigned single = bpf_label(b), found = bpf_label(b);

	bpf_read(b, BPF_W, R1, PACKET, FIELD(gso_size));
	bpf_jump_if(b, BPF_JEQ, R1, 0, single);
	bpf_set(b, LENGTH, 0);
	bpf_jump(b, found);
	bpf_place(b, single);
	bpf_read(b, BPF_W, LENGTH, PACKET, FIELD(len));
	bpf_compute_value(b, BPF_ADD, LENGTH, WRAP_SIZE - ETH_HLEN);
	bpf_place(b, found);
}

static void write_half(struct bpf_builder *b, int offset, unsigned value)
{
	bpf_copy(b, R1, value);
	bpf_to_host(b, R1, 16); /* and back: it is the same */
	bpf_write(b, BPF_H, FRAME, offset, R1);
}

static void write_headers(struct bpf_builder *b, unsigned inner_size, const uint8_t mac[ETH_ALEN])
{
	for (int at = 0; at < ETH_ALEN; at += 2) {
		uint16_t half;

		memcpy(&half, mac + at, sizeof(half));
		bpf_write_value(b, BPF_H, FRAME, ETHERNET + at, half);
	}
	copy_address(b, ETHERNET + ETH_ALEN, OLD + ETH_ALEN);
	bpf_write_value(b, BPF_H, FRAME, ETHERNET + 12, htons(ETH_P_IP));
	bpf_write_value(b, BPF_B, FRAME, OUTER, (int32_t)(0x40 | (WRAP_SIZE + inner_size) / 4));
	bpf_write_value(b, BPF_B, FRAME, OUTER + 1, 0);
	write_half(b, OUTER + 2, LENGTH);
	write_half(b, OUTER + 4, TAG);
	bpf_write_value(b, BPF_H, FRAME, OUTER + 6, 0);
	bpf_write_value(b, BPF_B, FRAME, OUTER + 8, LIFETIME);
	bpf_write(b, BPF_B, FRAME, OUTER + 9, PROTOCOL);
	bpf_write_value(b, BPF_H, FRAME, OUTER + 10, 0);
	copy_address(b, OUTER + 12, OLD);
	bpf_write_value(b, BPF_H, FRAME, OUTER + 18, 0);
}

/* The checksum of the header with its options (RFC 1071: in the machine's own order). */
static void sum_header(struct bpf_builder *b, unsigned inner_size)
{
	bpf_set(b, R1, 0);
	bpf_set(b, R2, 0);
	bpf_copy(b, R3, FRAME);
	bpf_compute_value(b, BPF_ADD, R3, OUTER);
	bpf_set(b, R4, WRAP_SIZE + inner_size);
	bpf_set(b, R5, 0);
	bpf_call(b, BPF_FUNC_csum_diff);
	bpf_compute32_value(b, BPF_AND, R0, 0xffffffff);
	for (unsigned i = 0; i < 2; i++) {
		bpf_copy(b, R2, R0);
		bpf_compute_value(b, BPF_RSH, R2, 16);
		bpf_compute_value(b, BPF_AND, R0, 0xffff);
		bpf_compute(b, BPF_ADD, R0, R2);
	}
	bpf_compute_value(b, BPF_XOR, R0, 0xffff);
	bpf_write(b, BPF_H, FRAME, OUTER + 10, R0);
}

static void wrap(struct bpf_builder *b, unsigned inner_size, int index, const uint8_t mac[ETH_ALEN],
		 unsigned pass, unsigned drop)
{
	check_is_tcp(b, inner_size, pass);
	check_size(b, pass);
	check_sum(b, pass);
	load_bytes(b, 0, OLD, ETH_HLEN);
	bpf_jump_if(b, BPF_JNE, R0, 0, pass);
	take_vlan_tag(b, drop);
	find_length(b);
	write_headers(b, inner_size, mac);
	sum_header(b, inner_size);
	bpf_copy(b, R1, PACKET);
	bpf_set(b, R2, WRAP_SIZE);
	bpf_set(b, R3, 0);
	bpf_call(b, BPF_FUNC_skb_change_head);
	bpf_jump_if(b, BPF_JNE, R0, 0, drop);
	store_bytes(b, ETHERNET, ETH_HLEN + WRAP_SIZE, drop); /* over the old Ethernet header */
	bpf_set(b, R1, (uint32_t)index);
	bpf_set(b, R2, 0);
	bpf_call(b, BPF_FUNC_redirect); /* its answer is ours */
	bpf_exit(b);
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
	unsigned pass, drop, ipv4;

	bpf_builder_init(b);
	pass = bpf_label(b);
	drop = bpf_label(b);
	ipv4 = bpf_label(b);
	bpf_copy(b, PACKET, R1);
	bpf_read(b, BPF_W, R1, PACKET, FIELD(protocol));
	bpf_jump_if(b, BPF_JEQ, R1, htons(ETH_P_IP), ipv4);
	bpf_jump_if(b, BPF_JNE, R1, htons(ETH_P_IPV6), pass);
	wrap(b, IPV6_SIZE, index, mac, pass, drop);
	bpf_place(b, ipv4);
	wrap(b, IPV4_SIZE, index, mac, pass, drop);
	bpf_place(b, drop);
	bpf_set(b, R0, TC_ACT_SHOT);
	bpf_exit(b);
	bpf_place(b, pass);
	bpf_set(b, R0, (uint32_t)TC_ACT_UNSPEC);
	bpf_exit(b);
	return load(b, "hold_wrap", out_program_fd, err);
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

static void unwrap(struct bpf_builder *b, uint16_t type, uint32_t flags, unsigned drop)
{
	copy_address(b, NEW, CAME_OUTER + 12);
	copy_address(b, NEW + ETH_ALEN, CAME + ETH_ALEN);
	bpf_write_value(b, BPF_H, FRAME, NEW + 12, htons(type));
	bpf_copy(b, R1, PACKET);
	bpf_set(b, R2, (uint32_t)-WRAP_SIZE);
	bpf_set(b, R3, BPF_ADJ_ROOM_MAC);
	bpf_set(b, R4, BPF_F_ADJ_ROOM_FIXED_GSO | CSUM_NO_RESET | flags);
	bpf_call(b, BPF_FUNC_skb_adjust_room);
	bpf_jump_if(b, BPF_JNE, R0, 0, drop);
	store_bytes(b, NEW, ETH_HLEN, drop);
	put_vlan_tag(b);
	bpf_set(b, R0, TC_ACT_OK);
	bpf_exit(b);
}

static int load_unwrap(int *out_program_fd, struct error *err)
{
	struct bpf_builder builder, *b = &builder;
	unsigned drop, ipv4;

	bpf_builder_init(b);
	drop = bpf_label(b);
	ipv4 = bpf_label(b);
	bpf_copy(b, PACKET, R1);
	bpf_read(b, BPF_W, R1, PACKET, FIELD(protocol));
	bpf_jump_if(b, BPF_JNE, R1, htons(ETH_P_IP), drop);
	load_bytes(b, 0, CAME, ETH_HLEN + WRAP_SIZE);
	bpf_jump_if(b, BPF_JNE, R0, 0, drop);
	bpf_read(b, BPF_B, PROTOCOL, FRAME, CAME_OUTER + 9);
	bpf_jump_if(b, BPF_JLT, PROTOCOL, PLAIN, drop);
	bpf_read(b, BPF_H, TAG, FRAME, CAME_OUTER + 4);
	bpf_to_host(b, TAG, 16);
	bpf_read(b, BPF_B, R1, FRAME, CAME_OUTER);
	bpf_jump_if(b, BPF_JEQ, R1, 0x40 | (WRAP_SIZE + IPV4_SIZE) / 4, ipv4);
	bpf_jump_if(b, BPF_JNE, R1, 0x40 | (WRAP_SIZE + IPV6_SIZE) / 4, drop);
	unwrap(b, ETH_P_IPV6, DECAP_L3_IPV6, drop);
	bpf_place(b, ipv4);
	unwrap(b, ETH_P_IP, 0, drop);
	bpf_place(b, drop);
	bpf_set(b, R0, TC_ACT_SHOT);
	bpf_exit(b);
	return load(b, "hold_unwrap", out_program_fd, err);
}

/* An IPv6 packet, which is what older kernels cannot take out. */
static int try_unwrap(int program_fd, struct error *err)
{
	uint8_t frame[ETH_HLEN + WRAP_SIZE + IPV6_SIZE + 20] = {0};
	const uint16_t type = htons(ETH_P_IP);
	uint32_t answer;
	int result;

	memcpy(frame + 12, &type, sizeof(type));
	frame[ETH_HLEN] = 0x40 | (WRAP_SIZE + IPV6_SIZE) / 4;
	frame[ETH_HLEN + 9] = PLAIN;
	frame[ETH_HLEN + WRAP_SIZE] = 0x60;
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
