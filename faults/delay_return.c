/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two dozen instructions, with the constants of one line in them. Written as such: a compiler for
 * them would be one more thing to install, and its constants a map more to make at each start.
 *
 * The tag is a VLAN tag, because the kernel hands one through a tap in both directions, beside
 * segmentation offload and unfinished checksums, and puts it aside before tc sees the packet. Every
 * packet of the line gets one, so that one of the user's is never taken for it.
 */
#include "faults/delay_return.h"

#include "injector/kernel/bpf_builder.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <stddef.h>

#define FIELD(name) (int)offsetof(struct __sk_buff, name)
#define OURS	    0xffff0000U /* of the mark */

enum { R0 = BPF_REG_0, R1, R2, R3, PACKET = BPF_REG_6, KEPT }; /* those two outlive calls */

static void take_tag_off(struct bpf_builder *b)
{
	unsigned none = bpf_label(b);

	bpf_read(b, BPF_W, R1, PACKET, FIELD(vlan_present));
	bpf_jump_if(b, BPF_JEQ, R1, 0, none);
	bpf_read(b, BPF_W, R1, PACKET, FIELD(vlan_proto));
	bpf_jump_if(b, BPF_JNE, R1, htons(ETH_P_8021AD), none);
	bpf_read(b, BPF_W, KEPT, PACKET, FIELD(vlan_tci));
	bpf_compute32_value(b, BPF_LSH, KEPT, 16);
	bpf_copy(b, R1, PACKET);
	bpf_call(b, BPF_FUNC_skb_vlan_pop);
	bpf_write(b, BPF_W, PACKET, FIELD(priority), KEPT);
	bpf_place(b, none);
}

int delay_return_load(const struct delay_return *way, int *out_program_fd, struct error *err)
{
	struct bpf_builder builder, *b = &builder;
	int result;

	bpf_builder_init(b);
	bpf_copy(b, PACKET, R1);
	/* The tap calls everything not for its own MAC "other host"; lo delivers the type it gets,
	 * and IP drops such packets. Leaving packets of the stack's own are "host". */
	bpf_set(b, R2, PACKET_HOST);
	bpf_call(b, BPF_FUNC_skb_change_type);
	if (way->carries)
		take_tag_off(b);
	/* The tap recorded its receive queue 0, which would send everything through transmit queue
	 * 0 of the device; 0 here means "not recorded": spread by flow again. */
	bpf_set(b, R1, 0);
	bpf_write(b, BPF_W, PACKET, FIELD(queue_mapping), R1);
	bpf_set(b, R1, way->mark);
	bpf_write(b, BPF_W, PACKET, FIELD(mark), R1);
	if (way->index) {
		bpf_set(b, R1, (uint32_t)way->index);
		bpf_set(b, R2, way->is_ingress ? BPF_F_INGRESS : 0);
		bpf_call(b, BPF_FUNC_redirect); /* its answer is ours */
	} else {
		bpf_set(b, R0, (uint32_t)TC_ACT_UNSPEC);
	}
	bpf_exit(b);
	result = bpf_builder_load(b, "delay_return", out_program_fd, err);
	bpf_builder_free(b);
	return result;
}

int delay_carry_load(const struct delay_return *way, int *out_program_fd, struct error *err)
{
	struct bpf_builder builder, *b = &builder;
	unsigned fresh, found;
	int result;

	bpf_builder_init(b);
	fresh = bpf_label(b);
	found = bpf_label(b);
	bpf_copy(b, PACKET, R1);
	bpf_read(b, BPF_W, R3, PACKET, FIELD(mark));
	bpf_copy(b, R2, R3);
	bpf_compute32_value(b, BPF_AND, R2, OURS);
	bpf_jump_if(b, BPF_JNE, R2, way->mark & OURS, fresh);
	bpf_read(b, BPF_W, R3, PACKET, FIELD(priority));
	bpf_jump(b, found);
	bpf_place(b, fresh);
	bpf_compute32_value(b, BPF_AND, R3, way->carries);
	bpf_place(b, found);
	bpf_compute32_value(b, BPF_RSH, R3, 16);
	bpf_copy(b, R1, PACKET);
	bpf_set(b, R2, htons(ETH_P_8021AD));
	bpf_call(b, BPF_FUNC_skb_vlan_push);
	bpf_set(b, R0, TC_ACT_OK);
	bpf_exit(b);
	result = bpf_builder_load(b, "delay_carry", out_program_fd, err);
	bpf_builder_free(b);
	return result;
}
