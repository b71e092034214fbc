/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/bpf_builder.h"

#include <errno.h>
#include <stdlib.h>

void bpf_builder_init(struct bpf_builder *builder)
{
	*builder = (struct bpf_builder){
		.list = malloc(BPF_BUILDER_INSTRUCTIONS * sizeof(*builder->list))};
	builder->is_broken = !builder->list;
}

void bpf_builder_free(struct bpf_builder *builder)
{
	free(builder->list);
	builder->list = NULL;
}

static void emit(struct bpf_builder *builder, struct bpf_insn instruction)
{
	if (builder->is_broken || builder->count >= BPF_BUILDER_INSTRUCTIONS)
		builder->is_broken = true;
	else
		builder->list[builder->count++] = instruction;
}

unsigned bpf_label(struct bpf_builder *builder)
{
	if (builder->label_count >= BPF_BUILDER_LABELS) {
		builder->is_broken = true;
		return 0;
	}
	builder->labels[builder->label_count] = -1;
	return builder->label_count++;
}

void bpf_place(struct bpf_builder *builder, unsigned label)
{
	builder->labels[label] = (int)builder->count;
}

bool bpf_is_wanted(const struct bpf_builder *builder, unsigned label)
{
	for (unsigned i = 0; i < builder->jump_count; i++)
		if (builder->jumps[i].label == label)
			return true;
	return false;
}

void bpf_set(struct bpf_builder *builder, unsigned target, uint32_t value)
{
	emit(builder, (struct bpf_insn){.code = BPF_ALU | BPF_MOV | BPF_K,
					.dst_reg = target & 15,
					.imm = (int32_t)value});
}

void bpf_set_map(struct bpf_builder *builder, unsigned target, int map_fd)
{
	emit(builder, (struct bpf_insn){.code = BPF_LD | BPF_DW | BPF_IMM,
					.dst_reg = target & 15,
					.src_reg = BPF_PSEUDO_MAP_FD,
					.imm = map_fd});
	emit(builder, (struct bpf_insn){0}); /* the upper half */
}

void bpf_copy(struct bpf_builder *builder, unsigned target, unsigned source)
{
	bpf_compute(builder, BPF_MOV, target, source);
}

static void compute(struct bpf_builder *builder, unsigned code, unsigned target, unsigned source,
		    int32_t value)
{
	emit(builder, (struct bpf_insn){.code = (uint8_t)code,
					.dst_reg = target & 15,
					.src_reg = source & 15,
					.imm = value});
}

void bpf_compute(struct bpf_builder *builder, unsigned operation, unsigned target, unsigned source)
{
	compute(builder, BPF_ALU64 | operation | BPF_X, target, source, 0);
}

void bpf_compute_value(struct bpf_builder *builder, unsigned operation, unsigned target,
		       int32_t value)
{
	compute(builder, BPF_ALU64 | operation | BPF_K, target, 0, value);
}

void bpf_compute32(struct bpf_builder *builder, unsigned operation, unsigned target,
		   unsigned source)
{
	compute(builder, BPF_ALU | operation | BPF_X, target, source, 0);
}

void bpf_compute32_value(struct bpf_builder *builder, unsigned operation, unsigned target,
			 uint32_t value)
{
	compute(builder, BPF_ALU | operation | BPF_K, target, 0, (int32_t)value);
}

void bpf_to_host(struct bpf_builder *builder, unsigned target, unsigned bits)
{
	compute(builder, BPF_ALU | BPF_END | BPF_TO_BE, target, 0, (int32_t)bits);
}

void bpf_read(struct bpf_builder *builder, unsigned size, unsigned target, unsigned base,
	      int offset)
{
	emit(builder, (struct bpf_insn){.code = (uint8_t)(BPF_LDX | BPF_MEM | size),
					.dst_reg = target & 15,
					.src_reg = base & 15,
					.off = (int16_t)offset});
}

void bpf_write(struct bpf_builder *builder, unsigned size, unsigned base, int offset,
	       unsigned source)
{
	emit(builder, (struct bpf_insn){.code = (uint8_t)(BPF_STX | BPF_MEM | size),
					.dst_reg = base & 15,
					.src_reg = source & 15,
					.off = (int16_t)offset});
}

void bpf_write_value(struct bpf_builder *builder, unsigned size, unsigned base, int offset,
		     int32_t value)
{
	emit(builder, (struct bpf_insn){.code = (uint8_t)(BPF_ST | BPF_MEM | size),
					.dst_reg = base & 15,
					.off = (int16_t)offset,
					.imm = value});
}

void bpf_add_atomic(struct bpf_builder *builder, unsigned base, int offset, unsigned source)
{
	/* the same number as BPF_ATOMIC with BPF_ADD, known since 3.18 */
	emit(builder, (struct bpf_insn){.code = BPF_STX | BPF_XADD | BPF_DW,
					.dst_reg = base & 15,
					.src_reg = source & 15,
					.off = (int16_t)offset});
}

void bpf_call(struct bpf_builder *builder, int32_t function)
{
	emit(builder, (struct bpf_insn){.code = BPF_JMP | BPF_CALL, .imm = function});
}

void bpf_exit(struct bpf_builder *builder)
{
	emit(builder, (struct bpf_insn){.code = BPF_JMP | BPF_EXIT});
}

static void jump(struct bpf_builder *builder, unsigned label, struct bpf_insn instruction)
{
	if (builder->jump_count >= BPF_BUILDER_JUMPS) {
		builder->is_broken = true;
		return;
	}
	builder->jumps[builder->jump_count].at = builder->count;
	builder->jumps[builder->jump_count++].label = label;
	emit(builder, instruction);
}

void bpf_jump(struct bpf_builder *builder, unsigned label)
{
	jump(builder, label, (struct bpf_insn){.code = BPF_JMP | BPF_JA});
}

void bpf_jump_if(struct bpf_builder *builder, unsigned test, unsigned a, uint32_t value,
		 unsigned label)
{
	jump(builder, label,
	     (struct bpf_insn){.code = (uint8_t)(BPF_JMP32 | test | BPF_K),
			       .dst_reg = a & 15,
			       .imm = (int32_t)value});
}

void bpf_jump_if_register(struct bpf_builder *builder, unsigned test, unsigned a, unsigned b,
			  unsigned label)
{
	jump(builder, label,
	     (struct bpf_insn){.code = (uint8_t)(BPF_JMP | test | BPF_X),
			       .dst_reg = a & 15,
			       .src_reg = b & 15});
}

void bpf_jump_if_null(struct bpf_builder *builder, unsigned a, unsigned label)
{
	jump(builder, label,
	     (struct bpf_insn){.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = a & 15});
}

int bpf_builder_finish(struct bpf_builder *builder, struct bpf_code *code, struct error *err)
{
	for (unsigned i = 0; i < builder->jump_count && !builder->is_broken; i++) {
		unsigned at = builder->jumps[i].at;
		int target = builder->labels[builder->jumps[i].label];

		if (target <= (int)at) /* never placed, or a loop */
			builder->is_broken = true;
		else
			builder->list[at].off = (int16_t)(target - (int)at - 1);
	}
	if (builder->is_broken)
		return error_set(err, E2BIG, "the BPF program %s is too long", code->name);
	code->instructions = builder->list;
	code->count = builder->count;
	return 0;
}

int bpf_builder_load(struct bpf_builder *builder, const char *name, int *out_program_fd,
		     struct error *err)
{
	struct bpf_code code = {.name = name, .type = BPF_PROG_TYPE_SCHED_CLS};
	int result = bpf_builder_finish(builder, &code, err);

	return result < 0 ? result : bpf_load(&code, out_program_fd, err);
}
