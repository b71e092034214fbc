/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Writes a BPF program instruction by instruction, with labels: jumps go to what is written later,
 * so that a kernel before 5.3 (no loops) takes it as well. A failure while it is written is kept
 * and reported by bpf_builder_load().
 */
#ifndef SQUALL_BPF_BUILDER_H
#define SQUALL_BPF_BUILDER_H

#include "injector/base/error.h"
#include "injector/kernel/bpf.h"

#include <stdbool.h>
#include <stdint.h>

#define BPF_BUILDER_INSTRUCTIONS 3800 /* 4096 is the limit of some kernels */
#define BPF_BUILDER_LABELS	 256
#define BPF_BUILDER_JUMPS	 1024

struct bpf_builder {
	struct bpf_insn *list; /* owned */
	unsigned count, label_count, jump_count;
	struct {
		unsigned at, label;
	} jumps[BPF_BUILDER_JUMPS];
	int labels[BPF_BUILDER_LABELS]; /* instruction, or -1: not placed yet */
	bool is_broken;
};

void bpf_builder_init(struct bpf_builder *builder);
void bpf_builder_free(struct bpf_builder *builder);

/* A label to jump to; bpf_place() says where it is. */
unsigned bpf_label(struct bpf_builder *builder);
void bpf_place(struct bpf_builder *builder, unsigned label);
/* Something written so far jumps there. What nothing leads to, the kernel refuses. */
bool bpf_is_wanted(const struct bpf_builder *builder, unsigned label);

/* register = value (32 bits, the upper half cleared) */
void bpf_set(struct bpf_builder *builder, unsigned target, uint32_t value);
void bpf_set_map(struct bpf_builder *builder, unsigned target, int map_fd);
void bpf_copy(struct bpf_builder *builder, unsigned target, unsigned source);
/* target = target OP source / value; `operation` is BPF_ADD, BPF_AND, ... In 64 bits; the value is
 * sign-extended. */
void bpf_compute(struct bpf_builder *builder, unsigned operation, unsigned target, unsigned source);
void bpf_compute_value(struct bpf_builder *builder, unsigned operation, unsigned target,
		       int32_t value);
/* The same in 32 bits, the upper half cleared. */
void bpf_compute32(struct bpf_builder *builder, unsigned operation, unsigned target,
		   unsigned source);
void bpf_compute32_value(struct bpf_builder *builder, unsigned operation, unsigned target,
			 uint32_t value);
/* target = bytes 0..3 (or 0..1) of it turned from network to host order */
void bpf_to_host(struct bpf_builder *builder, unsigned target, unsigned bits);
/* `size` is BPF_B, BPF_H, BPF_W or BPF_DW. */
void bpf_read(struct bpf_builder *builder, unsigned size, unsigned target, unsigned base,
	      int offset);
void bpf_write(struct bpf_builder *builder, unsigned size, unsigned base, int offset,
	       unsigned source);
void bpf_write_value(struct bpf_builder *builder, unsigned size, unsigned base, int offset,
		     int32_t value);
/* *(u64 *)(base + offset) += source, atomically */
void bpf_add_atomic(struct bpf_builder *builder, unsigned base, int offset, unsigned source);
void bpf_call(struct bpf_builder *builder, int32_t function);
void bpf_exit(struct bpf_builder *builder);

void bpf_jump(struct bpf_builder *builder, unsigned label);
/* if (a TEST value) goto label; `test` is BPF_JEQ, BPF_JNE, BPF_JLT, ... In 32 bits: needs 5.1. */
void bpf_jump_if(struct bpf_builder *builder, unsigned test, unsigned a, uint32_t value,
		 unsigned label);
/* In 64 bits. */
void bpf_jump_if_register(struct bpf_builder *builder, unsigned test, unsigned a, unsigned b,
			  unsigned label);
void bpf_jump_if_null(struct bpf_builder *builder, unsigned a, unsigned label);

/* Resolves the jumps and puts the instructions into `code`, which borrows them. */
int bpf_builder_finish(struct bpf_builder *builder, struct bpf_code *code, struct error *err);
/* And loads it as a traffic-control classifier. */
int bpf_builder_load(struct bpf_builder *builder, const char *name, int *out_program_fd,
		     struct error *err);

#endif
