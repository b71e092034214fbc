/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A dozen instructions, with the constants of one line in them. Written as such: a compiler for
 * them would be one more thing to install, and its constants a map more to make at each start.
 */
#include "faults/delay_return.h"

#include "injector/kernel/bpf.h"

#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <stddef.h>
#include <string.h>

#define SET(register, value)                                                                       \
	{                                                                                          \
		.code = BPF_ALU | BPF_MOV | BPF_K, .dst_reg = (register), .imm = (int32_t)(value)  \
	}
#define COPY(to, from)                                                                             \
	{                                                                                          \
		.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (to), .src_reg = (from)            \
	}
#define STORE(base, field, from)                                                                   \
	{                                                                                          \
		.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = (base), .src_reg = (from),           \
		.off = offsetof(struct __sk_buff, field)                                           \
	}
#define CALL(function)                                                                             \
	{                                                                                          \
		.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_##function                             \
	}
#define EXIT                                                                                       \
	{                                                                                          \
		.code = BPF_JMP | BPF_EXIT                                                         \
	}

int delay_return_load(int index, bool is_ingress, uint32_t mark, int *out_program_fd,
		      struct error *err)
{
	enum {
		R0 = BPF_REG_0,
		R1 = BPF_REG_1,
		R2 = BPF_REG_2,
		SKB = BPF_REG_6
	}; /* R6 outlives calls */
	struct bpf_insn program[] = {
		COPY(SKB, R1),
		/* The tap calls everything not for its own MAC "other host"; lo delivers the type
		 * it gets, and IP drops such packets. Leaving packets of the stack's own are
		 * "host". */
		SET(R2, PACKET_HOST),
		CALL(skb_change_type),
		/* The tap recorded its receive queue 0, which would send everything through
		 * transmit queue 0 of the device; 0 here means "not recorded": spread by flow
		 * again. */
		SET(R1, 0),
		STORE(SKB, queue_mapping, R1),
		SET(R1, mark),
		STORE(SKB, mark, R1),
		SET(R1, index),
		SET(R2, is_ingress ? BPF_F_INGRESS : 0),
		CALL(redirect), /* its answer is ours */
		EXIT,
	};
	const struct bpf_insn go_on[] = {SET(R0, TC_ACT_UNSPEC), EXIT};
	const unsigned count = sizeof(program) / sizeof(*program);
	struct bpf_code code = {
		.name = "delay_return",
		.type = BPF_PROG_TYPE_SCHED_CLS,
		.instructions = program,
		.count = count,
	};

	if (index == 0) { /* in place of the last four */
		memcpy(&program[count - 4], go_on, sizeof(go_on));
		code.count = count - 2;
	}
	return bpf_load(&code, out_program_fd, err);
}
